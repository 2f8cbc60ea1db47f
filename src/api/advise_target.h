#ifndef LITESMITH_API_ADVISE_TARGET_H_
#define LITESMITH_API_ADVISE_TARGET_H_

// The machines that `advise` knows: what they take of a graph, by their makers' rules.

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/benchmark.h"

namespace litesmith {

enum class Device { kCpu, kPi4, kMcu, kEdgeTpu, kHexagon, kGpu };

absl::StatusOr<Device> FindDevice(std::string_view name);
// "the Edge TPU".
const char* DeviceTitle(Device device);

// It computes in 8-bit integers only: files get int8 inputs and outputs.
bool TakesIntegersOnly(Device device);
// It wants the sizes of all tensors fixed, or gains from it: files get a batch of 1.
bool WantsFixedBatch(Device device);
// Whether this machine is such a one, so that a latency measured here is one of the device.
bool IsThisMachine(Device device, const SystemInfo& system);

struct Obstacle {
  int64_t node = 0;
  std::string op, name, why;
};

struct TargetFit {
  int64_t nodes = 0, taken = 0;
  std::vector<Obstacle> obstacles;  // of the nodes that are not taken
  std::string refused;              // why the device is no place for the graph; empty: it is
};

// The main subgraph, node by node. QUANTIZE and DEQUANTIZE at a float border are the CPU's and not
// counted for accelerators.
TargetFit FitTarget(const Graph& graph, Device device);

}  // namespace litesmith

#endif  // LITESMITH_API_ADVISE_TARGET_H_
