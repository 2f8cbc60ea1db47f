// Operators without an integer kernel as several that have one, where that is the same function.

#include "quantize/decompose.h"

#include <utility>
#include <vector>

#include "ops/op.h"
#include "ops/op_support.h"
#include "quantize/decompose_functions.h"
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

// The mean, times the number of elements.
bool Sum(Subgraph* subgraph, RecipeKind kind, const Node& node, std::vector<Node>* out) {
  if (!Has(schema::BuiltinOperator_MEAN, kind) || !Has(schema::BuiltinOperator_MUL, kind))
    return false;
  if (node.inputs.size() != 2 || node.outputs.size() != 1 || !IsFloat(*subgraph, node.inputs[0]) ||
      !IsFloat(*subgraph, node.outputs[0]) || node.inputs[1] < 0) {
    return false;
  }
  const Tensor& x = subgraph->tensors[static_cast<size_t>(node.inputs[0])];
  const Tensor& axes = subgraph->tensors[static_cast<size_t>(node.inputs[1])];
  if (!axes.is_constant() || axes.type != schema::TensorType_INT32 || !x.has_rank) return false;
  const auto rank = static_cast<int>(x.shape.size());
  std::vector<bool> reduced(x.shape.size(), false);
  for (int32_t axis : axes.data.As<int32_t>()) {
    const auto d = ResolveAxis(axis, rank);
    if (!d.ok()) return false;
    reduced[static_cast<size_t>(*d)] = true;
  }
  float count = 1.0f;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d]) continue;
    if (x.shape_signature.size() == reduced.size() && x.shape_signature[d] < 0) return false;
    count *= static_cast<float>(x.shape[d]);
  }
  Tensor mean = subgraph->tensors[static_cast<size_t>(node.outputs[0])];
  mean.source = mean.label();
  Tensor factor;
  factor.name = mean.name + "/count";
  factor.data = Blob::Of(std::vector<float>{count});
  mean.name += "/mean";
  Node average = node;
  average.op = schema::BuiltinOperator_MEAN;
  average.outputs = {subgraph->AddTensor(std::move(mean))};
  Node product = node;
  product.op = schema::BuiltinOperator_MUL;
  product.options = Options(schema::MulOptionsT{});
  product.inputs = {average.outputs[0], subgraph->AddTensor(std::move(factor))};
  out->push_back(std::move(average));
  out->push_back(std::move(product));
  return true;
}

int32_t AddInts(Subgraph* subgraph, std::string name, const std::vector<int32_t>& values) {
  Tensor tensor;
  tensor.name = std::move(name);
  tensor.type = schema::TensorType_INT32;
  tensor.shape = {static_cast<int32_t>(values.size())};
  tensor.data = Blob::Of(values);
  return subgraph->AddTensor(std::move(tensor));
}

// Blocks of pixels to channels and back: a transposition between two reshapes.
bool MoveBlocks(Subgraph* subgraph, RecipeKind kind, const Node& node, std::vector<Node>* out) {
  if (!Has(schema::BuiltinOperator_RESHAPE, kind) ||
      !Has(schema::BuiltinOperator_TRANSPOSE, kind) || !IsFloatNode(*subgraph, node, 1)) {
    return false;
  }
  const bool to_depth = node.op == schema::BuiltinOperator_SPACE_TO_DEPTH;
  const int32_t block = to_depth ? node.GetOptions<schema::SpaceToDepthOptionsT>().block_size
                                 : node.GetOptions<schema::DepthToSpaceOptionsT>().block_size;
  const Tensor x = subgraph->tensors[static_cast<size_t>(node.inputs[0])];
  const Tensor y = subgraph->tensors[static_cast<size_t>(node.outputs[0])];
  if (x.shape.size() != 4 || y.shape.size() != 4 || block <= 0) return false;
  // The batch alone may be free.
  const bool free = x.shape_signature.size() == 4 && x.shape_signature[0] < 0;
  for (size_t d = 1; d < 4; ++d) {
    if (x.shape[d] <= 0 || y.shape[d] <= 0) return false;
    if (x.shape_signature.size() == 4 && x.shape_signature[d] < 0) return false;
  }
  const int32_t batch = free ? -1 : x.shape[0];
  // The smaller picture, its blocks and the smaller depth; one dimension each.
  const Tensor& small = to_depth ? y : x;
  const int32_t h = small.shape[1], w = small.shape[2], depth = (to_depth ? x : y).shape[3];
  const std::vector<int32_t> split = to_depth
                                         ? std::vector<int32_t>{batch, h, block, w, block, depth}
                                         : std::vector<int32_t>{batch, h, w, block, block, depth};
  auto intermediate = [&](const char* suffix, std::vector<int32_t> shape) {
    Tensor tensor = y;
    tensor.name += suffix;
    tensor.source = y.label();
    tensor.shape_signature = free ? shape : std::vector<int32_t>{};
    shape[0] = x.shape[0];
    tensor.shape = std::move(shape);
    return subgraph->AddTensor(std::move(tensor));
  };
  auto emit = [&](schema::BuiltinOperator op, int32_t from, const std::vector<int32_t>& values,
                  int32_t to) {
    Node step = node;
    step.op = op;
    step.options = {};
    if (op == schema::BuiltinOperator_RESHAPE) {
      schema::ReshapeOptionsT options;
      options.new_shape = values;
      step.options = Options(std::move(options));
    }
    step.inputs = {
        from,
        AddInts(subgraph, subgraph->tensors[static_cast<size_t>(to)].name + "/shape", values)};
    step.outputs = {to};
    out->push_back(std::move(step));
  };
  const std::vector<int32_t> turned = {split[0], split[1], split[3], split[2], split[4], split[5]};
  const int32_t blocks = intermediate("/blocks", split);
  const int32_t moved = intermediate("/moved", turned);
  emit(schema::BuiltinOperator_RESHAPE, node.inputs[0], split, blocks);
  emit(schema::BuiltinOperator_TRANSPOSE, blocks, {0, 1, 3, 2, 4, 5}, moved);
  emit(schema::BuiltinOperator_RESHAPE, moved, {batch, y.shape[1], y.shape[2], y.shape[3]},
       node.outputs[0]);
  return true;
}

// As a rewrite of this file; what the functions need has kernels in every static recipe.
template <bool (*function)(Subgraph*, const Node&, std::vector<Node>*)>
bool Function(Subgraph* subgraph, RecipeKind /*kind*/, const Node& node, std::vector<Node>* out) {
  return function(subgraph, node, out);
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
    case schema::BuiltinOperator_SUM:
      return Sum;
    case schema::BuiltinOperator_SPACE_TO_DEPTH:
    case schema::BuiltinOperator_DEPTH_TO_SPACE:
      return MoveBlocks;
    case schema::BuiltinOperator_HARD_SWISH:
      return Function<RewriteHardSwish>;
    case schema::BuiltinOperator_ELU:
      return Function<RewriteElu>;
    case schema::BuiltinOperator_PRELU:
      return Function<RewritePrelu>;
    case schema::BuiltinOperator_ADD_N:
      return Function<RewriteAddN>;
    case schema::BuiltinOperator_RELU_N1_TO_1:
    case schema::BuiltinOperator_RELU_0_TO_1:
      return Function<RewriteClip>;
    case schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION:
      return Function<RewriteLocalResponseNormalization>;
    case schema::BuiltinOperator_L2_NORMALIZATION:
      return Function<RewriteL2Normalization>;
    case schema::BuiltinOperator_LOG_SOFTMAX:
      return Function<RewriteLogSoftmax>;
    default:
      return nullptr;
  }
}

}  // namespace

void Decompose(Graph* graph, RecipeKind kind, const std::vector<bool>& wanted) {
  Subgraph& subgraph = graph->main();
  std::vector<Node> out;
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    Node& node = subgraph.nodes[n];
    const OpRecord* op = FindOp(node);
    const Rewrite rewrite = RewriteOf(node.op);
    const bool needed =
        wanted[n] && rewrite != nullptr && (op == nullptr || !Supports(op->quant, kind));
    if (!needed || !rewrite(&subgraph, kind, node, &out)) out.push_back(std::move(node));
  }
  subgraph.nodes = std::move(out);
}

bool MayDecompose(schema::BuiltinOperator op) { return RewriteOf(op) != nullptr; }

}  // namespace litesmith
