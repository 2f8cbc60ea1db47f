#ifndef LITESMITH_PASSES_PASSES_H_
#define LITESMITH_PASSES_PASSES_H_

#include <memory>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

// Graph -> Graph, in place; each is one named rewrite in a file of its own and keeps Verify() true,
// names and results (within float rounding where it says so). Returns whether anything changed.
// Inputs, outputs, tensors of signatures, variables and stateful nodes are never touched, nor
// anything in a graph that numbers its nodes in metadata ("model_control_dependencies"). REQUIRES:
// Verify(*graph) was OK.

// Nodes of the main subgraph whose inputs are all constant become constants, as long as the file
// does not grow by it. Weights behind DEQUANTIZE or DENSIFY stay packed unless `unpack_weights`:
// then they become float32.
absl::StatusOr<bool> FoldConstants(Graph* graph, const Context& context,
                                   bool unpack_weights = false);

// MUL, ADD and SUB of constants after a convolution, depthwise convolution or fully connected node
// go into its weights and bias; before one too, where that is exact (no padding between). Results
// differ by float rounding.
absl::StatusOr<bool> FoldBatchNorm(Graph* graph);

// RELU, RELU6 and RELU_N1_TO_1 into the fused activation of the node before.
absl::StatusOr<bool> FuseActivations(Graph* graph);

// PAD with zeros before a VALID convolution or depthwise convolution becomes SAME where that is
// equal.
absl::StatusOr<bool> FusePadding(Graph* graph);

// SHAPE, STRIDED_SLICE, PACK, RESHAPE to one RESHAPE with a constant shape; chains of reshapes to
// the last; reshapes to the same shape disappear.
absl::StatusOr<bool> SimplifyReshapes(Graph* graph);

// Nodes that nobody reads and tensors that nobody refers to; tensors are renumbered.
absl::StatusOr<bool> RemoveDeadCode(Graph* graph);

// LSTM layers that are written out step by step (as imported ones are) become one
// UNIDIRECTIONAL_SEQUENCE_LSTM each, where they start from zeros, nobody wants the cell state or
// the results of single steps but the last, and the batch is known: the operator's states have a
// fixed shape. It keeps them from call to call, which the steps do not; so it is not one of
// Optimise's.
absl::StatusOr<bool> FuseLstm(Graph* graph);

// Gives the free first dimension of the main subgraph's inputs this size, and every tensor the
// shape that follows. Not one of Optimise's. Errors name an input whose batch is fixed already, and
// the node that cannot take the size.
absl::Status FixBatchSize(Graph* graph, int64_t batch_size);

// What the float nodes of a file leave apart, for running it with the fastest kernels: FusePadding,
// FoldBatchNorm and FuseActivations until nothing changes. Returns the graph itself where there is
// nothing to fuse; tensors keep their numbers, integer nodes their bits.
absl::StatusOr<std::shared_ptr<const Graph>> FuseForRunning(std::shared_ptr<const Graph> graph);

// All of them until nothing changes.
absl::Status Optimise(Graph* graph, const Context& context, bool unpack_weights = false);

}  // namespace litesmith

#endif  // LITESMITH_PASSES_PASSES_H_
