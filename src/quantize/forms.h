#ifndef LITESMITH_QUANTIZE_FORMS_H_
#define LITESMITH_QUANTIZE_FORMS_H_

// What a plan says of each place where a tensor is made or read. Applying a plan and training for
// one both ask here.

#include <optional>
#include <vector>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// In which form a tensor is wanted: float, or integers with these parameters.
struct Form {
  TensorType type = schema::TensorType_FLOAT32;
  QuantParams quant;

  bool is_float() const { return type == schema::TensorType_FLOAT32; }
  bool operator==(const Form& other) const {
    return type == other.type && (is_float() || (quant.scale == other.quant.scale &&
                                                 quant.zero_point == other.quant.zero_point));
  }
};

// The form in which node n of the main subgraph reads operand i; no value: the operand takes no
// part (integers, variables, shapes alone, absent).
struct OperandForm {
  Form form;
  // Constant values are quantized as weights, not as activations. With a float form: they are
  // stored so, and made float again by a DEQUANTIZE before the node.
  bool is_weight = false;
};
std::optional<OperandForm> WantedOperand(const Subgraph& subgraph, const Plan& plan, size_t n,
                                         size_t i);

// The form in which node n makes its float result t. Integers without parameters: the plan lacks
// them.
Form ResultForm(const Subgraph& subgraph, const Plan& plan, size_t n, int32_t t);

// A form in which a tensor exists once a plan is carried out.
struct TensorVersion {
  Form form;
  int32_t index = -1;  // of the tensor that holds it
};

// What ApplyPlan makes, before anything unread is removed, and where each tensor of the given graph
// has gone to: those keep their numbers, and the first of a tensor's versions is its producer's.
struct AppliedPlan {
  Graph graph;
  std::vector<std::vector<TensorVersion>> versions;
};
absl::StatusOr<AppliedPlan> ApplyPlanTraced(const Graph& graph, const Plan& plan);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_FORMS_H_
