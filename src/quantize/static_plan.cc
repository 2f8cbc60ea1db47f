#include "quantize/static_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/op.h"
#include "quantize/lowering.h"
#include "quantize/lstm_plan.h"
#include "quantize/params.h"
#include "quantize/rules.h"
#include "quantize/svdf_plan.h"

namespace litesmith {
namespace {

constexpr size_t kListed = 50;  // nodes named in one message

// Whose operands need more than their rule says.
bool HasOwnPlan(const Node& node) { return IsSequenceLstm(node) || IsSvdf(node); }

class StaticPlanner {
 public:
  StaticPlanner(const Graph& graph, const Ranges& ranges, const QuantizeOptions& options,
                const std::vector<Choice>& choices, const Context& context, Plan* plan)
      : subgraph_(graph.main()),
        ranges_(ranges),
        options_(options),
        kind_(options.recipe.kind),
        choices_(choices),
        context_(context),
        plan_(*plan),
        uses_(FindUses(subgraph_)),
        integer_(subgraph_.nodes.size(), false) {}

  absl::Status Run() {
    LS_RETURN_IF_ERROR(Classify());
    PlanActivations();
    // Weights first: biases may widen their scales, and weights may be shared.
    for (const auto plan_node :
         {&StaticPlanner::PlanOperands, &StaticPlanner::WidenWeights, &StaticPlanner::PlanBias}) {
      for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
        const Node& node = subgraph_.nodes[n];
        if (integer_[n] && !HasOwnPlan(node)) (this->*plan_node)(node);
      }
    }
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      const Node& node = subgraph_.nodes[n];
      if (!integer_[n] || !HasOwnPlan(node)) continue;
      (IsSvdf(node) ? PlanSvdf : PlanLstm)(subgraph_, ranges_, node, &plan_);
    }
    return absl::OkStatus();
  }

 private:
  TensorPlan& tensor(int32_t t) { return plan_.tensors[static_cast<size_t>(t)]; }
  std::string Label(int32_t t) const {
    return Printable(subgraph_.tensors[static_cast<size_t>(t)].label());
  }

  bool TouchesFloat(const Node& node) const {
    auto is_float = [&](int32_t t) { return IsFloat(subgraph_, t); };
    return std::any_of(node.inputs.begin(), node.inputs.end(), is_float) ||
           std::any_of(node.outputs.begin(), node.outputs.end(), is_float);
  }

  absl::Status Classify() {
    std::string list;
    size_t count = 0;
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      const Node& node = subgraph_.nodes[n];
      const OpRecord* op = FindOp(node);
      if (!TouchesFloat(node) || (op != nullptr && op->shape_only)) {
        plan_.nodes[n].why = "computes no real values";
        continue;
      }
      if (choices_[n].treatment != Treatment::kInt8 &&
          choices_[n].treatment != Treatment::kInt16x8) {
        plan_.nodes[n].why = choices_[n].why;
        continue;
      }
      const Lowering lowering = op == nullptr || Supports(op->quant, kind_)
                                    ? Lowering::kNone
                                    : LoweringOf(subgraph_, node, kind_);
      const std::string obstacle =
          lowering == Lowering::kNone ? Obstacle(node, op) : OperandObstacle(node, *op);
      integer_[n] = obstacle.empty();
      plan_.nodes[n].mode = integer_[n] ? NodeMode::kInteger : NodeMode::kFloat;
      plan_.nodes[n].why = integer_[n] ? LoweringReason(lowering) : obstacle;
      if (integer_[n]) plan_.nodes[n].lowering = lowering;
      if (integer_[n]) continue;
      ++count;
      if (count <= kListed) {
        list += fmt::format("{}{}: {}", count > 1 ? "; " : "", NodeLabel(subgraph_, n), obstacle);
      }
    }
    if (count > kListed) list += fmt::format("; and {} more", count - kListed);
    if (count == 0) return absl::OkStatus();
    if (!options_.allow_float) {
      return Unsupported("recipe {} cannot quantize {} ({}); --allow-float keeps {} float",
                         options_.recipe.name,
                         count == 1 ? "one node" : fmt::format("{} nodes", count), list,
                         count == 1 ? "it" : "them");
    }
    context_.Warn(
        fmt::format("{} of {} nodes stay float: {}", count, subgraph_.nodes.size(), list));
    return absl::OkStatus();
  }

  // Why the node cannot be quantized; empty: it can.
  std::string Obstacle(const Node& node, const OpRecord* op) const {
    if (op == nullptr) return "litesmith does not know the operator";
    if (!Supports(op->quant, kind_)) {
      const std::string why = LoweringObstacle(subgraph_, node);
      if (!why.empty()) return why;
      return kind_ == RecipeKind::kInt8 ? "it has no int8 kernel" : "it has no 16x8 kernel";
    }
    if (IsSequenceLstm(node)) {
      return LstmObstacle(subgraph_, node, ranges_, kind_, options_.target);
    }
    if (IsSvdf(node)) return SvdfObstacle(subgraph_, node, ranges_);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] < 0) continue;
      const std::string obstacle = InputObstacle(op->quant.input(i), i, node.inputs[i], node);
      if (!obstacle.empty()) return obstacle;
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      const int32_t t = node.outputs[i];
      if (t < 0 || op->quant.output == OutputRule::kIndex || IsIndexOutput(node, i)) continue;
      const Tensor& out = subgraph_.tensors[static_cast<size_t>(t)];
      if (out.type != schema::TensorType_FLOAT32) {
        return fmt::format("its output '{}' is {}", Label(t), TypeName(out.type));
      }
      if (out.is_variable) return fmt::format("it keeps state in '{}'", Label(t));
      if (!ranges_.tensors[static_cast<size_t>(t)].seen) return NoRange(t);
    }
    return "";
  }

  // The same of a node that takes a detour: its real operands and results need ranges.
  std::string OperandObstacle(const Node& node, const OpRecord& op) const {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!IsFloat(subgraph_, node.inputs[i])) continue;
      const std::string obstacle = InputObstacle(op.quant.input(i), i, node.inputs[i], node);
      if (!obstacle.empty()) return obstacle;
    }
    for (int32_t t : node.outputs) {
      if (!IsFloat(subgraph_, t)) continue;
      const bool known = ranges_.tensors[static_cast<size_t>(t)].seen;
      if (subgraph_.tensors[static_cast<size_t>(t)].is_variable || !known) return NoRange(t);
    }
    return "";
  }

  std::string NoRange(int32_t t) const {
    return fmt::format("'{}' has no calibrated range, because a node before it cannot be run",
                       Label(t));
  }

  std::string InputObstacle(const InputRule& rule, size_t i, int32_t t, const Node& node) const {
    const Tensor& in = subgraph_.tensors[static_cast<size_t>(t)];
    if (rule.role == Role::kIndex) return "";
    if (in.sparsity != nullptr) return fmt::format("'{}' is stored sparse", Label(t));
    if (in.type != schema::TensorType_FLOAT32)
      return fmt::format("its input {} is {}", i, TypeName(in.type));
    if (in.is_variable) return fmt::format("it keeps state in '{}'", Label(t));
    if (rule.role == Role::kActivation) {
      return in.is_constant() || ranges_.tensors[static_cast<size_t>(t)].seen ? "" : NoRange(t);
    }
    if (!in.is_constant()) {
      return fmt::format("its {} '{}' are computed, not constant",
                         rule.role == Role::kWeight ? "weights" : "bias values", Label(t));
    }
    const auto rank = static_cast<int>(in.shape.size());
    if (rule.role == Role::kWeight && rule.axis >= rank) {
      return fmt::format("its weights '{}' have the shape {}", Label(t), ShapeString(in.shape));
    }
    if (rule.role == Role::kBias) return BiasObstacle(node, t);
    return "";
  }

  // A bias has one value per channel of the weights.
  std::string BiasObstacle(const Node& node, int32_t bias) const {
    const auto [weights, axis] = WeightsOf(node);
    if (weights < 0 || node.input(0) < 0) return "its weights are missing";
    const Shape& shape = subgraph_.tensors[static_cast<size_t>(weights)].shape;
    const auto count =
        static_cast<int64_t>(subgraph_.tensors[static_cast<size_t>(bias)].data.As<float>().size());
    const bool fits = axis < 0 || (axis < static_cast<int>(shape.size()) &&
                                   shape[static_cast<size_t>(axis)] == count);
    return fits ? "" : fmt::format("its bias '{}' has {} values", Label(bias), count);
  }

  std::pair<int32_t, int> WeightsOf(const Node& node) const {
    const OpRecord* op = FindOp(node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const InputRule rule = op->quant.input(i);
      if (rule.role == Role::kWeight && node.inputs[i] >= 0) return {node.inputs[i], rule.axis};
    }
    return {-1, -1};
  }

  // The operand whose scale the bias is made from: the first activation.
  int32_t ActivationOf(const Node& node) const {
    const OpRecord* op = FindOp(node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (op->quant.input(i).role == Role::kActivation && node.inputs[i] >= 0)
        return node.inputs[i];
    }
    return -1;
  }

  void PlanActivations() {
    const std::vector<ScaleChoice> choice = ChooseScales(subgraph_, ranges_, kind_, integer_);
    const TensorType type = ActivationType(kind_);
    for (size_t t = 0; t < choice.size(); ++t) {
      plan_.tensors[t].quant = choice[t].quant;
      plan_.tensors[t].why = choice[t].why;
      if (ranges_.tensors[t].seen) {
        plan_.tensors[t].min = ranges_.tensors[t].min;
        plan_.tensors[t].max = ranges_.tensors[t].max;
      }
    }
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      if (!integer_[n] || FindOp(subgraph_.nodes[n])->quant.output == OutputRule::kIndex) continue;
      for (int32_t t : subgraph_.nodes[n].outputs) {
        if (IsFloat(subgraph_, t)) tensor(t).type = type;
      }
    }
    std::vector<bool> read(subgraph_.tensors.size(), false);
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      for (int32_t t : subgraph_.nodes[n].inputs) {
        if (integer_[n] && t >= 0) read[static_cast<size_t>(t)] = true;
      }
    }
    for (int32_t t : subgraph_.inputs) {
      if (read[static_cast<size_t>(t)] && IsActivation(subgraph_, t)) tensor(t).type = type;
    }
  }

  void PlanOperands(const Node& node) {
    const QuantRule& rule = FindOp(node)->quant;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const int32_t t = node.inputs[i];
      if (!IsFloatConstant(subgraph_, t)) continue;
      const Role role = rule.input(i).role;
      if (role == Role::kActivation || IsRowTable(rule, i)) {
        PlanOperand(node, rule, t);
      } else if (role == Role::kWeight) {
        PlanWeights(t, rule.input(i).axis);
      }
    }
  }

  void PlanWeights(int32_t t, int axis) {
    TensorPlan& plan = tensor(t);
    if (plan.type != schema::TensorType_FLOAT32) return;  // shared with another node
    const Tensor& weights = subgraph_.tensors[static_cast<size_t>(t)];
    plan.type = WeightType(t);
    plan.why = axis >= 0 ? "weights, per channel" : "weights";
    const size_t channels =
        axis >= 0 ? static_cast<size_t>(weights.shape[static_cast<size_t>(axis)]) : 1;
    const bool known = !ranges_.weight_scales.empty() &&
                       ranges_.weight_scales[static_cast<size_t>(t)].size() == channels;
    if (!known) {
      plan.quant = WeightParams(weights.data.As<float>(), weights.shape, axis, plan.type);
      return;
    }
    plan.quant.scale = ranges_.weight_scales[static_cast<size_t>(t)];
    plan.quant.zero_point.assign(channels, 0);
    plan.quant.axis = std::max(axis, 0);
    plan.why += ", learnt scale";
  }

  // Int4 where every node that reads them is to have it and can.
  TensorType WeightType(int32_t t) const {
    for (int32_t n : uses_.consumers[static_cast<size_t>(t)]) {
      const auto node = static_cast<size_t>(n);
      if (!integer_[node]) continue;
      const bool wanted = choices_[node].weight_bits == 4;
      if (!wanted || !TakesInt4Weights(*FindOp(subgraph_.nodes[node]))) {
        return schema::TensorType_INT8;
      }
    }
    return schema::TensorType_INT4;
  }

  void PlanOperand(const Node& node, const QuantRule& rule, int32_t t) {
    TensorPlan& plan = tensor(t);
    const int32_t output = node.output(0);
    if (SharesScale(rule) && output >= 0 && !tensor(output).quant.empty()) {
      plan.quant = tensor(output).quant;
      plan.why = fmt::format("same as '{}'", Label(output));
    } else if (plan.quant.empty()) {
      plan.quant =
          ConstantParams(kind_, subgraph_.tensors[static_cast<size_t>(t)].data.As<float>());
      plan.why = "its values";
    }
    plan.type = ActivationType(kind_);
  }

  // A node's bias with what its scale is made from.
  struct Bias {
    int32_t bias = -1, weights = -1, input = -1;
  };
  Bias FindBias(const Node& node) const {
    Bias out{-1, WeightsOf(node).first, ActivationOf(node)};
    const QuantRule& rule = FindOp(node)->quant;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (rule.input(i).role == Role::kBias && node.inputs[i] >= 0) out.bias = node.inputs[i];
    }
    const bool complete = out.weights >= 0 && out.input >= 0 &&
                          !plan_.tensors[static_cast<size_t>(out.input)].quant.empty();
    if (!complete) out.bias = -1;
    return out;
  }

  void WidenWeights(const Node& node) {
    const Bias found = FindBias(node);
    if (found.bias < 0) return;
    const auto values = subgraph_.tensors[static_cast<size_t>(found.bias)].data.As<float>();
    WidenForBias(kind_, values, tensor(found.input).quant.scale[0], &tensor(found.weights).quant);
  }

  void PlanBias(const Node& node) {
    const Bias found = FindBias(node);
    if (found.bias < 0) return;
    TensorPlan& plan = tensor(found.bias);
    plan.type = kind_ == RecipeKind::kInt16x8 ? schema::TensorType_INT64 : schema::TensorType_INT32;
    plan.quant = BiasParams(tensor(found.input).quant.scale[0], tensor(found.weights).quant);
    plan.why = "bias: input scale * weight scale";
  }

  const Subgraph& subgraph_;
  const Ranges& ranges_;
  const QuantizeOptions& options_;
  RecipeKind kind_;
  const std::vector<Choice>& choices_;
  const Context& context_;
  Plan& plan_;
  Uses uses_;
  std::vector<bool> integer_;
};

}  // namespace

absl::Status PlanStatic(const Graph& graph, const Ranges& ranges, const QuantizeOptions& options,
                        const std::vector<Choice>& choices, const Context& context, Plan* plan) {
  return StaticPlanner(graph, ranges, options, choices, context, plan).Run();
}

}  // namespace litesmith
