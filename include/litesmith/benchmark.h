#ifndef LITESMITH_BENCHMARK_H_
#define LITESMITH_BENCHMARK_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/kernels.h"
#include "litesmith/litert.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

// Milliseconds per inference; std is the sample standard deviation, p95 the nearest-rank
// percentile.
struct Latency {
  double avg = 0, std = 0, min = 0, max = 0, median = 0, p95 = 0;
};

struct BenchmarkRequest {
  int num_runs = 50;
  int warmup_runs = 5;
  int num_threads = 1;
  double min_seconds = 0;  // timed inferences go on until both this and num_runs are reached
  KernelMode kernels = KernelMode::kBest;
  bool profile = false;   // BenchmarkFiles: also where the time and the memory go
  std::vector<int> cpus;  // BenchmarkFiles: run on these only; empty: on any
  DataSource data;        // path empty: no accuracy
  // BenchmarkFiles: also time the same .tflite files in LiteRT, in turns with ours.
  std::optional<LitertOptions> litert;
  // BenchmarkFiles: the float model that the quantized ones were made of; "": none. Says which of
  // their nodes are slower, and why.
  std::string float_model;
};

// Times single inferences (batch 1) on random inputs from a fixed seed.
absl::StatusOr<Latency> MeasureLatency(const Model& model, const BenchmarkRequest& request,
                                       const Context& context = {});

// The machine; what cannot be known is absent.
struct SystemInfo {
  std::optional<std::string> device;  // the board's name, else the host's
  std::optional<std::string> arch, cpu_model;
  std::optional<int64_t> cores;
  std::optional<double> total_memory_gb, available_memory_gb, cpu_usage_percent;
  std::optional<std::string> isa;  // the vector instructions in use
  std::optional<std::string> governor;
  std::optional<double> temperature_c;
  std::optional<bool> throttled;
};
// `root` stands before every path that is read ("" in real use).
SystemInfo ReadSystemInfo(const std::string& root = "");

// An operator's part of an inference.
struct NodeProfile {
  int64_t node = 0;
  std::string op, kernel;
  double ms = 0;       // per inference, in the steady state
  double percent = 0;  // of the sum over all nodes
  // For operators that multiply matrices or filters: 10^9 multiply-adds per second, and how much
  // that is of what the cores in use reach in a loop over registers.
  std::optional<double> gmacs, percent_of_peak;
};

// Where the time and the memory of a model go.
struct ModelProfile {
  double prepare_ms = 0;    // shapes, packed weights, memory plan
  double first_run_ms = 0;  // the steady state is the Latency
  double peak_float32_gmacs = 0, peak_int16_gmacs = 0, peak_int8_gmacs = 0;  // of one core
  // With several threads: what so many loops of float products, each on a CPU of its own, reach
  // together, over what one reaches. An inference cannot scale further.
  std::optional<double> peak_scaling;
  int64_t arena_bytes = 0;       // activations, planned by lifetime
  int64_t prepared_bytes = 0;    // packed weights, tables, the plan; 0 where it cannot be known
  int64_t rss_growth_bytes = 0;  // resident memory after the runs less that before loading
  int64_t peak_rss_bytes = 0;    // of the process so far
  std::vector<NodeProfile> nodes;
};

// The same model, inputs and threads in LiteRT.
struct LitertComparison {
  std::string runtime;      // "LiteRT 2.3.0"
  double prepare_ms = 0;    // reading, delegating, packing
  double first_run_ms = 0;  // the steady state is the latency
  Latency latency;
  // Outputs of the first run: how many values, how many differ from ours, and the greatest
  // difference in real values.
  int64_t values = 0, different = 0;
  double greatest_difference = 0;
};

// A node of a quantized model that takes longer than its counterpart in float, or has none.
struct SlowNode {
  int64_t node = 0;
  std::string op, kernel;
  double ms = 0;
  std::optional<int64_t> float_node;
  std::optional<double> float_ms;
  std::vector<std::string> reasons;  // from the graph and from measurements
};

// A quantized model beside its float one, node by node.
struct FloatComparison {
  double ms = 0, float_ms = 0;  // sums over all nodes
  int64_t nodes = 0, paired = 0;
  std::vector<SlowNode> slow;  // the most time lost first
};

// One line of a benchmark.
struct BenchmarkRow {
  std::string name;  // the file's stem
  uint64_t bytes = 0;
  std::optional<double> accuracy;
  bool is_baseline = false;  // the float model that the others are compared with
  Latency latency;
  std::optional<ModelProfile> profile;
  std::optional<LitertComparison> litert;
  std::optional<FloatComparison> compare_float;
};

// The table and the JSON form {"timestamp", "system_info", "baseline_accuracy", "models": {stem:
// {…}}}. Where a model loses more than a point of accuracy against the baseline, the notes say what
// to try. A row's profile adds a table of its nodes, and "profile" in the JSON form; LiteRT's times
// add a table and "litert".
Report BenchmarkReport(const std::vector<BenchmarkRow>& rows, const SystemInfo& system);

// Times (and with data evaluates) model files.
absl::StatusOr<Report> BenchmarkFiles(const std::vector<std::string>& models,
                                      const BenchmarkRequest& request, const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_BENCHMARK_H_
