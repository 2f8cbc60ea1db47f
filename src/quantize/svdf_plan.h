#ifndef LITESMITH_QUANTIZE_SVDF_PLAN_H_
#define LITESMITH_QUANTIZE_SVDF_PLAN_H_

// SVDF in int8: what its rule cannot say. The state and the time weights are int16, the bias is in
// units of their scales, as TFLite's quantizer gives them (operator_property.cc). TFLite has no
// other integer kernel of it.

#include <string>

#include "quantize/quantize.h"

namespace litesmith {

bool IsSvdf(const Node& node);

// The tensor that keeps what the node remembers from run to run. -1: the node has none.
int32_t SvdfState(const Node& node);

// Why the node cannot be int8; empty: it can.
std::string SvdfObstacle(const Subgraph& subgraph, const Node& node, const Ranges& ranges);

// Types and parameters of weights, bias and state. REQUIRES: no obstacle.
void PlanSvdf(const Subgraph& subgraph, const Ranges& ranges, const Node& node, Plan* plan);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_SVDF_PLAN_H_
