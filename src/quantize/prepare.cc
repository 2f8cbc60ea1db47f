#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "ir/sparse.h"
#include "ops/op.h"
#include "passes/passes.h"
#include "quantize/decompose.h"
#include "quantize/lstm_plan.h"
#include "quantize/quantize.h"
#include "quantize/rules.h"
#include "quantize/static_plan.h"
#include "runtime/executor.h"

namespace litesmith {
namespace {

bool Unpacks(const Node& node) {
  return node.op == schema::BuiltinOperator_DEQUANTIZE ||
         node.op == schema::BuiltinOperator_DENSIFY;
}

// Integer weights that a node with float operands and results reads.
bool IsHybridWeight(const Subgraph& subgraph, const Node& node, int32_t t) {
  const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
  const OpRecord* op = FindOp(node);
  return op != nullptr && op->quant.dynamic && tensor.is_constant() &&
         (tensor.type == schema::TensorType_INT8 || tensor.type == schema::TensorType_INT4) &&
         !tensor.quant.empty() && node.input(0) != t && IsFloat(subgraph, node.input(0)) &&
         IsFloat(subgraph, node.output(0));
}

// Quantized activations, or packed weights that something other than an unpacking node reads.
absl::Status CheckNotQuantized(const Graph& graph, const Recipe& recipe) {
  const Subgraph& subgraph = graph.main();
  for (const Tensor& tensor : subgraph.tensors) {
    if (tensor.external_buffer == 0) continue;
    return Unsupported(
        "the values of '{}' are in another file (external buffers), which is not read with a model "
        "from memory; open the model by its path",
        Printable(tensor.label()));
  }
  for (const Node& node : subgraph.nodes) {
    for (const std::vector<int32_t>* list : {&node.inputs, &node.outputs}) {
      for (int32_t t : *list) {
        if (t < 0) continue;
        const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
        if (tensor.quant.empty() || tensor.type == schema::TensorType_FLOAT32) continue;
        if (tensor.is_constant() && Unpacks(node)) continue;
        if (IsHybridWeight(subgraph, node, t)) {
          if (recipe.needs_calibration()) continue;
          return Invalid(
              "the model's weights are quantized already ('{}' is {}); only the recipes int8 and "
              "int16x8 go on from there, for others quantize the float model it came from",
              Printable(tensor.label()), TypeName(tensor.type));
        }
        return Invalid(
            "the model is quantized already (tensor '{}' is {}); --input-type and --output-type "
            "alone, without another recipe, change the types of its inputs and outputs; for all "
            "else quantize the float model it came from",
            Printable(tensor.label()), TypeName(tensor.type));
      }
    }
  }
  return absl::OkStatus();
}

// Weights of hybrid nodes become float32, with the values they stand for.
absl::Status ExpandHybridWeights(Graph* graph) {
  Subgraph& subgraph = graph->main();
  std::map<int32_t, int32_t> expanded;
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    for (size_t i = 0; i < subgraph.nodes[n].inputs.size(); ++i) {
      const int32_t t = subgraph.nodes[n].inputs[i];
      if (t < 0 || !IsHybridWeight(subgraph, subgraph.nodes[n], t)) continue;
      const auto [known, added] = expanded.try_emplace(t, -1);
      if (added) {
        Tensor real = subgraph.tensors[static_cast<size_t>(t)];
        real.type = schema::TensorType_FLOAT32;
        real.quant = {};
        real.data = {};
        known->second = subgraph.AddTensor(std::move(real));
        Node unpack;
        unpack.op = schema::BuiltinOperator_DEQUANTIZE;
        unpack.inputs = {t};
        unpack.outputs = {known->second};
        LS_ASSIGN_OR_RETURN(const std::vector<Tensor> values, EvaluateConstantNode(*graph, unpack));
        subgraph.tensors[static_cast<size_t>(known->second)].data = values[0].data;
      }
      subgraph.nodes[n].inputs[i] = known->second;
    }
  }
  return absl::OkStatus();
}

// Roles in which a constant is read.
struct Read {
  InputRule rule;
  bool tied = false;  // its scale is that of other operands
  Treatment treatment = Treatment::kFloat;
  bool operator==(const Read& other) const {
    return rule.role == other.rule.role && rule.axis == other.rule.axis && tied == other.tied &&
           treatment == other.treatment;
  }
};

Read ReadOf(const Node& node, size_t input, Treatment treatment) {
  const OpRecord* op = FindOp(node);
  if (op == nullptr) return {};
  return {op->quant.input(input), SharesScale(op->quant), treatment};
}

// Gives every operand that needs a scale of its own a constant of its own; the bytes stay shared.
void UntieConstants(const std::vector<Choice>& choices, Graph* graph) {
  Subgraph& subgraph = graph->main();
  std::vector<std::optional<Read>> first(subgraph.tensors.size());
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    for (size_t i = 0; i < subgraph.nodes[n].inputs.size(); ++i) {
      const int32_t t = subgraph.nodes[n].inputs[i];
      if (t < 0 || !IsFloatConstant(subgraph, t)) continue;
      const Read read = ReadOf(subgraph.nodes[n], i, choices[n].treatment);
      std::optional<Read>& known = first[static_cast<size_t>(t)];
      const bool own = read.tied || read.rule.role == Role::kBias;
      if (!known) {
        known = read;
        continue;
      }
      if (!own && *known == read) continue;
      Tensor copy = subgraph.tensors[static_cast<size_t>(t)];
      copy.source = copy.label();
      copy.name += fmt::format("_{}_{}", n, i);
      first.emplace_back(read);
      const int32_t added = subgraph.AddTensor(std::move(copy));
      subgraph.nodes[n].inputs[i] = added;
    }
  }
}

}  // namespace

absl::StatusOr<Graph> PrepareForQuantization(const Graph& graph, const QuantizeOptions& options,
                                             const Context& context) {
  const Recipe& recipe = options.recipe;
  LS_RETURN_IF_ERROR(CheckNotQuantized(graph, recipe));
  Graph out = graph;
  LS_RETURN_IF_ERROR(DensifyConstants(&out, context.memory_budget));
  if (recipe.needs_calibration()) LS_RETURN_IF_ERROR(ExpandHybridWeights(&out));
  LS_RETURN_IF_ERROR(Optimise(&out, context, /*unpack_weights=*/true));
  if (recipe.needs_calibration()) {
    LS_ASSIGN_OR_RETURN(const std::vector<Choice> choices, ChooseTreatments(out, options));
    std::vector<bool> wanted;
    for (const Choice& choice : choices) {
      wanted.push_back(choice.treatment == Treatment::kInt8 ||
                       choice.treatment == Treatment::kInt16x8);
    }
    Decompose(&out, recipe.kind, wanted);
    if (recipe.kind == RecipeKind::kInt8) AddLstmIntermediates(&out);
  }
  LS_ASSIGN_OR_RETURN(const std::vector<Choice> choices, ChooseTreatments(out, options));
  const bool plain = options.entries.empty() && options.keep_float.empty();
  if (recipe.kind != RecipeKind::kFloat16 || !plain) UntieConstants(choices, &out);
  return out;
}

}  // namespace litesmith
