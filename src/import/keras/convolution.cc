#include "import/keras/convolution.h"

#include <algorithm>

namespace litesmith::keras {

Window Window::Read(ConfigReader& config, size_t dimensions) {
  Window w;
  w.kernel = config.Ints("kernel_size", dimensions, 1, kMaxWindow);
  w.strides = config.Ints("strides", dimensions, 1, kMaxWindow, 1);
  w.dilation = config.Ints("dilation_rate", dimensions, 1, kMaxWindow, 1);
  if (dimensions == 1) {
    for (auto* sizes : {&w.kernel, &w.strides, &w.dilation}) sizes->insert(sizes->begin(), 1);
  }
  const std::string padding = config.String("padding", "valid");
  w.causal = padding == "causal" && dimensions == 1;
  if (padding == "same") {
    w.padding = schema::Padding_SAME;
  } else if (padding != "valid" && !w.causal) {
    config.Fail("padding", "should be 'same' or 'valid'");
  }
  return w;
}

int32_t Window::OutputSize(LayerContext& c, size_t d, int32_t size) const {
  if (size < 0) return -1;
  const int64_t stride = strides[d];
  const int64_t window = (int64_t{kernel[d]} - 1) * dilation[d] + 1;
  if (padding == schema::Padding_SAME) return c.Size((size + stride - 1) / stride);
  return c.Size(size < window ? 0 : (size - window) / stride + 1);
}

Shape Window::Output(LayerContext& c, const Shape& in, int32_t channels) const {
  return {in[0], OutputSize(c, 0, in[1]), OutputSize(c, 1, in[2]), channels};
}

int64_t TransposedSize(const Window& w, size_t d, int64_t size, const Json* output_padding,
                       int64_t extra) {
  const int64_t kernel = w.kernel[d], stride = w.strides[d];
  const bool same = w.padding == schema::Padding_SAME;
  if (output_padding != nullptr) {
    return (size - 1) * stride + kernel - (same ? kernel / 2 * 2 : 0) + extra;
  }
  return same ? size * stride : size * stride + std::max<int64_t>(kernel - stride, 0);
}

std::vector<float> OutputFirst(const std::vector<float>& kernel, size_t outputs) {
  const size_t inner = kernel.size() / outputs;
  std::vector<float> out(kernel.size());
  for (size_t i = 0; i < inner; ++i) {
    for (size_t o = 0; o < outputs; ++o) out[o * inner + i] = kernel[i * outputs + o];
  }
  return out;
}

absl::StatusOr<int32_t> Bias(LayerContext& c, bool use_bias, int32_t size) {
  if (!use_bias) {
    return c.Constant("bias", {size}, std::vector<float>(static_cast<size_t>(size), 0.0f));
  }
  LS_ASSIGN_OR_RETURN(const auto weights, c.weights.Take({"bias"}));
  LS_RETURN_IF_ERROR(CheckWeight(weights[0], {size}, "bias"));
  return c.Constant("bias", {size}, weights[0].values);
}

int32_t AddConv(LayerContext& c, int32_t x, const std::vector<int32_t>& constants, const Window& w,
                int32_t filters, std::string_view what) {
  schema::Conv2DOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.strides[0];
  options.stride_w = w.strides[1];
  options.dilation_h_factor = w.dilation[0];
  options.dilation_w_factor = w.dilation[1];
  Shape shape = w.Output(c, c.shape(x), filters);
  return c.Add(schema::BuiltinOperator_CONV_2D, std::move(options), {x, constants[0], constants[1]},
               what, std::move(shape));
}

int32_t AddDepthwise(LayerContext& c, int32_t x, const std::vector<int32_t>& constants,
                     const Window& w, int32_t multiplier, std::string_view what) {
  schema::DepthwiseConv2DOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.strides[0];
  options.stride_w = w.strides[1];
  options.depth_multiplier = multiplier;
  options.dilation_h_factor = w.dilation[0];
  options.dilation_w_factor = w.dilation[1];
  Shape shape = w.Output(c, c.shape(x), c.shape(constants[1])[0]);
  return c.Add(schema::BuiltinOperator_DEPTHWISE_CONV_2D, std::move(options),
               {x, constants[0], constants[1]}, what, std::move(shape));
}

absl::StatusOr<int32_t> AddRow(LayerContext& c, int32_t x) {
  const Shape in = c.shape(x);
  return c.Reshape(x, {in[0], 1, in[1], in[2]}, "ExpandDims");
}

absl::StatusOr<int32_t> DropRow(LayerContext& c, int32_t x) {
  const Shape in = c.shape(x);
  return c.Reshape(x, {in[0], in[2], in[3]}, "Squeeze");
}

}  // namespace litesmith::keras
