#include "quantize/forms.h"

#include "ops/op.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

Form PlannedForm(const Plan& plan, int32_t t) {
  const TensorPlan& planned = plan.tensors[static_cast<size_t>(t)];
  return {planned.type, planned.quant};
}

// The integer form that nodes read of a tensor, whatever its producer makes.
Form IntegerForm(const Plan& plan, int32_t t) {
  const TensorPlan& planned = plan.tensors[static_cast<size_t>(t)];
  // In a 16x8 model, what a dynamic node makes may be int8.
  const bool narrow = planned.type == schema::TensorType_INT8;
  return {narrow ? schema::TensorType_INT8 : ActivationType(plan.recipe.kind), planned.quant};
}

}  // namespace

std::optional<OperandForm> WantedOperand(const Subgraph& subgraph, const Plan& plan, size_t n,
                                         size_t i) {
  const Node& node = subgraph.nodes[n];
  const int32_t t = node.input(i);
  if (!IsFloat(subgraph, t) || subgraph.tensors[static_cast<size_t>(t)].is_variable) return {};
  const OpRecord* op = FindOp(node);
  if (op != nullptr && op->shape_only) return {};
  const NodeMode mode = plan.nodes[n].mode;
  if (mode == NodeMode::kFloat || mode == NodeMode::kFloat16 || op == nullptr) return OperandForm{};
  const InputRule rule = op->quant.input(i);
  const bool weights =
      rule.role != Role::kIndex && IsFloatConstant(subgraph, t) && !PlannedForm(plan, t).is_float();
  if (mode == NodeMode::kWeightOnly) return OperandForm{Form{}, weights};
  if (mode == NodeMode::kDynamic) {
    return weights ? OperandForm{PlannedForm(plan, t), true} : OperandForm{};
  }
  switch (rule.role) {
    case Role::kIndex:
      // Coefficients of an LSTM.
      return IsFloatConstant(subgraph, t) ? OperandForm{PlannedForm(plan, t), false}
                                          : OperandForm{};
    case Role::kWeight:
      return OperandForm{PlannedForm(plan, t), !IsRowTable(op->quant, i)};
    case Role::kBias:
      return OperandForm{PlannedForm(plan, t), false};
    case Role::kActivation:
      break;
  }
  // Operands that share the result's scale are requantized to it where theirs is another.
  const int32_t shared = node.output(0);
  const bool shares = SharesScale(op->quant) && IsActivation(subgraph, shared);
  return OperandForm{IntegerForm(plan, shares ? shared : t), false};
}

Form ResultForm(const Subgraph& subgraph, const Plan& plan, size_t n, int32_t t) {
  const OpRecord* op = FindOp(subgraph.nodes[n]);
  const NodeMode mode = plan.nodes[n].mode;
  // Rows of a quantized table come out as its integers.
  const bool rows = mode == NodeMode::kDynamic &&
                    plan.tensors[static_cast<size_t>(t)].type == schema::TensorType_INT8;
  const bool integer = rows || (mode == NodeMode::kInteger && op != nullptr &&
                                op->quant.output != OutputRule::kIndex);
  return integer ? IntegerForm(plan, t) : Form{};
}

}  // namespace litesmith
