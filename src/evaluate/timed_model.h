#ifndef LITESMITH_EVALUATE_TIMED_MODEL_H_
#define LITESMITH_EVALUATE_TIMED_MODEL_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "evaluate/evaluate.h"

namespace litesmith {

using TimingClock = std::chrono::steady_clock;
double MillisecondsSince(TimingClock::time_point start);

// Milliseconds of inferences, one after the other, until there are `num_runs` and `min_seconds` are
// over. `run_once` gives those of one.
absl::StatusOr<std::vector<double>> TimeRuns(
    int num_runs, double min_seconds, const Context& context,
    const std::function<absl::StatusOr<double>()>& run_once);

// An executor with inputs to time it on: random, from a fixed seed. One thread at a time.
class TimedModel {
 public:
  static absl::StatusOr<TimedModel> Create(std::shared_ptr<const Graph> graph,
                                           const BenchmarkOptions& options, const Context& context);

  double prepare_ms() const { return prepare_ms_; }
  // Bytes for packed weights, tables and the plan; 0 where it cannot be known.
  int64_t prepared_bytes() const { return prepared_bytes_; }
  const Executor& executor() const { return *executor_; }
  const std::vector<std::vector<std::byte>>& inputs() const { return inputs_; }

  // Milliseconds of one inference.
  absl::StatusOr<double> RunOnce();
  absl::StatusOr<std::vector<double>> RunMany(const BenchmarkOptions& options,
                                              const Context& context);

  // Seconds of each node of the main subgraph in one inference: means over `runs` with a clock
  // around every node.
  absl::StatusOr<std::vector<double>> NodeSeconds(int runs, double min_seconds,
                                                  const Context& context);

  // The same as often as options say, into a profile.
  absl::Status Profile(const BenchmarkOptions& options, const Context& context,
                       ModelProfile* profile);

 private:
  std::shared_ptr<const Graph> graph_;
  std::unique_ptr<Executor> executor_;
  std::vector<std::vector<std::byte>> inputs_;
  double prepare_ms_ = 0;
  int64_t prepared_bytes_ = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_TIMED_MODEL_H_
