#include "passes/fuse_dilation.h"
#include "passes/passes.h"

namespace litesmith {

absl::Status Optimise(Graph* graph, const Context& context, bool unpack_weights) {
  // Every change removes a node or an operand's producer, so this ends; the bound is for safety
  // only.
  const size_t limit = graph->main().nodes.size() + 2;
  for (size_t round = 0; round < limit; ++round) {
    bool changed = false;
    LS_RETURN_IF_ERROR(context.Check());
    LS_ASSIGN_OR_RETURN(const bool reshapes, SimplifyReshapes(graph));
    LS_ASSIGN_OR_RETURN(const bool constants, FoldConstants(graph, context, unpack_weights));
    LS_ASSIGN_OR_RETURN(const bool padding, FusePadding(graph));
    LS_ASSIGN_OR_RETURN(const bool dilation, FuseDilation(graph));
    LS_ASSIGN_OR_RETURN(const bool batch_norm, FoldBatchNorm(graph));
    LS_ASSIGN_OR_RETURN(const bool activations, FuseActivations(graph));
    LS_ASSIGN_OR_RETURN(const bool dead, RemoveDeadCode(graph));
    changed = reshapes || constants || padding || dilation || batch_norm || activations || dead;
    if (!changed) break;
  }
  return absl::OkStatus();
}

}  // namespace litesmith
