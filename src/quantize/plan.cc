#include <algorithm>
#include <cmath>

#include "ops/op.h"
#include "quantize/params.h"
#include "quantize/quantize.h"
#include "quantize/rules.h"
#include "quantize/static_plan.h"

namespace litesmith {
namespace {

// Weights with fewer elements stay float in the dynamic recipe, as in TFLite.
constexpr size_t kSmallestDynamic = 1024;

absl::Status CheckType(ElementType type, const char* which, const Recipe& recipe) {
  const bool fits = type == ElementType::kFloat32 ||
                    (recipe.kind == RecipeKind::kInt8 &&
                     (type == ElementType::kInt8 || type == ElementType::kUint8)) ||
                    (recipe.kind == RecipeKind::kInt16x8 && type == ElementType::kInt16);
  if (fits) return absl::OkStatus();
  const char* possible = recipe.kind == RecipeKind::kInt8      ? "float32, int8 or uint8"
                         : recipe.kind == RecipeKind::kInt16x8 ? "float32 or int16"
                                                               : "float32";
  return Invalid("recipe {} has no {} type {}; it takes {}", recipe.name, which,
                 ElementTypeName(type), possible);
}

// Constants that would become meaningless integers.
absl::Status CheckConstants(const Graph& graph) {
  for (const Tensor& tensor : graph.main().tensors) {
    if (!tensor.is_constant() || tensor.type != schema::TensorType_FLOAT32) continue;
    for (float v : tensor.data.As<float>()) {
      if (!std::isfinite(v)) {
        return Invalid("the constant '{}' holds NaN or infinity; check the model's training",
                       Printable(tensor.label()));
      }
    }
  }
  return absl::OkStatus();
}

void PlanFloat16(const Graph& graph, const Context& context, Plan* plan) {
  const Subgraph& subgraph = graph.main();
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    for (int32_t t : subgraph.nodes[n].inputs) {
      if (!IsFloatConstant(subgraph, t)) continue;
      const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
      if (tensor.sparsity != nullptr || tensor.is_variable) continue;
      plan->nodes[n] = {NodeMode::kFloat16, "reads float16 constants"};
      TensorPlan& planned = plan->tensors[static_cast<size_t>(t)];
      if (planned.type == schema::TensorType_FLOAT16) continue;
      planned.type = schema::TensorType_FLOAT16;
      planned.why = "constant behind DEQUANTIZE";
      const auto values = tensor.data.As<float>();
      const auto large = std::count_if(values.begin(), values.end(),
                                       [](float v) { return std::abs(v) > 65504.0f; });
      if (large > 0) {
        context.Warn(fmt::format("{} values of '{}' are beyond float16 and are clamped to 65504",
                                 large, Printable(tensor.label())));
      }
    }
  }
}

// The weights of a node: where they stand, and by which rule. A product of two activations takes a
// constant second factor as weights.
std::vector<size_t> WeightInputs(const Subgraph& subgraph, const Node& node, const OpRecord& op) {
  std::vector<size_t> out;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Role role = op.quant.input(i).role;
    const bool weights = role == Role::kWeight || (role == Role::kActivation && i > 0);
    if (weights && IsFloatConstant(subgraph, node.inputs[i])) out.push_back(i);
  }
  return out;
}

// The hybrid kernels of recurrent operators want all weights in one type: small ones follow the
// large ones.
bool WeightsGoTogether(const OpRecord& op) {
  const auto is_weight = [](const InputRule& rule) { return rule.role == Role::kWeight; };
  return std::count_if(op.quant.inputs.begin(), op.quant.inputs.end(), is_weight) > 1;
}

void PlanDynamicNode(const Graph& graph, size_t n, const OpRecord& op, Plan* plan) {
  const Subgraph& subgraph = graph.main();
  const Node& node = subgraph.nodes[n];
  const auto tensor = [&](size_t i) -> const Tensor& {
    return subgraph.tensors[static_cast<size_t>(node.inputs[i])];
  };
  const std::vector<size_t> weights = WeightInputs(subgraph, node, op);
  const bool together = WeightsGoTogether(op);
  const auto large = [&](size_t i) {
    return tensor(i).data.As<float>().size() >= kSmallestDynamic;
  };
  const bool any_large = std::any_of(weights.begin(), weights.end(), large);
  plan->nodes[n].why = "its weights are not constant";
  for (size_t i : weights) {
    const InputRule rule = op.quant.input(i);
    if (!(together ? any_large : large(i))) {
      plan->nodes[n].why = fmt::format("its weights have fewer than {} elements", kSmallestDynamic);
      continue;
    }
    if (tensor(i).sparsity != nullptr || rule.axis >= static_cast<int>(tensor(i).shape.size())) {
      continue;
    }
    plan->nodes[n] = {NodeMode::kDynamic, "int8 weights, inputs quantized at run time"};
    TensorPlan& planned = plan->tensors[static_cast<size_t>(node.inputs[i])];
    planned.type = schema::TensorType_INT8;
    planned.quant = WeightParams(tensor(i).data.As<float>(), tensor(i).shape, rule.axis);
    planned.why = rule.axis >= 0 ? "weights, per channel" : "weights";
  }
}

void PlanDynamic(const Graph& graph, Plan* plan) {
  const Subgraph& subgraph = graph.main();
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const OpRecord* op = FindOp(subgraph.nodes[n]);
    if (op == nullptr || !op->quant.dynamic) {
      plan->nodes[n].why =
          op == nullptr ? "litesmith does not know the operator" : "no hybrid kernel";
      continue;
    }
    PlanDynamicNode(graph, n, *op, plan);
  }
}

// Integer inputs and outputs need parameters.
absl::Status CheckBorders(const Graph& graph, const Plan& plan) {
  const Subgraph& subgraph = graph.main();
  auto check = [&](ElementType type, const std::vector<int32_t>& list,
                   const char* which) -> absl::Status {
    if (type == ElementType::kFloat32) return absl::OkStatus();
    for (int32_t t : list) {
      if (!IsActivation(subgraph, t) || !plan.tensors[static_cast<size_t>(t)].quant.empty())
        continue;
      return Unsupported("{} '{}' cannot be {}: it has no calibrated range; keep it float32", which,
                         Printable(subgraph.tensors[static_cast<size_t>(t)].label()),
                         ElementTypeName(type));
    }
    return absl::OkStatus();
  };
  LS_RETURN_IF_ERROR(check(plan.input_type, subgraph.inputs, "input"));
  return check(plan.output_type, subgraph.outputs, "output");
}

}  // namespace

absl::StatusOr<Plan> MakePlan(const Graph& graph, const Ranges* ranges,
                              const QuantizeOptions& options, const Context& context) {
  LS_RETURN_IF_ERROR(CheckType(options.input_type, "input", options.recipe));
  LS_RETURN_IF_ERROR(CheckType(options.output_type, "output", options.recipe));
  LS_RETURN_IF_ERROR(CheckConstants(graph));
  Plan plan;
  plan.recipe = options.recipe;
  plan.input_type = options.input_type;
  plan.output_type = options.output_type;
  plan.tensors.resize(graph.main().tensors.size());
  plan.nodes.resize(graph.main().nodes.size());
  for (size_t t = 0; t < plan.tensors.size(); ++t)
    plan.tensors[t].type = graph.main().tensors[t].type;
  switch (options.recipe.kind) {
    case RecipeKind::kFloat16:
      PlanFloat16(graph, context, &plan);
      return plan;
    case RecipeKind::kDynamic:
      PlanDynamic(graph, &plan);
      return plan;
    case RecipeKind::kInt8:
    case RecipeKind::kInt16x8:
      break;
  }
  if (ranges == nullptr || ranges->tensors.size() != plan.tensors.size()) {
    return Invalid("recipe {} needs calibrated ranges of this graph", options.recipe.name);
  }
  LS_RETURN_IF_ERROR(PlanStatic(graph, *ranges, options, context, &plan));
  LS_RETURN_IF_ERROR(CheckBorders(graph, plan));
  return plan;
}

absl::StatusOr<Graph> Quantize(const Graph& graph, Dataset* calibration,
                               const QuantizeOptions& options, const Context& context) {
  LS_ASSIGN_OR_RETURN(const Graph prepared, PrepareForQuantization(graph, options.recipe, context));
  Ranges ranges;
  if (options.recipe.needs_calibration()) {
    LS_ASSIGN_OR_RETURN(ranges, Calibrate(prepared, calibration, options, context));
  }
  LS_ASSIGN_OR_RETURN(const Plan plan, MakePlan(prepared, &ranges, options, context));
  return ApplyPlan(prepared, plan);
}

}  // namespace litesmith
