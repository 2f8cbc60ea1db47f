#ifndef LITESMITH_KERNELS_REFERENCE_RECTIFIER_H_
#define LITESMITH_KERNELS_REFERENCE_RECTIFIER_H_

// One element of the RELU family. Freestanding.

#include <cstdint>

#include "base/fixed_point.h"
#include "kernels/reference/arithmetic.h"

namespace litesmith::reference {

// RELU, RELU6 …: rescaled, then clamped to [low, high], both in the output's units.
struct QuantizedRelu {
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  Multiplier multiplier;  // input scale / output scale
  int32_t low = 0, high = 0;

  int32_t operator()(int32_t x) const {
    const int32_t scaled = MultiplyByQuantizedMultiplier(x - in_zero_point, multiplier);
    return Clamp(WrappingAdd(scaled, out_zero_point), low, high);
  }
};

// alpha may be negative or above 1: the sign is applied after scaling by |alpha|.
struct QuantizedLeakyRelu {
  int32_t in_zero_point = 0;
  int32_t out_zero_point = 0;
  Multiplier identity;  // input scale / output scale
  Multiplier alpha;     // |alpha| * input scale / output scale
  bool alpha_is_negative = false;
  int32_t low = 0, high = 0;  // of the type

  int32_t operator()(int32_t x) const {
    const int32_t value = x - in_zero_point;
    int32_t scaled = MultiplyByQuantizedMultiplier(value, value >= 0 ? identity : alpha);
    if (value < 0 && alpha_is_negative) scaled = WrappingSub(0, scaled);
    return Clamp(WrappingAdd(out_zero_point, scaled), low, high);
  }
};

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_RECTIFIER_H_
