#ifndef LITESMITH_QUANTIZE_LOWERING_H_
#define LITESMITH_QUANTIZE_LOWERING_H_

// Nodes without an integer kernel for the recipe that compute on integers all the same, with other
// operators before or after them. Only what the scales decide is here; rewrites that float nodes
// allow are in decompose.h.

#include <string>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// The detour of a node that the recipe's kernels do not cover; kNone: there is none.
Lowering LoweringOf(const Subgraph& subgraph, const Node& node, RecipeKind kind);

// Why a node that PossibleLowering allows for takes no detour; empty: nothing special.
std::string LoweringObstacle(const Subgraph& subgraph, const Node& node);

// The detour that nodes of this operator may take, if their operands allow it.
Lowering PossibleLowering(schema::BuiltinOperator op);

// What the plan says of it.
const char* LoweringReason(Lowering lowering);

// The node's function over every integer of `in`'s type, as integers of `out`: entry i is the value
// at the type's least integer + i. REQUIRES: INT8 or INT16, per tensor; a node with kTable.
absl::StatusOr<Blob> FunctionTable(const Subgraph& subgraph, const Node& node, TensorType in_type,
                                   const QuantParams& in, TensorType out_type,
                                   const QuantParams& out);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_LOWERING_H_
