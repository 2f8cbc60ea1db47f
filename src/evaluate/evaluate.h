#ifndef LITESMITH_EVALUATE_EVALUATE_H_
#define LITESMITH_EVALUATE_EVALUATE_H_

#include <memory>
#include <vector>

#include "data/dataset.h"
#include "litesmith/benchmark.h"
#include "litesmith/evaluate.h"
#include "runtime/executor.h"

namespace litesmith {

// The dataset's view of a graph's inputs: quantized inputs as float32, a leading axis of 1 or -1
// taken as the batch.
std::vector<InputSpec> InputSpecs(const Graph& graph);

// One sample into the memory of an input. Real value -> integer as the QUANTIZE operator does
// (round half away from zero, clamped); the identity for equal types. Errors: a type without
// conversion, another size, a scale that is not positive (naming the tensor).
absl::Status StoreInput(const Array& value, const Tensor& tensor, std::span<std::byte> out);

// Output bytes as real values. Errors: a type that holds no numbers.
absl::StatusOr<std::vector<float>> LoadOutput(std::span<const std::byte> bytes,
                                              const Tensor& tensor);

struct EvaluateOptions {
  Metric metric = Metric::kAccuracy;
  KernelMode kernels = KernelMode::kBest;
  Arithmetic arithmetic = Arithmetic::kLitert;
};

// All samples of `data` through the graph, in batches where the model leaves the batch open, on
// context.Threads() threads; results do not depend on their number.
absl::StatusOr<EvaluateResult> Evaluate(std::shared_ptr<const Graph> graph, Dataset* data,
                                        const EvaluateOptions& options, const Context& context);

struct BenchmarkOptions {
  int num_runs = 50;
  int warmup_runs = 5;
  int num_threads = 1;
  KernelMode kernels = KernelMode::kBest;
  double min_seconds = 0;
};

// Times Run alone, on random inputs from a fixed seed. REQUIRES: num_runs > 0, warmup_runs >= 0.
// With `profile`, runs as often again with a clock around every node; rss_growth_bytes and
// peak_rss_bytes are left to the caller.
absl::StatusOr<Latency> MeasureLatency(std::shared_ptr<const Graph> graph,
                                       const BenchmarkOptions& options, const Context& context,
                                       ModelProfile* profile = nullptr);

// The same with LiteRT on the same inputs and threads, in turns: ten of both, each after runs that
// are not timed. `file` is the .tflite file that `graph` was read from. Errors do not name it.
absl::StatusOr<Latency> MeasureBesideLitert(std::shared_ptr<const Graph> graph,
                                            const std::string& file, const LitertOptions& litert,
                                            const BenchmarkOptions& options, const Context& context,
                                            LitertComparison* comparison,
                                            ModelProfile* profile = nullptr);

// Times the nodes of a quantized graph and of the float graph it was made of, in turns, and says
// which are slower and why. Nodes are paired by the names of their outputs, else by operator and
// order.
absl::StatusOr<FloatComparison> CompareWithFloat(std::shared_ptr<const Graph> quantized,
                                                 std::shared_ptr<const Graph> float_graph,
                                                 const BenchmarkOptions& options,
                                                 const Context& context);

// Statistics of durations in milliseconds. REQUIRES: not empty.
Latency Summarise(std::vector<double> milliseconds);

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_EVALUATE_H_
