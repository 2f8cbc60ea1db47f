#ifndef LITESMITH_EVALUATE_EVALUATE_H_
#define LITESMITH_EVALUATE_EVALUATE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "runtime/executor.h"

namespace litesmith {

// The dataset's view of a graph's inputs (quantized inputs as float32).
std::vector<InputSpec> InputSpecs(const Graph& graph);

// Real value -> integer, as the QUANTIZE operator does (round half away from zero, clamped); the identity for
// float. Errors: a type without conversion, a scale that is not positive (naming the tensor).
absl::Status StoreInput(const Array& value, const Tensor& tensor, std::span<std::byte> out);
// Output bytes as real values.
absl::StatusOr<std::vector<float>> LoadOutput(std::span<const std::byte> bytes, const Tensor& tensor);

enum class Metric { kAccuracy, kMse, kMae };

struct EvaluateOptions {
  Metric metric = Metric::kAccuracy;
  KernelMode kernels = KernelMode::kBest;
  Arithmetic arithmetic = Arithmetic::kLitert;
};

struct EvaluateResult {
  double accuracy = 0.0;  // 0..1
  int64_t correct = 0;
  int64_t total = 0;
  double error = 0.0;  // for kMse, kMae
};

// All samples of `data` through the graph, in batches, on context.Threads() threads; results do not depend on
// their number.
absl::StatusOr<EvaluateResult> Evaluate(std::shared_ptr<const Graph> graph, Dataset* data,
                                        const EvaluateOptions& options, const Context& context);

struct BenchmarkOptions {
  int num_runs = 50;
  int warmup_runs = 5;
  int num_threads = 1;
  KernelMode kernels = KernelMode::kBest;
};

// Milliseconds.
struct Latency {
  double avg = 0, std = 0, min = 0, max = 0, median = 0, p95 = 0;
};

absl::StatusOr<Latency> MeasureLatency(std::shared_ptr<const Graph> graph, const BenchmarkOptions& options,
                                       const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_EVALUATE_EVALUATE_H_
