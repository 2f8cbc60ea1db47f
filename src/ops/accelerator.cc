#include "ops/accelerator.h"

#include "ops/accelerator_rules.h"

namespace litesmith {

std::string AcceleratorObstacle(const Subgraph& subgraph, const Node& node,
                                Accelerator accelerator) {
  const NodeView view{subgraph, node};
  // What the tables look at is there: files are verified by bounds, not by operator.
  const size_t data = node.op == schema::BuiltinOperator_SPLIT ? 1 : 0;
  if (view.in(data) == nullptr || view.out(0) == nullptr) return "it has no input or no output";
  switch (accelerator) {
    case Accelerator::kEdgeTpu:
      return EdgeTpuObstacle(view);
    case Accelerator::kHexagon:
      return HexagonObstacle(view);
    case Accelerator::kGpu:
      return GpuObstacle(view);
  }
  return "";
}

}  // namespace litesmith
