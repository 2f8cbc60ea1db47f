#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "evaluate/evaluate.h"

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
                                       const BenchmarkOptions& options, const Context& context) {
  ExecutorOptions executor_options;
  executor_options.kernels = options.kernels;
  executor_options.num_threads = options.num_threads;
  executor_options.memory_budget = context.memory_budget;
  LS_ASSIGN_OR_RETURN(auto executor, Executor::Create(graph, executor_options));
  std::vector<std::vector<std::byte>> inputs;
  Random random(0);
  for (size_t i = 0; i < executor->num_inputs(); ++i) {
    inputs.emplace_back(executor->input(i).size());
    const auto t = static_cast<size_t>(graph->main().inputs[i]);
    FillRandom(graph->main().tensors[t], inputs.back(), &random);
  }
  std::vector<double> ms;
  const int total = options.warmup_runs + options.num_runs;
  for (int run = 0; run < total; ++run) {
    LS_RETURN_IF_ERROR(context.Check());
    // The memory of inputs is reused for later tensors, so they are set anew for each run.
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].empty())
        std::memcpy(executor->input(i).data(), inputs[i].data(), inputs[i].size());
    }
    executor->ResetVariables();
    const auto start = std::chrono::steady_clock::now();
    LS_RETURN_IF_ERROR(executor->Run());
    const auto end = std::chrono::steady_clock::now();
    if (run < options.warmup_runs) continue;
    ms.push_back(std::chrono::duration<double, std::milli>(end - start).count());
    if (run % std::max(1, total / 100) == 0 || run + 1 == total) {
      context.Report("timing", run + 1, total);
    }
  }
  return Summarise(std::move(ms));
}

}  // namespace litesmith
