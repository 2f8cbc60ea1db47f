#include <algorithm>
#include <cmath>

#include "evaluate/timed_model.h"

namespace litesmith {

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
    profile->first_run_ms = first_ms;
    LS_RETURN_IF_ERROR(model.Profile(options, context, profile));
  }
  return Summarise(std::move(ms));
}

}  // namespace litesmith
