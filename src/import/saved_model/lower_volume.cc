// The transposed convolution of volumes.

#include <algorithm>

#include "import/saved_model/lower.h"

namespace litesmith::saved_model {
namespace {

using Size = Emitter::Size;
constexpr int64_t kMost = 1 << 24;

// What one dimension of the transposed convolution needs: `stride` - 1 zeros behind every element,
// `before` and `after` zeros around them, and of that the first `wanted` elements.
struct Spread {
  int64_t stride = 1, before = 0, after = 0, wanted = 0;
};

absl::StatusOr<Spread> SpreadOf(int64_t in, int64_t kernel, int64_t stride, int64_t out,
                                bool same) {
  if (in < 1 || out < 1) return Unsupported("its sizes must be known");
  if (stride < 1 || std::max({in, kernel, stride, out}) > kMost) {
    return Invalid("its stride is {} and its kernel {}", stride, kernel);
  }
  Spread s;
  s.stride = stride;
  // What the convolution that this one transposes pads in front.
  const int64_t total = std::max<int64_t>((in - 1) * stride + kernel - out, 0);
  s.before = kernel - 1 - (same ? total / 2 : 0);
  s.wanted = out + kernel - 1;
  s.after = s.wanted - s.before - in * stride;
  if (s.before < 0) return Unsupported("its result's size does not go with its strides");
  return s;
}

// Zeros behind every element along dimension `d` of a volume.
absl::StatusOr<int32_t> SpreadOut(Emitter& e, int32_t x, int d, int32_t stride) {
  if (stride == 1) return x;
  Size outer{1, {}}, inner{1, {}}, all[5];
  for (int i = 0; i < 5; ++i) {
    all[i] = Size{1, {{x, i}}};
    if (i < d) outer.dims.push_back({x, i});
    if (i > d) inner.dims.push_back({x, i});
  }
  all[d].known = stride;
  LS_ASSIGN_OR_RETURN(int32_t y, e.Reshape(x, {outer, Size{1, {{x, d}}}, Size{1, {}}, inner}));
  LS_ASSIGN_OR_RETURN(const int32_t paddings,
                      e.Constant(schema::TensorType_INT32, {4, 2},
                                 Blob::Of(std::vector<int32_t>{0, 0, 0, 0, 0, stride - 1, 0, 0})));
  LS_ASSIGN_OR_RETURN(y, e.Emit(schema::BuiltinOperator_PAD, {y, paddings}));
  return e.Reshape(y, {all[0], all[1], all[2], all[3], all[4]});
}

// The spread input within its zeros, cut where it is longer than what the kernel passes over.
absl::StatusOr<int32_t> Surround(Emitter& e, int32_t x, const std::vector<Spread>& spreads) {
  std::vector<int32_t> paddings = {0, 0}, begin(5, 0), size = {-1};
  bool cuts = false;
  for (const Spread& s : spreads) {
    paddings.push_back(static_cast<int32_t>(s.before));
    paddings.push_back(static_cast<int32_t>(std::max<int64_t>(s.after, 0)));
    size.push_back(static_cast<int32_t>(s.wanted));
    cuts = cuts || s.after < 0;
  }
  paddings.insert(paddings.end(), {0, 0});
  size.push_back(-1);
  LS_ASSIGN_OR_RETURN(const int32_t amounts,
                      e.Constant(schema::TensorType_INT32, {5, 2}, Blob::Of(paddings)));
  LS_ASSIGN_OR_RETURN(x, e.Emit(schema::BuiltinOperator_PAD, {x, amounts}));
  if (!cuts) return x;
  LS_ASSIGN_OR_RETURN(const int32_t from, e.Ints(begin));
  LS_ASSIGN_OR_RETURN(const int32_t sizes, e.Ints(size));
  return e.Emit(schema::BuiltinOperator_SLICE, {x, from, sizes});
}

// [D, H, W, O, I], every place mirrored, as [D, H, W, I, O].
absl::StatusOr<int32_t> Mirrored(Emitter& e, int32_t filter) {
  const Shape shape = e.shape(filter);
  const int32_t places = shape[0] * shape[1] * shape[2];
  LS_ASSIGN_OR_RETURN(const int32_t flat, e.Ints({places, shape[3], shape[4]}));
  LS_ASSIGN_OR_RETURN(int32_t f, e.Reshape(filter, flat));
  LS_ASSIGN_OR_RETURN(const int32_t axis, e.Ints({0}));
  LS_ASSIGN_OR_RETURN(f, e.Emit(schema::BuiltinOperator_REVERSE_V2, {f, axis}));
  LS_ASSIGN_OR_RETURN(f, e.Transpose(f, {0, 2, 1}));
  LS_ASSIGN_OR_RETURN(const int32_t whole,
                      e.Ints({shape[0], shape[1], shape[2], shape[4], shape[3]}));
  return e.Reshape(f, whole);
}

// Inputs: the sizes of the result, the filter [D, H, W, O, I], x. TFLite's widely supported
// operators have none for it: the convolution of the input with zeros between its elements, by the
// mirrored kernel, as for Keras' layer.
absl::StatusOr<Tensors> ConvTranspose3D(NodeContext& c) {
  Emitter& e = c.e();
  const std::vector<int64_t> strides = c.List("strides"), dilations = c.List("dilations");
  const std::string padding = c.String("padding", "VALID");
  const Shape filter = e.shape(c.in(1)), in = e.shape(c.in(2));
  const auto sizes = e.KnownInts(c.in(0));
  if (c.String("data_format", "NDHWC") != "NDHWC" || strides.size() != 5) {
    return Unsupported("only channels last (NDHWC) is supported");
  }
  for (int64_t dilation : dilations) {
    if (dilation != 1) return Unsupported("it is dilated");
  }
  if (padding != "SAME" && padding != "VALID") {
    return Unsupported("its padding is '{}'", Printable(padding));
  }
  if (in.size() != 5 || filter.size() != 5 || keras::KnownElements(filter, 0) < 1) {
    return Invalid("its input and its filter must have 5 dimensions");
  }
  if (!sizes || sizes->size() != 5) return Unsupported("the size of its result is not constant");
  std::vector<Spread> spreads;
  int32_t x = c.in(2);
  for (size_t d = 1; d < 4; ++d) {
    LS_ASSIGN_OR_RETURN(const Spread s,
                        SpreadOf(in[d], filter[d - 1], strides[d], (*sizes)[d], padding == "SAME"));
    spreads.push_back(s);
    LS_ASSIGN_OR_RETURN(x, SpreadOut(e, x, static_cast<int>(d), static_cast<int32_t>(s.stride)));
  }
  LS_ASSIGN_OR_RETURN(x, Surround(e, x, spreads));
  LS_ASSIGN_OR_RETURN(const int32_t kernel, Mirrored(e, c.in(1)));
  schema::Conv3DOptionsT options;
  options.padding = schema::Padding_VALID;
  options.stride_d = options.stride_h = options.stride_w = 1;
  LS_ASSIGN_OR_RETURN(
      x, e.Emit(schema::BuiltinOperator_CONV_3D, Options(std::move(options)), {x, kernel}));
  return Tensors{x};
}

}  // namespace

std::vector<Lowering> VolumeLowerings() { return {{"Conv3DBackpropInputV2", 3, ConvTranspose3D}}; }

}  // namespace litesmith::saved_model
