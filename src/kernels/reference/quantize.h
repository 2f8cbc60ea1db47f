#ifndef LITESMITH_KERNELS_REFERENCE_QUANTIZE_H_
#define LITESMITH_KERNELS_REFERENCE_QUANTIZE_H_

// One element of QUANTIZE and DEQUANTIZE. Freestanding.

#include <cmath>
#include <cstdint>
#include <limits>

#include "base/fixed_point.h"
#include "kernels/reference/arithmetic.h"

namespace litesmith::reference {

// round(x / scale) + zero point, ties away from zero, divided in float, clamped to [low, high].
// Infinities saturate; NaN becomes the zero point.
inline int32_t QuantizeFloat(float x, float scale, int32_t zero_point, int32_t low, int32_t high) {
  const float rounded = std::round(x / scale);
  if (rounded != rounded) return Clamp(zero_point, low, high);
  // A float holds no integer between these bounds and int32's, and the zero point cannot leave the
  // range.
  const float inside = Clamp(rounded, -1e9f, 1e9f);
  return Clamp(static_cast<int32_t>(inside) + zero_point, low, high);
}

// A quantized value brought to another scale and zero point.
struct Requantize {
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  Multiplier multiplier;  // input scale / output scale
  int32_t low = 0, high = 0;

  int32_t operator()(int32_t x) const {
    const int32_t scaled = MultiplyByQuantizedMultiplier(WrappingSub(x, in_zero_point), multiplier);
    return Clamp(WrappingAdd(scaled, out_zero_point), low, high);
  }
};

// scale * (q - zero point): multiplied in double, rounded once.
inline float Dequantize(int32_t q, float scale, int32_t zero_point) {
  return static_cast<float>(static_cast<double>(scale) * static_cast<double>(q - zero_point));
}

// Element `index` of a dense row of 4- or 2-bit values, the first in the lowest bits.
inline int32_t PackedElement(const uint8_t* data, int64_t index, int bits, bool is_signed) {
  const int per_byte = 8 / bits;
  const int shift = static_cast<int>(index % per_byte) * bits;
  const int32_t value = (data[index / per_byte] >> shift) & ((1 << bits) - 1);
  const int32_t sign = 1 << (bits - 1);
  return is_signed && (value & sign) != 0 ? value - 2 * sign : value;
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_QUANTIZE_H_
