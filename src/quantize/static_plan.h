#ifndef LITESMITH_QUANTIZE_STATIC_PLAN_H_
#define LITESMITH_QUANTIZE_STATIC_PLAN_H_

#include "quantize/quantize.h"

namespace litesmith {

// The plan of the int8 and 16x8 recipes; fills tensors and nodes of `plan`.
absl::Status PlanStatic(const Graph& graph, const Ranges& ranges, const QuantizeOptions& options,
                        const Context& context, Plan* plan);

// Which scale each activation gets, by the rules that bind operands together. `integer` says which
// nodes are quantized. An entry without scale: the tensor takes no part.
struct ScaleChoice {
  QuantParams quant;
  std::string why;
};
std::vector<ScaleChoice> ChooseScales(const Subgraph& subgraph, const Ranges& ranges,
                                      RecipeKind kind, const std::vector<bool>& integer);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_STATIC_PLAN_H_
