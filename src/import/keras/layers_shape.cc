// Layers that move or drop data: Flatten, Reshape, Permute, ZeroPadding2D, and those that do
// nothing in inference.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

constexpr int64_t kMaxSize = 1 << 28;

// Dropout and its like: the input itself.
absl::StatusOr<int32_t> Nothing(LayerContext& c) { return c.input(); }

absl::StatusOr<int32_t> Flatten(LayerContext& c) {
  const Shape& in = c.in_shape();
  if (in.size() == 2) return c.input();
  if (in.empty()) return Invalid("its input is a scalar");
  const int32_t rest = KnownElements(in, 1);
  if (rest < 0 && in[0] < 0) {
    return Unsupported(
        "its input {} has sizes that are not known; "
        "save the model with a fixed input shape",
        ShapeString(in));
  }
  return c.Reshape(c.input(), {in[0], rest});
}

absl::StatusOr<int32_t> Reshape(LayerContext& c) {
  // keras.ops.reshape says 'newshape', the batch in front.
  const bool operation = c.config.Has("newshape");
  std::vector<int32_t> target =
      c.config.List(operation ? "newshape" : "target_shape", -1, kMaxSize);
  LS_RETURN_IF_ERROR(c.status());
  if (operation) {
    if (target.empty() || (target[0] != -1 && target[0] != c.in_shape()[0])) {
      return Unsupported("a reshape that changes the batch is not supported");
    }
    target.erase(target.begin());
  }
  if (target.size() > 7) return Invalid("its 'target_shape' has too many dimensions");
  Shape shape = {c.in_shape()[0]};
  shape.insert(shape.end(), target.begin(), target.end());
  const int32_t elements = KnownElements(c.in_shape(), 1);
  const auto unknown = std::find(shape.begin() + 1, shape.end(), -1);
  if (elements > 0 && unknown != shape.end()) {
    *unknown = 1;
    const int32_t rest = KnownElements(shape, 1);
    if (rest <= 0 || elements % rest != 0) {
      return Invalid("its input {} cannot take its 'target_shape'", ShapeString(c.in_shape()));
    }
    *unknown = elements / rest;
  }
  if (elements > 0 && KnownElements(shape, 1) != elements) {
    return Invalid("its input {} cannot take its 'target_shape'", ShapeString(c.in_shape()));
  }
  return c.Reshape(c.input(), shape);
}

absl::StatusOr<int32_t> Permute(LayerContext& c) {
  const std::vector<int32_t> dims = c.config.List("dims", 1, 7);
  LS_RETURN_IF_ERROR(c.status());
  std::vector<int32_t> sorted = dims;
  std::sort(sorted.begin(), sorted.end());
  bool ok = dims.size() + 1 == c.in_shape().size();
  for (size_t i = 0; ok && i < sorted.size(); ++i) ok = sorted[i] == static_cast<int32_t>(i) + 1;
  if (!ok) return Invalid("its 'dims' are no permutation of its input's dimensions");
  std::vector<int32_t> permutation = {0};
  permutation.insert(permutation.end(), dims.begin(), dims.end());
  return c.Transpose(c.input(), permutation);
}

// "padding" or "cropping": n, [h, w], or [[top, bottom], [left, right]]; of one dimension n or
// [left, right].
std::vector<int32_t> Sides(ConfigReader& config, std::string_view key, size_t dimensions) {
  const Json* value = config.Find(key);
  const bool array = value != nullptr && value->is_array();
  if (dimensions == 1 && array) return config.Ints(key, 2, 0, kMaxSize);
  std::vector<int32_t> sides;
  if (array && value->size() == dimensions && (*value)[0].is_array()) {
    for (const Json& pair : *value) {
      const Json wrapped = {{"sides", pair}};
      ConfigReader inner(wrapped);
      for (int32_t side : inner.Ints("sides", 2, 0, kMaxSize)) sides.push_back(side);
      if (!inner.status().ok()) config.Fail(key, "should be a list of pairs");
    }
    return sides;
  }
  for (int32_t size : config.Ints(key, dimensions, 0, kMaxSize)) {
    sides.insert(sides.end(), {size, size});
  }
  return sides;
}

template <size_t kDimensions>
absl::StatusOr<int32_t> ZeroPadding(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  const std::vector<int32_t> sides = Sides(c.config, "padding", kDimensions);
  Shape shape = c.in_shape();
  std::vector<int32_t> paddings = {0, 0};
  for (size_t d = 0; d < kDimensions; ++d) {
    paddings.insert(paddings.end(), {sides[2 * d], sides[2 * d + 1]});
    if (shape[d + 1] < 0) continue;
    shape[d + 1] = c.Size(int64_t{shape[d + 1]} + sides[2 * d] + sides[2 * d + 1]);
  }
  paddings.insert(paddings.end(), {0, 0});
  LS_RETURN_IF_ERROR(c.status());
  const int32_t constant =
      c.graph().Constant(c.Named("paddings"), {static_cast<int32_t>(kDimensions) + 2, 2}, paddings);
  return c.Add(schema::BuiltinOperator_PAD, schema::PadOptionsT{}, {c.input(), constant}, "Pad",
               std::move(shape));
}

template <size_t kDimensions>
absl::StatusOr<int32_t> Cropping(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(kDimensions + 2));
  const std::vector<int32_t> sides = Sides(c.config, "cropping", kDimensions);
  const size_t rank = kDimensions + 2;
  Shape shape = c.in_shape();
  std::vector<int32_t> begin(rank, 0), end(rank, 0);
  schema::StridedSliceOptionsT options;
  options.begin_mask = options.end_mask = 1 | 1 << (rank - 1);
  for (size_t d = 1; d <= kDimensions; ++d) {
    begin[d] = sides[2 * d - 2];
    end[d] = -sides[2 * d - 1];
    if (end[d] == 0) options.end_mask |= 1 << d;
    if (shape[d] > 0) shape[d] = c.Size(int64_t{shape[d]} - begin[d] + end[d]);
  }
  LS_RETURN_IF_ERROR(c.status());
  return c.Add(schema::BuiltinOperator_STRIDED_SLICE, std::move(options),
               {c.input(), c.Indices("begin", begin), c.Indices("end", end),
                c.Indices("strides", std::vector<int32_t>(rank, 1))},
               "StridedSlice", std::move(shape), c.graph().type(c.input()));
}

// x [N, H, W, C] as a picture of another size, pixel centres at halves as in TensorFlow 2.
absl::StatusOr<int32_t> Resize(LayerContext& c, int32_t x, const std::string& interpolation,
                               int32_t height, int32_t width) {
  const Shape in = c.shape(x);
  const std::vector<int32_t> inputs = {x, c.Indices("size", {height, width})};
  const Shape shape = {in[0], height, width, in[3]};
  if (interpolation == "nearest") {
    schema::ResizeNearestNeighborOptionsT options;
    options.half_pixel_centers = true;
    return c.Add(schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, std::move(options), inputs,
                 "ResizeNearestNeighbor", shape);
  }
  if (interpolation != "bilinear") {
    return Unsupported("TFLite has no interpolation '{}' (nearest and bilinear it has)",
                       Printable(interpolation));
  }
  schema::ResizeBilinearOptionsT options;
  options.half_pixel_centers = true;
  return c.Add(schema::BuiltinOperator_RESIZE_BILINEAR, std::move(options), inputs,
               "ResizeBilinear", shape);
}

absl::StatusOr<int32_t> UpSampling2D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  const auto factors = c.config.Ints("size", 2, 1, kMaxSize, 2);
  LS_ASSIGN_OR_RETURN(const int32_t height, c.KnownDim(1));
  LS_ASSIGN_OR_RETURN(const int32_t width, c.KnownDim(2));
  const int32_t h = c.Size(int64_t{height} * factors[0]);
  const int32_t w = c.Size(int64_t{width} * factors[1]);
  const std::string interpolation = c.config.String("interpolation", "nearest");
  LS_RETURN_IF_ERROR(c.status());
  return Resize(c, c.input(), interpolation, h, w);
}

absl::StatusOr<int32_t> UpSampling1D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(3));
  LS_ASSIGN_OR_RETURN(const int32_t length, c.KnownDim(1));
  const int32_t target = c.Size(int64_t{length} * c.config.Int("size", 1, kMaxSize, 2));
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const int32_t row, AddRow(c, c.input()));
  LS_ASSIGN_OR_RETURN(const int32_t y, Resize(c, row, "nearest", 1, target));
  return DropRow(c, y);
}

// Rows and columns first, with the planes in the batch, then the planes.
absl::StatusOr<int32_t> UpSampling3D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(5));
  const auto factors = c.config.Ints("size", 3, 1, kMaxSize, 2);
  const Shape in = c.in_shape();
  Shape out = in;
  for (size_t d = 1; d < 5; ++d) {
    LS_RETURN_IF_ERROR(c.KnownDim(d).status());
    if (d < 4) out[d] = c.Size(int64_t{in[d]} * factors[d - 1]);
  }
  const int32_t batch = in[0] < 0 ? -1 : c.Size(int64_t{in[0]} * in[1]);
  const int32_t places = c.Size(int64_t{out[2]} * out[3]);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(int32_t x, c.Reshape(c.input(), {batch, in[2], in[3], in[4]}, "planes"));
  LS_ASSIGN_OR_RETURN(x, Resize(c, x, "nearest", out[2], out[3]));
  LS_ASSIGN_OR_RETURN(x, c.Reshape(x, {in[0], in[1], places, in[4]}, "places"));
  LS_ASSIGN_OR_RETURN(x, Resize(c, x, "nearest", out[1], places));
  return c.Reshape(x, out, "volume");
}

// The middle of a picture that is at least as large.
absl::StatusOr<int32_t> CenterCrop(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  const int32_t sizes[2] = {c.config.Int("height", 1, kMaxSize),
                            c.config.Int("width", 1, kMaxSize)};
  LS_RETURN_IF_ERROR(c.status());
  Shape shape = c.in_shape();
  std::vector<int32_t> begin(4, 0);
  for (size_t d = 1; d < 3; ++d) {
    LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(d));
    if (size < sizes[d - 1]) {
      return Unsupported("its input {} is smaller than what is cut out", ShapeString(shape));
    }
    begin[d] = (size - sizes[d - 1]) / 2;
    shape[d] = sizes[d - 1];
  }
  std::vector<int32_t> size = shape;
  size[0] = -1;
  return c.Add(schema::BuiltinOperator_SLICE, schema::SliceOptionsT{},
               {c.input(), c.Indices("begin", begin), c.Indices("size", size)}, "Slice", shape,
               c.graph().type(c.input()));
}

absl::StatusOr<int32_t> Resizing(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  const int32_t height = c.config.Int("height", 1, kMaxSize);
  const int32_t width = c.config.Int("width", 1, kMaxSize);
  const std::string interpolation = c.config.String("interpolation", "bilinear");
  for (const char* key : {"crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"}) {
    if (c.config.Bool(key, false)) return Unsupported("'{}' is not supported", key);
  }
  LS_RETURN_IF_ERROR(c.status());
  return Resize(c, c.input(), interpolation, height, width);
}

absl::StatusOr<int32_t> RepeatVector(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(2));
  const int32_t n = c.config.Int("n", 1, kMaxSize);
  LS_RETURN_IF_ERROR(c.status());
  const Shape in = c.in_shape();
  LS_ASSIGN_OR_RETURN(const int32_t x, c.Reshape(c.input(), {in[0], 1, in[1]}));
  return c.Add(schema::BuiltinOperator_TILE, {x, c.Indices("multiples", {1, n, 1})}, "Tile",
               {in[0], n, in[1]}, c.graph().type(x));
}

// Steps all of whose features are the mask value are zero; who takes the mask is told apart.
absl::StatusOr<int32_t> Masking(LayerContext& c) {
  const double value = c.config.Number("mask_value", 0.0);
  LS_RETURN_IF_ERROR(c.status());
  if (value == 0.0) return c.input();  // they are zero already
  LS_ASSIGN_OR_RETURN(const int32_t differs, c.Binary(schema::BuiltinOperator_NOT_EQUAL, c.input(),
                                                      c.Scalar("value", value), "NotEqual"));
  Shape shape = c.in_shape();
  const auto last = static_cast<int32_t>(shape.size()) - 1;
  shape.back() = 1;
  schema::ReducerOptionsT options;
  options.keep_dims = true;
  const int32_t any =
      c.Add(schema::BuiltinOperator_REDUCE_ANY, std::move(options),
            {differs, c.Indices("axis", {last})}, "Any", shape, schema::TensorType_BOOL);
  return c.Binary(schema::BuiltinOperator_MUL, c.input(), c.CastTo(any, schema::TensorType_FLOAT32),
                  "mul");
}

// A row of the table for each number.
absl::StatusOr<int32_t> Embedding(LayerContext& c) {
  const int32_t rows = c.config.Int("input_dim", 1, kMaxSize);
  const int32_t columns = c.config.Int("output_dim", 1, kMaxSize);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto table, c.weights.Take({"embeddings"}));
        LS_RETURN_IF_ERROR(CheckWeight(table[0], {rows, columns}, "embeddings"));
        LS_ASSIGN_OR_RETURN(const int32_t t,
                            c.Constant("embeddings", {rows, columns}, table[0].values));
        return std::vector<int32_t>{t};
      }));
  const bool wide = c.graph().type(c.input()) == schema::TensorType_INT64;
  const int32_t indices = wide ? c.input() : c.CastTo(c.input(), schema::TensorType_INT32);
  Shape shape = c.in_shape();
  shape.push_back(columns);
  return c.Add(schema::BuiltinOperator_GATHER, schema::GatherOptionsT{}, {constants[0], indices},
               "Gather", std::move(shape));
}

}  // namespace

std::vector<LayerKind> ShapeLayers() {
  std::vector<LayerKind> kinds = {
      {.class_name = "Flatten", .convert = Flatten, .takes_integers = true},
      {.class_name = "Reshape", .convert = Reshape, .takes_integers = true},
      {.class_name = "Permute", .convert = Permute, .takes_integers = true},
      {.class_name = "ZeroPadding1D", .convert = ZeroPadding<1>},
      {.class_name = "ZeroPadding2D", .convert = ZeroPadding<2>},
      {.class_name = "ZeroPadding3D", .convert = ZeroPadding<3>},
      {.class_name = "Cropping1D", .convert = Cropping<1>},
      {.class_name = "Cropping2D", .convert = Cropping<2>},
      {.class_name = "Cropping3D", .convert = Cropping<3>},
      {.class_name = "UpSampling1D", .convert = UpSampling1D},
      {.class_name = "UpSampling2D", .convert = UpSampling2D},
      {.class_name = "UpSampling3D", .convert = UpSampling3D},
      {.class_name = "CenterCrop",
       .convert = CenterCrop,
       .takes_integers = true,
       .same_in_training = true},
      {.class_name = "Resizing", .convert = Resizing, .same_in_training = true},
      {.class_name = "RepeatVector", .convert = RepeatVector, .takes_integers = true},
      {.class_name = "Masking", .convert = Masking, .masks = MaskRule::kMasking},
      {.class_name = "Embedding",
       .convert = Embedding,
       .takes_integers = true,
       .masks = MaskRule::kEmbedding},
  };
  for (const char* name :
       {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
        "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity"}) {
    kinds.push_back(
        {.class_name = name, .convert = Nothing, .takes_integers = true, .masks = MaskRule::kPass});
  }
  for (const char* name : {"RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
                           "RandomContrast", "RandomBrightness"}) {
    kinds.push_back(
        {.class_name = name, .convert = Nothing, .takes_integers = true, .same_in_training = true});
  }
  return kinds;
}

}  // namespace litesmith::keras
