// Layers that scale and shift.

#include <algorithm>
#include <cmath>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

// x * scale + offset, both constants.
absl::StatusOr<int32_t> ScaleAndShift(LayerContext& c, int32_t x, int32_t scale, int32_t offset) {
  LS_ASSIGN_OR_RETURN(const int32_t y, c.Binary(schema::BuiltinOperator_MUL, x, scale, "mul"));
  return c.Binary(schema::BuiltinOperator_ADD, y, offset, "add");
}

// One axis of the input, counted from 0; Keras writes 3, -1 or [3].
absl::StatusOr<size_t> OneAxis(LayerContext& c) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  const Json* value = c.config.Find("axis");
  int32_t axis = value != nullptr && value->is_array()
                     ? c.config.Ints("axis", 1, -rank, rank - 1)[0]
                     : c.config.Int("axis", -rank, rank - 1, -1);
  LS_RETURN_IF_ERROR(c.status());
  return static_cast<size_t>(axis < 0 ? axis + rank : axis);
}

absl::StatusOr<int32_t> BatchNormalization(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const size_t axis, OneAxis(c));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(axis));
  const double epsilon = c.config.Number("epsilon", 1e-3);
  const bool center = c.config.Bool("center", true);
  const bool scale = c.config.Bool("scale", true);
  LS_RETURN_IF_ERROR(c.status());
  // Channels last: one dimension broadcasts; other axes need ones behind them.
  Shape shape(c.in_shape().size() - axis, 1);
  shape[0] = channels;
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        std::vector<std::string> names;
        if (scale) names.push_back("gamma");
        if (center) names.push_back("beta");
        names.insert(names.end(), {"moving_mean", "moving_variance"});
        LS_ASSIGN_OR_RETURN(auto weights, c.weights.Take(names));
        for (size_t i = 0; i < names.size(); ++i) {
          LS_RETURN_IF_ERROR(CheckWeight(weights[i], {channels}, names[i]));
        }
        const auto n = static_cast<size_t>(channels);
        std::vector<float> factor(n), term(n);
        const std::vector<float>& mean = weights[names.size() - 2].values;
        const std::vector<float>& variance = weights[names.size() - 1].values;
        for (size_t i = 0; i < n; ++i) {
          const double gamma = scale ? weights[0].values[i] : 1.0;
          const double beta = center ? weights[scale ? 1 : 0].values[i] : 0.0;
          const double f = gamma / std::sqrt(static_cast<double>(variance[i]) + epsilon);
          if (!std::isfinite(f)) return Invalid("its moving variance is not positive");
          factor[i] = static_cast<float>(f);
          term[i] = static_cast<float>(beta - static_cast<double>(mean[i]) * f);
        }
        LS_ASSIGN_OR_RETURN(const int32_t a, c.Constant("scale", shape, factor));
        LS_ASSIGN_OR_RETURN(const int32_t b, c.Constant("offset", shape, term));
        return std::vector<int32_t>{a, b};
      }));
  return ScaleAndShift(c, c.input(), constants[0], constants[1]);
}

// A number, or one per channel.
absl::StatusOr<int32_t> PerChannel(LayerContext& c, std::string_view key,
                                   const std::vector<float>& values) {
  if (values.size() == 1) return c.Scalar(key, values[0]);
  const Shape& in = c.in_shape();
  if (in.back() > 0 && values.size() != static_cast<size_t>(in.back())) {
    return Invalid("its '{}' has {} numbers for {} channels", key, values.size(), in.back());
  }
  return c.Constant(key, {static_cast<int32_t>(values.size())}, values);
}

absl::StatusOr<int32_t> Rescaling(LayerContext& c) {
  const std::vector<float> scale = c.config.Numbers("scale");
  const std::vector<float> offset =
      c.config.Has("offset") ? c.config.Numbers("offset") : std::vector<float>{0.0f};
  LS_RETURN_IF_ERROR(c.status());
  if (c.in_shape().empty() || scale.empty() || offset.empty()) return Invalid("it has no scale");
  LS_ASSIGN_OR_RETURN(const int32_t factor, PerChannel(c, "scale", scale));
  LS_ASSIGN_OR_RETURN(int32_t y, c.Binary(schema::BuiltinOperator_MUL, c.input(), factor, "mul"));
  if (std::any_of(offset.begin(), offset.end(), [](float x) { return x != 0.0f; })) {
    LS_ASSIGN_OR_RETURN(const int32_t term, PerChannel(c, "offset", offset));
    LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_ADD, y, term, "add"));
  }
  return y;
}

// The axes of 'axis' (a number, a list, or all but the batch), counted from 0 and sorted.
absl::StatusOr<std::vector<int32_t>> Axes(LayerContext& c) {
  const auto rank = static_cast<int32_t>(c.in_shape().size());
  const Json* value = c.config.Find("axis");
  std::vector<int32_t> axes = value != nullptr && value->is_array()
                                  ? c.config.List("axis", -rank, rank - 1)
                                  : std::vector<int32_t>{c.config.Int("axis", -rank, rank - 1, -1)};
  LS_RETURN_IF_ERROR(c.status());
  for (int32_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  std::sort(axes.begin(), axes.end());
  if (axes.empty() || std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    return Invalid("its 'axis' is empty or names an axis twice");
  }
  return axes;
}

Shape Reduced(Shape shape, const std::vector<int32_t>& axes) {
  for (int32_t axis : axes) shape[static_cast<size_t>(axis)] = 1;
  return shape;
}

int32_t Reduce(LayerContext& c, schema::BuiltinOperator op, int32_t x,
               const std::vector<int32_t>& axes, std::string_view what) {
  schema::ReducerOptionsT options;
  options.keep_dims = true;
  return c.Add(op, std::move(options), {x, c.Indices("axes", axes)}, what,
               Reduced(c.shape(x), axes));
}

// (x - mean) / sqrt(variance + epsilon) over the axes of each sample; x / … where not `centre`.
absl::StatusOr<int32_t> Standardised(LayerContext& c, int32_t x, const std::vector<int32_t>& axes,
                                     double epsilon, bool centre = true) {
  const int32_t mean = Reduce(c, schema::BuiltinOperator_MEAN, x, axes, "mean");
  LS_ASSIGN_OR_RETURN(const int32_t centred, c.Binary(schema::BuiltinOperator_SUB, x, mean, "sub"));
  LS_ASSIGN_OR_RETURN(const int32_t square,
                      c.Binary(schema::BuiltinOperator_MUL, centred, centred, "square"));
  const int32_t variance = Reduce(c, schema::BuiltinOperator_MEAN, square, axes, "variance");
  LS_ASSIGN_OR_RETURN(const int32_t sum, c.Binary(schema::BuiltinOperator_ADD, variance,
                                                  c.Scalar("epsilon", epsilon), "add"));
  return c.Binary(schema::BuiltinOperator_MUL, centre ? centred : x,
                  c.Unary(schema::BuiltinOperator_RSQRT, sum, "rsqrt"), "mul");
}

// The same times gamma, plus beta.
absl::StatusOr<int32_t> LayerNormalization(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, Axes(c));
  const double epsilon = c.config.Number("epsilon", 1e-3);
  const bool center = c.config.Bool("center", true);
  const bool scale = c.config.Bool("scale", true);
  const bool rms = c.config.Bool("rms_scaling", false);
  LS_RETURN_IF_ERROR(c.status());
  Shape stored;
  Shape shape(c.in_shape().size() - static_cast<size_t>(axes[0]), 1);
  for (int32_t axis : axes) {
    LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(static_cast<size_t>(axis)));
    stored.push_back(size);
    shape[static_cast<size_t>(axis - axes[0])] = size;
  }
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        std::vector<int32_t> out;
        for (const char* name : {"gamma", "beta"}) {
          out.push_back(-1);
          if (!(name[0] == 'g' ? scale : center && !rms)) continue;
          LS_ASSIGN_OR_RETURN(const auto weight, c.weights.Take({name}));
          // Saved in the order in which 'axis' names them, but used as if that were sorted.
          if (!std::is_permutation(stored.begin(), stored.end(), weight[0].shape.begin(),
                                   weight[0].shape.end())) {
            LS_RETURN_IF_ERROR(CheckWeight(weight[0], stored, name));
          }
          LS_ASSIGN_OR_RETURN(out.back(), c.Constant(name, shape, weight[0].values));
        }
        return out;
      }));
  // What Keras calls rms_scaling divides by the standard deviation, too, but does not centre.
  LS_ASSIGN_OR_RETURN(int32_t y, Standardised(c, c.input(), axes, epsilon, !rms));
  if (constants[0] >= 0) {
    LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_MUL, y, constants[0], "gamma_mul"));
  }
  if (constants[1] >= 0) {
    LS_ASSIGN_OR_RETURN(y, c.Binary(schema::BuiltinOperator_ADD, y, constants[1], "beta_add"));
  }
  return y;
}

// (x - mean) / sqrt(variance), with numbers from the configuration or adapted to data.
absl::StatusOr<int32_t> Normalization(LayerContext& c) {
  Shape stored, shape;
  const Json* axis = c.config.Find("axis");
  if (axis != nullptr && !(axis->is_array() && axis->empty())) {
    LS_ASSIGN_OR_RETURN(const auto axes, Axes(c));
    shape.assign(c.in_shape().size() - static_cast<size_t>(axes[0]), 1);
    for (int32_t a : axes) {
      LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(static_cast<size_t>(a)));
      stored.push_back(size);
      shape[static_cast<size_t>(a - axes[0])] = size;
    }
  }
  const bool invert = c.config.Bool("invert", false);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        std::vector<float> mean, deviation;
        const int32_t elements = KnownElements(stored, 0);
        if (elements < 0 || elements > kMaxWindow) return Invalid("its mean has too many numbers");
        if (c.config.Has("mean")) {
          mean = c.config.Numbers("mean");
          deviation = c.config.Numbers("variance");
          LS_RETURN_IF_ERROR(c.status());
        } else {
          LS_ASSIGN_OR_RETURN(auto weights, c.weights.Take({"mean", "variance"}));
          LS_RETURN_IF_ERROR(CheckWeight(weights[0], stored, "mean"));
          LS_RETURN_IF_ERROR(CheckWeight(weights[1], stored, "variance"));
          mean = std::move(weights[0].values);
          deviation = std::move(weights[1].values);
        }
        const auto n = static_cast<size_t>(elements);
        for (auto* values : {&mean, &deviation}) {  // one number may stand for all
          if (values->size() == 1) values->assign(n, values->front());
          if (values->size() != n) return Invalid("its mean or variance do not fit its input");
        }
        for (float& v : deviation) {
          v = std::max(std::sqrt(v), 1e-7f);  // Keras' backend.epsilon()
          if (!invert) v = 1.0f / v;
          if (!std::isfinite(v)) return Invalid("its variance is not positive");
        }
        LS_ASSIGN_OR_RETURN(const int32_t a, c.Constant("mean", shape, mean));
        LS_ASSIGN_OR_RETURN(const int32_t b, c.Constant("factor", shape, deviation));
        return std::vector<int32_t>{a, b};
      }));
  if (invert) return ScaleAndShift(c, c.input(), constants[1], constants[0]);
  LS_ASSIGN_OR_RETURN(const int32_t y,
                      c.Binary(schema::BuiltinOperator_SUB, c.input(), constants[0], "sub"));
  return c.Binary(schema::BuiltinOperator_MUL, y, constants[1], "mul");
}

absl::StatusOr<int32_t> UnitNormalization(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, Axes(c));
  return UnitLength(c, c.input(), axes);
}

// x / sqrt(mean(x^2) + epsilon) * scale (Zhang and Sennrich 2019).
absl::StatusOr<int32_t> RmsNormalization(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const auto axes, Axes(c));
  const double epsilon = c.config.Number("epsilon", 1e-7);
  LS_RETURN_IF_ERROR(c.status());
  Shape stored, shape(c.in_shape().size() - static_cast<size_t>(axes[0]), 1);
  for (int32_t a : axes) {
    LS_ASSIGN_OR_RETURN(const int32_t size, c.KnownDim(static_cast<size_t>(a)));
    stored.push_back(size);
    shape[static_cast<size_t>(a - axes[0])] = size;
  }
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        LS_ASSIGN_OR_RETURN(const auto weight, c.weights.Take({"scale"}));
        LS_RETURN_IF_ERROR(CheckWeight(weight[0], stored, "scale"));
        LS_ASSIGN_OR_RETURN(const int32_t t, c.Constant("scale", shape, weight[0].values));
        return std::vector<int32_t>{t};
      }));
  LS_ASSIGN_OR_RETURN(const int32_t square,
                      c.Binary(schema::BuiltinOperator_MUL, c.input(), c.input(), "square"));
  const int32_t mean = Reduce(c, schema::BuiltinOperator_MEAN, square, axes, "mean");
  LS_ASSIGN_OR_RETURN(const int32_t sum, c.Binary(schema::BuiltinOperator_ADD, mean,
                                                  c.Scalar("epsilon", epsilon), "add"));
  LS_ASSIGN_OR_RETURN(const int32_t y,
                      c.Binary(schema::BuiltinOperator_MUL, c.input(),
                               c.Unary(schema::BuiltinOperator_RSQRT, sum, "rsqrt"), "mul"));
  return c.Binary(schema::BuiltinOperator_MUL, y, constants[0], "scale_mul");
}

// Mean and variance over the members of a group of channels and all places (Wu and He 2018).
absl::StatusOr<int32_t> GroupNormalization(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const size_t axis, OneAxis(c));
  LS_ASSIGN_OR_RETURN(const int32_t channels, c.KnownDim(axis));
  int32_t groups = c.config.Int("groups", -1, kMaxWindow, 32);
  const double epsilon = c.config.Number("epsilon", 1e-3);
  const bool uses[2] = {c.config.Bool("scale", true), c.config.Bool("center", true)};
  LS_RETURN_IF_ERROR(c.status());
  if (groups == -1) groups = channels;
  if (axis == 0 || groups < 1 || channels % groups != 0) {
    return Invalid("its {} channels cannot be split into {} groups", channels, groups);
  }
  Shape shape(c.in_shape().size() - axis, 1);
  shape[0] = channels;
  LS_ASSIGN_OR_RETURN(
      const auto constants, c.Constants("", [&]() -> absl::StatusOr<std::vector<int32_t>> {
        std::vector<int32_t> out;
        const char* const names[2] = {"gamma", "beta"};
        for (size_t i = 0; i < 2; ++i) {
          if (!uses[i]) continue;
          LS_ASSIGN_OR_RETURN(const auto weight, c.weights.Take({names[i]}));
          LS_RETURN_IF_ERROR(CheckWeight(weight[0], {channels}, names[i]));
          LS_ASSIGN_OR_RETURN(out.emplace_back(), c.Constant(names[i], shape, weight[0].values));
        }
        return out;
      }));
  Shape split = c.in_shape();
  split[axis] = channels / groups;
  split.insert(split.begin() + static_cast<std::ptrdiff_t>(axis), groups);
  std::vector<int32_t> axes;
  for (size_t d = 1; d < split.size(); ++d) {
    if (d != axis) axes.push_back(static_cast<int32_t>(d));
  }
  LS_ASSIGN_OR_RETURN(const int32_t x, c.Reshape(c.input(), split, "groups"));
  LS_ASSIGN_OR_RETURN(int32_t y, Standardised(c, x, axes, epsilon));
  LS_ASSIGN_OR_RETURN(y, c.Reshape(y, c.in_shape(), "joined"));
  for (size_t i = 0, next = 0; i < 2; ++i) {
    if (!uses[i]) continue;
    const auto op = i == 0 ? schema::BuiltinOperator_MUL : schema::BuiltinOperator_ADD;
    LS_ASSIGN_OR_RETURN(y, c.Binary(op, y, constants[next++], i == 0 ? "gamma_mul" : "beta_add"));
  }
  return y;
}

}  // namespace

absl::StatusOr<int32_t> UnitLength(LayerContext& c, int32_t x, const std::vector<int32_t>& axes) {
  LS_ASSIGN_OR_RETURN(const int32_t square, c.Binary(schema::BuiltinOperator_MUL, x, x, "square"));
  const int32_t sum = Reduce(c, schema::BuiltinOperator_SUM, square, axes, "sum");
  LS_ASSIGN_OR_RETURN(const int32_t bounded, c.Binary(schema::BuiltinOperator_MAXIMUM, sum,
                                                      c.Scalar("epsilon", 1e-12), "max"));
  return c.Binary(schema::BuiltinOperator_MUL, x,
                  c.Unary(schema::BuiltinOperator_RSQRT, bounded, "rsqrt"), "mul");
}

std::vector<LayerKind> NormalizationLayers() {
  return {
      {.class_name = "BatchNormalization",
       .convert = BatchNormalization,
       .takes_mask = true,
       .masks = MaskRule::kPass},
      {.class_name = "LayerNormalization", .convert = LayerNormalization, .masks = MaskRule::kPass},
      {.class_name = "UnitNormalization", .convert = UnitNormalization, .masks = MaskRule::kPass},
      {.class_name = "RMSNormalization", .convert = RmsNormalization},
      {.class_name = "GroupNormalization", .convert = GroupNormalization, .masks = MaskRule::kPass},
      {.class_name = "Normalization", .convert = Normalization, .masks = MaskRule::kPass},
      {.class_name = "Rescaling", .convert = Rescaling, .masks = MaskRule::kPass}};
}

}  // namespace litesmith::keras
