#if defined(__linux__)
#include <malloc.h>
#endif

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "evaluate/evaluate.h"
#include "evaluate/profile.h"

namespace litesmith {
namespace {

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

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
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

// An executor with inputs to time it on.
class TimedModel {
 public:
  static absl::StatusOr<TimedModel> Create(std::shared_ptr<const Graph> graph,
                                           const BenchmarkOptions& options,
                                           const Context& context) {
    ExecutorOptions executor_options;
    executor_options.kernels = options.kernels;
    executor_options.num_threads = options.num_threads;
    executor_options.memory_budget = context.memory_budget;
    TimedModel out;
    out.graph_ = graph;
    const int64_t before = AllocatedBytes();
    const auto start = Clock::now();
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

  double prepare_ms() const { return prepare_ms_; }
  int64_t prepared_bytes() const { return prepared_bytes_; }

  // Milliseconds of one inference.
  absl::StatusOr<double> RunOnce() {
    // The memory of inputs is reused for later tensors, so they are set anew for each run.
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].empty()) continue;
      std::memcpy(executor_->input(i).data(), inputs_[i].data(), inputs_[i].size());
    }
    executor_->ResetVariables();
    const auto start = Clock::now();
    LS_RETURN_IF_ERROR(executor_->Run());
    return MillisecondsSince(start);
  }

  absl::StatusOr<std::vector<double>> RunMany(const BenchmarkOptions& options,
                                              const Context& context) {
    std::vector<double> ms;
    const auto start = Clock::now();
    for (int run = 0; run < options.num_runs ||
                      (MillisecondsSince(start) < 1e3 * options.min_seconds && run < kMostRuns);
         ++run) {
      LS_RETURN_IF_ERROR(context.Check());
      LS_ASSIGN_OR_RETURN(const double elapsed, RunOnce());
      ms.push_back(elapsed);
      if (run % std::max(1, options.num_runs / 100) == 0 || run + 1 == options.num_runs) {
        context.Report("timing", std::min(run + 1, options.num_runs), options.num_runs);
      }
    }
    return ms;
  }

  absl::Status Profile(const BenchmarkOptions& options, const Context& context,
                       ModelProfile* profile) {
    executor_->EnableProfile(true);
    LS_ASSIGN_OR_RETURN(const std::vector<double> runs, RunMany(options, context));
    executor_->EnableProfile(false);
    std::vector<double> seconds = executor_->profile_seconds();
    for (double& s : seconds) s /= static_cast<double>(runs.size());
    const int threads = Context{.num_threads = options.num_threads}.Threads();
    FillNodeProfiles(*graph_, *executor_, seconds, threads, profile);
    profile->arena_bytes = static_cast<int64_t>(executor_->arena_bytes());
    return absl::OkStatus();
  }

 private:
  // However short the inferences: the times are kept.
  static constexpr int kMostRuns = 10000000;

  std::shared_ptr<const Graph> graph_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::vector<std::byte>> inputs_;
  double prepare_ms_ = 0;
  int64_t prepared_bytes_ = 0;
};

}  // namespace

Latency Summarise(std::vector<double> ms) {
  std::sort(ms.begin(), ms.end());
  const auto n = static_cast<double>(ms.size());
  Latency out;
  for (double v : ms) out.avg += v / n;
  for (double v : ms) out.std += (v - out.avg) * (v - out.avg);
  out.std = ms.size() > 1 ? std::sqrt(out.std / (n - 1)) : 0.0;
  out.min = ms.front();
  out.max = ms.back();
  const size_t half = ms.size() / 2;
  out.median = ms.size() % 2 == 1 ? ms[half] : (ms[half - 1] + ms[half]) / 2;
  out.p95 = ms[static_cast<size_t>(std::ceil(0.95 * n)) - 1];
  return out;
}

absl::StatusOr<Latency> MeasureLatency(std::shared_ptr<const Graph> graph,
                                       const BenchmarkOptions& options, const Context& context,
                                       ModelProfile* profile) {
  LS_ASSIGN_OR_RETURN(TimedModel model, TimedModel::Create(graph, options, context));
  LS_ASSIGN_OR_RETURN(const double first_ms, model.RunOnce());
  for (int run = 1; run < options.warmup_runs; ++run) {
    LS_RETURN_IF_ERROR(context.Check());
    LS_RETURN_IF_ERROR(model.RunOnce().status());
  }
  LS_ASSIGN_OR_RETURN(std::vector<double> ms, model.RunMany(options, context));
  if (options.warmup_runs == 0) ms.front() = first_ms;
  if (profile != nullptr) {
    profile->prepare_ms = model.prepare_ms();
    profile->first_run_ms = first_ms;
    profile->prepared_bytes = model.prepared_bytes();
    LS_RETURN_IF_ERROR(model.Profile(options, context, profile));
  }
  return Summarise(std::move(ms));
}

}  // namespace litesmith
