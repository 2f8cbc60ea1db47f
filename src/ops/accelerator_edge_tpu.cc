// Coral's Edge TPU: https://coral.ai/docs/edgetpu/models-intro/, "Model requirements" and the table
// under "Supported operations" in its newest column (runtime 14).

#include "base/status.h"
#include "ops/accelerator_rules.h"

namespace litesmith {
namespace {

constexpr int kAnyVersion = 1 << 20;
constexpr int32_t kMostSoftmax = 16000;

std::string NoActivation(schema::ActivationFunctionType activation) {
  return activation == schema::ActivationFunctionType_NONE ? ""
                                                           : "it takes no fused activation here";
}

std::string Pool(const NodeView& v) {
  return NoActivation(v.options<schema::Pool2DOptionsT>().fused_activation_function);
}

// A constant among the inputs: only zeros, and only beside one other input.
std::string Concatenation(const NodeView& v) {
  for (size_t i = 0; i < v.node.inputs.size(); ++i) {
    const Tensor* t = v.in(i);
    if (!IsConstant(t)) continue;
    if (v.node.inputs.size() != 2) return "with a constant it concatenates two inputs only";
    const auto zero =
        static_cast<uint8_t>(t->quant.zero_point.empty() ? 0 : t->quant.zero_point[0]);
    const auto values = t->data.As<uint8_t>();
    if (!std::all_of(values.begin(), values.end(), [zero](uint8_t x) { return x == zero; })) {
      return "it concatenates constants of zeros only";
    }
  }
  return NoActivation(v.options<schema::ConcatenationOptionsT>().fused_activation_function);
}

std::string SameDilation(int32_t height, int32_t width) {
  return height == width ? ""
                         : fmt::format("its dilations must be equal, not {}x{}", height, width);
}

std::string ConstantWeights(const NodeView& v) {
  return IsConstant(v.in(1)) ? "" : "its weights must be constant";
}

std::string Conv2D(const NodeView& v) {
  const auto& o = v.options<schema::Conv2DOptionsT>();
  const std::string obstacle = ConstantWeights(v);
  return obstacle.empty() ? SameDilation(o.dilation_h_factor, o.dilation_w_factor) : obstacle;
}

std::string DepthwiseConv2D(const NodeView& v) {
  const auto& o = v.options<schema::DepthwiseConv2DOptionsT>();
  const std::string obstacle = ConstantWeights(v);
  return obstacle.empty() ? SameDilation(o.dilation_h_factor, o.dilation_w_factor) : obstacle;
}

std::string FullyConnected(const NodeView& v) {
  if (!ConstantWeights(v).empty()) return ConstantWeights(v);
  if (v.options<schema::FullyConnectedOptionsT>().weights_format !=
      schema::FullyConnectedOptionsWeightsFormat_DEFAULT) {
    return "it takes weights in the default format only";
  }
  return IsRow(v.out(0)) ? "" : "its output must have one dimension";
}

std::string Reduce(const NodeView& v) {
  const Tensor* x = v.in(0);
  if (ConstantInts(v.in(1)).empty()) return "its axes must be constant";
  return Names(v.in(1), 0, x->shape.size()) && x->shape.size() > 1
             ? "it does not reduce the batch dimension"
             : "";
}

std::string Mean(const NodeView& v) {
  const std::string obstacle = Reduce(v);
  if (!obstacle.empty()) return obstacle;
  const Shape& shape = v.in(0)->shape;
  const auto last = static_cast<int32_t>(shape.size()) - 1;
  const bool deep = last >= 0 && Names(v.in(1), last, shape.size());
  return deep && shape.back() % 4 != 0 ? "a mean over channels needs a multiple of 4 of them" : "";
}

std::string Pack(const NodeView& v) {
  const int32_t axis = v.options<schema::PackOptionsT>().axis;
  const auto rank = static_cast<int32_t>(v.out(0)->shape.size());
  return (axis < 0 ? axis + rank : axis) == 0 ? "it does not pack along the batch dimension" : "";
}

std::string Pad(const NodeView& v) {
  const auto paddings = ConstantInts(v.in(1));
  if (paddings.size() < 2) return "its paddings must be constant";
  return paddings[0] != 0 || paddings[1] != 0 ? "it does not pad the batch dimension" : "";
}

std::string Prelu(const NodeView& v) {
  return IsRow(v.in(1)) ? "" : "its slopes must have one dimension (shared_axes=[1, 2])";
}

std::string Softmax(const NodeView& v) {
  const Tensor* x = v.in(0);
  if (!IsRow(x)) return "it takes one dimension only";
  return x->shape.back() > kMostSoftmax
             ? fmt::format("it takes up to {} elements, not {}", kMostSoftmax, x->shape.back())
             : "";
}

std::string Split(const NodeView& v) {
  if (ConstantInts(v.in(0)).empty()) return "its axis must be constant";
  return Names(v.in(0), 0, v.in(1)->shape.size()) ? "it does not split the batch dimension" : "";
}

std::string StridedSlice(const NodeView& v) {
  const auto& o = v.options<schema::StridedSliceOptionsT>();
  const auto strides = ConstantInts(v.in(3));
  const bool ones = !strides.empty() &&
                    std::all_of(strides.begin(), strides.end(), [](int32_t s) { return s == 1; });
  if (!ones) return "its strides must be 1";
  return o.ellipsis_mask != 0 || o.new_axis_mask != 0 ? "it takes no ellipsis and no new axis" : "";
}

constexpr AcceleratorRule kRules[] = {
    {schema::BuiltinOperator_ADD, kAnyVersion, nullptr},
    {schema::BuiltinOperator_AVERAGE_POOL_2D, kAnyVersion, Pool},
    {schema::BuiltinOperator_CONCATENATION, kAnyVersion, Concatenation},
    {schema::BuiltinOperator_CONV_2D, kAnyVersion, Conv2D},
    {schema::BuiltinOperator_DEPTHWISE_CONV_2D, kAnyVersion, DepthwiseConv2D},
    {schema::BuiltinOperator_EXPAND_DIMS, kAnyVersion, nullptr},
    {schema::BuiltinOperator_FULLY_CONNECTED, kAnyVersion, FullyConnected},
    {schema::BuiltinOperator_L2_NORMALIZATION, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LOGISTIC, kAnyVersion, nullptr},
    {schema::BuiltinOperator_MAXIMUM, kAnyVersion, nullptr},
    {schema::BuiltinOperator_MAX_POOL_2D, kAnyVersion, Pool},
    {schema::BuiltinOperator_MEAN, kAnyVersion, Mean},
    {schema::BuiltinOperator_MINIMUM, kAnyVersion, nullptr},
    {schema::BuiltinOperator_MUL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_PACK, kAnyVersion, Pack},
    {schema::BuiltinOperator_PAD, kAnyVersion, Pad},
    {schema::BuiltinOperator_PRELU, kAnyVersion, Prelu},
    {schema::BuiltinOperator_QUANTIZE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_REDUCE_MAX, kAnyVersion, Reduce},
    {schema::BuiltinOperator_REDUCE_MIN, kAnyVersion, Reduce},
    {schema::BuiltinOperator_RELU, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RELU6, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RELU_N1_TO_1, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RESHAPE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RESIZE_BILINEAR, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RSQRT, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SLICE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SOFTMAX, kAnyVersion, Softmax},
    {schema::BuiltinOperator_SPACE_TO_DEPTH, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SPLIT, kAnyVersion, Split},
    {schema::BuiltinOperator_SQUARED_DIFFERENCE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SQUEEZE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_STRIDED_SLICE, kAnyVersion, StridedSlice},
    {schema::BuiltinOperator_SUB, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SUM, kAnyVersion, Reduce},
    {schema::BuiltinOperator_TANH, kAnyVersion, nullptr},
    {schema::BuiltinOperator_TRANSPOSE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_TRANSPOSE_CONV, kAnyVersion, ConstantWeights},
    // Its states are 16 bits wide.
    {schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM, kAnyVersion, nullptr},
};

// The requirements on every tensor; empty where they hold.
std::string TensorObstacle(const Tensor& t, bool may_be_index) {
  if (!t.is_constant()) {
    const Shape& shape = t.shape_signature.empty() ? t.shape : t.shape_signature;
    if (std::any_of(shape.begin(), shape.end(), [](int32_t d) { return d < 0; })) {
      return "its sizes must be fixed (--batch-size 1)";
    }
    constexpr size_t kFree = 3;
    for (size_t d = 0; d + kFree < t.shape.size(); ++d) {
      if (t.shape[d] != 1) return "all but the last three dimensions must be 1";
    }
  }
  if (IsEightBit(&t)) return "";
  // Biases, axes, paddings and shapes.
  if (may_be_index && t.type == schema::TensorType_INT32) {
    return t.is_constant() ? "" : "its INT32 operand must be constant";
  }
  return fmt::format("it takes 8-bit integers, not {}", TypeName(t.type));
}

}  // namespace

std::string EdgeTpuObstacle(const NodeView& view) {
  const AcceleratorRule* rule = FindRule(kRules, view.node.op);
  if (rule == nullptr) return "the Edge TPU has no such operator";
  const bool lstm = view.node.op == schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM;
  const size_t inputs =
      lstm ? std::min<size_t>(1, view.node.inputs.size()) : view.node.inputs.size();
  for (size_t i = 0; i < inputs; ++i) {
    const Tensor* t = view.in(i);
    if (t == nullptr) continue;
    const std::string obstacle = TensorObstacle(*t, true);
    if (!obstacle.empty()) return obstacle;
  }
  for (size_t i = 0; i < view.node.outputs.size(); ++i) {
    const Tensor* t = view.out(i);
    const std::string obstacle = t == nullptr ? "" : TensorObstacle(*t, false);
    if (!obstacle.empty()) return obstacle;
  }
  return rule->check == nullptr ? "" : rule->check(view);
}

}  // namespace litesmith
