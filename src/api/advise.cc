#include "litesmith/advise.h"

#include <filesystem>

#include "api/advise_report.h"
#include "api/state.h"
#include "base/file.h"
#include "evaluate/evaluate.h"
#include "litesmith/evaluate.h"
#include "litesmith/files.h"

namespace litesmith {
namespace {

constexpr char kScript[] = "commands.sh";

// The paths of the request that hold samples.
std::vector<std::string> Sources(const AdviseRequest& request) {
  return {request.data.path, request.data.labels, request.training, request.calibration};
}

absl::Status CheckLimit(const char* flag, const std::optional<double>& limit) {
  // Written so that not-a-number fails too.
  if (!limit || *limit >= 0.0) return absl::OkStatus();
  return Invalid("{} is {:g}; it must not be negative", flag, *limit);
}

absl::Status CheckRequest(const AdviseRequest& request, const Model& model, const Graph& graph) {
  LS_RETURN_IF_ERROR(CheckLimit("--max-size", request.max_size_kb));
  LS_RETURN_IF_ERROR(CheckLimit("--max-latency-ms", request.max_latency_ms));
  LS_RETURN_IF_ERROR(CheckLimit("--max-accuracy-drop", request.max_accuracy_drop));
  if (request.epochs < 1) return Invalid("--epochs is {}; at least 1 is needed", request.epochs);
  if (!IsFloatModel(graph)) {
    return Invalid(
        "{}: the model is quantized already; advise needs the float model it was made of",
        model.path());
  }
  return absl::OkStatus();
}

// Opens each data set once, so that a wrong path is an error at once; whether the samples to
// measure with have labels.
absl::StatusOr<bool> CheckData(const AdviseRequest& request, const Graph& graph,
                               const Context& context) {
  const auto open = [&](const std::string& path, DataUse use) {
    DataSource source = request.data;
    source.path = path;
    if (use != DataUse::kEvaluation) source.split = "";
    return OpenSource(source, graph, use, context);
  };
  bool labelled = false;
  if (!request.data.path.empty()) {
    LS_ASSIGN_OR_RETURN(const auto data, open(request.data.path, DataUse::kEvaluation));
    labelled = data->has_labels();
  }
  if (!request.training.empty()) {
    LS_RETURN_IF_ERROR(open(request.training, DataUse::kTraining).status());
  }
  if (!request.calibration.empty()) {
    LS_RETURN_IF_ERROR(open(request.calibration, DataUse::kCalibration).status());
  }
  return labelled;
}

absl::Status CheckOutputs(const Model& model, const AdviseRequest& request,
                          const std::vector<Candidate>& candidates) {
  if (request.output.empty()) return absl::OkStatus();
  LS_RETURN_IF_ERROR(CheckFolder(request.output));
  if (!IsDirectory(request.output)) return absl::OkStatus();
  std::vector<std::string> files;
  for (const Candidate& c : candidates) files.push_back(c.file());
  for (const std::string& file : files) {
    LS_RETURN_IF_ERROR(model.CheckOutput(file));
    LS_RETURN_IF_ERROR(CheckWritable(file, Sources(request)));
  }
  return absl::OkStatus();
}

absl::Status Measure(const AdviseRequest& request, Device device, bool labelled, bool timed,
                     const Context& context, Candidate* candidate) {
  LS_ASSIGN_OR_RETURN(const Model model, Model::FromTflite(candidate->bytes, context));
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  candidate->fit = FitTarget(*graph, device);
  if (labelled) {
    EvaluateRequest evaluate;
    evaluate.data = request.data;
    if (device == Device::kMcu) evaluate.arithmetic = Arithmetic::kTflm;
    LS_ASSIGN_OR_RETURN_IN(const EvaluateResult result, Evaluate(model, evaluate, context),
                           candidate->name);
    candidate->accuracy = result.accuracy;
  }
  if (!timed) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN_IN(candidate->latency, MeasureLatency(model, BenchmarkRequest{}, context),
                         candidate->name);
  return absl::OkStatus();
}

absl::Status WriteFiles(const Model& model, const AdviseRequest& request,
                        const std::vector<Candidate>& candidates) {
  LS_RETURN_IF_ERROR(MakeDirectories(request.output));
  for (const Candidate& c : candidates) {
    if (c.made()) LS_RETURN_IF_ERROR(WriteFileAtomically(c.file(), c.bytes));
  }
  return WriteText((std::filesystem::path(request.output) / kScript).string(),
                   CommandScript(model, candidates));
}

}  // namespace

absl::StatusOr<Advice> Advise(const Model& model, const AdviseRequest& request,
                              const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto graph, ModelAccess::GraphOf(model));
  LS_ASSIGN_OR_RETURN(const Device device, FindDevice(request.target));
  LS_RETURN_IF_ERROR(CheckRequest(request, model, *graph));
  LS_ASSIGN_OR_RETURN(const bool labelled, CheckData(request, *graph, context));
  std::vector<Candidate> candidates = PlanCandidates(model, request, device);
  LS_RETURN_IF_ERROR(CheckOutputs(model, request, candidates));
  const SystemInfo system = ReadSystemInfo();
  const bool timed = IsThisMachine(device, system);
  for (size_t i = 0; i < candidates.size(); ++i) {
    Candidate& candidate = candidates[i];
    Context named = context;
    named.progress = [&](const Context::Progress& p) {
      context.Report(p.what, p.done, p.total,
                     fmt::format("{} ({} of {})", candidate.name, i + 1, candidates.size()));
    };
    LS_RETURN_IF_ERROR(MakeCandidate(model, named, &candidate));
    if (!candidate.made()) {
      // Without the float model there is nothing to compare with.
      if (i == 0) return Unsupported("{}", candidate.refused.front());
      continue;
    }
    LS_RETURN_IF_ERROR(Measure(request, device, labelled, timed, named, &candidate));
  }
  const Decision decision = Decide(model, request, device, timed, &candidates);
  Advice out;
  out.report = AdviceReport(model, request, device, timed, system, decision, candidates);
  if (decision.choice != nullptr) out.choice = decision.choice->name;
  if (!request.output.empty()) {
    LS_RETURN_IF_ERROR(WriteFiles(model, request, candidates));
    out.report.notes.push_back(
        fmt::format("written: the candidates and {} in {}", kScript, request.output));
  }
  return out;
}

}  // namespace litesmith
