// TFLite's GPU delegate: https://www.tensorflow.org/lite/performance/gpu_advanced, "Supported ops",
// in the wider list that the delegate's compatibility check of LiteRT 2.3 has
// (tensorflow/lite/tools/versioning/gpu_compatibility.cc). It computes in floats; 8-bit tensors are
// taken on Android and dequantized.

#include "base/status.h"
#include "ops/accelerator_rules.h"

namespace litesmith {
namespace {

constexpr int kAnyVersion = 1 << 20;

std::string Dequantize(const NodeView& v) {
  return v.in(0)->type == schema::TensorType_INT16 ? "it dequantizes no INT16" : "";
}

std::string FullyConnected(const NodeView& v) {
  const auto& o = v.options<schema::FullyConnectedOptionsT>();
  if (o.weights_format != schema::FullyConnectedOptionsWeightsFormat_DEFAULT) {
    return "it takes weights in the default format only";
  }
  if (IsConstant(v.in(0))) return "its input must not be constant";
  return o.keep_num_dims && v.in(0)->shape.size() != v.out(0)->shape.size()
             ? "with keep_num_dims input and output must have as many dimensions"
             : "";
}

std::string Gather(const NodeView& v) {
  const Tensor* indices = v.in(1);
  const bool ok =
      indices != nullptr && indices->shape.size() == 1 && indices->type == schema::TensorType_INT32;
  return ok ? "" : "it takes one-dimensional INT32 indices only";
}

std::string Lstm(const NodeView& v) {
  const auto& o = v.options<schema::LSTMOptionsT>();
  if (o.kernel_type != schema::LSTMKernelType_BASIC) return "it takes the basic LSTM only";
  if (o.fused_activation_function != schema::ActivationFunctionType_TANH)
    return "it takes TANH only";
  return o.cell_clip != 0.0f || o.proj_clip != 0.0f ? "it does not clip" : "";
}

std::string ConstantAxes(const NodeView& v) {
  return IsConstant(v.in(1)) && v.in(1)->type == schema::TensorType_INT32
             ? ""
             : "its axes must be a constant of INT32";
}

std::string Broadcast(const NodeView& v) {
  return v.node.inputs.size() == 2 ? "" : "it takes two operands";
}

bool ThreeOrFour(const Tensor* t) {
  return t != nullptr && (t->shape.size() == 3 || t->shape.size() == 4);
}
constexpr char kThreeOrFour[] = "it takes three or four dimensions";

std::string Slice(const NodeView& v) { return ThreeOrFour(v.in(0)) ? "" : kThreeOrFour; }

std::string StridedSlice(const NodeView& v) {
  const auto& o = v.options<schema::StridedSliceOptionsT>();
  if (o.ellipsis_mask != 0 || o.new_axis_mask != 0 || o.shrink_axis_mask != 0) {
    return "it takes no ellipsis, no new axis and drops no axis";
  }
  return Slice(v);
}

std::string Softmax(const NodeView& v) {
  return v.options<schema::SoftmaxOptionsT>().beta == 1.0f ? "" : "its beta must be 1";
}

std::string Pad(const NodeView& v) {
  const Tensor* paddings = v.in(1);
  const bool ok = paddings != nullptr && paddings->shape.size() == 2 && paddings->shape[1] == 2 &&
                  (paddings->shape[0] == 3 || paddings->shape[0] == 4);
  return ok ? "" : kThreeOrFour;
}

std::string MirrorPad(const NodeView& v) {
  return v.options<schema::MirrorPadOptionsT>().mode == schema::MirrorPadMode_REFLECT
             ? Pad(v)
             : "it mirrors without the border only (REFLECT)";
}

template <typename T>
std::string Blocks(const NodeView& v) {
  return v.options<T>().block_size > 1 ? "" : "its blocks must be larger than 1";
}

std::string ResizeBilinear(const NodeView& v) {
  const auto& o = v.options<schema::ResizeBilinearOptionsT>();
  return o.align_corners && o.half_pixel_centers ? "it aligns corners or takes half pixel centres"
                                                 : "";
}

constexpr AcceleratorRule kRules[] = {
    {schema::BuiltinOperator_ABS, kAnyVersion, nullptr},
    {schema::BuiltinOperator_ADD, kAnyVersion, Broadcast},
    {schema::BuiltinOperator_ADD_N, kAnyVersion, Broadcast},
    {schema::BuiltinOperator_ATAN2, kAnyVersion, nullptr},
    {schema::BuiltinOperator_AVERAGE_POOL_2D, kAnyVersion, nullptr},
    {schema::BuiltinOperator_BATCH_MATMUL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_CEIL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_CONCATENATION, kAnyVersion, nullptr},
    {schema::BuiltinOperator_CONV_2D, kAnyVersion, nullptr},
    {schema::BuiltinOperator_COS, kAnyVersion, nullptr},
    {schema::BuiltinOperator_CUMSUM, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_DENSIFY, kAnyVersion, nullptr},
    {schema::BuiltinOperator_DEPTHWISE_CONV_2D, kAnyVersion, nullptr},
    {schema::BuiltinOperator_DEPTH_TO_SPACE, kAnyVersion, Blocks<schema::DepthToSpaceOptionsT>},
    {schema::BuiltinOperator_DEQUANTIZE, kAnyVersion, Dequantize},
    {schema::BuiltinOperator_DIV, kAnyVersion, nullptr},
    {schema::BuiltinOperator_ELU, kAnyVersion, nullptr},
    {schema::BuiltinOperator_EQUAL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_EXP, kAnyVersion, nullptr},
    {schema::BuiltinOperator_FLOOR, kAnyVersion, nullptr},
    {schema::BuiltinOperator_FLOOR_DIV, kAnyVersion, nullptr},
    {schema::BuiltinOperator_FLOOR_MOD, kAnyVersion, nullptr},
    {schema::BuiltinOperator_FULLY_CONNECTED, kAnyVersion, FullyConnected},
    {schema::BuiltinOperator_GATHER, kAnyVersion, Gather},
    {schema::BuiltinOperator_GELU, kAnyVersion, nullptr},
    {schema::BuiltinOperator_GREATER, kAnyVersion, nullptr},
    {schema::BuiltinOperator_GREATER_EQUAL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_HARD_SWISH, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LEAKY_RELU, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LESS, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LESS_EQUAL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LOG, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LOGISTIC, kAnyVersion, nullptr},
    {schema::BuiltinOperator_LSTM, kAnyVersion, Lstm},
    {schema::BuiltinOperator_MAXIMUM, kAnyVersion, nullptr},
    {schema::BuiltinOperator_MAX_POOL_2D, kAnyVersion, nullptr},
    {schema::BuiltinOperator_MEAN, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_MINIMUM, kAnyVersion, nullptr},
    {schema::BuiltinOperator_MIRROR_PAD, kAnyVersion, MirrorPad},
    {schema::BuiltinOperator_MUL, kAnyVersion, Broadcast},
    {schema::BuiltinOperator_NEG, kAnyVersion, nullptr},
    {schema::BuiltinOperator_NOT_EQUAL, kAnyVersion, nullptr},
    {schema::BuiltinOperator_PACK, kAnyVersion, nullptr},
    {schema::BuiltinOperator_PAD, kAnyVersion, Pad},
    {schema::BuiltinOperator_PADV2, kAnyVersion, Pad},
    {schema::BuiltinOperator_POW, kAnyVersion, nullptr},
    {schema::BuiltinOperator_PRELU, kAnyVersion, nullptr},
    {schema::BuiltinOperator_QUANTIZE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_REDUCE_MAX, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_REDUCE_MIN, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_REDUCE_PROD, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_RELU, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RELU6, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RELU_N1_TO_1, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RESHAPE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RESIZE_BILINEAR, kAnyVersion, ResizeBilinear},
    {schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, kAnyVersion, nullptr},
    {schema::BuiltinOperator_REVERSE_V2, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_ROUND, kAnyVersion, nullptr},
    {schema::BuiltinOperator_RSQRT, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SIGN, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SIN, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SLICE, kAnyVersion, Slice},
    {schema::BuiltinOperator_SOFTMAX, kAnyVersion, Softmax},
    {schema::BuiltinOperator_SPACE_TO_DEPTH, kAnyVersion, Blocks<schema::SpaceToDepthOptionsT>},
    {schema::BuiltinOperator_SPLIT, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SPLIT_V, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SQRT, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SQUARE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SQUARED_DIFFERENCE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_STRIDED_SLICE, kAnyVersion, StridedSlice},
    {schema::BuiltinOperator_SUB, kAnyVersion, nullptr},
    {schema::BuiltinOperator_SUM, kAnyVersion, ConstantAxes},
    {schema::BuiltinOperator_TANH, kAnyVersion, nullptr},
    {schema::BuiltinOperator_TILE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_TOPK_V2, kAnyVersion, nullptr},
    {schema::BuiltinOperator_TRANSPOSE, kAnyVersion, nullptr},
    {schema::BuiltinOperator_TRANSPOSE_CONV, kAnyVersion, nullptr},
};

}  // namespace

std::string GpuObstacle(const NodeView& view) {
  const AcceleratorRule* rule = FindRule(kRules, view.node.op);
  if (rule == nullptr) return "the GPU delegate has no such operator";
  for (size_t i = 0; i < view.node.inputs.size(); ++i) {
    const Tensor* t = view.in(i);
    if (t != nullptr && t->type == schema::TensorType_INT16) {
      return "it takes floats and 8-bit integers, not INT16";
    }
  }
  return rule->check == nullptr ? "" : rule->check(view);
}

}  // namespace litesmith
