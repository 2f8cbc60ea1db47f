#ifndef LITESMITH_KERNELS_REFERENCE_QUOTIENT_H_
#define LITESMITH_KERNELS_REFERENCE_QUOTIENT_H_

// One element of DIV, FLOOR_DIV, FLOOR_MOD, SQUARED_DIFFERENCE and POW. Freestanding.

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/fixed_point.h"
#include "kernels/reference/arithmetic.h"
#include "kernels/reference/fixed_math.h"

namespace litesmith::reference {

// round(x / 2^exponent) for exponents 0 to 31. Beyond them LiteRT's kernels shift by the exponent
// modulo 32, as x86 and AArch64 do, with a mask of all ones: small quotients of DIV come out so,
// and equal bits need it.
inline int32_t RoundingDivideModulo(int32_t x, int exponent) {
  exponent &= 63;
  if (exponent < 32) return RoundingDivideByPowerOfTwo(x, exponent);
  return WrappingAdd(x >> (exponent - 32), x >= 0 ? 1 : 0);
}

// DIV of 8- and 16-bit quantized values by the fixed-point reciprocal. REQUIRES: y is not b's zero
// point.
struct QuantizedQuotient {
  int32_t a_offset = 0, b_offset = 0;  // minus the zero points
  int32_t out_offset = 0;
  Multiplier out;  // a's scale / (b's scale * the output's)
  int32_t low = 0, high = 0;

  template <typename T>
  T operator()(T x, T y) const {
    int32_t dividend = x + a_offset;
    int32_t divisor = y + b_offset;
    if (divisor < 0) {
      dividend = -dividend;
      divisor = -divisor;
    }
    const FixedReciprocal reciprocal = Reciprocal(divisor, 31);
    const int headroom = dividend == 0 ? 31 : __builtin_clrsb(dividend);
    const auto shifted = static_cast<int32_t>(static_cast<uint32_t>(dividend) << headroom);
    const int32_t quotient = SaturatingRoundingDoublingHighMul(shifted, reciprocal.value);
    const int shift = out.shift - reciprocal.bits_over_unit - headroom;
    const int32_t scaled =
        RoundingDivideModulo(SaturatingRoundingDoublingHighMul(quotient, out.multiplier), -shift);
    return static_cast<T>(Clamp(WrappingAdd(scaled, out_offset), low, high));
  }
};

// SQUARED_DIFFERENCE of int8.
struct QuantizedSquaredDifference {
  int32_t a_offset = 0, b_offset = 0;  // minus the zero points
  int32_t out_offset = 0;
  Multiplier a, b, out;
  static constexpr int kLeftShift = 7;

  int8_t operator()(int8_t x, int8_t y) const {
    const int32_t difference =
        MultiplyByQuantizedMultiplier((x + a_offset) * (1 << kLeftShift), a) -
        MultiplyByQuantizedMultiplier((y + b_offset) * (1 << kLeftShift), b);
    const int32_t scaled = ScaleSaturating(difference * difference, out);
    return static_cast<int8_t>(Clamp(WrappingAdd(scaled, out_offset), -128, 127));
  }
};

// Towards zero; the one quotient that does not fit wraps. REQUIRES: y != 0 for integers.
template <typename T>
T Quotient(T x, T y) {
  if constexpr (std::is_integral_v<T>) {
    if (y == T{-1}) return WrappingSub(T{0}, x);
  }
  return static_cast<T>(x / y);
}

// Towards minus infinity, divided in double as TFLite does.
template <typename T>
T FloorQuotient(T x, T y) {
  const double floor = std::floor(static_cast<double>(x) / static_cast<double>(y));
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(TruncateToInt32(floor));
  } else {
    return static_cast<T>(floor);
  }
}

// The remainder with the sign of the divisor.
template <typename T>
T FloorRemainder(T x, T y) {
  T remainder;
  if constexpr (std::is_integral_v<T>) {
    if (y == T{-1}) return 0;
    remainder = static_cast<T>(x % y);
  } else {
    remainder = std::fmod(x, y);
  }
  if (remainder != T{0} && (y < T{0}) != (remainder < T{0}))
    remainder = static_cast<T>(remainder + y);
  return remainder;
}

// x to a whole power >= 1, by squaring in the order that TFLite multiplies.
template <typename T>
T WholePower(T x, int32_t exponent) {
  int bit = 30;
  while (((exponent >> bit) & 1) == 0) --bit;
  T power = x;
  for (--bit; bit >= 0; --bit) {
    power = WrappingMul(power, power);
    if (((exponent >> bit) & 1) != 0) power = WrappingMul(power, x);
    power = Clamp(power, std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max());
  }
  return power;
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_QUOTIENT_H_
