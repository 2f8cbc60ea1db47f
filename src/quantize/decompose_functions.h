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
// The sum of three and more, one after the other.
bool RewriteAddN(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// min(max(x, low), 1), of RELU_N1_TO_1 and RELU_0_TO_1.
bool RewriteClip(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// x * (bias + alpha * sum of squares of the neighbouring channels) ^ -beta; the sum is a 1x1
// convolution.
bool RewriteLocalResponseNormalization(Subgraph* subgraph, const Node& node,
                                       std::vector<Node>* out);
// x / sqrt(sum of squares), over the last dimension.
bool RewriteL2Normalization(Subgraph* subgraph, const Node& node, std::vector<Node>* out);
// (x - max x) - log(sum exp(x - max x)), over the last dimension.
bool RewriteLogSoftmax(Subgraph* subgraph, const Node& node, std::vector<Node>* out);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_DECOMPOSE_FUNCTIONS_H_
