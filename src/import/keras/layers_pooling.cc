// Pooling windows and whole-map pooling.

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

int32_t AddPool(LayerContext& c, schema::BuiltinOperator op, int32_t x, const Window& w,
                Shape shape) {
  schema::Pool2DOptionsT options;
  options.padding = w.padding;
  options.filter_height = w.kernel[0];
  options.filter_width = w.kernel[1];
  options.stride_h = w.strides[0];
  options.stride_w = w.strides[1];
  const char* what = op == schema::BuiltinOperator_MAX_POOL_2D ? "MaxPool" : "AvgPool";
  return c.Add(op, std::move(options), {x}, what, std::move(shape));
}

// Over rows and columns first, with the planes in the batch, then over the planes: the windows'
// maxima and means (of as many elements each) come out the same.
template <schema::BuiltinOperator kOp>
absl::StatusOr<int32_t> Pool3D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(5));
  const auto kernel = c.config.Ints("pool_size", 3, 1, kMaxWindow, 2);
  const auto strides =
      c.config.Has("strides") ? c.config.Ints("strides", 3, 1, kMaxWindow) : kernel;
  const bool same = c.config.String("padding", "valid") == "same";
  LS_RETURN_IF_ERROR(c.status());
  const Shape in = c.in_shape();
  for (size_t d = 1; d < 5; ++d) LS_RETURN_IF_ERROR(c.KnownDim(d).status());
  const auto padding = same ? schema::Padding_SAME : schema::Padding_VALID;
  const Window flat = {{kernel[1], kernel[2]}, {strides[1], strides[2]}, {1, 1}, padding};
  const Window deep = {{kernel[0], 1}, {strides[0], 1}, {1, 1}, padding};
  const int32_t batch = in[0] < 0 ? -1 : c.Size(int64_t{in[0]} * in[1]);
  LS_ASSIGN_OR_RETURN(int32_t x, c.Reshape(c.input(), {batch, in[2], in[3], in[4]}, "planes"));
  const Shape pooled = flat.Output(c, c.shape(x), in[4]);
  LS_RETURN_IF_ERROR(c.status());
  x = AddPool(c, kOp, x, flat, pooled);
  const int32_t places = c.Size(int64_t{pooled[1]} * pooled[2]);
  LS_ASSIGN_OR_RETURN(x, c.Reshape(x, {in[0], in[1], places, in[4]}, "places"));
  const Shape out = deep.Output(c, c.shape(x), in[4]);
  LS_RETURN_IF_ERROR(c.status());
  x = AddPool(c, kOp, x, deep, out);
  return c.Reshape(x, {in[0], out[1], pooled[1], pooled[2], in[4]}, "volume");
}

template <schema::BuiltinOperator kOp, size_t kDimensions>
absl::StatusOr<int32_t> Pool(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  Window w;
  w.kernel = c.config.Ints("pool_size", kDimensions, 1, kMaxWindow, 2);
  w.strides =
      c.config.Has("strides") ? c.config.Ints("strides", kDimensions, 1, kMaxWindow) : w.kernel;
  w.dilation = {1, 1};
  if (kDimensions == 1) {
    w.kernel.insert(w.kernel.begin(), 1);
    w.strides.insert(w.strides.begin(), 1);
  }
  const std::string padding = c.config.String("padding", "valid");
  if (padding == "same") {
    w.padding = schema::Padding_SAME;
  } else if (padding != "valid") {
    c.config.Fail("padding", "should be 'same' or 'valid'");
  }
  LS_RETURN_IF_ERROR(c.status());
  int32_t x = c.input();
  if (kDimensions == 1) {
    LS_ASSIGN_OR_RETURN(x, AddRow(c, x));
  }
  const Shape in = c.shape(x);
  Shape shape = w.Output(c, in, in[3]);
  LS_RETURN_IF_ERROR(c.status());
  const int32_t y = AddPool(c, kOp, x, w, std::move(shape));
  if (kDimensions == 1) return DropRow(c, y);
  return y;
}

template <schema::BuiltinOperator kOp, size_t kRank>
absl::StatusOr<int32_t> GlobalPool(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kRank));
  const bool keep = c.config.Bool("keepdims", false);
  LS_RETURN_IF_ERROR(c.status());
  const Shape in = c.in_shape();
  std::vector<int32_t> axes;
  Shape shape = {in[0]};
  for (size_t d = 1; d + 1 < kRank; ++d) {
    axes.push_back(static_cast<int32_t>(d));
    if (keep) shape.push_back(1);
  }
  shape.push_back(in[kRank - 1]);
  schema::ReducerOptionsT options;
  options.keep_dims = keep;
  const char* what = kOp == schema::BuiltinOperator_MEAN ? "Mean" : "Max";
  return c.Add(kOp, std::move(options), {c.input(), c.Indices("axes", axes)}, what,
               std::move(shape));
}

// The mean of the steps that count.
absl::StatusOr<int32_t> MeanOfSteps(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(3));
  LS_ASSIGN_OR_RETURN(const int32_t mask, StepMask(c));
  if (mask < 0) return GlobalPool<schema::BuiltinOperator_MEAN, 3>(c);
  const Shape in = c.in_shape(), steps = c.shape(mask);
  if (steps.size() != 2 || c.config.String("data_format", "channels_last") != "channels_last") {
    return Unsupported("it is called with a mask that cannot be imported");
  }
  const bool keep = c.config.Bool("keepdims", false);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const int32_t column, c.Reshape(mask, {steps[0], steps[1], 1}, "mask"));
  const int32_t weights = c.CastTo(column, schema::TensorType_FLOAT32);
  LS_ASSIGN_OR_RETURN(const int32_t kept,
                      c.Binary(schema::BuiltinOperator_MUL, c.input(), weights, "mul"));
  const auto sum = [&](int32_t x, int32_t channels) {
    schema::ReducerOptionsT options;
    options.keep_dims = keep;
    const Shape shape = keep ? Shape{in[0], 1, channels} : Shape{in[0], channels};
    return c.Add(schema::BuiltinOperator_SUM, std::move(options), {x, c.Indices("axes", {1})},
                 "Sum", shape);
  };
  return c.Binary(schema::BuiltinOperator_DIV, sum(kept, in[2]), sum(weights, 1), "mean");
}

}  // namespace

std::vector<LayerKind> PoolingLayers() {
  constexpr auto kMax = schema::BuiltinOperator_MAX_POOL_2D;
  constexpr auto kAverage = schema::BuiltinOperator_AVERAGE_POOL_2D;
  return {
      {.class_name = "MaxPooling1D", .convert = Pool<kMax, 1>},
      {.class_name = "MaxPooling2D", .convert = Pool<kMax, 2>},
      {.class_name = "MaxPooling3D", .convert = Pool3D<kMax>},
      {.class_name = "AveragePooling3D", .convert = Pool3D<kAverage>},
      {.class_name = "MaxPool", .convert = Pool<kMax, 2>},  // keras.ops
      {.class_name = "AveragePool", .convert = Pool<kAverage, 2>},
      {.class_name = "AveragePooling1D", .convert = Pool<kAverage, 1>},
      {.class_name = "AveragePooling2D", .convert = Pool<kAverage, 2>},
      {.class_name = "GlobalAveragePooling1D", .convert = MeanOfSteps, .takes_mask = true},
      {.class_name = "GlobalAveragePooling2D",
       .convert = GlobalPool<schema::BuiltinOperator_MEAN, 4>},
      {.class_name = "GlobalAveragePooling3D",
       .convert = GlobalPool<schema::BuiltinOperator_MEAN, 5>},
      {.class_name = "GlobalMaxPooling1D",
       .convert = GlobalPool<schema::BuiltinOperator_REDUCE_MAX, 3>},
      {.class_name = "GlobalMaxPooling2D",
       .convert = GlobalPool<schema::BuiltinOperator_REDUCE_MAX, 4>},
      {.class_name = "GlobalMaxPooling3D",
       .convert = GlobalPool<schema::BuiltinOperator_REDUCE_MAX, 5>},
  };
}

}  // namespace litesmith::keras
