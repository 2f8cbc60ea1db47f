// Operators without an integer kernel as several that have one, where that is the same function.

#include "quantize/decompose.h"

#include <utility>
#include <vector>

#include "ops/op.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

bool IsFloatNode(const Subgraph& subgraph, const Node& node, size_t inputs) {
  if (node.inputs.size() != inputs || node.outputs.size() != 1 ||
      !IsFloat(subgraph, node.outputs[0])) {
    return false;
  }
  for (int32_t t : node.inputs) {
    if (!IsFloat(subgraph, t)) return false;
  }
  return true;
}

bool Has(schema::BuiltinOperator op, RecipeKind kind) {
  const OpRecord* record = FindOp(op);
  return record != nullptr && Supports(record->quant, kind);
}

Node Product(const Node& from, int32_t x) {
  Node node = from;
  node.op = schema::BuiltinOperator_MUL;
  node.options = Options(schema::MulOptionsT{});
  node.inputs = {x, x};
  return node;
}

// x * x.
bool Square(Subgraph* subgraph, RecipeKind kind, const Node& node, std::vector<Node>* out) {
  if (!Has(schema::BuiltinOperator_MUL, kind) || !IsFloatNode(*subgraph, node, 1)) return false;
  out->push_back(Product(node, node.inputs[0]));
  return true;
}

// (a - b) * (a - b).
bool SquaredDifference(Subgraph* subgraph, RecipeKind kind, const Node& node,
                       std::vector<Node>* out) {
  if (!Has(schema::BuiltinOperator_MUL, kind) || !Has(schema::BuiltinOperator_SUB, kind) ||
      !IsFloatNode(*subgraph, node, 2)) {
    return false;
  }
  Tensor difference = subgraph->tensors[static_cast<size_t>(node.outputs[0])];
  difference.source = difference.label();
  difference.name += "/difference";
  Node sub = node;
  sub.op = schema::BuiltinOperator_SUB;
  sub.options = Options(schema::SubOptionsT{});
  sub.outputs = {subgraph->AddTensor(std::move(difference))};
  out->push_back(sub);
  out->push_back(Product(node, sub.outputs[0]));
  return true;
}

// 0 - x.
bool Negate(Subgraph* subgraph, RecipeKind kind, const Node& node, std::vector<Node>* out) {
  if (!Has(schema::BuiltinOperator_SUB, kind) || !IsFloatNode(*subgraph, node, 1)) return false;
  Tensor zero;
  zero.name = subgraph->tensors[static_cast<size_t>(node.outputs[0])].name + "/zero";
  zero.data = Blob::Of(std::vector<float>{0.0f});
  Node sub = node;
  sub.op = schema::BuiltinOperator_SUB;
  sub.options = Options(schema::SubOptionsT{});
  sub.inputs = {subgraph->AddTensor(std::move(zero)), node.inputs[0]};
  out->push_back(std::move(sub));
  return true;
}

using Rewrite = bool (*)(Subgraph*, RecipeKind, const Node&, std::vector<Node>*);

Rewrite RewriteOf(schema::BuiltinOperator op) {
  switch (op) {
    case schema::BuiltinOperator_SQUARE:
      return Square;
    case schema::BuiltinOperator_SQUARED_DIFFERENCE:
      return SquaredDifference;
    case schema::BuiltinOperator_NEG:
      return Negate;
    default:
      return nullptr;
  }
}

}  // namespace

void Decompose(Graph* graph, RecipeKind kind) {
  Subgraph& subgraph = graph->main();
  std::vector<Node> out;
  for (Node& node : subgraph.nodes) {
    const OpRecord* op = FindOp(node);
    const Rewrite rewrite = RewriteOf(node.op);
    const bool wanted = rewrite != nullptr && (op == nullptr || !Supports(op->quant, kind));
    if (!wanted || !rewrite(&subgraph, kind, node, &out)) out.push_back(std::move(node));
  }
  subgraph.nodes = std::move(out);
}

}  // namespace litesmith
