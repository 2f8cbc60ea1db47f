#ifndef LITESMITH_OPS_ACCELERATOR_H_
#define LITESMITH_OPS_ACCELERATOR_H_

// Which nodes an accelerator takes, by the rules that its makers publish. What it does not take
// stays on the CPU.

#include <string>

#include "ir/graph.h"

namespace litesmith {

enum class Accelerator {
  kEdgeTpu,  // Coral's Edge TPU, runtime 14 and later
  kHexagon,  // Qualcomm's DSP, by TFLite's Hexagon delegate
  kGpu,      // TFLite's GPU delegate
};

// Why the accelerator leaves a node to the CPU; empty: it takes it.
std::string AcceleratorObstacle(const Subgraph& subgraph, const Node& node,
                                Accelerator accelerator);

}  // namespace litesmith

#endif  // LITESMITH_OPS_ACCELERATOR_H_
