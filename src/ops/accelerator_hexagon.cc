// TFLite's Hexagon delegate: the list under "Supported Ops" in
// https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/delegates/hexagon/README.md,
// with the types and versions that the delegate checks (its utils.cc).

#include "base/status.h"
#include "ops/accelerator_rules.h"

namespace litesmith {
namespace {

constexpr size_t kMostDimensions = 4;
constexpr int32_t kLongestStride = 3;

bool IsRelu(schema::ActivationFunctionType activation) {
  return activation == schema::ActivationFunctionType_NONE ||
         activation == schema::ActivationFunctionType_RELU ||
         activation == schema::ActivationFunctionType_RELU6 ||
         activation == schema::ActivationFunctionType_RELU_N1_TO_1;
}

constexpr char kOnlyRelu[] = "of fused activations it takes the RELUs only";
constexpr char kNoActivation[] = "it takes no fused activation here";
constexpr char kConstantOperand[] = "its second operand must be constant";

template <typename T>
std::string Arithmetic(const NodeView& v) {
  return IsRelu(v.options<T>().fused_activation_function) ? "" : kOnlyRelu;
}

std::string ConstantOperand(const NodeView& v) {
  return IsConstant(v.in(1)) ? "" : kConstantOperand;
}

std::string Pad(const NodeView& v) {
  return v.node.inputs.size() == 2 ? ConstantOperand(v) : "it pads with zeros only";
}

std::string Strides(int32_t height, int32_t width) {
  return height <= kLongestStride && width <= kLongestStride
             ? ""
             : fmt::format("its strides go up to {}", kLongestStride);
}

std::string Conv2D(const NodeView& v) {
  const auto& o = v.options<schema::Conv2DOptionsT>();
  if (!IsRelu(o.fused_activation_function)) return kOnlyRelu;
  if (o.dilation_h_factor != 1 || o.dilation_w_factor != 1) return "it takes no dilation";
  return Strides(o.stride_h, o.stride_w);
}

std::string DepthwiseConv2D(const NodeView& v) {
  const auto& o = v.options<schema::DepthwiseConv2DOptionsT>();
  if (!IsRelu(o.fused_activation_function)) return kOnlyRelu;
  const bool dilated = o.dilation_h_factor != 1 || o.dilation_w_factor != 1;
  if (dilated && (o.stride_h != 1 || o.stride_w != 1)) return "with dilation its stride must be 1";
  const Shape& input = v.in(0)->shape;
  const bool one_channel = !dilated && input.size() == 4 && input[3] == 1;
  if (o.depth_multiplier != 1 && !one_channel) return "its depth multiplier must be 1";
  const Tensor* weights = v.in(1);
  if (weights != nullptr && weights->shape.size() >= 2 && weights->shape[1] < 2) {
    return "its filter must be at least 2 high";
  }
  return Strides(o.stride_h, o.stride_w);
}

std::string FullyConnected(const NodeView& v) {
  const auto& o = v.options<schema::FullyConnectedOptionsT>();
  const Tensor* weights = v.in(1);
  if (weights != nullptr && weights->quant.per_channel()) {
    return "it takes one scale for all weights, not one per channel";
  }
  if (v.in(2) != nullptr && !IsConstant(v.in(2))) return "its bias must be constant";
  if (!IsRelu(o.fused_activation_function)) return kOnlyRelu;
  if (o.keep_num_dims) return "it takes no keep_num_dims";
  return o.weights_format == schema::FullyConnectedOptionsWeightsFormat_DEFAULT
             ? ""
             : "it takes weights in the default format only";
}

std::string Pool(const NodeView& v) {
  return v.options<schema::Pool2DOptionsT>().fused_activation_function ==
                 schema::ActivationFunctionType_NONE
             ? ""
             : kNoActivation;
}

std::string MaxPool(const NodeView& v) {
  constexpr int32_t kLargestFilter = 12;
  const auto& o = v.options<schema::Pool2DOptionsT>();
  if (o.padding == schema::Padding_SAME &&
      (o.filter_height > kLargestFilter || o.filter_width > kLargestFilter)) {
    return fmt::format("with SAME padding its filter goes up to {}", kLargestFilter);
  }
  return Pool(v);
}

std::string L2Normalization(const NodeView& v) {
  return v.options<schema::L2NormOptionsT>().fused_activation_function ==
                 schema::ActivationFunctionType_NONE
             ? ""
             : kNoActivation;
}

std::string TransposeConv(const NodeView& v) {
  const auto& o = v.options<schema::TransposeConvOptionsT>();
  return Strides(o.stride_h, o.stride_w);
}

std::string ResizeBilinear(const NodeView& v) {
  constexpr int32_t kLargest = 65;  // of the README
  const auto size = ConstantInts(v.in(1));
  if (size.size() != 2) return kConstantOperand;
  return size[0] > kLargest || size[1] > kLargest
             ? fmt::format("it resizes to up to {0}x{0}", kLargest)
             : "";
}

std::string Split(const NodeView& v) {
  return IsConstant(v.in(0)) ? "" : "its axis must be constant";
}

std::string Slice(const NodeView& v) {
  return IsConstant(v.in(1)) && IsConstant(v.in(2)) ? "" : "begin and size must be constant";
}

std::string StridedSlice(const NodeView& v) {
  const auto& o = v.options<schema::StridedSliceOptionsT>();
  if (!IsConstant(v.in(1)) || !IsConstant(v.in(2)) || !IsConstant(v.in(3))) {
    return "begin, end and strides must be constant";
  }
  return o.ellipsis_mask != 0 || o.new_axis_mask != 0 ? "it takes no ellipsis and no new axis" : "";
}

constexpr AcceleratorRule kRules[] = {
    {schema::BuiltinOperator_ADD, 2, Arithmetic<schema::AddOptionsT>},
    {schema::BuiltinOperator_ARG_MAX, 2, nullptr},
    {schema::BuiltinOperator_ARG_MIN, 2, nullptr},
    {schema::BuiltinOperator_AVERAGE_POOL_2D, 2, Pool},
    {schema::BuiltinOperator_CONCATENATION, 2, nullptr},
    {schema::BuiltinOperator_CONV_2D, 3, Conv2D},
    {schema::BuiltinOperator_DEPTHWISE_CONV_2D, 3, DepthwiseConv2D},
    {schema::BuiltinOperator_DEPTH_TO_SPACE, 2, nullptr},
    {schema::BuiltinOperator_FULLY_CONNECTED, 4, FullyConnected},
    {schema::BuiltinOperator_HARD_SWISH, 1, nullptr},
    {schema::BuiltinOperator_L2_NORMALIZATION, 2, L2Normalization},
    {schema::BuiltinOperator_LOGISTIC, 2, nullptr},
    {schema::BuiltinOperator_MAXIMUM, 2, nullptr},
    {schema::BuiltinOperator_MAX_POOL_2D, 2, MaxPool},
    {schema::BuiltinOperator_MEAN, 2, ConstantOperand},
    {schema::BuiltinOperator_MINIMUM, 2, nullptr},
    {schema::BuiltinOperator_MIRROR_PAD, 2, ConstantOperand},
    {schema::BuiltinOperator_MUL, 2, Arithmetic<schema::MulOptionsT>},
    {schema::BuiltinOperator_NEG, 1, nullptr},
    {schema::BuiltinOperator_PACK, 2, nullptr},
    {schema::BuiltinOperator_PAD, 2, Pad},
    {schema::BuiltinOperator_QUANTIZE, 2, nullptr},
    {schema::BuiltinOperator_RELU, 2, nullptr},
    {schema::BuiltinOperator_RELU6, 2, nullptr},
    {schema::BuiltinOperator_RESHAPE, 1, nullptr},
    {schema::BuiltinOperator_RESIZE_BILINEAR, 3, ResizeBilinear},
    {schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, 3, ConstantOperand},
    {schema::BuiltinOperator_RSQRT, 2, nullptr},
    {schema::BuiltinOperator_SLICE, 2, Slice},
    {schema::BuiltinOperator_SOFTMAX, 2, nullptr},
    {schema::BuiltinOperator_SPACE_TO_DEPTH, 2, nullptr},
    {schema::BuiltinOperator_SPLIT, 2, Split},
    {schema::BuiltinOperator_SQUARED_DIFFERENCE, 2, nullptr},
    {schema::BuiltinOperator_STRIDED_SLICE, 2, StridedSlice},
    {schema::BuiltinOperator_SUB, 2, Arithmetic<schema::SubOptionsT>},
    {schema::BuiltinOperator_TANH, 2, nullptr},
    {schema::BuiltinOperator_TRANSPOSE, 2, nullptr},
    {schema::BuiltinOperator_TRANSPOSE_CONV, 3, TransposeConv},
};

}  // namespace

std::string HexagonObstacle(const NodeView& view) {
  const AcceleratorRule* rule = FindRule(kRules, view.node.op);
  if (rule == nullptr) return "the Hexagon delegate has no such operator";
  for (size_t i = 0; i < view.node.inputs.size(); ++i) {
    const Tensor* t = view.in(i);
    if (t == nullptr) continue;
    if (t->shape.size() > kMostDimensions) {
      return fmt::format("it takes up to {} dimensions", kMostDimensions);
    }
    // Biases and indices.
    const bool index = t->type == schema::TensorType_INT32 || t->type == schema::TensorType_INT64;
    if (!IsEightBit(t) && !index) {
      return fmt::format("it takes 8-bit integers, not {}", TypeName(t->type));
    }
  }
  for (size_t i = 0; i < view.node.outputs.size(); ++i) {
    const Tensor* t = view.out(i);
    if (t == nullptr) continue;
    const bool index = view.node.op == schema::BuiltinOperator_ARG_MAX ||
                       view.node.op == schema::BuiltinOperator_ARG_MIN;
    if (!IsEightBit(t) && !index) {
      return fmt::format("it makes 8-bit integers, not {}", TypeName(t->type));
    }
  }
  if (view.node.version > rule->newest) {
    return fmt::format("it knows versions up to {}, this is {}", rule->newest, view.node.version);
  }
  return rule->check == nullptr ? "" : rule->check(view);
}

}  // namespace litesmith
