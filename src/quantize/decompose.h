#ifndef LITESMITH_QUANTIZE_DECOMPOSE_H_
#define LITESMITH_QUANTIZE_DECOMPOSE_H_

#include <vector>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// Rewrites float nodes that this static recipe cannot quantize into nodes that it can, where both
// compute the same function (MayDecompose). Nodes keep their names.
// `wanted` says of which nodes, one entry for each of the main subgraph.
void Decompose(Graph* graph, RecipeKind kind, const std::vector<bool>& wanted);

// Whether nodes of this operator may be rewritten, if their operands allow it.
bool MayDecompose(schema::BuiltinOperator op);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_DECOMPOSE_H_
