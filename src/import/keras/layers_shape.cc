// Layers that move or drop data: Flatten, Reshape, Permute, ZeroPadding2D, and those that do
// nothing in inference.

#include <algorithm>

#include "import/keras/layer.h"

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
  const std::vector<int32_t> target = c.config.List("target_shape", -1, kMaxSize);
  LS_RETURN_IF_ERROR(c.status());
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

// "padding" or "cropping" of a 2D layer: n, [h, w], or [[top, bottom], [left, right]].
std::vector<int32_t> FourSides(ConfigReader& config, std::string_view key) {
  const Json* value = config.Find(key);
  if (value != nullptr && value->is_array() && value->size() == 2 && (*value)[0].is_array()) {
    std::vector<int32_t> sides;
    for (const Json& pair : *value) {
      const Json wrapped = {{"sides", pair}};
      ConfigReader inner(wrapped);
      for (int32_t side : inner.Ints("sides", 2, 0, kMaxSize)) sides.push_back(side);
      if (!inner.status().ok()) config.Fail(key, "should be [[top, bottom], [left, right]]");
    }
    return sides;
  }
  const std::vector<int32_t> sizes = config.Ints(key, 2, 0, kMaxSize);
  return {sizes[0], sizes[0], sizes[1], sizes[1]};
}

absl::StatusOr<int32_t> ZeroPadding2D(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(4));
  const std::vector<int32_t> sides = FourSides(c.config, "padding");
  Shape shape = c.in_shape();
  for (size_t d = 0; d < 2; ++d) {
    if (shape[d + 1] < 0) continue;
    shape[d + 1] = c.Size(int64_t{shape[d + 1]} + sides[2 * d] + sides[2 * d + 1]);
  }
  LS_RETURN_IF_ERROR(c.status());
  const int32_t paddings =
      c.graph().Constant(c.Named("paddings"), {4, 2},
                         std::vector<int32_t>{0, 0, sides[0], sides[1], sides[2], sides[3], 0, 0});
  return c.Add(schema::BuiltinOperator_PAD, schema::PadOptionsT{}, {c.input(), paddings}, "Pad",
               std::move(shape), c.graph().type(c.input()));
}

}  // namespace

std::vector<LayerKind> ShapeLayers() {
  std::vector<LayerKind> kinds = {
      {.class_name = "Flatten", .convert = Flatten, .takes_integers = true},
      {.class_name = "Reshape", .convert = Reshape, .takes_integers = true},
      {.class_name = "Permute", .convert = Permute, .takes_integers = true},
      {.class_name = "ZeroPadding2D", .convert = ZeroPadding2D},
  };
  for (const char* name :
       {"Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout",
        "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity", "RandomFlip",
        "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast",
        "RandomBrightness"}) {
    kinds.push_back({.class_name = name, .convert = Nothing, .takes_integers = true});
  }
  return kinds;
}

}  // namespace litesmith::keras
