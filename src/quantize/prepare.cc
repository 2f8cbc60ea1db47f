#include <algorithm>
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

namespace litesmith {
namespace {

bool Unpacks(const Node& node) {
  return node.op == schema::BuiltinOperator_DEQUANTIZE ||
         node.op == schema::BuiltinOperator_DENSIFY;
}

// Quantized activations, or packed weights that something other than an unpacking node reads.
absl::Status CheckNotQuantized(const Graph& graph) {
  const Subgraph& subgraph = graph.main();
  for (const Node& node : subgraph.nodes) {
    for (const std::vector<int32_t>* list : {&node.inputs, &node.outputs}) {
      for (int32_t t : *list) {
        if (t < 0) continue;
        const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
        if (tensor.quant.empty() || tensor.type == schema::TensorType_FLOAT32) continue;
        if (tensor.is_constant() && Unpacks(node)) continue;
        return Invalid(
            "the model is quantized already (tensor '{}' is {}); quantize the float model it came "
            "from",
            Printable(tensor.label()), TypeName(tensor.type));
      }
    }
  }
  return absl::OkStatus();
}

// Roles in which a constant is read.
struct Read {
  InputRule rule;
  bool tied = false;  // its scale is that of other operands
  bool operator==(const Read& other) const {
    return rule.role == other.rule.role && rule.axis == other.rule.axis && tied == other.tied;
  }
};

Read ReadOf(const Node& node, size_t input) {
  const OpRecord* op = FindOp(node);
  if (op == nullptr) return {};
  Read read{op->quant.input(input), SharesScale(op->quant)};
  return read;
}

// Gives every operand that needs a scale of its own a constant of its own; the bytes stay shared.
void UntieConstants(Graph* graph) {
  Subgraph& subgraph = graph->main();
  std::vector<std::optional<Read>> first(subgraph.tensors.size());
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    for (size_t i = 0; i < subgraph.nodes[n].inputs.size(); ++i) {
      const int32_t t = subgraph.nodes[n].inputs[i];
      if (t < 0 || !IsFloatConstant(subgraph, t)) continue;
      const Read read = ReadOf(subgraph.nodes[n], i);
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

absl::StatusOr<Graph> PrepareForQuantization(const Graph& graph, const Recipe& recipe,
                                             const Context& context) {
  LS_RETURN_IF_ERROR(CheckNotQuantized(graph));
  Graph out = graph;
  LS_RETURN_IF_ERROR(DensifyConstants(&out, context.memory_budget));
  LS_RETURN_IF_ERROR(Optimise(&out, context, /*unpack_weights=*/true));
  if (recipe.needs_calibration()) {
    Decompose(&out, recipe.kind);
    if (recipe.kind == RecipeKind::kInt8) AddLstmIntermediates(&out);
    UntieConstants(&out);
  }
  return out;
}

}  // namespace litesmith
