#ifndef LITESMITH_PASSES_PASSES_H_
#define LITESMITH_PASSES_PASSES_H_

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

// Graph -> Graph, in place; each is one named rewrite in a file of its own and keeps Verify() true, names and
// results (within float rounding where it says so). Returns whether anything changed.

absl::StatusOr<bool> FoldConstants(Graph* graph, const Context& context);
absl::StatusOr<bool> FoldBatchNorm(Graph* graph);      // MUL/ADD/SUB of constants after conv, depthwise, FC
absl::StatusOr<bool> FuseActivations(Graph* graph);    // RELU, RELU6, RELU_N1_TO_1 into the producer
absl::StatusOr<bool> FusePadding(Graph* graph);        // PAD into a VALID conv or depthwise as SAME where equal
absl::StatusOr<bool> SimplifyReshapes(Graph* graph);   // SHAPE-STRIDED_SLICE-PACK-RESHAPE to one RESHAPE …
absl::StatusOr<bool> RemoveDeadCode(Graph* graph);     // unread nodes and tensors

// All of them until nothing changes.
absl::Status Optimise(Graph* graph, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_PASSES_PASSES_H_
