#include "evaluate/profile.h"

#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <thread>

#include "kernels/peak.h"

namespace litesmith {
namespace {

constexpr double kPeakSeconds = 0.01, kScalingSeconds = 0.03;

// The calling thread onto the k-th of the CPUs it may use, counted round.
void Pin(int k) {
#if defined(__linux__)
  cpu_set_t allowed, one;
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  k %= std::max(1, CPU_COUNT(&allowed));
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || k-- > 0) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    static_cast<void>(::sched_setaffinity(0, sizeof(one), &one));
    return;
  }
#endif
}

// What `threads` loops of float products reach together, over what one reaches.
double MeasureScaling(int threads) {
  const auto run = [](int count) {
    std::vector<std::thread> loops;
    std::vector<double> rates(static_cast<size_t>(count));
    std::atomic<int> ready{0};
    for (int k = 0; k < count; ++k) {
      loops.emplace_back([&, k] {
        Pin(k);
        ++ready;
        while (ready.load() < count) std::this_thread::yield();
        rates[static_cast<size_t>(k)] = MeasurePeakRates(kScalingSeconds).float32;
      });
    }
    double sum = 0;
    for (size_t k = 0; k < loops.size(); ++k) {
      loops[k].join();
      sum += rates[k];
    }
    return sum;
  };
  const double one = run(1);
  return one > 0 ? run(threads) / one : 0;
}

// The rate that a node's arithmetic could reach: that of its activations' type, int8 where they are
// quantized at run time.
double PeakOf(const Graph& graph, const Node& node, const PeakRates& peak) {
  const auto type = [&](size_t i) {
    const int32_t t = node.input(i);
    return t < 0 ? schema::TensorType_FLOAT32 : graph.main().tensors[static_cast<size_t>(t)].type;
  };
  const bool any_float =
      type(0) == schema::TensorType_FLOAT32 || type(1) == schema::TensorType_FLOAT32;
  const bool any_int8 = type(0) == schema::TensorType_INT8 || type(1) == schema::TensorType_INT8;
  if (any_float && !any_int8) return peak.float32;
  if (type(0) == schema::TensorType_INT16) return peak.int16;
  return peak.int8;
}

}  // namespace

std::optional<int64_t> MultiplyAdds(const Graph& graph, const Executor& executor, size_t node) {
  const Node& n = graph.main().nodes[node];
  if (n.outputs.empty() || n.output(0) < 0 || n.inputs.size() < 2 || n.input(0) < 0 ||
      n.input(1) < 0) {
    return std::nullopt;
  }
  const int64_t out = NumElements(executor.tensor_shape(n.output(0)));
  const Shape& weights = executor.tensor_shape(n.input(1));
  if (weights.empty()) return std::nullopt;
  const auto ratio = [&](int32_t by) { return by == 0 ? 0 : out * (NumElements(weights) / by); };
  switch (n.op) {
    case schema::BuiltinOperator_CONV_2D:
    case schema::BuiltinOperator_FULLY_CONNECTED:
      return ratio(weights.front());
    case schema::BuiltinOperator_DEPTHWISE_CONV_2D:
    case schema::BuiltinOperator_CONV_3D:
      return ratio(weights.back());
    case schema::BuiltinOperator_BATCH_MATMUL: {
      const Shape& a = executor.tensor_shape(n.input(0));
      if (a.size() < 2) return std::nullopt;
      const bool adjoint = n.GetOptions<schema::BatchMatMulOptionsT>().adj_x;
      return out * a[a.size() - (adjoint ? 2 : 1)];
    }
    case schema::BuiltinOperator_TRANSPOSE_CONV: {
      if (n.inputs.size() < 3 || n.input(2) < 0 || weights.back() == 0) return std::nullopt;
      return NumElements(executor.tensor_shape(n.input(2))) *
             (NumElements(weights) / weights.back());
    }
    default:
      return std::nullopt;
  }
}

void FillNodeProfiles(const Graph& graph, const Executor& executor,
                      const std::vector<double>& seconds, int threads, ModelProfile* profile) {
  const PeakRates peak = MeasurePeakRates(kPeakSeconds);
  profile->peak_float32_gmacs = peak.float32;
  profile->peak_int16_gmacs = peak.int16;
  profile->peak_int8_gmacs = peak.int8;
  if (threads > 1) profile->peak_scaling = MeasureScaling(threads);
  double total = 0;
  for (double s : seconds) total += s;
  for (size_t n = 0; n < graph.main().nodes.size(); ++n) {
    const Node& node = graph.main().nodes[n];
    NodeProfile entry;
    entry.node = static_cast<int64_t>(n);
    entry.op = OperatorName(node);
    entry.kernel = executor.kernel_name(n);
    entry.ms = 1e3 * seconds[n];
    entry.percent = total > 0 ? 100.0 * seconds[n] / total : 0;
    const auto macs = MultiplyAdds(graph, executor, n);
    if (macs && seconds[n] > 0) {
      entry.gmacs = 1e-9 * static_cast<double>(*macs) / seconds[n];
      entry.percent_of_peak = 100.0 * *entry.gmacs / (PeakOf(graph, node, peak) * threads);
    }
    profile->nodes.push_back(std::move(entry));
  }
}

}  // namespace litesmith
