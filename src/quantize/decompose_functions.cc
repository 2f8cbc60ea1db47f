#include "quantize/decompose_functions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "quantize/rules.h"

namespace litesmith {
namespace {

constexpr auto kAdd = schema::BuiltinOperator_ADD;
constexpr auto kMul = schema::BuiltinOperator_MUL;
constexpr auto kSub = schema::BuiltinOperator_SUB;

// Builds the nodes that stand for one; all keep its name.
class Expansion {
 public:
  Expansion(Subgraph* subgraph, const Node& node, std::vector<Node>* out)
      : subgraph_(*subgraph), node_(node), out_(*out) {}

  // A node that makes a new tensor of the result's shape (or `like`'s), named after it.
  int32_t Step(schema::BuiltinOperator op, const char* suffix, std::vector<int32_t> inputs,
               Options options, int32_t like = -1) {
    const std::string label = result().label(), name = result().name;
    Tensor tensor = like >= 0 ? subgraph_.tensors[static_cast<size_t>(like)] : result();
    tensor.source = label;
    tensor.name = name + suffix;
    const int32_t t = subgraph_.AddTensor(std::move(tensor));
    Emit(op, std::move(inputs), t, std::move(options));
    return t;
  }
  // The node that makes the result.
  void Last(schema::BuiltinOperator op, std::vector<int32_t> inputs, Options options) {
    Emit(op, std::move(inputs), node_.outputs[0], std::move(options));
  }

  int32_t Constant(const char* suffix, float value) {
    Tensor tensor;
    tensor.name = result().name + suffix;
    tensor.data = Blob::Of(std::vector<float>{value});
    return subgraph_.AddTensor(std::move(tensor));
  }
  int32_t LastAxis() {
    Tensor tensor;
    tensor.name = result().name + "/axis";
    tensor.type = schema::TensorType_INT32;
    tensor.shape = {1};
    tensor.data = Blob::Of(std::vector<int32_t>{static_cast<int32_t>(result().shape.size()) - 1});
    return subgraph_.AddTensor(std::move(tensor));
  }
  // A reduction over the last dimension, which stays with size 1.
  int32_t Reduce(schema::BuiltinOperator op, const char* suffix, int32_t x, int32_t axis) {
    schema::ReducerOptionsT options;
    options.keep_dims = true;
    const int32_t t = Step(op, suffix, {x, axis}, Options(std::move(options)));
    Tensor& tensor = subgraph_.tensors[static_cast<size_t>(t)];
    tensor.shape.back() = 1;
    if (!tensor.shape_signature.empty()) tensor.shape_signature.back() = 1;
    return t;
  }
  // The sum over the last dimension, from the mean, which has an integer kernel.
  int32_t Sum(int32_t x, int32_t axis) {
    const int32_t mean = Reduce(schema::BuiltinOperator_MEAN, "/mean", x, axis);
    const auto count = static_cast<float>(result().shape.back());
    return Step(kMul, "/sum", {mean, Constant("/count", count)}, Options(schema::MulOptionsT{}),
                mean);
  }

 private:
  Tensor& result() { return subgraph_.tensors[static_cast<size_t>(node_.outputs[0])]; }

  void Emit(schema::BuiltinOperator op, std::vector<int32_t> inputs, int32_t to, Options options) {
    Node step;
    step.op = op;
    step.name = node_.name;
    step.inputs = std::move(inputs);
    step.outputs = {to};
    step.options = std::move(options);
    out_.push_back(std::move(step));
  }

  Subgraph& subgraph_;
  const Node& node_;
  std::vector<Node>& out_;
};

bool IsUnary(const Subgraph& subgraph, const Node& node) {
  return node.inputs.size() == 1 && node.outputs.size() == 1 &&
         IsActivation(subgraph, node.inputs[0]) && IsActivation(subgraph, node.outputs[0]);
}

// A last dimension that is known.
bool HasLastDimension(const Subgraph& subgraph, const Node& node) {
  const Tensor& y = subgraph.tensors[static_cast<size_t>(node.outputs[0])];
  const Shape& shape = y.shape_signature.empty() ? y.shape : y.shape_signature;
  return !shape.empty() && shape.back() > 0 && shape.size() == y.shape.size();
}

}  // namespace

bool RewriteHardSwish(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  if (!IsUnary(*subgraph, node)) return false;
  Expansion e(subgraph, node, out);
  const int32_t x = node.inputs[0];
  schema::AddOptionsT relu6;
  relu6.fused_activation_function = schema::ActivationFunctionType_RELU6;
  const int32_t gate = e.Step(kAdd, "/gate", {x, e.Constant("/three", 3.0f)}, Options(relu6));
  const int32_t product = e.Step(kMul, "/product", {x, gate}, Options(schema::MulOptionsT{}));
  e.Last(kMul, {product, e.Constant("/sixth", 1.0f / 6.0f)}, Options(schema::MulOptionsT{}));
  return true;
}

bool RewriteElu(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  if (!IsUnary(*subgraph, node)) return false;
  Expansion e(subgraph, node, out);
  const int32_t x = node.inputs[0];
  const int32_t below =
      e.Step(schema::BuiltinOperator_MINIMUM, "/below", {x, e.Constant("/zero", 0.0f)},
             Options(schema::MaximumMinimumOptionsT{}));
  const int32_t power =
      e.Step(schema::BuiltinOperator_EXP, "/exp", {below}, Options(schema::ExpOptionsT{}));
  const int32_t shifted =
      e.Step(kSub, "/shifted", {power, e.Constant("/one", 1.0f)}, Options(schema::SubOptionsT{}));
  const int32_t above = e.Step(schema::BuiltinOperator_RELU, "/above", {x}, {});
  e.Last(kAdd, {above, shifted}, Options(schema::AddOptionsT{}));
  return true;
}

bool RewritePrelu(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  if (node.inputs.size() != 2 || node.outputs.size() != 1 ||
      !IsActivation(*subgraph, node.inputs[0]) || !IsFloat(*subgraph, node.inputs[1]) ||
      !IsActivation(*subgraph, node.outputs[0])) {
    return false;
  }
  Expansion e(subgraph, node, out);
  const int32_t x = node.inputs[0];
  const int32_t below =
      e.Step(schema::BuiltinOperator_MINIMUM, "/below", {x, e.Constant("/zero", 0.0f)},
             Options(schema::MaximumMinimumOptionsT{}));
  const int32_t slope =
      e.Step(kMul, "/slope", {below, node.inputs[1]}, Options(schema::MulOptionsT{}));
  const int32_t above = e.Step(schema::BuiltinOperator_RELU, "/above", {x}, {});
  e.Last(kAdd, {above, slope}, Options(schema::AddOptionsT{}));
  return true;
}

bool RewriteAddN(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  const size_t count = node.inputs.size();
  if (count < 2 || node.outputs.size() != 1 || !IsActivation(*subgraph, node.outputs[0])) {
    return false;
  }
  for (int32_t t : node.inputs) {
    if (!IsFloat(*subgraph, t)) return false;
  }
  Expansion e(subgraph, node, out);
  int32_t sum = node.inputs[0];
  for (size_t i = 1; i + 1 < count; ++i) {
    const std::string suffix = "/sum" + std::to_string(i);
    sum = e.Step(kAdd, suffix.c_str(), {sum, node.inputs[i]}, Options(schema::AddOptionsT{}));
  }
  e.Last(kAdd, {sum, node.inputs[count - 1]}, Options(schema::AddOptionsT{}));
  return true;
}

bool RewriteClip(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  if (!IsUnary(*subgraph, node)) return false;
  Expansion e(subgraph, node, out);
  const float low = node.op == schema::BuiltinOperator_RELU_N1_TO_1 ? -1.0f : 0.0f;
  const int32_t above =
      e.Step(schema::BuiltinOperator_MAXIMUM, "/above", {node.inputs[0], e.Constant("/low", low)},
             Options(schema::MaximumMinimumOptionsT{}));
  e.Last(schema::BuiltinOperator_MINIMUM, {above, e.Constant("/one", 1.0f)},
         Options(schema::MaximumMinimumOptionsT{}));
  return true;
}

bool RewriteLocalResponseNormalization(Subgraph* subgraph, const Node& node,
                                       std::vector<Node>* out) {
  // What the matrix of the neighbourhood may take in bytes as int8, a square of the channels.
  constexpr int32_t kMostChannels = 512;
  if (!IsUnary(*subgraph, node) || !HasLastDimension(*subgraph, node)) return false;
  const Shape& shape = subgraph->tensors[static_cast<size_t>(node.outputs[0])].shape;
  const auto& options = node.GetOptions<schema::LocalResponseNormalizationOptionsT>();
  // Otherwise the power is not a number where the sum is 0 or less.
  const bool positive = options.bias > 0.0f && options.alpha >= 0.0f && options.radius >= 0;
  if (shape.size() != 4 || shape[3] > kMostChannels || !positive) return false;
  const int32_t depth = shape[3];
  Tensor band, bias;
  const std::string name = subgraph->tensors[static_cast<size_t>(node.outputs[0])].name;
  band.name = name + "/neighbours";
  band.shape = {depth, 1, 1, depth};
  std::vector<float> weights(static_cast<size_t>(depth) * static_cast<size_t>(depth), 0.0f);
  for (int64_t c = 0; c < depth; ++c) {
    const int64_t first = std::max<int64_t>(0, c - options.radius);
    // One channel fewer behind than before, as LiteRT sums.
    const int64_t end = std::min<int64_t>(depth, c + options.radius);
    for (int64_t k = first; k < end; ++k) {
      weights[static_cast<size_t>(c * depth + k)] = options.alpha;
    }
  }
  band.data = Blob::Of(weights);
  bias.name = name + "/bias";
  bias.shape = {depth};
  bias.data = Blob::Of(std::vector<float>(static_cast<size_t>(depth), options.bias));
  Expansion e(subgraph, node, out);
  const int32_t x = node.inputs[0];
  const int32_t square = e.Step(kMul, "/square", {x, x}, Options(schema::MulOptionsT{}));
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_VALID;
  conv.stride_w = conv.stride_h = 1;
  const int32_t w = subgraph->AddTensor(std::move(band));
  const int32_t b = subgraph->AddTensor(std::move(bias));
  const int32_t sum =
      e.Step(schema::BuiltinOperator_CONV_2D, "/sum", {square, w, b}, Options(conv));
  const int32_t factor =
      e.Step(schema::BuiltinOperator_POW, "/power", {sum, e.Constant("/exponent", -options.beta)},
             Options(schema::PowOptionsT{}));
  e.Last(kMul, {x, factor}, Options(schema::MulOptionsT{}));
  return true;
}

bool RewriteL2Normalization(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  if (!IsUnary(*subgraph, node) || !HasLastDimension(*subgraph, node)) return false;
  if (node.GetOptions<schema::L2NormOptionsT>().fused_activation_function !=
      schema::ActivationFunctionType_NONE) {
    return false;
  }
  Expansion e(subgraph, node, out);
  const int32_t x = node.inputs[0];
  const int32_t square = e.Step(kMul, "/square", {x, x}, Options(schema::MulOptionsT{}));
  const int32_t sum = e.Sum(square, e.LastAxis());
  // No norm is below 1e-6 for TFLite. The integers of the sum do not change.
  const int32_t least =
      e.Step(schema::BuiltinOperator_MAXIMUM, "/least", {sum, e.Constant("/epsilon", 1e-12f)},
             Options(schema::MaximumMinimumOptionsT{}), sum);
  // The reciprocal root, not a division: of nothing but zeros it makes zeros, where DIV fails.
  const int32_t factor = e.Step(schema::BuiltinOperator_RSQRT, "/rsqrt", {least}, {}, least);
  e.Last(kMul, {x, factor}, Options(schema::MulOptionsT{}));
  return true;
}

bool RewriteLogSoftmax(Subgraph* subgraph, const Node& node, std::vector<Node>* out) {
  if (!IsUnary(*subgraph, node) || !HasLastDimension(*subgraph, node)) return false;
  Expansion e(subgraph, node, out);
  const int32_t x = node.inputs[0];
  const int32_t axis = e.LastAxis();
  const int32_t most = e.Reduce(schema::BuiltinOperator_REDUCE_MAX, "/max", x, axis);
  const int32_t shifted = e.Step(kSub, "/shifted", {x, most}, Options(schema::SubOptionsT{}));
  const int32_t power =
      e.Step(schema::BuiltinOperator_EXP, "/exp", {shifted}, Options(schema::ExpOptionsT{}));
  const int32_t sum = e.Sum(power, axis);
  const int32_t log = e.Step(schema::BuiltinOperator_LOG, "/log", {sum}, {}, sum);
  e.Last(kSub, {shifted, log}, Options(schema::SubOptionsT{}));
  return true;
}

}  // namespace litesmith
