// Pooling windows and whole-map pooling.

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

constexpr int64_t kMaxSize = 1 << 24;

template <schema::BuiltinOperator kOp>
absl::StatusOr<int32_t> Pool2D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  const auto window = c.config.Ints("pool_size", 2, 1, kMaxSize, 2);
  const auto strides = c.config.Has("strides") ? c.config.Ints("strides", 2, 1, kMaxSize) : window;
  const bool same = c.config.String("padding", "valid") == "same";
  Shape shape = c.in_shape();
  for (size_t d = 0; d < 2; ++d) {
    if (shape[d + 1] < 0) continue;
    const int64_t size = shape[d + 1], stride = strides[d];
    shape[d + 1] = c.Size(same               ? (size + stride - 1) / stride
                          : size < window[d] ? 0
                                             : (size - window[d]) / stride + 1);
  }
  LS_RETURN_IF_ERROR(c.status());
  schema::Pool2DOptionsT options;
  options.padding = same ? schema::Padding_SAME : schema::Padding_VALID;
  options.filter_height = window[0];
  options.filter_width = window[1];
  options.stride_h = strides[0];
  options.stride_w = strides[1];
  const char* what = kOp == schema::BuiltinOperator_MAX_POOL_2D ? "MaxPool" : "AvgPool";
  return c.Add(kOp, std::move(options), {c.input()}, what, std::move(shape));
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

}  // namespace

std::vector<LayerKind> PoolingLayers() {
  return {
      {.class_name = "MaxPooling2D", .convert = Pool2D<schema::BuiltinOperator_MAX_POOL_2D>},
      {.class_name = "AveragePooling2D",
       .convert = Pool2D<schema::BuiltinOperator_AVERAGE_POOL_2D>},
      {.class_name = "GlobalAveragePooling1D",
       .convert = GlobalPool<schema::BuiltinOperator_MEAN, 3>},
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
