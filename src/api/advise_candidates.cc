#include "api/advise_candidates.h"

#include <algorithm>
#include <filesystem>

#include "api/shell.h"
#include "api/state.h"
#include "data/gzip.h"
#include "litesmith/array.h"

namespace litesmith {
namespace {

constexpr char kZeros[] = "0.8";
constexpr char kValues[] = "16";

bool HasFreeBatch(const Model& model) {
  for (const TensorInfo& input : model.inputs()) {
    if (!input.shape.empty() && input.shape[0] < 0) return true;
  }
  return false;
}

// Makes the steps of the candidates of one request.
class Planner {
 public:
  Planner(const Model& model, const AdviseRequest& request, Device device)
      : request_(request),
        stem_(std::filesystem::path(model.path()).stem().string()),
        integer_(TakesIntegersOnly(device)),
        batch_(WantsFixedBatch(device) && HasFreeBatch(model) ? 1 : 0) {}

  std::string File(const std::string& name) const {
    return (std::filesystem::path(request_.output) / (stem_ + "_" + name + ".tflite")).string();
  }

  Candidate Convert(const char* name, const char* about) const {
    return {name, about, {{ConvertStep{}, File(name)}}};
  }

  Candidate Quantized(const char* name, const char* about) const {
    return {name, about, {{Recipe(name), File(name)}}};
  }

  // Trained; then quantized by `recipe` where one is named, else trained for int8.
  Candidate Trained(const std::string& name, const char* about, const char* prune,
                    const char* cluster, const char* recipe) const {
    TrainRequest train;
    train.data = Source(request_.training);
    train.epochs = request_.epochs;
    train.prune = prune;
    train.cluster = cluster;
    // Runtimes other than LiteRT's do not read sparse tensors.
    train.sparse_encoding = !(integer_ || batch_ != 0);
    if (*recipe == '\0') {
      train.qat = "int8";
      if (integer_) train.input_type = train.output_type = ElementType::kInt8;
    }
    Candidate out{name, about, {}};
    const bool more = *recipe != '\0' || batch_ != 0;
    out.steps.push_back({train, File(more ? name + "_trained" : name)});
    if (!more) return out;
    QuantizeRequest quantize;
    if (*recipe != '\0') quantize = Recipe(recipe);
    quantize.batch_size = batch_;
    out.steps.push_back({quantize, File(name)});
    return out;
  }

 private:
  DataSource Source(const std::string& path) const {
    DataSource out = request_.data;
    out.path = path;
    out.split = "";
    return out;
  }

  QuantizeRequest Recipe(const std::string& name) const {
    QuantizeRequest out;
    out.recipe = name;
    out.batch_size = batch_;
    const bool calibrates = name == "int8" || name == "int16x8";
    out.calibration = Source(calibrates ? Calibration() : "");
    if (integer_ && name == "int8") out.input_type = out.output_type = ElementType::kInt8;
    if (integer_ && name == "int16x8") out.input_type = out.output_type = ElementType::kInt16;
    return out;
  }

  const std::string& Calibration() const {
    if (!request_.calibration.empty()) return request_.calibration;
    return request_.training.empty() ? request_.data.path : request_.training;
  }

  const AdviseRequest& request_;
  std::string stem_;
  bool integer_;
  int64_t batch_;
};

void AddSource(const char* flag, const DataSource& source, std::string* line) {
  if (!source.path.empty()) *line += fmt::format(" {} {}", flag, ShellWord(source.path));
  if (!source.mean.empty()) *line += fmt::format(" --mean={}", fmt::join(source.mean, ","));
  if (!source.std.empty()) *line += fmt::format(" --std={}", fmt::join(source.std, ","));
  if (!source.labels.empty()) *line += fmt::format(" --labels {}", ShellWord(source.labels));
}

// As --input-type takes it: "int8".
std::string TypeFlag(ElementType type) {
  std::string out = ElementTypeName(type);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

void AddTypes(std::optional<ElementType> input, std::optional<ElementType> output,
              std::string* line) {
  if (input) *line += fmt::format(" --input-type {}", TypeFlag(*input));
  if (output) *line += fmt::format(" --output-type {}", TypeFlag(*output));
}

struct Line {
  std::string operator()(const ConvertStep&) const { return Start("convert"); }

  std::string operator()(const QuantizeRequest& r) const {
    std::string out = Start("quantize");
    if (!r.recipe.empty()) out += " --recipe " + r.recipe;
    AddSource("--calibration-data", r.calibration, &out);
    AddTypes(r.input_type, r.output_type, &out);
    if (r.batch_size != 0) out += fmt::format(" --batch-size {}", r.batch_size);
    if (r.allow_float) out += " --allow-float";
    return out;
  }

  std::string operator()(const TrainRequest& r) const {
    std::string out = Start("train");
    AddSource("--data", r.data, &out);
    out += fmt::format(" --epochs {}", r.epochs);
    if (!r.prune.empty()) out += " --prune " + r.prune;
    if (!r.cluster.empty()) out += " --cluster " + r.cluster;
    if (!r.qat.empty()) out += " --qat " + r.qat;
    if (r.input_type != ElementType::kFloat32) AddTypes(r.input_type, r.output_type, &out);
    if (!r.sparse_encoding && !r.prune.empty()) out += " --no-sparse-encoding";
    if (r.allow_float) out += " --allow-float";
    return out;
  }

  std::string Start(const char* command) const {
    std::string out =
        fmt::format("litesmith {} {} -o {}", command, ShellWord(input), ShellWord(file));
    if (!weights.empty()) out += fmt::format(" --weights {}", ShellWord(weights));
    return out;
  }

  std::string input, weights, file;
};

struct Run {
  absl::StatusOr<Model> operator()(const ConvertStep&) const { return Optimise(model, context); }
  absl::StatusOr<Model> operator()(const QuantizeRequest& r) const {
    return Quantize(model, r, context);
  }
  absl::StatusOr<Model> operator()(const TrainRequest& r) const {
    LS_ASSIGN_OR_RETURN(TrainedModel trained, Train(model, r, context));
    return trained.model;
  }

  const Model& model;
  const Context& context;
};

absl::StatusOr<std::vector<std::byte>> RunSteps(const Model& model, const Candidate& candidate,
                                                const Context& context) {
  std::vector<std::byte> bytes;
  Model at = model;
  for (const CandidateStep& step : candidate.steps) {
    LS_ASSIGN_OR_RETURN(const Model made, std::visit(Run{at, context}, step.request));
    LS_ASSIGN_OR_RETURN(bytes, made.Serialize());
    // As the next command would read it.
    if (&step != &candidate.steps.back()) {
      LS_ASSIGN_OR_RETURN(at, Model::FromTflite(bytes, context));
    }
  }
  return bytes;
}

bool EndsTheCommand(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status);
}

// True where a step could be told to keep operators in float, and was not yet.
bool AllowFloat(Candidate* candidate) {
  bool changed = false;
  for (CandidateStep& step : candidate->steps) {
    if (auto* quantize = std::get_if<QuantizeRequest>(&step.request)) {
      const bool integer = quantize->recipe == "int8" || quantize->recipe == "int16x8";
      changed = changed || (integer && !quantize->allow_float);
      quantize->allow_float = integer;
    } else if (auto* train = std::get_if<TrainRequest>(&step.request)) {
      changed = changed || (!train->qat.empty() && !train->allow_float);
      train->allow_float = !train->qat.empty();
    }
  }
  return changed;
}

}  // namespace

std::vector<Candidate> PlanCandidates(const Model& model, const AdviseRequest& request,
                                      Device device) {
  const Planner plan(model, request, device);
  std::vector<Candidate> out = {
      plan.Convert("float32", "the model, optimised"),
      plan.Quantized("float16", "float16 weights"),
      plan.Quantized("dynamic", "int8 weights, float activations"),
      plan.Quantized("int8", "int8 weights and activations"),
      plan.Quantized("int16x8", "int8 weights, int16 activations"),
  };
  if (request.training.empty()) return out;
  // The GPU computes in floats: training for int8 has nothing to give there.
  if (device == Device::kGpu) {
    out.push_back(plan.Trained("pruned_f16", "80 % zeros, float16 weights", kZeros, "", "float16"));
    out.push_back(plan.Trained("clustered_f16", "16 values a layer, float16 weights", "", kValues,
                               "float16"));
    return out;
  }
  out.push_back(plan.Trained("qat", "int8, trained for it", "", "", ""));
  out.push_back(plan.Trained("pruned_int8", "80 % zeros, trained for int8", kZeros, "", ""));
  out.push_back(
      plan.Trained("clustered_int8", "16 values a layer, trained for int8", "", kValues, ""));
  return out;
}

absl::Status MakeCandidate(const Model& model, const Context& context, Candidate* candidate) {
  Context noting = context;
  noting.warn = [&](const std::string& sentence) {
    auto& known = candidate->warnings;
    if (std::find(known.begin(), known.end(), sentence) == known.end()) known.push_back(sentence);
  };
  auto bytes = RunSteps(model, *candidate, noting);
  if (absl::IsUnimplemented(bytes.status()) && AllowFloat(candidate)) {
    const absl::Status strict = bytes.status();
    bytes = RunSteps(model, *candidate, noting);
    if (!bytes.ok() && !EndsTheCommand(bytes.status())) bytes = strict;
  }
  if (EndsTheCommand(bytes.status())) return bytes.status();
  if (!bytes.ok()) {
    const auto message = bytes.status().message();
    candidate->refused.push_back("not made: " + std::string(message.data(), message.size()));
    return absl::OkStatus();
  }
  candidate->bytes = std::move(*bytes);
  candidate->gzip_bytes = GzipSize(candidate->bytes);
  return absl::OkStatus();
}

std::vector<std::string> CommandsOf(const Model& model, const Candidate& candidate) {
  std::vector<std::string> out;
  Line line{model.path(), ModelAccess::State(model)->weights, ""};
  for (const CandidateStep& step : candidate.steps) {
    line.file = step.file;
    out.push_back(std::visit(line, step.request));
    line.input = step.file;
    line.weights = "";
  }
  return out;
}

}  // namespace litesmith
