#include <utility>

#include "passes/passes.h"

namespace litesmith {

absl::StatusOr<std::shared_ptr<const Graph>> FuseForRunning(std::shared_ptr<const Graph> graph) {
  Graph fused = *graph;
  bool any = false;
  // Every change takes a node out, so this ends; the bound is for safety only.
  for (size_t round = fused.main().nodes.size() + 1; round > 0; --round) {
    LS_ASSIGN_OR_RETURN(const bool padding, FusePadding(&fused));
    LS_ASSIGN_OR_RETURN(const bool batch_norm, FoldBatchNorm(&fused));
    LS_ASSIGN_OR_RETURN(const bool activations, FuseActivations(&fused));
    if (!padding && !batch_norm && !activations) break;
    any = true;
  }
  if (!any) return graph;
  return std::make_shared<const Graph>(std::move(fused));
}

}  // namespace litesmith
