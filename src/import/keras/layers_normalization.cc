// Layers that scale and shift.

#include <algorithm>
#include <cmath>

#include "import/keras/layer.h"

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

}  // namespace

std::vector<LayerKind> NormalizationLayers() {
  return {{.class_name = "BatchNormalization", .convert = BatchNormalization},
          {.class_name = "Rescaling", .convert = Rescaling}};
}

}  // namespace litesmith::keras
