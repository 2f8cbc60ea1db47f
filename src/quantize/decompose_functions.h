#ifndef LITESMITH_QUANTIZE_DECOMPOSE_FUNCTIONS_H_
#define LITESMITH_QUANTIZE_DECOMPOSE_FUNCTIONS_H_

// Functions of real numbers that Decompose writes as several operators. Each appends nodes to `out`
// that compute `node`'s output, or returns false and changes nothing.

#include <vector>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// relu6(x + 3) * x / 6.
bool RewriteHardSwish(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// relu(x) + (exp(min(x, 0)) - 1).
bool RewriteElu(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// relu(x) + alpha * min(x, 0).
bool RewritePrelu(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// x / sqrt(sum of squares), over the last dimension.
bool RewriteL2Normalization(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// (x - max x) - log(sum exp(x - max x)), over the last dimension.
bool RewriteLogSoftmax(Subgraph* subgraph, const Node& node, std::vector<Node>* out);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_DECOMPOSE_FUNCTIONS_H_
