// Convolutions, pooling, normalisation, resizing.

#include <algorithm>

#include "import/saved_model/lower.h"

namespace litesmith::saved_model {
namespace {

using schema::BuiltinOperator;

absl::StatusOr<Tensors> One(absl::StatusOr<int32_t> t) {
  if (!t.ok()) return t.status();
  return Tensors{*t};
}

// A window over rows and columns, as its attributes describe it.
struct Window {
  int32_t stride[2] = {1, 1}, dilation[2] = {1, 1}, size[2] = {1, 1};
  schema::Padding padding = schema::Padding_VALID;
  int32_t x = -1;  // the input, padded where the node does it explicitly
};

absl::Status ReadPair(const NodeContext& c, const char* name, int32_t* out) {
  const std::vector<int64_t> list = c.List(name);
  if (list.empty()) return absl::OkStatus();
  if (list.size() != 4 || list[0] != 1 || list[3] != 1) {
    return Unsupported("its '{}' must be 1 over batch and channels", name);
  }
  for (size_t i = 0; i < 2; ++i) {
    if (list[i + 1] < 1 || list[i + 1] > 1 << 24) {
      return Invalid("its '{}' holds {}", name, list[i + 1]);
    }
    out[i] = static_cast<int32_t>(list[i + 1]);
  }
  return absl::OkStatus();
}

// [N, C, …] as [N, …, C], and back.
absl::StatusOr<int32_t> MoveChannels(NodeContext& c, int32_t x, bool last) {
  const auto rank = static_cast<int32_t>(c.e().rank(x));
  std::vector<int32_t> order = {0};
  for (int32_t d = 2; d < rank; ++d) order.push_back(last ? d : d - 1);
  order.insert(last ? order.end() : order.begin() + 1, last ? 1 : rank - 1);
  return c.e().Transpose(x, order);
}

// TFLite has channels last only: input `kInput` and the result of a node with channels first are
// transposed.
template <Lower kLower, size_t kInput = 0>
absl::StatusOr<Tensors> AnyLayout(NodeContext& c) {
  const std::string format = c.String("data_format", "");
  if (format != "NCHW" && format != "NCDHW") return kLower(c);
  if (c.e().rank(c.in(kInput)) < 3) return Invalid("its input has less than 3 dimensions");
  Tensors inputs = c.inputs();
  LS_ASSIGN_OR_RETURN(inputs[kInput], MoveChannels(c, inputs[kInput], true));
  if (kInput > 0) {  // the sizes of the result come first
    LS_ASSIGN_OR_RETURN(const int32_t order, c.e().Ints({0, 2, 3, 1}));
    LS_ASSIGN_OR_RETURN(
        inputs[0], c.e().Emit(schema::BuiltinOperator_GATHER, Options(schema::GatherOptionsT{}),
                              {inputs[0], order}));
  }
  NodeContext inner = c.ChannelsLast(std::move(inputs));
  LS_ASSIGN_OR_RETURN(Tensors outputs, kLower(inner));
  LS_ASSIGN_OR_RETURN(outputs[0], MoveChannels(c, outputs[0], false));
  return outputs;
}

absl::StatusOr<Window> ReadWindow(NodeContext& c, int32_t x) {
  if (c.String("data_format", "NHWC") != "NHWC") {
    return Unsupported("its data format is '{}'; save the model with channels last (NHWC)",
                       Printable(c.String("data_format", "")));
  }
  if (c.e().rank(x) != 4) return Invalid("its input has {} dimensions, not 4", c.e().rank(x));
  Window w;
  w.x = x;
  LS_RETURN_IF_ERROR(ReadPair(c, "strides", w.stride));
  LS_RETURN_IF_ERROR(ReadPair(c, "dilations", w.dilation));
  LS_RETURN_IF_ERROR(ReadPair(c, "ksize", w.size));
  const std::string padding = c.String("padding", "VALID");
  if (padding == "SAME") {
    w.padding = schema::Padding_SAME;
  } else if (padding == "EXPLICIT") {
    const std::vector<int64_t> pads = c.List("explicit_paddings");
    if (pads.size() != 8) return Invalid("its explicit paddings are {} numbers", pads.size());
    std::vector<int32_t> amounts;
    for (int64_t pad : pads) {
      if (pad < 0 || pad > 1 << 24) return Invalid("it pads by {}", pad);
      amounts.push_back(static_cast<int32_t>(pad));
    }
    LS_ASSIGN_OR_RETURN(const int32_t t,
                        c.e().Constant(schema::TensorType_INT32, {4, 2}, Blob::Of(amounts)));
    LS_ASSIGN_OR_RETURN(w.x, c.e().Emit(schema::BuiltinOperator_PAD, {x, t}));
  } else if (padding != "VALID") {
    return Unsupported("its padding is '{}'", Printable(padding));
  }
  return w;
}

absl::StatusOr<int32_t> NoBias(NodeContext& c, int32_t channels) {
  return c.e().Constant(
      schema::TensorType_FLOAT32, {channels},
      Blob::Of(std::vector<float>(static_cast<size_t>(std::max(channels, 0)), 0.0f)));
}

absl::StatusOr<Tensors> Conv2D(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const Window w, ReadWindow(c, c.in(0)));
  if (c.e().rank(c.in(1)) != 4) return Invalid("its filter has {} dimensions", c.e().rank(c.in(1)));
  LS_ASSIGN_OR_RETURN(const int32_t filter, c.e().Transpose(c.in(1), {3, 0, 1, 2}));
  LS_ASSIGN_OR_RETURN(const int32_t bias, NoBias(c, c.e().shape(filter)[0]));
  schema::Conv2DOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.stride[0];
  options.stride_w = w.stride[1];
  options.dilation_h_factor = w.dilation[0];
  options.dilation_w_factor = w.dilation[1];
  return One(c.e().Emit(schema::BuiltinOperator_CONV_2D, Options(std::move(options)),
                        {w.x, filter, bias}));
}

// [H, W, C, M] as [1, H, W, C * M].
absl::StatusOr<Tensors> Depthwise(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const Window w, ReadWindow(c, c.in(0)));
  const Shape shape = c.e().shape(c.in(1));
  if (shape.size() != 4 || keras::KnownElements(shape, 0) < 1) {
    return Invalid("its filter must have 4 known dimensions");
  }
  const int32_t channels = shape[2] * shape[3];
  LS_ASSIGN_OR_RETURN(const int32_t target, c.e().Ints({1, shape[0], shape[1], channels}));
  LS_ASSIGN_OR_RETURN(const int32_t filter, c.e().Reshape(c.in(1), target));
  LS_ASSIGN_OR_RETURN(const int32_t bias, NoBias(c, channels));
  schema::DepthwiseConv2DOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.stride[0];
  options.stride_w = w.stride[1];
  options.depth_multiplier = shape[3];
  options.dilation_h_factor = w.dilation[0];
  options.dilation_w_factor = w.dilation[1];
  return One(c.e().Emit(schema::BuiltinOperator_DEPTHWISE_CONV_2D, Options(std::move(options)),
                        {w.x, filter, bias}));
}

// Inputs: the sizes of the result, the filter [H, W, O, I], x.
absl::StatusOr<Tensors> ConvTranspose(NodeContext& c) {
  if (c.String("padding", "VALID") == "EXPLICIT") {
    return Unsupported("its padding is explicit; use 'same' or 'valid'");
  }
  LS_ASSIGN_OR_RETURN(const Window w, ReadWindow(c, c.in(2)));
  if (w.dilation[0] != 1 || w.dilation[1] != 1) return Unsupported("it is dilated");
  if (c.e().rank(c.in(1)) != 4) return Invalid("its filter has {} dimensions", c.e().rank(c.in(1)));
  LS_ASSIGN_OR_RETURN(const int32_t filter, c.e().Transpose(c.in(1), {2, 0, 1, 3}));
  LS_ASSIGN_OR_RETURN(const int32_t sizes, c.e().AsInt32(c.in(0)));
  LS_ASSIGN_OR_RETURN(const int32_t bias, NoBias(c, c.e().shape(filter)[0]));
  schema::TransposeConvOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.stride[0];
  options.stride_w = w.stride[1];
  LS_ASSIGN_OR_RETURN(
      auto out, c.e().Emit(schema::BuiltinOperator_TRANSPOSE_CONV, Options(std::move(options)),
                           {sizes, filter, w.x, bias}, {c.e().type(w.x)}));
  return out;
}

absl::StatusOr<Tensors> Conv3D(NodeContext& c) {
  const std::vector<int64_t> strides = c.List("strides"), dilations = c.List("dilations");
  if (c.String("data_format", "NDHWC") != "NDHWC" || strides.size() != 5) {
    return Unsupported("only channels last (NDHWC) is supported");
  }
  schema::Conv3DOptionsT options;
  int32_t* const stride[] = {&options.stride_d, &options.stride_h, &options.stride_w};
  int32_t* const dilation[] = {&options.dilation_d_factor, &options.dilation_h_factor,
                               &options.dilation_w_factor};
  for (size_t i = 0; i < 3; ++i) {
    *stride[i] = static_cast<int32_t>(std::clamp<int64_t>(strides[i + 1], 0, 1 << 24));
    *dilation[i] = dilations.size() != 5
                       ? 1
                       : static_cast<int32_t>(std::clamp<int64_t>(dilations[i + 1], 0, 1 << 24));
  }
  options.padding =
      c.String("padding", "VALID") == "SAME" ? schema::Padding_SAME : schema::Padding_VALID;
  return One(
      c.e().Emit(schema::BuiltinOperator_CONV_3D, Options(std::move(options)), {c.in(0), c.in(1)}));
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Pool(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const Window w, ReadWindow(c, c.in()));
  if (w.x != c.in()) return Unsupported("its padding is explicit; use 'same' or 'valid'");
  schema::Pool2DOptionsT options;
  options.padding = w.padding;
  options.stride_h = w.stride[0];
  options.stride_w = w.stride[1];
  options.filter_height = w.size[0];
  options.filter_width = w.size[1];
  return One(c.e().Emit(kOp, Options(std::move(options)), {w.x}));
}

// Over rows and columns first, with the planes in the batch, then over the planes: the windows'
// maxima and means (of as many elements each) come out the same.
template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Pool3D(NodeContext& c) {
  const std::vector<int64_t> size = c.List("ksize"), stride = c.List("strides");
  const Shape in = c.e().shape(c.in());
  if (c.String("data_format", "NDHWC") != "NDHWC" || size.size() != 5 || stride.size() != 5 ||
      in.size() != 5 || size[0] != 1 || size[4] != 1 || stride[0] != 1 || stride[4] != 1) {
    return Unsupported("only windows over volumes are supported");
  }
  for (size_t d = 1; d < 5; ++d) {
    if (in[d] < 1) return Unsupported("its input's sizes must be known");
    if (size[d] < 1 || size[d] > 1 << 24 || stride[d] < 1 || stride[d] > 1 << 24) {
      return Invalid("its window is {} with strides of {}", size[d], stride[d]);
    }
  }
  const auto pool = [&](int32_t x, size_t row, bool columns) {
    schema::Pool2DOptionsT options;
    options.padding =
        c.String("padding", "VALID") == "SAME" ? schema::Padding_SAME : schema::Padding_VALID;
    options.filter_height = static_cast<int32_t>(size[row]);
    options.stride_h = static_cast<int32_t>(stride[row]);
    options.filter_width = columns ? static_cast<int32_t>(size[3]) : 1;
    options.stride_w = columns ? static_cast<int32_t>(stride[3]) : 1;
    return c.e().Emit(kOp, Options(std::move(options)), {x});
  };
  using Size = Emitter::Size;
  const Size batch{1, {{c.in(), 0}}}, planes{1, {{c.in(), 0}, {c.in(), 1}}};
  LS_ASSIGN_OR_RETURN(int32_t x, c.e().Reshape(c.in(), {planes, Size{in[2], {}}, Size{in[3], {}},
                                                        Size{in[4], {}}}));
  LS_ASSIGN_OR_RETURN(x, pool(x, 2, true));
  const Shape flat = c.e().shape(x);
  LS_ASSIGN_OR_RETURN(
      x, c.e().Reshape(x, {batch, Size{in[1], {}}, Size{flat[1] * flat[2], {}}, Size{in[4], {}}}));
  LS_ASSIGN_OR_RETURN(x, pool(x, 1, false));
  const Size depth{c.e().shape(x)[1], {}};
  return One(
      c.e().Reshape(x, {batch, depth, Size{flat[1], {}}, Size{flat[2], {}}, Size{in[4], {}}}));
}

// A vector as what x can be multiplied with along `channel`.
absl::StatusOr<int32_t> AlongChannels(Emitter& e, int32_t vector, size_t channel, size_t rank) {
  if (channel + 1 == rank) return vector;
  std::vector<Emitter::Size> sizes(rank);
  sizes[channel] = {1, {{vector, 0}}};
  return e.Reshape(vector, sizes);
}

bool IsOnes(const Emitter& e, int32_t t) {
  const Node* fill = e.Producer(t);
  return fill != nullptr && fill->op == schema::BuiltinOperator_FILL &&
         e.KnownFloat(fill->inputs[1]) == 1.0f;
}

// With the mean and variance of its own input: what Keras 2's LayerNormalization is made of, with
// the samples in the place of the channels.
absl::StatusOr<Tensors> TrainingBatchNorm(NodeContext& c) {
  Emitter& e = c.e();
  const int32_t x = c.in();
  const size_t rank = e.rank(x);
  const std::string format = c.String("data_format", "NHWC");
  if (rank < 3) return Invalid("its input has {} dimensions", rank);
  const size_t channel = format == "NCHW" || format == "NCDHW" ? 1 : rank - 1;
  std::vector<int32_t> axes;
  for (size_t d = 0; d < rank; ++d) {
    if (d != channel) axes.push_back(static_cast<int32_t>(d));
  }
  LS_ASSIGN_OR_RETURN(const int32_t over, e.Ints(axes));
  const auto mean_of = [&](int32_t t) {
    schema::ReducerOptionsT options;
    options.keep_dims = true;
    return e.Emit(schema::BuiltinOperator_MEAN, Options(std::move(options)), {t, over});
  };
  LS_ASSIGN_OR_RETURN(const int32_t mean, mean_of(x));
  LS_ASSIGN_OR_RETURN(int32_t y, e.Binary(schema::BuiltinOperator_SUB, x, mean));
  LS_ASSIGN_OR_RETURN(const int32_t squares, e.Binary(schema::BuiltinOperator_MUL, y, y));
  LS_ASSIGN_OR_RETURN(int32_t factor, mean_of(squares));
  LS_ASSIGN_OR_RETURN(const int32_t epsilon, e.Scalar(c.Float("epsilon", 1e-4f)));
  LS_ASSIGN_OR_RETURN(factor, e.Binary(schema::BuiltinOperator_ADD, factor, epsilon));
  LS_ASSIGN_OR_RETURN(factor, e.Emit(schema::BuiltinOperator_RSQRT, {factor}));
  LS_ASSIGN_OR_RETURN(y, e.Binary(schema::BuiltinOperator_MUL, y, factor));
  if (!IsOnes(e, c.in(1))) {
    LS_ASSIGN_OR_RETURN(const int32_t scale, AlongChannels(e, c.in(1), channel, rank));
    LS_ASSIGN_OR_RETURN(y, e.Binary(schema::BuiltinOperator_MUL, y, scale));
  }
  if (!e.IsZero(c.in(2))) {
    LS_ASSIGN_OR_RETURN(const int32_t offset, AlongChannels(e, c.in(2), channel, rank));
    LS_ASSIGN_OR_RETURN(y, e.Binary(schema::BuiltinOperator_ADD, y, offset));
  }
  return Tensors{y};
}

// scale * (x - mean) / sqrt(variance + epsilon) + offset (Ioffe and Szegedy 2015) as one product
// and one sum.
absl::StatusOr<Tensors> FusedBatchNorm(NodeContext& c) {
  if (c.String("data_format", "NHWC") != "NHWC") {
    return Unsupported("its data format is not NHWC; save the model with channels last");
  }
  const int32_t scale = c.in(1), offset = c.in(2), mean = c.in(3), variance = c.in(4);
  LS_ASSIGN_OR_RETURN(const int32_t epsilon, c.e().Scalar(c.Float("epsilon", 1e-4f)));
  LS_ASSIGN_OR_RETURN(int32_t factor, c.e().Binary(schema::BuiltinOperator_ADD, variance, epsilon));
  LS_ASSIGN_OR_RETURN(factor, c.e().Emit(schema::BuiltinOperator_RSQRT, {factor}));
  LS_ASSIGN_OR_RETURN(factor, c.e().Binary(schema::BuiltinOperator_MUL, factor, scale));
  LS_ASSIGN_OR_RETURN(int32_t term, c.e().Binary(schema::BuiltinOperator_MUL, mean, factor));
  LS_ASSIGN_OR_RETURN(term, c.e().Binary(schema::BuiltinOperator_SUB, offset, term));
  LS_ASSIGN_OR_RETURN(int32_t y, c.e().Binary(schema::BuiltinOperator_MUL, c.in(0), factor));
  LS_ASSIGN_OR_RETURN(y, c.e().Binary(schema::BuiltinOperator_ADD, y, term));
  return Tensors{y, mean, variance};
}

absl::StatusOr<Tensors> BatchNorm(NodeContext& c) {
  return c.Bool("is_training", true) ? TrainingBatchNorm(c) : AnyLayout<FusedBatchNorm>(c);
}

absl::StatusOr<Tensors> BiasAdd(NodeContext& c) {
  return One(c.e().Binary(schema::BuiltinOperator_ADD, c.in(0), c.in(1)));
}

template <typename T>
absl::StatusOr<Tensors> Resize(NodeContext& c, BuiltinOperator op) {
  T options;
  options.align_corners = c.Bool("align_corners", false);
  options.half_pixel_centers = c.Bool("half_pixel_centers", false);
  LS_ASSIGN_OR_RETURN(const int32_t sizes, c.e().AsInt32(c.in(1)));
  int32_t x = c.in(0);
  if (op == schema::BuiltinOperator_RESIZE_BILINEAR) {
    LS_ASSIGN_OR_RETURN(x, c.e().CastTo(x, schema::TensorType_FLOAT32));
  }
  return One(c.e().Emit(op, Options(std::move(options)), {x, sizes}));
}

absl::StatusOr<Tensors> ResizeBilinear(NodeContext& c) {
  return Resize<schema::ResizeBilinearOptionsT>(c, schema::BuiltinOperator_RESIZE_BILINEAR);
}
absl::StatusOr<Tensors> ResizeNearest(NodeContext& c) {
  return Resize<schema::ResizeNearestNeighborOptionsT>(
      c, schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR);
}

absl::StatusOr<int32_t> BlockSize(const NodeContext& c) {
  if (c.String("data_format", "NHWC") != "NHWC") return Unsupported("its data format is not NHWC");
  return static_cast<int32_t>(std::clamp<int64_t>(c.Int("block_size", 0), 0, 1 << 24));
}

absl::StatusOr<Tensors> SpaceToDepth(NodeContext& c) {
  schema::SpaceToDepthOptionsT options;
  LS_ASSIGN_OR_RETURN(options.block_size, BlockSize(c));
  return One(
      c.e().Emit(schema::BuiltinOperator_SPACE_TO_DEPTH, Options(std::move(options)), {c.in()}));
}
absl::StatusOr<Tensors> DepthToSpace(NodeContext& c) {
  schema::DepthToSpaceOptionsT options;
  LS_ASSIGN_OR_RETURN(options.block_size, BlockSize(c));
  return One(
      c.e().Emit(schema::BuiltinOperator_DEPTH_TO_SPACE, Options(std::move(options)), {c.in()}));
}

template <BuiltinOperator kOp>
absl::StatusOr<Tensors> Blocks(NodeContext& c) {
  LS_ASSIGN_OR_RETURN(const int32_t block, c.e().AsInt32(c.in(1)));
  LS_ASSIGN_OR_RETURN(const int32_t amounts, c.e().AsInt32(c.in(2)));
  return One(c.e().Emit(kOp, {c.in(0), block, amounts}));
}

}  // namespace

std::vector<Lowering> ConvolutionLowerings() {
  using namespace schema;  // NOLINT: the operators' names
  return {{"Conv2D", 2, AnyLayout<Conv2D>},
          {"DepthwiseConv2dNative", 2, AnyLayout<Depthwise>},
          {"Conv2DBackpropInput", 3, AnyLayout<ConvTranspose, 2>},
          {"Conv3D", 2, AnyLayout<Conv3D>},
          {"MaxPool", 1, AnyLayout<Pool<BuiltinOperator_MAX_POOL_2D>>},
          {"AvgPool", 1, AnyLayout<Pool<BuiltinOperator_AVERAGE_POOL_2D>>},
          {"MaxPool3D", 1, AnyLayout<Pool3D<BuiltinOperator_MAX_POOL_2D>>},
          {"AvgPool3D", 1, AnyLayout<Pool3D<BuiltinOperator_AVERAGE_POOL_2D>>},
          {"BiasAdd", 2, AnyLayout<BiasAdd>},
          {"BiasAddV1", 2, AnyLayout<BiasAdd>},
          {"FusedBatchNorm", 5, BatchNorm},
          {"FusedBatchNormV2", 5, BatchNorm},
          {"FusedBatchNormV3", 5, BatchNorm},
          {"ResizeBilinear", 2, ResizeBilinear},
          {"ResizeNearestNeighbor", 2, ResizeNearest},
          {"SpaceToDepth", 1, AnyLayout<SpaceToDepth>},
          {"DepthToSpace", 1, AnyLayout<DepthToSpace>},
          {"SpaceToBatchND", 3, Blocks<BuiltinOperator_SPACE_TO_BATCH_ND>},
          {"BatchToSpaceND", 3, Blocks<BuiltinOperator_BATCH_TO_SPACE_ND>}};
}

}  // namespace litesmith::saved_model
