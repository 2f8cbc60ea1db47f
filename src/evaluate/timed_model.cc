#include "evaluate/timed_model.h"

#if defined(__linux__)
#include <malloc.h>
#endif

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "evaluate/profile.h"

namespace litesmith {
namespace {

// However short the inferences: the times are kept.
constexpr int kMostRuns = 10000000;

// Values a real input could have: uniform in [0, 1), integers over their range, indices zero.
void FillRandom(const Tensor& tensor, std::span<std::byte> out, Random* random) {
  switch (tensor.type) {
    case schema::TensorType_FLOAT32:
      for (size_t i = 0; i + 4 <= out.size(); i += 4) {
        const auto value = static_cast<float>(random->Uniform());
        std::memcpy(out.data() + i, &value, 4);
      }
      break;
    case schema::TensorType_INT8:
    case schema::TensorType_UINT8:
    case schema::TensorType_INT16:
      for (std::byte& b : out) b = static_cast<std::byte>(random->Next() & 0xff);
      break;
    default:
      std::fill(out.begin(), out.end(), std::byte{0});
  }
}

// Bytes that the process has from the allocator; 0 where it does not tell.
int64_t AllocatedBytes() {
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
#else
  return 0;
#endif
}

}  // namespace

double MillisecondsSince(TimingClock::time_point start) {
  return std::chrono::duration<double, std::milli>(TimingClock::now() - start).count();
}

absl::StatusOr<std::vector<double>> TimeRuns(
    int num_runs, double min_seconds, const Context& context,
    const std::function<absl::StatusOr<double>()>& run_once) {
  std::vector<double> ms;
  const auto start = TimingClock::now();
  for (int run = 0;
       run < num_runs || (MillisecondsSince(start) < 1e3 * min_seconds && run < kMostRuns); ++run) {
    LS_RETURN_IF_ERROR(context.Check());
    LS_ASSIGN_OR_RETURN(const double elapsed, run_once());
    ms.push_back(elapsed);
    if (run < num_runs && (run % std::max(1, num_runs / 100) == 0 || run + 1 == num_runs)) {
      context.Report("timing", run + 1, num_runs);
    }
  }
  return ms;
}

absl::StatusOr<TimedModel> TimedModel::Create(std::shared_ptr<const Graph> graph,
                                              const BenchmarkOptions& options,
                                              const Context& context) {
  ExecutorOptions executor_options;
  executor_options.kernels = options.kernels;
  executor_options.num_threads = options.num_threads;
  executor_options.memory_budget = context.memory_budget;
  TimedModel out;
  out.graph_ = graph;
  const int64_t before = AllocatedBytes();
  const auto start = TimingClock::now();
  LS_ASSIGN_OR_RETURN(out.executor_, Executor::Create(graph, executor_options));
  out.prepare_ms_ = MillisecondsSince(start);
  const auto arena = static_cast<int64_t>(out.executor_->arena_bytes());
  out.prepared_bytes_ = std::max<int64_t>(0, AllocatedBytes() - before - arena);
  Random random(0);
  for (size_t i = 0; i < out.executor_->num_inputs(); ++i) {
    out.inputs_.emplace_back(out.executor_->input(i).size());
    const auto t = static_cast<size_t>(graph->main().inputs[i]);
    FillRandom(graph->main().tensors[t], out.inputs_.back(), &random);
  }
  return out;
}

absl::StatusOr<double> TimedModel::RunOnce() {
  // The memory of inputs is reused for later tensors, so they are set anew for each run.
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].empty()) continue;
    std::memcpy(executor_->input(i).data(), inputs_[i].data(), inputs_[i].size());
  }
  executor_->ResetVariables();
  const auto start = TimingClock::now();
  LS_RETURN_IF_ERROR(executor_->Run());
  return MillisecondsSince(start);
}

absl::StatusOr<std::vector<double>> TimedModel::RunMany(const BenchmarkOptions& options,
                                                        const Context& context) {
  return TimeRuns(options.num_runs, options.min_seconds, context, [&] { return RunOnce(); });
}

absl::StatusOr<std::vector<double>> TimedModel::NodeSeconds(int runs, double min_seconds,
                                                            const Context& context) {
  executor_->EnableProfile(true);
  LS_ASSIGN_OR_RETURN(const std::vector<double> ms,
                      TimeRuns(runs, min_seconds, context, [&] { return RunOnce(); }));
  executor_->EnableProfile(false);
  std::vector<double> seconds = executor_->profile_seconds();
  for (double& s : seconds) s /= static_cast<double>(ms.size());
  return seconds;
}

absl::Status TimedModel::Profile(const BenchmarkOptions& options, const Context& context,
                                 ModelProfile* profile) {
  profile->prepare_ms = prepare_ms_;
  profile->prepared_bytes = prepared_bytes_;
  LS_ASSIGN_OR_RETURN(const std::vector<double> seconds,
                      NodeSeconds(options.num_runs, options.min_seconds, context));
  const int threads = Context{.num_threads = options.num_threads}.Threads();
  FillNodeProfiles(*graph_, *executor_, seconds, threads, profile);
  profile->arena_bytes = static_cast<int64_t>(executor_->arena_bytes());
  return absl::OkStatus();
}

}  // namespace litesmith
