#include "api/advise_target.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "ops/accelerator.h"
#include "ops/target.h"

namespace litesmith {
namespace {

constexpr std::array<std::pair<const char*, Device>, 6> kDevices = {{{"cpu", Device::kCpu},
                                                                     {"pi4", Device::kPi4},
                                                                     {"mcu", Device::kMcu},
                                                                     {"edgetpu", Device::kEdgeTpu},
                                                                     {"hexagon", Device::kHexagon},
                                                                     {"gpu", Device::kGpu}}};

std::optional<Accelerator> AcceleratorOf(Device device) {
  switch (device) {
    case Device::kEdgeTpu:
      return Accelerator::kEdgeTpu;
    case Device::kHexagon:
      return Accelerator::kHexagon;
    case Device::kGpu:
      return Accelerator::kGpu;
    default:
      return std::nullopt;
  }
}

bool Contains(const std::vector<int32_t>& list, int32_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// The conversion of a float input or output of the model.
bool IsBorder(const Subgraph& subgraph, const Node& node) {
  if (node.op == schema::BuiltinOperator_QUANTIZE) {
    return Contains(subgraph.inputs, node.input(0)) &&
           subgraph.tensors[static_cast<size_t>(node.input(0))].type == schema::TensorType_FLOAT32;
  }
  return node.op == schema::BuiltinOperator_DEQUANTIZE &&
         Contains(subgraph.outputs, node.output(0));
}

std::string ObstacleOf(const Subgraph& subgraph, const Node& node, Device device) {
  const std::optional<Accelerator> accelerator = AcceleratorOf(device);
  if (accelerator) return AcceleratorObstacle(subgraph, node, *accelerator);
  return TargetObstacle(subgraph, node, device == Device::kMcu ? Target::kTflm : Target::kLitert);
}

}  // namespace

absl::StatusOr<Device> FindDevice(std::string_view name) {
  for (const auto& [known, device] : kDevices) {
    if (name == known) return device;
  }
  return Invalid("there is no target '{}'; choose one of cpu, pi4, mcu, edgetpu, hexagon, gpu",
                 Printable(name));
}

const char* DeviceTitle(Device device) {
  switch (device) {
    case Device::kCpu:
      return "this machine";
    case Device::kPi4:
      return "a Raspberry Pi 4";
    case Device::kMcu:
      return "a microcontroller (tflite-micro)";
    case Device::kEdgeTpu:
      return "the Edge TPU";
    case Device::kHexagon:
      return "the Hexagon DSP";
    case Device::kGpu:
      return "the GPU";
  }
  return "";
}

bool TakesIntegersOnly(Device device) {
  return device == Device::kEdgeTpu || device == Device::kHexagon || device == Device::kMcu;
}

bool WantsFixedBatch(Device device) { return TakesIntegersOnly(device) || device == Device::kGpu; }

bool IsThisMachine(Device device, const SystemInfo& system) {
  if (device == Device::kCpu) return true;
  return device == Device::kPi4 && system.device &&
         system.device->find("Raspberry Pi 4") != std::string::npos;
}

TargetFit FitTarget(const Graph& graph, Device device) {
  const Subgraph& subgraph = graph.main();
  const bool accelerator = AcceleratorOf(device).has_value();
  TargetFit out;
  bool broken = false;  // the Edge TPU's compiler maps what comes before the first obstacle
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    if (accelerator && IsBorder(subgraph, node)) continue;
    ++out.nodes;
    std::string why = ObstacleOf(subgraph, node, device);
    if (why.empty() && broken) why = "it comes after an operator that stays on the CPU";
    if (why.empty()) {
      ++out.taken;
      continue;
    }
    broken = broken || device == Device::kEdgeTpu;
    out.obstacles.push_back(
        {static_cast<int64_t>(n), OperatorName(node), node.name, std::move(why)});
  }
  if (out.obstacles.empty()) return out;
  const Obstacle& first = out.obstacles.front();
  const std::string example = fmt::format("{} (node {}): {}", first.op, first.node, first.why);
  if (!accelerator) {
    out.refused = fmt::format("{} of {} operators do not run on {}: {}", out.obstacles.size(),
                              out.nodes, DeviceTitle(device), example);
  } else if (out.taken == 0) {
    out.refused = fmt::format("nothing of it runs on {}: {}", DeviceTitle(device), example);
  }
  return out;
}

}  // namespace litesmith
