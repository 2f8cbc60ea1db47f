// Conv2D, DepthwiseConv2D, SeparableConv2D, Dense.

#include <algorithm>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

constexpr int64_t kMaxSize = 1 << 24;

// What convolutions share.
struct Window {
  std::vector<int32_t> kernel, strides, dilation;
  schema::Padding padding = schema::Padding_VALID;

  static Window Read(ConfigReader& config) {
    Window w;
    w.kernel = config.Ints("kernel_size", 2, 1, kMaxSize);
    w.strides = config.Ints("strides", 2, 1, kMaxSize, 1);
    w.dilation = config.Ints("dilation_rate", 2, 1, kMaxSize, 1);
    const std::string padding = config.String("padding", "valid");
    if (padding == "same") {
      w.padding = schema::Padding_SAME;
    } else if (padding != "valid") {
      config.Fail("padding", "should be 'same' or 'valid'");
    }
    return w;
  }

  // [N, H, W, channels] after the window has passed over `in`.
  Shape Output(LayerContext& c, const Shape& in, int32_t channels) const {
    Shape out = {in[0], -1, -1, channels};
    for (size_t d = 0; d < 2; ++d) {
      if (in[d + 1] < 0) continue;
      const int64_t size = in[d + 1], stride = strides[d];
      const int64_t window = (int64_t{kernel[d]} - 1) * dilation[d] + 1;
      out[d + 1] = c.Size(padding == schema::Padding_SAME ? (size + stride - 1) / stride
                          : size < window                 ? 0
                                                          : (size - window) / stride + 1);
    }
    return out;
  }
};

// [H, W, I, O] to TFLite's [O, H, W, I].
std::vector<float> OutputFirst(const std::vector<float>& hwio, size_t outputs) {
  const size_t inner = hwio.size() / outputs;
  std::vector<float> out(hwio.size());
  for (size_t i = 0; i < inner; ++i) {
    for (size_t o = 0; o < outputs; ++o) out[o * inner + i] = hwio[i * outputs + o];
  }
  return out;
}

// The bias, or zeros: TFLite's convolutions always have one.
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

absl::StatusOr<int32_t> Conv2D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(3));
  const Window w = Window::Read(c.config);
  const int32_t filters = c.config.Int("filters", 1, kMaxSize);
  const int32_t groups = c.config.Int("groups", 1, kMaxSize, 1);
  const bool use_bias = c.config.Bool("use_bias", true);
  LS_RETURN_IF_ERROR(c.status());
  if (channels % groups != 0 || filters % groups != 0) {
    return Invalid("its {} input channels and {} filters cannot be split into {} groups", channels,
                   filters, groups);
  }
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"kernel"}));
        const Shape want = {w.kernel[0], w.kernel[1], channels / groups, filters};
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], want, "kernel"));
        LS_ASSIGN_OR_RETURN(
            const int32_t weights,
            c.Constant("kernel", {want[3], want[0], want[1], want[2]},
                       OutputFirst(kernel[0].values, static_cast<size_t>(filters))));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{weights, bias};
      }));
  const int32_t y = AddConv(c, c.input(), constants, w, filters, "Conv2D");
  LS_RETURN_IF_ERROR(c.status());
  return ActivateByConfig(c, y);
}

// The kernel [H, W, C, M] has TFLite's [1, H, W, C * M] order already.
absl::StatusOr<int32_t> DepthwiseKernel(LayerContext& c, const Window& w, int32_t channels,
                                        int32_t multiplier, const char* name) {
  LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({name}));
  LS_RETURN_IF_ERROR(
      CheckWeight(kernel[0], {w.kernel[0], w.kernel[1], channels, multiplier}, name));
  return c.Constant(name, {1, w.kernel[0], w.kernel[1], channels * multiplier}, kernel[0].values);
}

absl::StatusOr<int32_t> DepthwiseConv2D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(3));
  const Window w = Window::Read(c.config);
  const int32_t multiplier = c.config.Int("depth_multiplier", 1, kMaxSize, 1);
  const bool use_bias = c.config.Bool("use_bias", true);
  const int32_t outputs = c.Size(int64_t{channels} * multiplier);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const int32_t weights,
                            DepthwiseKernel(c, w, channels, multiplier, "depthwise_kernel"));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, outputs));
        return std::vector<int32_t>{weights, bias};
      }));
  const int32_t y = AddDepthwise(c, c.input(), constants, w, multiplier, "depthwise");
  LS_RETURN_IF_ERROR(c.status());
  return ActivateByConfig(c, y);
}

absl::StatusOr<int32_t> SeparableConv2D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(3));
  const Window w = Window::Read(c.config);
  const int32_t filters = c.config.Int("filters", 1, kMaxSize);
  const int32_t multiplier = c.config.Int("depth_multiplier", 1, kMaxSize, 1);
  const bool use_bias = c.config.Bool("use_bias", true);
  const int32_t inner = c.Size(int64_t{channels} * multiplier);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const int32_t depthwise,
                            DepthwiseKernel(c, w, channels, multiplier, "depthwise_kernel"));
        LS_ASSIGN_OR_RETURN(const int32_t zeros,
                            c.Constant("depthwise_bias", {inner},
                                       std::vector<float>(static_cast<size_t>(inner), 0.0f)));
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"pointwise_kernel"}));
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], {1, 1, inner, filters}, "pointwise_kernel"));
        LS_ASSIGN_OR_RETURN(
            const int32_t pointwise,
            c.Constant("pointwise_kernel", {filters, 1, 1, inner},
                       OutputFirst(kernel[0].values, static_cast<size_t>(filters))));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{depthwise, zeros, pointwise, bias};
      }));
  const int32_t middle =
      AddDepthwise(c, c.input(), {constants[0], constants[1]}, w, multiplier, "depthwise");
  const Window one = {{1, 1}, {1, 1}, {1, 1}, schema::Padding_VALID};
  const int32_t y = AddConv(c, middle, {constants[2], constants[3]}, one, filters, "Conv2D");
  LS_RETURN_IF_ERROR(c.status());
  return ActivateByConfig(c, y);
}

absl::StatusOr<int32_t> Dense(LayerContext& c) {
  const size_t rank = c.in_shape().size();
  if (rank < 2) return Invalid("its input has shape {}", ShapeString(c.in_shape()));
  LS_ASSIGN_OR_RETURN(const int32_t depth, c.KnownDim(rank - 1));
  const int32_t units = c.config.Int("units", 1, kMaxSize);
  const bool use_bias = c.config.Bool("use_bias", true);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"kernel"}));
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], {depth, units}, "kernel"));
        LS_ASSIGN_OR_RETURN(const int32_t weights,
                            c.Constant("kernel", {units, depth},
                                       OutputFirst(kernel[0].values, static_cast<size_t>(units))));
        if (!use_bias) return std::vector<int32_t>{weights, -1};
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, true, units));
        return std::vector<int32_t>{weights, bias};
      }));
  schema::FullyConnectedOptionsT options;
  options.keep_num_dims = rank > 2;
  Shape shape = c.in_shape();
  shape.back() = units;
  const int32_t y = c.Add(schema::BuiltinOperator_FULLY_CONNECTED, std::move(options),
                          {c.input(), constants[0], constants[1]}, "MatMul", std::move(shape));
  return ActivateByConfig(c, y);
}

}  // namespace

std::vector<LayerKind> ConvolutionLayers() {
  return {{.class_name = "Conv2D", .convert = Conv2D},
          {.class_name = "DepthwiseConv2D", .convert = DepthwiseConv2D},
          {.class_name = "SeparableConv2D", .convert = SeparableConv2D},
          {.class_name = "Dense", .convert = Dense}};
}

}  // namespace litesmith::keras
