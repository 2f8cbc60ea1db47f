#ifndef LITESMITH_KERNELS_REFERENCE_LOOKUP_H_
#define LITESMITH_KERNELS_REFERENCE_LOOKUP_H_

// Functions of quantized numbers by table, filled from the real function as LiteRT fills them.
// Freestanding.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/fixed_point.h"

namespace litesmith::reference {

// One entry of an 8-bit table: dequantize, apply, quantize; all in float.
template <typename F>
int32_t Lookup8(int32_t x, float in_scale, int32_t in_zero, float out_scale, int32_t out_zero,
                int32_t low, int32_t high, const F& f) {
  const float real = in_scale * static_cast<float>(x - in_zero);
  const float inverse = 1.0f / out_scale;
  const float rescaled = std::round(f(real) * inverse);
  const float shifted = rescaled + static_cast<float>(out_zero);
  return std::clamp(TruncateToInt32(shifted), low, high);
}

inline constexpr int kTable16Size = 513;

// 512 segments of a function of int16, each as its left end, moved so that the error in the middle
// of the segment is shared. Real is float; SOFTMAX's tables are filled in double.
template <typename Real, typename F>
void FillTable16(Real in_scale, int32_t in_zero, Real out_scale, int32_t out_zero, const F& f,
                 int16_t* table) {
  constexpr int32_t kLow = std::numeric_limits<int16_t>::min();
  constexpr int32_t kHigh = std::numeric_limits<int16_t>::max();
  constexpr int kSteps = kTable16Size - 1;
  const Real in_min = in_scale * static_cast<Real>(kLow - in_zero);
  const Real in_max = in_scale * static_cast<Real>(kHigh - in_zero);
  const Real out_min = out_scale * static_cast<Real>(kLow - out_zero);
  const Real out_max = out_scale * static_cast<Real>(kHigh - out_zero);
  const Real step = (in_max - in_min) / static_cast<Real>(kSteps);
  const Real half_step = step / 2;
  const Real scale = static_cast<Real>(kHigh - kLow + 1) / (out_max - out_min);
  const auto store = [](Real value) {
    // A NaN, of scales near the end of their range, becomes 0, as it does by the conversions of x86
    // and Arm.
    return static_cast<int16_t>(
        TruncateToInt32(std::min<Real>(std::max<Real>(value, Real(kLow)), Real(kHigh))));
  };
  for (int i = 0; i < kSteps; ++i) {
    const Real at = in_min + static_cast<Real>(i) * step;
    const Real value = f(at);
    const Real middle = f(at + half_step);
    const Real next = f(in_min + static_cast<Real>(i + 1) * step);
    const Real sample = std::round(value * scale);
    const Real interpolated = std::round((next * scale + std::round(value * scale)) / 2);
    const Real bias = std::round((interpolated - std::round(middle * scale)) / 2);
    table[i] = store(sample - bias);
  }
  table[kSteps] = store(std::round(f(in_max) * scale));
}

// Interpolates between two entries.
inline int16_t Lookup16(int16_t x, const int16_t* table) {
  const int index = 256 + (x >> 7);
  const int32_t base = table[index];
  const auto slope = static_cast<int16_t>(table[index + 1] - table[index]);
  const int32_t delta = (slope * (x & 0x7f) + 64) >> 7;
  return static_cast<int16_t>(base + delta);
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_LOOKUP_H_
