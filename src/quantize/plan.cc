#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/op.h"
#include "quantize/params.h"
#include "quantize/quantize.h"
#include "quantize/recipe_file.h"
#include "quantize/rules.h"
#include "quantize/static_plan.h"
#include "quantize/warnings.h"

namespace litesmith {
namespace {

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
// In blocks that the compiler turns into vectors: quantization-aware training plans at every step.
bool AllFinite(std::span<const float> values) {
  constexpr size_t kBlock = 16;
  float rest[kBlock] = {};  // zeros and NaN
  size_t i = 0;
  for (; i + kBlock <= values.size(); i += kBlock) {
    for (size_t k = 0; k < kBlock; ++k) rest[k] += values[i + k] - values[i + k];
  }
  if (std::any_of(std::begin(rest), std::end(rest), [](float r) { return r != 0.0f; })) {
    return false;
  }
  return std::all_of(values.begin() + static_cast<ptrdiff_t>(i), values.end(),
                     [](float v) { return std::isfinite(v); });
}

absl::Status CheckConstants(const Graph& graph) {
  for (const Tensor& tensor : graph.main().tensors) {
    if (!tensor.is_constant() || tensor.type != schema::TensorType_FLOAT32) continue;
    if (!AllFinite(tensor.data.As<float>())) {
      return Invalid("the constant '{}' holds NaN or infinity; check the model's training",
                     Printable(tensor.label()));
    }
  }
  return absl::OkStatus();
}

void PlanFloat16(const Graph& graph, const std::vector<Choice>& choices, const Context& context,
                 Plan* plan) {
  const Subgraph& subgraph = graph.main();
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    if (choices[n].treatment != Treatment::kFloat16) {
      if (plan->nodes[n].why.empty()) plan->nodes[n].why = choices[n].why;
      continue;
    }
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

// A constant that a node looks values up in, which then come out as its integers (GATHER).
bool IsTable(const QuantRule& rule, size_t input) {
  return rule.output == OutputRule::kSameAsInput && static_cast<int>(input) == rule.same_as &&
         !IsRowTable(rule, input);
}

// The weights of a node: where they stand, and by which rule. A product of two activations takes a
// constant second factor as weights.
std::vector<size_t> WeightInputs(const Subgraph& subgraph, const Node& node, const OpRecord& op) {
  std::vector<size_t> out;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Role role = op.quant.input(i).role;
    const bool weights =
        role == Role::kWeight || (role == Role::kActivation && (i > 0 || IsTable(op.quant, i)));
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

// Rows of an odd number of int4 elements begin in the middle of a byte, where LiteRT's
// EMBEDDING_LOOKUP does not find them.
bool HasUnevenRows(const Tensor& table) {
  return !table.shape.empty() && table.shape[0] > 0 &&
         NumElements(table.shape) / table.shape[0] % 2 != 0;
}

void PlanDynamicWeights(const Tensor& weights, const OpRecord& op, size_t n, const Node& node,
                        size_t i, int bits, Plan* plan) {
  const InputRule rule = op.quant.input(i);
  if (weights.sparsity != nullptr || rule.axis >= static_cast<int>(weights.shape.size())) return;
  const bool table = IsTable(op.quant, i);
  const bool uneven = IsRowTable(op.quant, i) && HasUnevenRows(weights);
  const bool int4 = bits == 4 && !uneven;
  plan->nodes[n] = {NodeMode::kDynamic, table || IsRowTable(op.quant, i)
                                            ? fmt::format("rows of an int{} table", int4 ? 4 : 8)
                                            : fmt::format("int{} weights, inputs quantized at run "
                                                          "time",
                                                          int4 ? 4 : 8)};
  if (bits == 4 && uneven) plan->nodes[n].why += ": LiteRT reads int4 rows of even lengths only";
  TensorPlan& planned = plan->tensors[static_cast<size_t>(node.inputs[i])];
  planned.type = int4 ? schema::TensorType_INT4 : schema::TensorType_INT8;
  planned.quant =
      int4 ? MinMaxWeightParams(weights.data.As<float>(), weights.shape, rule.axis, planned.type)
           : WeightParams(weights.data.As<float>(), weights.shape, table ? -1 : rule.axis);
  planned.why = planned.quant.per_channel() ? "weights, per channel" : "weights";
  if (!table) return;
  TensorPlan& result = plan->tensors[static_cast<size_t>(node.outputs[0])];
  result.type = planned.type;
  result.quant = planned.quant;
  result.why = "rows of the table";
}

void PlanDynamicNode(const Graph& graph, size_t n, const OpRecord& op, const Choice& choice,
                     Plan* plan) {
  const auto smallest = static_cast<size_t>(std::max<int64_t>(0, choice.min_weight_elements));
  const Subgraph& subgraph = graph.main();
  const Node& node = subgraph.nodes[n];
  const auto tensor = [&](size_t i) -> const Tensor& {
    return subgraph.tensors[static_cast<size_t>(node.inputs[i])];
  };
  const std::vector<size_t> weights = WeightInputs(subgraph, node, op);
  const bool together = WeightsGoTogether(op);
  const auto large = [&](size_t i) { return tensor(i).data.As<float>().size() >= smallest; };
  const bool any_large = std::any_of(weights.begin(), weights.end(), large);
  plan->nodes[n].why = "its weights are not constant";
  for (size_t i : weights) {
    if (!(together ? any_large : large(i))) {
      plan->nodes[n].why = fmt::format("its weights have fewer than {} elements", smallest);
      continue;
    }
    PlanDynamicWeights(tensor(i), op, n, node, i, choice.weight_bits, plan);
  }
}

void PlanDynamic(const Graph& graph, const std::vector<Choice>& choices, Plan* plan) {
  const Subgraph& subgraph = graph.main();
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    if (choices[n].treatment != Treatment::kDynamic) {
      if (plan->nodes[n].why.empty()) plan->nodes[n].why = choices[n].why;
      continue;
    }
    const OpRecord* op = FindOp(subgraph.nodes[n]);
    if (op == nullptr || !op->quant.dynamic) {
      plan->nodes[n].why =
          op == nullptr ? "litesmith does not know the operator" : "no hybrid kernel";
      continue;
    }
    if (choices[n].weight_bits == 4 && !TakesInt4Dynamic(*op)) {
      plan->nodes[n].why = "its hybrid kernel reads no int4 weights";
      continue;
    }
    PlanDynamicNode(graph, n, *op, choices[n], plan);
  }
}

// The dimension of operand i whose indices have a scale each.
int WeightOnlyAxis(const Node& node, const OpRecord& op, const Tensor& weights, size_t i) {
  if (node.op != schema::BuiltinOperator_BATCH_MATMUL) return op.quant.input(i).axis;
  const bool transposed = node.GetOptions<schema::BatchMatMulOptionsT>().adj_y;
  return static_cast<int>(weights.shape.size()) - (transposed ? 2 : 1);
}

void PlanWeightOnlyNode(const Subgraph& subgraph, size_t n, const OpRecord& op,
                        const Choice& choice, Plan* plan) {
  const Node& node = subgraph.nodes[n];
  plan->nodes[n].why = "its weights are not constant";
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const bool factor = node.op == schema::BuiltinOperator_BATCH_MATMUL && i == 1;
    if (!IsFloatConstant(subgraph, node.inputs[i])) continue;
    if (op.quant.input(i).role != Role::kWeight && !factor) continue;
    const Tensor& weights = subgraph.tensors[static_cast<size_t>(node.inputs[i])];
    const int axis = WeightOnlyAxis(node, op, weights, i);
    if (weights.sparsity != nullptr || axis >= static_cast<int>(weights.shape.size())) continue;
    if (NumElements(weights.shape) < choice.min_weight_elements) {
      plan->nodes[n].why =
          fmt::format("its weights have fewer than {} elements", choice.min_weight_elements);
      continue;
    }
    plan->nodes[n] = {NodeMode::kWeightOnly,
                      fmt::format("int{} weights, dequantized before it", choice.weight_bits)};
    TensorPlan& planned = plan->tensors[static_cast<size_t>(node.inputs[i])];
    planned.type = choice.weight_bits == 4 ? schema::TensorType_INT4 : schema::TensorType_INT8;
    planned.quant = MinMaxWeightParams(weights.data.As<float>(), weights.shape, axis, planned.type,
                                       choice.symmetric);
    planned.why = planned.quant.per_channel() ? "weights, per channel" : "weights";
  }
}

void PlanWeightOnly(const Graph& graph, const std::vector<Choice>& choices, Plan* plan) {
  const Subgraph& subgraph = graph.main();
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    if (choices[n].treatment != Treatment::kWeightOnly) continue;
    const OpRecord* op = FindOp(subgraph.nodes[n]);
    if (op == nullptr || !TakesWeightOnly(*op, choices[n].weight_bits)) {
      plan->nodes[n].why = op == nullptr ? "litesmith does not know the operator"
                                         : fmt::format("it has no weights to store as int{}",
                                                       choices[n].weight_bits);
      continue;
    }
    PlanWeightOnlyNode(subgraph, n, *op, choices[n], plan);
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

absl::StatusOr<std::vector<Choice>> ChooseTreatments(const Graph& graph,
                                                     const QuantizeOptions& options) {
  const std::vector<RecipeEntry> entries = EntriesOf(options);
  std::vector<int32_t> matched(graph.main().nodes.size(), 0);
  const bool plain = options.entries.empty() && options.keep_float.empty();
  if (!plain) {
    LS_ASSIGN_OR_RETURN(matched, MatchEntries(graph, entries));
  }
  std::vector<Choice> out(matched.size());
  for (size_t n = 0; n < out.size(); ++n) {
    if (matched[n] < 0) {
      out[n].why = "no entry of the recipe matches it";
      continue;
    }
    const RecipeEntry& entry = entries[static_cast<size_t>(matched[n])];
    out[n].treatment = entry.treatment;
    out[n].min_weight_elements = entry.min_weight_elements;
    out[n].weight_bits = entry.weight_bits;
    out[n].symmetric = entry.symmetric;
    if (entry.treatment == Treatment::kFloat) {
      out[n].why = fmt::format("'{}' keeps it float", Printable(entry.regex));
    }
  }
  return out;
}

absl::Status QuantizeOtherSubgraphs(const QuantizeOptions& options, const Context& context,
                                    Graph* graph) {
  std::string left;
  for (size_t s = 1; s < graph->subgraphs.size(); ++s) {
    if (options.recipe.needs_calibration()) {
      const auto& tensors = graph->subgraphs[s].tensors;
      const bool real = std::any_of(tensors.begin(), tensors.end(), [](const Tensor& t) {
        return t.type == schema::TensorType_FLOAT32;
      });
      if (!real) continue;
      left += fmt::format("{}'{}' (subgraph {})", left.empty() ? "" : ", ",
                          Printable(graph->subgraphs[s].name), s);
      continue;
    }
    Graph part;
    part.subgraphs = {graph->subgraphs[s]};
    for (const Signature& signature : graph->signatures) {
      if (signature.subgraph != static_cast<int32_t>(s)) continue;
      part.signatures.push_back(signature);
      part.signatures.back().subgraph = 0;
    }
    QuantizeOptions own = options;
    own.input_type = own.output_type = ElementType::kFloat32;
    LS_ASSIGN_OR_RETURN(const Plan plan, MakePlan(part, nullptr, own, context));
    LS_ASSIGN_OR_RETURN(Graph done, ApplyPlan(part, plan));
    graph->subgraphs[s] = std::move(done.main());
    size_t next = 0;
    for (Signature& signature : graph->signatures) {
      if (signature.subgraph != static_cast<int32_t>(s)) continue;
      signature = done.signatures[next++];
      signature.subgraph = static_cast<int32_t>(s);
    }
  }
  if (!left.empty()) {
    context.Warn(fmt::format(
        "only the main subgraph is calibrated and quantized; these stay float: {}", left));
  }
  return absl::OkStatus();
}

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
  LS_ASSIGN_OR_RETURN(const std::vector<Choice> choices, ChooseTreatments(graph, options));
  if (!options.recipe.needs_calibration()) {
    PlanDynamic(graph, choices, &plan);
    PlanWeightOnly(graph, choices, &plan);
    PlanFloat16(graph, choices, context, &plan);
    return plan;
  }
  if (ranges == nullptr || ranges->tensors.size() != plan.tensors.size()) {
    return Invalid("recipe {} needs calibrated ranges of this graph", options.recipe.name);
  }
  LS_RETURN_IF_ERROR(PlanStatic(graph, *ranges, options, choices, context, &plan));
  PlanDynamic(graph, choices, &plan);
  PlanWeightOnly(graph, choices, &plan);
  PlanFloat16(graph, choices, context, &plan);
  if (context.warn) {
    for (const std::string& warning : PlanWarnings(graph, *ranges, plan)) context.Warn(warning);
  }
  LS_RETURN_IF_ERROR(CheckBorders(graph, plan));
  return plan;
}

absl::StatusOr<Graph> Quantize(const Graph& graph, Dataset* calibration,
                               const QuantizeOptions& options, const Context& context) {
  LS_ASSIGN_OR_RETURN(const Graph prepared, PrepareForQuantization(graph, options, context));
  Ranges ranges;
  if (options.recipe.needs_calibration()) {
    LS_ASSIGN_OR_RETURN(ranges, Calibrate(prepared, calibration, options, context));
  }
  LS_ASSIGN_OR_RETURN(const Plan plan, MakePlan(prepared, &ranges, options, context));
  LS_ASSIGN_OR_RETURN(Graph out, ApplyPlan(prepared, plan));
  LS_RETURN_IF_ERROR(QuantizeOtherSubgraphs(options, context, &out));
  return out;
}

}  // namespace litesmith
