// Convolutions of volumes.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

int32_t AddConv3D(LayerContext& c, int32_t x, const std::vector<int32_t>& constants,
                  const Window& w, Shape shape) {
  schema::Conv3DOptionsT options;
  options.padding = w.padding;
  options.stride_d = w.strides[0];
  options.stride_h = w.strides[1];
  options.stride_w = w.strides[2];
  options.dilation_d_factor = w.dilation[0];
  options.dilation_h_factor = w.dilation[1];
  options.dilation_w_factor = w.dilation[2];
  return c.Add(schema::BuiltinOperator_CONV_3D, std::move(options), {x, constants[0], constants[1]},
               "Conv3D", std::move(shape));
}

absl::StatusOr<int32_t> Conv3D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(5));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(4));
  const Window w = Window::Read(c.config, 3);
  const int32_t filters = c.config.Int("filters", 1, kMaxWindow);
  const bool use_bias = c.config.Bool("use_bias", true);
  const int32_t groups = c.config.Int("groups", 1, kMaxWindow, 1);
  LS_RETURN_IF_ERROR(c.status());
  if (groups != 1) return Unsupported("TFLite has no three-dimensional convolution with groups");
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"kernel"}));
        const Shape want = {w.kernel[0], w.kernel[1], w.kernel[2], channels, filters};
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], want, "kernel"));
        LS_ASSIGN_OR_RETURN(const int32_t weights, c.Constant("kernel", want, kernel[0].values));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{weights, bias};
      }));
  Shape shape = c.in_shape();
  for (size_t d = 0; d < 3; ++d) shape[d + 1] = w.OutputSize(c, d, shape[d + 1]);
  shape[4] = filters;
  LS_RETURN_IF_ERROR(c.status());
  return ActivateByConfig(c, AddConv3D(c, c.input(), constants, w, std::move(shape)));
}

// [D, H, W, O, I], every place mirrored, as [D, H, W, I, O].
std::vector<float> Mirrored(const std::vector<float>& kernel, size_t outputs, size_t inputs) {
  const size_t places = kernel.size() / (outputs * inputs);
  std::vector<float> out(kernel.size());
  for (size_t p = 0; p < places; ++p) {
    for (size_t o = 0; o < outputs; ++o) {
      for (size_t i = 0; i < inputs; ++i) {
        out[((places - 1 - p) * inputs + i) * outputs + o] = kernel[(p * outputs + o) * inputs + i];
      }
    }
  }
  return out;
}

// `stride` - 1 zeros behind every element along dimension `d`.
absl::StatusOr<int32_t> Spread(LayerContext& c, int32_t x, size_t d, int32_t stride) {
  if (stride == 1) return x;
  Shape shape = c.shape(x);
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i < d) outer = shape[i] < 0 || outer < 0 ? -1 : outer * shape[i];
    if (i > d) inner *= shape[i];
  }
  const int32_t rows = outer < 0 ? -1 : c.Size(outer);
  const int32_t rest = c.Size(inner), size = shape[d];
  shape[d] = c.Size(int64_t{size} * stride);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(x, c.Reshape(x, {rows, size, 1, rest}, "elements"));
  const int32_t paddings = c.graph().Constant(
      c.Named("paddings"), {4, 2}, std::vector<int32_t>{0, 0, 0, 0, 0, stride - 1, 0, 0});
  x = c.Add(schema::BuiltinOperator_PAD, schema::PadOptionsT{}, {x, paddings}, "Pad",
            {rows, size, stride, rest});
  return c.Reshape(x, shape, "spread");
}

// TFLite's widely supported operators have no transposed convolution of volumes: the convolution of
// the input with zeros between its elements, by the mirrored kernel.
absl::StatusOr<int32_t> Conv3DTranspose(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(5));
  Window w = Window::Read(c.config, 3);
  const int32_t filters = c.config.Int("filters", 1, kMaxWindow);
  const bool use_bias = c.config.Bool("use_bias", true);
  const Json* padding = c.config.Find("output_padding");
  const auto extra = c.config.Ints("output_padding", 3, 0, kMaxWindow, 0);
  LS_RETURN_IF_ERROR(c.status());
  if (w.dilation != std::vector<int32_t>{1, 1, 1}) {
    return Unsupported("a transposed convolution with a dilation_rate is not supported");
  }
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(4));
  Shape out = {c.in_shape()[0], 1, 1, 1, filters};
  Shape padded = c.in_shape();
  std::vector<int32_t> paddings = {0, 0}, cut = {-1};
  bool cuts = false;
  for (size_t d = 0; d < 3; ++d) {
    LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(d + 1));
    const int64_t kernel = w.kernel[d], stride = w.strides[d];
    out[d + 1] = c.Size(TransposedSize(w, d, size, padding, extra[d]));
    LS_RETURN_IF_ERROR(c.status());
    // What the convolution that this one transposes pads in front.
    const int64_t total = std::max<int64_t>((size - 1) * stride + kernel - out[d + 1], 0);
    const int64_t before = w.padding == schema::Padding_SAME ? total / 2 : 0;
    const int64_t left = kernel - 1 - before;
    const int64_t wanted = out[d + 1] + kernel - 1;  // the size that the kernel passes over
    const int64_t right = wanted - left - int64_t{size} * stride;
    if (left < 0) return Unsupported("its output_padding does not go with its strides");
    cuts = cuts || right < 0;
    paddings.insert(paddings.end(),
                    {c.Size(left + 1) - 1, c.Size(std::max<int64_t>(right, 0) + 1) - 1});
    cut.push_back(c.Size(wanted));
    padded[d + 1] = c.Size(left + int64_t{size} * stride + std::max<int64_t>(right, 0));
  }
  paddings.insert(paddings.end(), {0, 0});
  cut.push_back(channels);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto kernel, c.weights.Take({"kernel"}));
        const Shape want = {w.kernel[0], w.kernel[1], w.kernel[2], filters, channels};
        LS_RETURN_IF_ERROR(CheckWeight(kernel[0], want, "kernel"));
        LS_ASSIGN_OR_RETURN(const int32_t weights,
                            c.Constant("kernel", {want[0], want[1], want[2], channels, filters},
                                       Mirrored(kernel[0].values, static_cast<size_t>(filters),
                                                static_cast<size_t>(channels))));
        LS_ASSIGN_OR_RETURN(const int32_t bias, Bias(c, use_bias, filters));
        return std::vector<int32_t>{weights, bias};
      }));
  int32_t x = c.input();
  for (size_t d = 0; d < 3; ++d) {
    LS_ASSIGN_OR_RETURN(x, Spread(c, x, d + 1, w.strides[d]));
  }
  x = c.Add(schema::BuiltinOperator_PAD, schema::PadOptionsT{},
            {x, c.graph().Constant(c.Named("paddings"), {5, 2}, paddings)}, "Pad", padded);
  if (cuts) {
    Shape shape = cut;
    shape[0] = padded[0];
    x = c.Add(schema::BuiltinOperator_SLICE, schema::SliceOptionsT{},
              {x, c.Indices("begin", {0, 0, 0, 0, 0}), c.Indices("size", cut)}, "Slice", shape);
  }
  w.strides = {1, 1, 1};
  w.padding = schema::Padding_VALID;
  return ActivateByConfig(c, AddConv3D(c, x, constants, w, std::move(out)));
}

}  // namespace

std::vector<LayerKind> VolumeLayers() {
  return {{.class_name = "Conv3D", .convert = Conv3D},
          {.class_name = "Conv3DTranspose", .convert = Conv3DTranspose}};
}

}  // namespace litesmith::keras
