#ifndef LITESMITH_KERNELS_REFERENCE_DYNAMIC_RANGE_H_
#define LITESMITH_KERNELS_REFERENCE_DYNAMIC_RANGE_H_

// Quantization of activations at run time, for the hybrid kernels. Freestanding.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "base/fixed_point.h"

namespace litesmith::reference {

// Symmetric, to [-127, 127]. Returns the scale; all zeros give the scale 1.
inline float QuantizeSymmetric(const float* values, size_t count, int8_t* quantized) {
  float low = count > 0 ? values[0] : 0.0f;
  float high = low;
  for (size_t i = 1; i < count; ++i) {
    low = std::min(low, values[i]);
    high = std::max(high, values[i]);
  }
  const float range = std::max(std::abs(low), std::abs(high));
  if (range == 0.0f) {
    std::fill_n(quantized, count, int8_t{0});
    return 1.0f;
  }
  const float inverse = 127.0f / range;
  for (size_t i = 0; i < count; ++i) {
    quantized[i] =
        static_cast<int8_t>(std::clamp(RoundToInt32(std::round(values[i] * inverse)), -127, 127));
  }
  return range / 127.0f;
}

// Scale, its inverse and zero point for a range that is not empty.
struct AsymmetricScale {
  float scale = 1.0f, inverse = 1.0f;
  int32_t zero_point = 0;
};

// REQUIRES: least <= 0 <= most, least < most.
inline AsymmetricScale ChooseAsymmetric(float least, float most) {
  constexpr double kLow = -128.0, kHigh = 127.0;
  const double low = least, high = most;
  const double real_scale = static_cast<double>(most - least) / (kHigh - kLow);
  const double error_low = -kLow + std::abs(low / real_scale);
  const double error_high = kHigh + std::abs(high / real_scale);
  const double zero = error_low < error_high ? kLow - low / real_scale : kHigh - high / real_scale;
  AsymmetricScale out;
  out.zero_point = std::clamp(RoundToInt32(zero), -128, 127);
  out.scale = static_cast<float>(real_scale);
  out.inverse = 1.0f / out.scale;
  return out;
}

// Asymmetric, to [-128, 127], zero exactly representable. The zero point is taken from the end of
// the range that it represents with the smaller error. As LiteRT's vector code has it, on x86 too:
// the range is a float difference, and a value is rounded before the zero point is added.
inline float QuantizeAsymmetric(const float* values, size_t count, int8_t* quantized,
                                int32_t* zero_point) {
  float least = 0.0f, most = 0.0f;
  for (size_t i = 0; i < count; ++i) {
    least = std::min(least, values[i]);
    most = std::max(most, values[i]);
  }
  if (least == most) {
    std::fill_n(quantized, count, int8_t{0});
    *zero_point = 0;
    return 1.0f;
  }
  const AsymmetricScale s = ChooseAsymmetric(least, most);
  *zero_point = s.zero_point;
  for (size_t i = 0; i < count; ++i) {
    // |values[i] * inverse| is 256 at most, so the sum cannot overflow; NaN becomes the least
    // int32.
    const int64_t q = int64_t{RoundToInt32(values[i] * s.inverse)} + *zero_point;
    quantized[i] = static_cast<int8_t>(std::clamp<int64_t>(q, -128, 127));
  }
  return s.scale;
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_DYNAMIC_RANGE_H_
