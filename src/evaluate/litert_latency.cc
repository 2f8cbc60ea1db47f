#include <algorithm>
#include <cmath>
#include <cstring>

#include "evaluate/evaluate.h"
#include "evaluate/litert_model.h"
#include "evaluate/timed_model.h"

namespace litesmith {
namespace {

// The two run in turns, so that what disturbs the machine disturbs both.
constexpr int kMostTurns = 10;

absl::StatusOr<double> RunOnce(LitertModel* model) {
  const auto start = TimingClock::now();
  LS_RETURN_IF_ERROR(model->Run());
  return MillisecondsSince(start);
}

// How the outputs of the two, for the same inputs, differ.
absl::Status CompareOutputs(const Graph& graph, const Executor& ours, const LitertModel& theirs,
                            LitertComparison* out) {
  for (size_t o = 0; o < ours.num_outputs(); ++o) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(graph.main().outputs[o])];
    LS_ASSIGN_OR_RETURN(const std::vector<float> a, LoadOutput(ours.output(o), tensor));
    LS_ASSIGN_OR_RETURN(const std::vector<float> b, LoadOutput(theirs.output(o), tensor));
    if (a.size() != b.size()) {
      return Invalid("output {} has {} values here and {} in LiteRT", o, a.size(), b.size());
    }
    out->values += static_cast<int64_t>(a.size());
    for (size_t i = 0; i < a.size(); ++i) {
      if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
      ++out->different;
      out->greatest_difference =
          std::max(out->greatest_difference, std::abs(double{a[i]} - double{b[i]}));
    }
  }
  return absl::OkStatus();
}

void Append(std::vector<double> from, std::vector<double>* to) {
  to->insert(to->end(), from.begin(), from.end());
}

}  // namespace

absl::StatusOr<Latency> MeasureBesideLitert(std::shared_ptr<const Graph> graph,
                                            const std::string& file, const LitertOptions& litert,
                                            const BenchmarkOptions& options, const Context& context,
                                            LitertComparison* comparison, ModelProfile* profile) {
  LS_ASSIGN_OR_RETURN(TimedModel ours, TimedModel::Create(graph, options, context));
  LitertModel::Request request;
  request.litert = litert;
  request.num_threads = Context{.num_threads = options.num_threads}.Threads();
  SetRequestShapes(ours.executor(), &request);
  const auto start = TimingClock::now();
  LS_ASSIGN_OR_RETURN(const auto theirs, LitertModel::Create(file, *graph, request));
  comparison->prepare_ms = MillisecondsSince(start);
  comparison->runtime = theirs->Name();
  for (size_t i = 0; i < theirs->num_inputs(); ++i) {
    const auto& input = ours.inputs()[i];
    if (!input.empty()) std::memcpy(theirs->input(i).data(), input.data(), input.size());
  }
  LS_ASSIGN_OR_RETURN(const double our_first, ours.RunOnce());
  LS_ASSIGN_OR_RETURN(comparison->first_run_ms, RunOnce(theirs.get()));
  LS_RETURN_IF_ERROR(CompareOutputs(*graph, ours.executor(), *theirs, comparison));

  const int turns = std::min(kMostTurns, options.num_runs);
  const int runs = (options.num_runs + turns - 1) / turns;
  const double seconds = options.min_seconds / turns;
  const int warmup = std::max(1, options.warmup_runs);
  std::vector<double> our_ms, their_ms;
  const auto run_ours = [&] { return ours.RunOnce(); };
  const auto run_theirs = [&] { return RunOnce(theirs.get()); };
  Context quiet = context;
  quiet.progress = nullptr;
  for (int turn = 0; turn < turns; ++turn) {
    context.Report("timing", turn, turns);
    // The other's threads may still be spinning, and the caches are full of the other's data.
    const int untimed = turn == 0 ? warmup : 1;
    LS_RETURN_IF_ERROR(TimeRuns(untimed, 0, quiet, run_ours).status());
    LS_ASSIGN_OR_RETURN(auto ms, TimeRuns(runs, seconds, quiet, run_ours));
    Append(std::move(ms), &our_ms);
    LS_RETURN_IF_ERROR(TimeRuns(untimed, 0, quiet, run_theirs).status());
    LS_ASSIGN_OR_RETURN(ms, TimeRuns(runs, seconds, quiet, run_theirs));
    Append(std::move(ms), &their_ms);
  }
  if (profile != nullptr) {
    profile->first_run_ms = our_first;
    LS_RETURN_IF_ERROR(ours.Profile(options, context, profile));
  }
  comparison->latency = Summarise(std::move(their_ms));
  return Summarise(std::move(our_ms));
}

}  // namespace litesmith
