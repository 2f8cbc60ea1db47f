#include "quantize/params.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/half.h"
#include "base/packed_int.h"

namespace litesmith {
namespace {

// Ranges narrower than this are widened: a scale near zero would overflow (TFLite's
// kNearZeroTolerance).
constexpr double kNarrow = 1.0e-6;

// Half of an int32: the room that TFLite leaves a bias.
constexpr int32_t kBiasMax = std::numeric_limits<int32_t>::max() / 2;

struct Bounds {
  double low = 0.0, high = 0.0;  // always around zero
};

Bounds BoundsOf(std::span<const float> values) {
  Bounds out;
  for (float v : values) {
    out.low = std::min<double>(out.low, v);
    out.high = std::max<double>(out.high, v);
  }
  return out;
}

// Int8 over all 256 values; the difference of the range's ends is taken in float, the zero point in
// double.
QuantParams Asymmetric(Bounds range) {
  const float scale = (static_cast<float>(range.high) - static_cast<float>(range.low)) / 255.0f;
  const auto zero = static_cast<float>(-128.0 - range.low / static_cast<double>(scale));
  return QuantParams::PerTensor(
      scale, static_cast<int64_t>(std::round(std::clamp(zero, -128.0f, 127.0f))));
}

QuantParams Symmetric16(Bounds range) {
  const auto half = static_cast<float>(std::max(-range.low, range.high));
  const float scale = half / 32767.0f;
  const bool vanishes = scale < std::numeric_limits<float>::min();
  return QuantParams::PerTensor(vanishes ? static_cast<float>(kNarrow) / 32767.0f : scale, 0);
}

// Calls visit(channel, index) for every element; a channel is an index of dimension `axis`.
template <typename Visit>
void ForEachChannel(size_t count, const Shape& shape, int axis, Visit visit) {
  size_t inner = 1;
  for (size_t d = static_cast<size_t>(axis) + 1; d < shape.size(); ++d)
    inner *= static_cast<size_t>(shape[d]);
  const auto channels = static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  for (size_t start = 0, channel = 0; start < count; start += inner) {
    for (size_t i = start; i < start + inner; ++i) visit(channel, i);
    if (++channel == channels) channel = 0;
  }
}

// `visit(channel, index)` for every weight; channel 0 where axis is -1.
template <typename F>
void ForEachWeight(size_t size, const Shape& shape, int axis, F visit) {
  if (axis >= 0) return ForEachChannel(size, shape, axis, visit);
  for (size_t i = 0; i < size; ++i) visit(size_t{0}, i);
}

std::vector<float> HalfRanges(std::span<const float> values, const Shape& shape, int axis) {
  if (axis < 0) {
    const Bounds all = BoundsOf(values);
    return {static_cast<float>(std::max(-all.low, all.high))};
  }
  std::vector<float> half(static_cast<size_t>(shape[static_cast<size_t>(axis)]), 0.0f);
  ForEachChannel(values.size(), shape, axis,
                 [&](size_t c, size_t i) { half[c] = std::max(half[c], std::abs(values[i])); });
  return half;
}

// The nearest integer within +-limit, of two the one further from zero. Weights and what is left of
// them are exact floats; std::round would be a call per weight.
template <typename T, typename Real>
T RoundTo(Real value, T limit) {
  using Whole = std::conditional_t<sizeof(T) <= 2, int32_t, int64_t>;
  constexpr auto kHalf = static_cast<Real>(0.5);
  const auto bound = std::min(static_cast<Real>(limit), static_cast<Real>(0x1p62));
  Real clamped = value < bound ? value : bound;
  clamped = clamped > -bound ? clamped : -bound;
  const auto whole = static_cast<Whole>(clamped);
  const Real rest = clamped - static_cast<Real>(whole);
  const Whole rounded = whole + (rest >= kHalf ? 1 : 0) - (rest <= -kHalf ? 1 : 0);
  return static_cast<T>(std::clamp<Whole>(rounded, -Whole{limit}, limit));
}

// The same for `count` values times `factor`, in blocks that the compiler turns into vectors.
void RoundRun(const float* values, size_t count, float factor, int8_t limit, int8_t* out) {
  constexpr size_t kBlock = 16;
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    float in[kBlock];
    int32_t whole[kBlock];
    int8_t bytes[kBlock];
    std::copy_n(values + i, kBlock, in);
    for (size_t k = 0; k < kBlock; ++k) {
      const auto bound = static_cast<float>(limit);
      const float value = in[k] * factor;
      float clamped = value < bound ? value : bound;
      clamped = clamped > -bound ? clamped : -bound;
      const auto cut = static_cast<int32_t>(clamped);
      const float rest = clamped - static_cast<float>(cut);
      whole[k] = cut + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
    }
    for (size_t k = 0; k < kBlock; ++k) bytes[k] = static_cast<int8_t>(whole[k]);
    std::copy_n(bytes, kBlock, out + i);
  }
  for (; i < count; ++i) out[i] = RoundTo<int8_t>(values[i] * factor, limit);
}

// 1 / scale as both quantizers take it: in double, kept as float.
float Inverse(float scale) {
  return scale == 0.0f ? 0.0f : static_cast<float>(1.0 / static_cast<double>(scale));
}

// The scales of dynamic-range weights as the converter's MLIR quantizer divides by them: in double,
// before they are rounded for the file.
std::vector<double> UnroundedScales(std::span<const float> values, const Shape& shape,
                                    const QuantParams& params, int8_t limit) {
  const int axis = params.per_channel() ? params.axis : -1;
  const std::vector<float> half = HalfRanges(values, shape, axis);
  std::vector<double> scale(params.scale.begin(), params.scale.end());
  for (size_t c = 0; c < scale.size(); ++c) {
    if (half[c] > 0.0f && half[c] / static_cast<float>(limit) == params.scale[c])
      scale[c] = static_cast<double>(half[c]) / limit;
  }
  return scale;
}

// What weights of the integer recipes are multiplied by, one per channel. The older quantizer, and
// both per tensor, divide 127 by the range itself, where that made the scale.
std::vector<float> InverseScales(RecipeKind kind, std::span<const float> values, const Shape& shape,
                                 const QuantParams& params, int8_t limit) {
  const auto float_limit = static_cast<float>(limit);
  const int axis = params.per_channel() ? params.axis : -1;
  const bool from_range = kind == RecipeKind::kInt16x8 || axis < 0;
  std::vector<float> half(params.scale.size(), 0.0f);
  if (from_range) half = HalfRanges(values, shape, axis);
  std::vector<float> inverse(params.scale.size());
  for (size_t c = 0; c < inverse.size(); ++c) {
    inverse[c] = from_range && half[c] > 0.0f && half[c] / float_limit == params.scale[c]
                     ? float_limit / half[c]
                     : Inverse(params.scale[c]);
  }
  return inverse;
}

template <typename T>
std::vector<T> Biases(std::span<const float> values, const QuantParams& params) {
  std::vector<T> out(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const float scale = params.scale[params.scale.size() == 1 ? 0 : i];
    out[i] = RoundTo<T>(values[i] * Inverse(scale), std::numeric_limits<T>::max());
  }
  return out;
}

}  // namespace

QuantParams ActivationParams(RecipeKind kind, float min, float max) {
  Bounds range{std::min<double>(min, 0.0), std::max<double>(max, 0.0)};
  if (kind == RecipeKind::kInt16x8) return Symmetric16(range);
  if (range.high - range.low < kNarrow) {
    range.low -= kNarrow;
    range.high += kNarrow;
  }
  return Asymmetric(range);
}

QuantParams ConstantParams(RecipeKind kind, std::span<const float> values) {
  Bounds range = BoundsOf(values);
  if (kind == RecipeKind::kInt16x8) return Symmetric16(range);
  if (range.high - range.low <= kNarrow) {
    range.low = std::min(range.low, -kNarrow / 2);
    range.high = std::max(range.high, kNarrow / 2);
  }
  return Asymmetric(range);
}

QuantParams MinMaxWeightParams(std::span<const float> values, const Shape& shape, int axis,
                               TensorType type, bool symmetric) {
  constexpr float kLeast = 1e-9f;
  QuantParams params;
  params.axis = std::max(axis, 0);
  if (!symmetric) {
    const auto highest = static_cast<float>(WeightLimit(type)), lowest = -highest - 1.0f;
    const size_t channels = axis < 0 ? 1 : static_cast<size_t>(shape[static_cast<size_t>(axis)]);
    std::vector<float> low(channels, 0.0f), high(channels, 0.0f);
    ForEachWeight(values.size(), shape, axis, [&](size_t c, size_t i) {
      low[c] = std::min(low[c], values[i]);
      high[c] = std::max(high[c], values[i]);
    });
    for (size_t c = 0; c < channels; ++c) {
      params.scale.push_back(std::max(high[c] - low[c], kLeast) / (highest - lowest));
      params.zero_point.push_back(
          static_cast<int64_t>(std::nearbyint(lowest - low[c] / params.scale[c])));
    }
    return params;
  }
  for (const float half : HalfRanges(values, shape, axis)) {
    params.scale.push_back(std::max(half, kLeast) / static_cast<float>(WeightLimit(type)));
  }
  params.zero_point.assign(params.scale.size(), 0);
  return params;
}

QuantParams WeightParams(std::span<const float> values, const Shape& shape, int axis,
                         TensorType type) {
  const auto limit = static_cast<float>(WeightLimit(type));
  QuantParams params;
  for (const float half : HalfRanges(values, shape, axis)) {
    const bool narrow = 2.0 * static_cast<double>(half) <= kNarrow;
    const auto widened = static_cast<float>(std::max<double>(half, kNarrow / 2));
    params.scale.push_back((narrow ? widened : half) / limit);
  }
  params.zero_point.assign(params.scale.size(), 0);
  params.axis = std::max(axis, 0);
  return params;
}

void WidenForBias(RecipeKind kind, std::span<const float> bias, float input_scale,
                  QuantParams* weights) {
  const double input = input_scale;
  for (size_t c = 0; c < weights->scale.size(); ++c) {
    const float value =
        weights->scale.size() == 1 ? HalfRanges(bias, {}, -1)[0] : std::abs(bias[c]);
    const double weight = weights->scale[c];
    if (kind == RecipeKind::kInt16x8) {
      constexpr double kMax = std::numeric_limits<int32_t>::max();
      if (value == 0.0f || value < 0.5 * input * weight * kMax) continue;
      const auto half =
          static_cast<float>(2.0 * static_cast<double>(value) / kMax * (127.0 / input));
      weights->scale[c] = half / 127.0f;
    } else if (static_cast<double>(value) /
                   static_cast<double>(static_cast<float>(input * weight)) >
               kBiasMax) {
      weights->scale[c] = static_cast<float>(static_cast<double>(value) / kBiasMax / input);
    }
  }
}

QuantParams BiasParams(float input_scale, const QuantParams& weights) {
  QuantParams params;
  for (const float scale : weights.scale) params.scale.push_back(input_scale * scale);
  params.zero_point.assign(params.scale.size(), 0);
  return params;
}

Blob QuantizeActivation(std::span<const float> values, TensorType type, const QuantParams& params) {
  if (type == schema::TensorType_INT16) {
    std::vector<int16_t> out(values.size());
    const float inverse = Inverse(params.scale[0]);
    for (size_t i = 0; i < out.size(); ++i) out[i] = RoundTo<int16_t>(values[i] * inverse, 32767);
    return Blob::Of(out);
  }
  std::vector<int8_t> out(values.size());
  const double scale = params.scale[0];
  const auto zero = static_cast<double>(params.zero_point[0]);
  for (size_t i = 0; i < out.size(); ++i) {
    const double q = std::round(static_cast<double>(values[i]) / scale + zero);
    out[i] = static_cast<int8_t>(std::clamp(q, -128.0, 127.0));
  }
  return Blob::Of(out);
}

Blob QuantizeWeights(RecipeKind kind, std::span<const float> values, const Shape& shape,
                     const QuantParams& params, TensorType type) {
  const auto limit = static_cast<int8_t>(WeightLimit(type));
  const int axis = params.per_channel() ? params.axis : -1;
  std::vector<int8_t> out(values.size());
  const bool int4 = type == schema::TensorType_INT4;
  const bool shifted = std::any_of(params.zero_point.begin(), params.zero_point.end(),
                                   [](int64_t zero) { return zero != 0; });
  if (shifted || kind == RecipeKind::kWeightOnly || (kind == RecipeKind::kDynamic && int4)) {
    // All of int4's values are for use; symmetric ones do not come to the least.
    const float high = limit, low = shifted || int4 ? -high - 1.0f : -high;
    ForEachWeight(values.size(), shape, axis, [&](size_t c, size_t i) {
      const float scaled = values[i] / params.scale[c] + static_cast<float>(params.zero_point[c]);
      out[i] = static_cast<int8_t>(std::clamp(std::nearbyint(scaled), low, high));
    });
  } else if (kind == RecipeKind::kDynamic) {
    const std::vector<double> scale = UnroundedScales(values, shape, params, limit);
    ForEachWeight(values.size(), shape, axis, [&](size_t c, size_t i) {
      out[i] =
          RoundTo<int8_t>(scale[c] == 0.0 ? 0.0 : static_cast<double>(values[i]) / scale[c], limit);
    });
  } else {
    const std::vector<float> inverse = InverseScales(kind, values, shape, params, limit);
    size_t run = values.size();
    if (axis >= 0) {
      run = 1;
      for (size_t d = static_cast<size_t>(axis) + 1; d < shape.size(); ++d) {
        run *= static_cast<size_t>(shape[d]);
      }
    }
    for (size_t at = 0, c = 0; at < values.size(); at += run) {
      RoundRun(values.data() + at, std::min(run, values.size() - at), inverse[c], limit,
               out.data() + at);
      if (++c == inverse.size()) c = 0;
    }
  }
  if (int4) {
    std::vector<std::byte> packed((out.size() + 1) / 2);
    PackInt4(out.data(), out.size(), packed.data());
    return Blob::Own(std::move(packed));
  }
  return Blob::Of(out);
}

Blob QuantizeBias(std::span<const float> values, TensorType type, const QuantParams& params) {
  if (type == schema::TensorType_INT64) return Blob::Of(Biases<int64_t>(values, params));
  return Blob::Of(Biases<int32_t>(values, params));
}

Blob ToFloat16(std::span<const float> values) {
  std::vector<uint16_t> out(values.size());
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = FloatToHalf(std::clamp(values[i], -65504.0f, 65504.0f));
  return Blob::Of(out);
}

}  // namespace litesmith
