#include <algorithm>

#include "ops/op.h"
#include "passes/passes.h"
#include "passes/rewrite.h"
#include "runtime/executor.h"
#include "runtime/fold_budget.h"

namespace litesmith {
namespace {

// A folded result may be this large although its inputs are smaller.
constexpr size_t kSmallResult = size_t{64} << 10;

bool UnpacksWeights(schema::BuiltinOperator op) {
  return op == schema::BuiltinOperator_DEQUANTIZE || op == schema::BuiltinOperator_DENSIFY;
}

// What a node's results take by its record's shape inference; nothing where that fails, which is
// then the executor's to report.
struct Cost {
  size_t bytes = 0;
  uint64_t work = 0;
};
std::optional<Cost> CostOf(const Subgraph& subgraph, const Node& node) {
  const OpRecord* op = FindOp(node);
  if (op == nullptr || op->infer_shapes == nullptr || op->prepare == nullptr) return std::nullopt;
  auto view = [&](int32_t t, bool value) {
    TensorView v;
    static const QuantParams kNone;
    v.quant = &kNone;
    if (t < 0) return v;
    const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
    v.type = tensor.type;
    v.shape = tensor.shape;
    v.quant = &tensor.quant;
    v.data = value ? tensor.data.bytes.data() : nullptr;
    v.name = tensor.name;
    v.present = true;
    return v;
  };
  std::vector<TensorView> inputs, outputs;
  for (int32_t t : node.inputs) inputs.push_back(view(t, true));
  for (int32_t t : node.outputs) outputs.push_back(view(t, false));
  std::vector<Shape> shapes;
  if (!op->infer_shapes(ShapeArgs{node, inputs, outputs}, &shapes).ok()) return std::nullopt;
  if (shapes.size() != outputs.size()) return std::nullopt;
  size_t total = 0;
  for (size_t i = 0; i < shapes.size(); ++i) {
    const auto bytes = TensorBytes(outputs[i].type, shapes[i]);
    if (!bytes.ok() || *bytes == 0 || *bytes > SIZE_MAX / 4) return std::nullopt;
    total += *bytes;
    if (total > SIZE_MAX / 4) return std::nullopt;
    outputs[i].shape = shapes[i];
  }
  return Cost{total, WorkOf(*op, node, inputs, outputs)};
}

bool MayFold(const Rewriter& rewriter, const Subgraph& subgraph, const Node& node,
             bool unpack_weights, FoldBudget* budget) {
  if (node.inputs.empty() || node.outputs.empty() || !IsPure(subgraph, node)) return false;
  const bool unpacks = UnpacksWeights(node.op);
  if (unpacks && !unpack_weights) return false;
  size_t input_bytes = 0;
  for (int32_t t : node.inputs) {
    if (t < 0) continue;
    const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
    if (!tensor.is_constant() || tensor.external_buffer != 0) return false;
    if (tensor.sparsity != nullptr && node.op != schema::BuiltinOperator_DENSIFY) return false;
    input_bytes += tensor.data.bytes.size();
  }
  for (int32_t t : node.outputs) {
    // Strings, resources and variants have no dense form.
    if (t < 0 || rewriter.is_fixed(t)) return false;
    if (TypeSize(subgraph.tensors[static_cast<size_t>(t)].type) == 0) return false;
  }
  const std::optional<Cost> cost = CostOf(subgraph, node);
  if (!cost) return false;
  if (!unpacks && cost->bytes > std::max(2 * input_bytes, kSmallResult)) return false;
  return budget->Take(cost->work, cost->bytes);
}

}  // namespace

absl::StatusOr<bool> FoldConstants(Graph* graph, const Context& context, bool unpack_weights) {
  if (!MayRewrite(*graph)) return false;
  Rewriter rewriter(graph, 0);
  Subgraph& subgraph = rewriter.subgraph();
  FoldBudget budget(context.memory_budget);
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    if (!MayFold(rewriter, subgraph, node, unpack_weights, &budget)) continue;
    LS_RETURN_IF_ERROR(context.Check());
    auto folded = EvaluateConstantNode(*graph, node);
    // A node that fails ahead of time fails at run time too, with a better message: it stays.
    if (!folded.ok()) continue;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      Tensor& tensor = rewriter.tensor(node.outputs[i]);
      Tensor& value = (*folded)[i];
      tensor.shape = std::move(value.shape);
      tensor.shape_signature.clear();
      tensor.data = std::move(value.data);
    }
    rewriter.Kill(static_cast<int32_t>(n));
  }
  return rewriter.Finish();
}

}  // namespace litesmith
