// Convolutions and Dense.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

// Conv1D is Conv2D of one row: these take the input there, and pad it on the left where that is
// asked for.
absl::StatusOr<int32_t> Enter(LayerContext& c, const Window& w, size_t dimensions) {
  if (dimensions == 2) return c.input();
  int32_t x = c.input();
  const int64_t before = w.causal ? (int64_t{w.kernel[1]} - 1) * w.dilation[1] : 0;
  if (before > 0) {
    Shape shape = c.in_shape();
    if (shape[1] > 0) shape[1] = c.Size(shape[1] + before);
    const auto left = static_cast<int32_t>(before);
    const int32_t paddings =
        c.graph().Constant(c.Named("paddings"), {3, 2}, std::vector<int32_t>{0, 0, left, 0, 0, 0});
    x = c.Add(schema::BuiltinOperator_PAD, schema::PadOptionsT{}, {x, paddings}, "Pad", shape);
  }
  return AddRow(c, x);
}

absl::StatusOr<int32_t> Leave(LayerContext& c, int32_t x, size_t dimensions) {
  LS_RETURN_IF_ERROR(c.status());
  if (dimensions == 1) {
    LS_ASSIGN_OR_RETURN(x, DropRow(c, x));
  }
  return ActivateByConfig(c, x);
}

// The shape of a kernel in the file: one row less where the layer has one dimension.
Shape KernelShape(const Window& w, size_t dimensions, int32_t in, int32_t out) {
  if (dimensions == 1) return {w.kernel[1], in, out};
  return {w.kernel[0], w.kernel[1], in, out};
}

template <size_t kDimensions>
absl::StatusOr<int32_t> Conv(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(kDimensions + 1));
  const Window w = Window::Read(c.config, kDimensions);
  const int32_t filters = c.config.Int("filters", 1, kMaxWindow);
  const int32_t groups = c.config.Int("groups", 1, kMaxWindow, 1);
  const bool use_bias = c.config.Bool("use_bias", true);
  LS_RETURN_IF_ERROR(c.status());
  if (channels % groups != 0 || filters % groups != 0) {
    return Invalid("its {} input channels and {} filters cannot be split into {} groups", channels,
                   filters, groups);
  }
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"kernel"}));
        const int32_t in = channels / groups;
        LS_RETURN_IF_ERROR(
            CheckWeight(kernel[0], KernelShape(w, kDimensions, in, filters), "kernel"));
        LS_ASSIGN_OR_RETURN(
            const int32_t weights,
            c.Constant("kernel", {filters, w.kernel[0], w.kernel[1], in},
                       OutputFirst(kernel[0].values, static_cast<size_t>(filters))));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{weights, bias};
      }));
  LS_ASSIGN_OR_RETURN(const int32_t x, Enter(c, w, kDimensions));
  return Leave(c, AddConv(c, x, constants, w, filters, "Conv2D"), kDimensions);
}

// The kernel [H, W, C, M] has TFLite's [1, H, W, C * M] order already.
absl::StatusOr<int32_t> DepthwiseKernel(LayerContext& c, const Window& w, size_t dimensions,
                                        int32_t channels, int32_t multiplier) {
  LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"depthwise_kernel"}));
  LS_RETURN_IF_ERROR(
      CheckWeight(kernel[0], KernelShape(w, dimensions, channels, multiplier), "depthwise_kernel"));
  return c.Constant("depthwise_kernel", {1, w.kernel[0], w.kernel[1], channels * multiplier},
                    kernel[0].values);
}

template <size_t kDimensions>
absl::StatusOr<int32_t> DepthwiseConv(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(kDimensions + 1));
  const Window w = Window::Read(c.config, kDimensions);
  const int32_t multiplier = c.config.Int("depth_multiplier", 1, kMaxWindow, 1);
  const bool use_bias = c.config.Bool("use_bias", true);
  const int32_t outputs = c.Size(int64_t{channels} * multiplier);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const int32_t weights,
                            DepthwiseKernel(c, w, kDimensions, channels, multiplier));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, outputs));
        return std::vector<int32_t>{weights, bias};
      }));
  LS_ASSIGN_OR_RETURN(const int32_t x, Enter(c, w, kDimensions));
  return Leave(c, AddDepthwise(c, x, constants, w, multiplier, "depthwise"), kDimensions);
}

template <size_t kDimensions>
absl::StatusOr<int32_t> SeparableConv(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(kDimensions + 1));
  const Window w = Window::Read(c.config, kDimensions);
  const int32_t filters = c.config.Int("filters", 1, kMaxWindow);
  const int32_t multiplier = c.config.Int("depth_multiplier", 1, kMaxWindow, 1);
  const bool use_bias = c.config.Bool("use_bias", true);
  const int32_t inner = c.Size(int64_t{channels} * multiplier);
  LS_RETURN_IF_ERROR(c.status());
  const Window one = {{1, 1}, {1, 1}, {1, 1}, schema::Padding_VALID};
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const int32_t depthwise,
                            DepthwiseKernel(c, w, kDimensions, channels, multiplier));
        LS_ASSIGN_OR_RETURN(const int32_t zeros,
                            c.Constant("depthwise_bias", {inner},
                                       std::vector<float>(static_cast<size_t>(inner), 0.0f)));
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"pointwise_kernel"}));
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], KernelShape(one, kDimensions, inner, filters),
                                       "pointwise_kernel"));
        LS_ASSIGN_OR_RETURN(
            const int32_t pointwise,
            c.Constant("pointwise_kernel", {filters, 1, 1, inner},
                       OutputFirst(kernel[0].values, static_cast<size_t>(filters))));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{depthwise, zeros, pointwise, bias};
      }));
  LS_ASSIGN_OR_RETURN(const int32_t x, Enter(c, w, kDimensions));
  const int32_t middle =
      AddDepthwise(c, x, {constants[0], constants[1]}, w, multiplier, "depthwise");
  return Leave(c, AddConv(c, middle, {constants[2], constants[3]}, one, filters, "Conv2D"),
               kDimensions);
}

// [batch of x, h, w, channels] as a tensor.
int32_t ShapeLike(LayerContext& c, int32_t x, const Shape& shape) {
  if (shape[0] > 0) return c.Indices("output_shape", shape);
  schema::ShapeOptionsT shape_options;
  shape_options.out_type = schema::TensorType_INT32;
  const int32_t all = c.Add(schema::BuiltinOperator_SHAPE, std::move(shape_options), {x}, "Shape",
                            {4}, schema::TensorType_INT32);
  schema::StridedSliceOptionsT slice;
  slice.shrink_axis_mask = 1;
  const int32_t batch =
      c.Add(schema::BuiltinOperator_STRIDED_SLICE, std::move(slice),
            {all, c.Indices("begin", {0}), c.Indices("end", {1}), c.Indices("strides", {1})},
            "batch", {}, schema::TensorType_INT32);
  std::vector<int32_t> parts = {batch};
  for (size_t d = 1; d < 4; ++d) {
    parts.push_back(c.graph().Constant(c.Named("size"), {}, std::vector<int32_t>{shape[d]}));
  }
  schema::PackOptionsT pack;
  pack.values_count = 4;
  return c.Add(schema::BuiltinOperator_PACK, std::move(pack), std::move(parts), "output_shape", {4},
               schema::TensorType_INT32);
}

// [H, W, O, I] to [O, H, W, I]
std::vector<float> TransposedKernel(const std::vector<float>& kernel, size_t outputs,
                                    size_t inputs) {
  const size_t places = kernel.size() / (outputs * inputs);
  std::vector<float> values(kernel.size());
  for (size_t p = 0; p < places; ++p) {
    for (size_t o = 0; o < outputs; ++o) {
      std::copy_n(kernel.begin() + static_cast<std::ptrdiff_t>((p * outputs + o) * inputs), inputs,
                  values.begin() + static_cast<std::ptrdiff_t>((o * places + p) * inputs));
    }
  }
  return values;
}

template <size_t kDimensions>
absl::StatusOr<int32_t> ConvTranspose(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  const Window w = Window::Read(c.config, kDimensions);
  const int32_t filters = c.config.Int("filters", 1, kMaxWindow);
  const bool use_bias = c.config.Bool("use_bias", true);
  const Json* padding = c.config.Find("output_padding");
  auto extra = c.config.Ints("output_padding", kDimensions, 0, kMaxWindow, 0);
  LS_RETURN_IF_ERROR(c.status());
  if (w.dilation != std::vector<int32_t>{1, 1}) {
    return Unsupported("TFLite has no transposed convolution with a dilation_rate");
  }
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(kDimensions + 1));
  Shape shape = {c.in_shape()[0], 1, 1, filters};
  for (size_t d = 0; d < kDimensions; ++d) {
    const size_t side = d + 2 - kDimensions;  // of the picture; one dimension is its width
    LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(d + 1));
    shape[side + 1] = c.Size(TransposedSize(w, side, size, padding, extra[d]));
  }
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"kernel"}));
        LS_RETURN_IF_ERROR(
            CheckWeight(kernel[0], KernelShape(w, kDimensions, filters, channels), "kernel"));
        LS_ASSIGN_OR_RETURN(
            const int32_t weights,
            c.Constant("kernel", {filters, w.kernel[0], w.kernel[1], channels},
                       TransposedKernel(kernel[0].values, static_cast<size_t>(filters),
                                        static_cast<size_t>(channels))));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{weights, bias};
      }));
  int32_t x = c.input();
  if (kDimensions == 1) {
    LS_ASSIGN_OR_RETURN(x, AddRow(c, x));
  }
  schema::TransposeConvOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.strides[0];
  options.stride_w = w.strides[1];
  const int32_t y =
      c.Add(schema::BuiltinOperator_TRANSPOSE_CONV, std::move(options),
            {ShapeLike(c, x, shape), constants[0], x, constants[1]}, "conv_transpose", shape);
  return Leave(c, y, kDimensions);
}

absl::StatusOr<int32_t> Dense(LayerContext& c) {
  const size_t rank = c.in_shape().size();
  if (rank < 2) return Invalid("its input has shape {}", ShapeString(c.in_shape()));
  LS_ASSIGN_OR_RETURN(const int32_t depth, c.KnownDim(rank - 1));
  const int32_t units = c.config.Int("units", 1, kMaxWindow);
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
  return {{.class_name = "Conv1D", .convert = Conv<1>},
          {.class_name = "Conv2D", .convert = Conv<2>},
          {.class_name = "DepthwiseConv1D", .convert = DepthwiseConv<1>},
          {.class_name = "DepthwiseConv2D", .convert = DepthwiseConv<2>},
          {.class_name = "SeparableConv1D", .convert = SeparableConv<1>},
          {.class_name = "SeparableConv2D", .convert = SeparableConv<2>},
          {.class_name = "Conv1DTranspose", .convert = ConvTranspose<1>},
          {.class_name = "Conv2DTranspose", .convert = ConvTranspose<2>},
          {.class_name = "Dense", .convert = Dense, .masks = MaskRule::kPass}};
}

}  // namespace litesmith::keras
