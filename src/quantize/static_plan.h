#ifndef LITESMITH_QUANTIZE_STATIC_PLAN_H_
#define LITESMITH_QUANTIZE_STATIC_PLAN_H_

#include "quantize/quantize.h"

namespace litesmith {

// How one node is to be treated, and which entry of the recipe says so.
struct Choice {
  Treatment treatment = Treatment::kFloat;
  int64_t min_weight_elements = 0;
  int weight_bits = 8;
  bool symmetric = true;
  std::string why;  // of a node that stays float
};
// Of every node of the main subgraph.
absl::StatusOr<std::vector<Choice>> ChooseTreatments(const Graph& graph,
                                                     const QuantizeOptions& options);

// The plan of the int8 and 16x8 recipes for the nodes that are to have it; fills tensors and nodes
// of `plan`.
absl::Status PlanStatic(const Graph& graph, const Ranges& ranges, const QuantizeOptions& options,
                        const std::vector<Choice>& choices, const Context& context, Plan* plan);

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
