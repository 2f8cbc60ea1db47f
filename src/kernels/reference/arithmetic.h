#ifndef LITESMITH_KERNELS_REFERENCE_ARITHMETIC_H_
#define LITESMITH_KERNELS_REFERENCE_ARITHMETIC_H_

// One element of ADD, SUB and MUL, in every type. Freestanding.

#include <cstdint>
#include <type_traits>

#include "base/fixed_point.h"

namespace litesmith::reference {

// a op b with the overflow of two's complement; plain for floats.
template <typename T, typename Op>
T Wrapping(T a, T b, Op op) {
  if constexpr (std::is_integral_v<T>) {
    const auto x = static_cast<uint64_t>(static_cast<int64_t>(a));
    const auto y = static_cast<uint64_t>(static_cast<int64_t>(b));
    return static_cast<T>(op(x, y));
  } else {
    return op(a, b);
  }
}
template <typename T>
T WrappingAdd(T a, T b) {
  return Wrapping(a, b, [](auto x, auto y) { return x + y; });
}
template <typename T>
T WrappingSub(T a, T b) {
  return Wrapping(a, b, [](auto x, auto y) { return x - y; });
}
template <typename T>
T WrappingMul(T a, T b) {
  return Wrapping(a, b, [](auto x, auto y) { return x * y; });
}

// max, then min, NaN passes: the order TFLite's fused activations have.
template <typename T>
T Clamp(T x, T low, T high) {
  x = x < low ? low : x;
  return high < x ? high : x;
}

// x times a factor, saturated where the factor is above 1 and the product does not fit. (TFLite's
// kernels that use it are not defined there.)
inline int32_t ScaleSaturating(int32_t x, Multiplier m) {
  if (m.shift <= 0) return MultiplyByQuantizedMultiplier(x, m);
  return SaturatingShiftLeft(SaturatingRoundingDoublingHighMul(x, m.multiplier), m.shift);
}

// ADD and SUB of 8 and 16-bit quantized values: both inputs are shifted left (20 bits for 8-bit
// types, 15 for int16), brought to twice the larger input scale, combined and brought to the
// output's scale.
struct QuantizedSum {
  int32_t a_offset = 0, b_offset = 0;  // minus the zero points
  int32_t out_offset = 0;
  int left_shift = 0;
  Multiplier a, b, out;
  int32_t low = 0, high = 0;
  bool subtract = false;

  template <typename T>
  T operator()(T x, T y) const {
    const int32_t scaled_x = Scale(x + a_offset, a);
    const int32_t scaled_y = Scale(y + b_offset, b);
    const int32_t sum = subtract ? scaled_x - scaled_y : scaled_x + scaled_y;
    const int32_t raw = WrappingAdd(ScaleSaturating(sum, out), out_offset);
    return static_cast<T>(Clamp(raw, low, high));
  }

 private:
  int32_t Scale(int32_t value, Multiplier m) const {
    const auto shifted = static_cast<int32_t>(static_cast<uint32_t>(value) << left_shift);
    return MultiplyByQuantizedMultiplier(shifted, m);
  }
};

// ADD and SUB of int16 whose scales are powers of two (old files): the input with the finer scale
// is shifted right, rounding.
struct PowerOfTwoSum {
  int a_shift = 0, b_shift = 0;  // right, 0 to 15, one of them 0
  int32_t low = 0, high = 0;
  bool subtract = false;

  int16_t operator()(int16_t x, int16_t y) const {
    const int32_t scaled_x = RoundingDivideByPowerOfTwo<int16_t>(x, a_shift);
    const int32_t scaled_y = RoundingDivideByPowerOfTwo<int16_t>(y, b_shift);
    const int32_t sum = subtract ? scaled_x - scaled_y : scaled_x + scaled_y;
    return static_cast<int16_t>(Clamp(sum, low, high));
  }
};

// MUL of 8 and 16-bit quantized values.
struct QuantizedProduct {
  int32_t a_offset = 0, b_offset = 0;  // minus the zero points
  int32_t out_offset = 0;
  Multiplier out;
  int32_t low = 0, high = 0;

  template <typename T>
  T operator()(T x, T y) const {
    const int32_t product = (x + a_offset) * (y + b_offset);
    const int32_t raw = WrappingAdd(MultiplyByQuantizedMultiplier(product, out), out_offset);
    return static_cast<T>(Clamp(raw, low, high));
  }
};

// MUL of two int16 in [-1, 1) to 8 bits (LSTM cells of old files).
template <typename Out>
struct FractionProduct {
  int32_t out_offset = 0;
  int32_t low = 0, high = 0;

  Out operator()(int16_t x, int16_t y) const {
    const int16_t product = SaturatingRoundingDoublingHighMul(x, y);
    const int32_t rescaled = RoundingDivideByPowerOfTwo<int16_t>(product, 8);
    return static_cast<Out>(Clamp(rescaled + out_offset, low, high));
  }
};

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_ARITHMETIC_H_
