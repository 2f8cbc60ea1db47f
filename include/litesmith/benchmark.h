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
  KernelMode kernels = KernelMode::kBest;
  DataSource data;  // path empty: no accuracy
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

// One line of a benchmark.
struct BenchmarkRow {
  std::string name;  // the file's stem
  uint64_t bytes = 0;
  std::optional<double> accuracy;
  bool is_baseline = false;  // the float model that the others are compared with
  Latency latency;
};

// The table and the JSON form {"timestamp", "system_info", "baseline_accuracy", "models": {stem:
// {…}}}. Where a model loses more than a point of accuracy against the baseline, the notes say what
// to try.
Report BenchmarkReport(const std::vector<BenchmarkRow>& rows, const SystemInfo& system);

// Times (and with data evaluates) model files.
absl::StatusOr<Report> BenchmarkFiles(const std::vector<std::string>& models,
                                      const BenchmarkRequest& request, const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_BENCHMARK_H_
