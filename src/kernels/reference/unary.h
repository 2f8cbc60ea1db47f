#ifndef LITESMITH_KERNELS_REFERENCE_UNARY_H_
#define LITESMITH_KERNELS_REFERENCE_UNARY_H_

// One element of HARD_SWISH, ABS, SQRT, RSQRT, ROUND, ELU and GELU. Freestanding.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

#include "base/fixed_point.h"
#include "kernels/reference/arithmetic.h"
#include "kernels/reference/fixed_math.h"

namespace litesmith::reference {

inline float HardSwish(float x) { return x * std::min(6.0f, std::max(0.0f, x + 3.0f)) / 6.0f; }

// The upper 16 bits of a 32-bit multiplier, rounded.
inline int16_t Multiplier16(int32_t multiplier) {
  constexpr int32_t kHalf = 1 << 15;
  if (multiplier >= std::numeric_limits<int32_t>::max() - kHalf) return 32767;
  return static_cast<int16_t>((multiplier + kHalf) >> 16);
}

// HARD_SWISH of 8-bit values in 16-bit fixed point: x * relu6(x + 3) / 6, the second factor as a
// number in [0, 1].
struct QuantizedHardSwish {
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  int16_t out_multiplier = 0;   // input scale / 128 / output scale
  int out_shift = 0;            // right
  int16_t gate_multiplier = 0;  // input scale / 128 / (3 / 32768)
  int gate_exponent = 0;
  int32_t low = 0, high = 0;

  int32_t operator()(int32_t x) const {
    const auto fine = static_cast<int16_t>((x - in_zero_point) * (1 << 7));
    const int16_t value = SaturatingRoundingDoublingHighMul(fine, out_multiplier);
    // All of the left shift but its last bit goes first, where saturation cannot reach the result.
    int16_t gate = fine;
    if (gate_exponent > 0) gate = SaturatingShiftLeft(gate, gate_exponent - 1);
    gate = SaturatingRoundingDoublingHighMul(gate, gate_multiplier);
    if (gate_exponent > 0) gate = SaturatingShiftLeft(gate, 1);
    if (gate_exponent < 0) gate = RoundingDivideByPowerOfTwo(gate, -gate_exponent);
    gate = static_cast<int16_t>((gate + (1 << 15)) >> 1);
    // The product is cut, not rounded: that cancels the bias of the roundings above.
    const auto product = static_cast<int16_t>(int32_t{gate} * value / (1 << 15));
    const int16_t scaled = RoundingDivideByPowerOfTwo(product, out_shift);
    return Clamp(static_cast<int32_t>(static_cast<int16_t>(scaled + out_zero_point)), low, high);
  }
};

// ABS, rescaled where the scales differ.
struct QuantizedAbs {
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  bool rescale = false;
  Multiplier multiplier;  // input scale / output scale
  int32_t low = 0, high = 0;

  int32_t operator()(int32_t x) const {
    const int32_t value = x < in_zero_point ? in_zero_point - x : x - in_zero_point;
    const int32_t scaled = rescale ? MultiplyByQuantizedMultiplier(value, multiplier) : value;
    return Clamp(WrappingAdd(scaled, out_zero_point), low, high);
  }
};

// SQRT in float, cut towards zero. REQUIRES: x >= in_zero_point.
struct QuantizedSqrt {
  float in_scale = 1.0f, out_scale = 1.0f;
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  int32_t low = 0, high = 0;

  int32_t operator()(int32_t x) const {
    const float real = in_scale * static_cast<float>(x - in_zero_point);
    return Clamp(WrappingAdd(TruncateToInt32(std::sqrt(real) / out_scale), out_zero_point), low,
                 high);
  }
};

// RSQRT of int8 in fixed point; 1 / sqrt(0) is the highest value. REQUIRES: x >= in_zero_point.
struct QuantizedRsqrt {
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  Multiplier multiplier;  // 1 / (sqrt(input scale) * output scale)

  int32_t operator()(int32_t x) const {
    constexpr int kShift = 20;  // keeps fractional bits between the two steps
    const int32_t value = x - in_zero_point;
    if (value == 0) return 127;
    const Multiplier inverse = InverseSquareRoot(value);
    const int32_t root =
        MultiplyByQuantizedMultiplier(int32_t{1}, inverse.multiplier, inverse.shift + kShift);
    const int shift = multiplier.shift - kShift;
    const int32_t scaled =
        shift < -31 ? 0 : MultiplyByQuantizedMultiplier(root, multiplier.multiplier, shift);
    return Clamp(WrappingAdd(scaled, out_zero_point), -128, 127);
  }
};

// Ties to even.
inline float RoundToEven(float x) {
  const float floor = std::floor(x);
  const float rest = x - floor;
  if (rest < 0.5f) return floor;
  if (rest == 0.5f && std::fmod(floor, 2.0f) == 0.0f) return floor;
  return floor + 1.0f;
}

inline float Elu(float x) { return x < 0.0f ? std::expm1(x) : x; }

// x / 2 * erfc(-x / sqrt(2)): without the cancellation of 1 + erf.
inline float Gelu(float x) {
  constexpr auto kHalfRoot = static_cast<float>(-std::numbers::sqrt2 / 2.0);
  return 0.5f * x * std::erfc(x * kHalfRoot);
}

inline float GeluApproximate(float x) {
  constexpr auto kRoot = static_cast<float>(std::numbers::inv_sqrtpi * std::numbers::sqrt2);
  return 0.5f * x * (1.0f + std::tanh(kRoot * (x + 0.044715f * x * x * x)));
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_UNARY_H_
