#ifndef LITESMITH_BASE_FIXED_POINT_H_
#define LITESMITH_BASE_FIXED_POINT_H_

// The only multiplier, shift and rounding code in the tree: TFLite's integer arithmetic as LiteRT 2.3's
// reference kernels perform it (double rounding; gemmlowp, Jacob and Warden 2015-2018; Jacob et al. 2018,
// arXiv:1712.05877). Freestanding: no heap, no exceptions.

#include <cmath>
#include <cstdint>
#include <limits>

namespace litesmith {

// A real factor as multiplier * 2^(shift - 31), multiplier in [2^30, 2^31) or 0.
struct Multiplier {
  int32_t multiplier = 0;
  int shift = 0;
};

// REQUIRES: factor >= 0, or NaN. What is not finite saturates.
inline Multiplier QuantizeMultiplier(double factor) {
  if (factor == 0.0) return {};
  if (!std::isfinite(factor)) return {std::numeric_limits<int32_t>::max(), 31};
  int shift = 0;
  const double mantissa = std::frexp(factor, &shift);
  auto fixed = static_cast<int64_t>(std::round(mantissa * 0x1.0p31));
  if (fixed == (int64_t{1} << 31)) {
    fixed /= 2;
    ++shift;
  }
  if (shift < -31) {  // too small to matter in 32 bits
    shift = 0;
    fixed = 0;
  }
  if (shift > 31) {  // saturates: more than 32-bit operands can be shifted by
    shift = 31;
    fixed = (int64_t{1} << 31) - 1;
  }
  return {static_cast<int32_t>(fixed), shift};
}

// The integer nearest to x, ties away from zero. What does not fit becomes the lowest int32, as the x86
// conversion makes it; so does NaN.
inline int32_t RoundToInt32(double x) {
  const double rounded = std::round(x);
  if (!(rounded >= -0x1.0p31 && rounded < 0x1.0p31)) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(rounded);
}

// x without its fraction; what does not fit becomes the lowest int32, as above.
inline int32_t TruncateToInt32(double x) {
  if (!(x > -0x1.0p31 - 1.0 && x < 0x1.0p31)) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(x);
}

// round(a * b / 2^31), ties away from zero in the sense of gemmlowp, saturated at the one overflow.
inline int32_t SaturatingRoundingDoublingHighMul(int32_t a, int32_t b) {
  if (a == b && a == std::numeric_limits<int32_t>::min()) {
    return std::numeric_limits<int32_t>::max();
  }
  const int64_t product = static_cast<int64_t>(a) * b;
  const int64_t nudge = product >= 0 ? (int64_t{1} << 30) : (1 - (int64_t{1} << 30));
  return static_cast<int32_t>((product + nudge) / (int64_t{1} << 31));
}

inline int16_t SaturatingRoundingDoublingHighMul(int16_t a, int16_t b) {
  if (a == b && a == std::numeric_limits<int16_t>::min()) {
    return std::numeric_limits<int16_t>::max();
  }
  const int32_t product = static_cast<int32_t>(a) * b;
  const int32_t nudge = product >= 0 ? (1 << 14) : (1 - (1 << 14));
  return static_cast<int16_t>((product + nudge) / (1 << 15));
}

// round(x / 2^exponent), ties away from zero. REQUIRES: 0 <= exponent <= 31.
template <typename Integer>
Integer RoundingDivideByPowerOfTwo(Integer x, int exponent) {
  const auto mask = static_cast<Integer>((int64_t{1} << exponent) - 1);
  const auto remainder = static_cast<Integer>(x & mask);
  const auto threshold = static_cast<Integer>((mask >> 1) + (x < 0 ? 1 : 0));
  return static_cast<Integer>((x >> exponent) + (remainder > threshold ? 1 : 0));
}

// round((a + b) / 2), ties away from zero.
template <typename Integer>
Integer RoundingHalfSum(Integer a, Integer b) {
  const int64_t sum = static_cast<int64_t>(a) + b;
  return static_cast<Integer>((sum + (sum >= 0 ? 1 : -1)) / 2);
}

// x * 2^exponent, saturated. REQUIRES: 0 <= exponent < bits of Integer.
template <typename Integer>
Integer SaturatingShiftLeft(Integer x, int exponent) {
  const int64_t wide = static_cast<int64_t>(x) * (int64_t{1} << exponent);
  if (wide > std::numeric_limits<Integer>::max()) return std::numeric_limits<Integer>::max();
  if (wide < std::numeric_limits<Integer>::min()) return std::numeric_limits<Integer>::min();
  return static_cast<Integer>(wide);
}

// int32 accumulators: high product and right shift round one after the other ("double rounding"). The
// left shift wraps as on LiteRT's machines.
inline int32_t MultiplyByQuantizedMultiplier(int32_t x, int32_t multiplier, int shift) {
  const int left = shift > 0 ? shift : 0;
  const int right = shift > 0 ? 0 : -shift;
  const auto shifted = static_cast<int32_t>(static_cast<uint32_t>(x) << left);
  return RoundingDivideByPowerOfTwo(SaturatingRoundingDoublingHighMul(shifted, multiplier), right);
}
inline int32_t MultiplyByQuantizedMultiplier(int32_t x, Multiplier m) {
  return MultiplyByQuantizedMultiplier(x, m.multiplier, m.shift);
}

// int64 accumulators (16x8): the multiplier is reduced to 16 bits and the product rounded once.
inline int32_t MultiplyByQuantizedMultiplier(int64_t x, int32_t multiplier, int shift) {
  const int32_t reduced =
      multiplier < 0x7fff0000 ? (multiplier + (1 << 15)) >> 16 : 0x7fff;
  const int total_shift = 15 - shift;
  const uint64_t product = static_cast<uint64_t>(x) * static_cast<uint64_t>(int64_t{reduced});
  const uint64_t rounded = product + (uint64_t{1} << (total_shift - 1));
  return static_cast<int32_t>(static_cast<int64_t>(rounded) >> total_shift);
}
inline int32_t MultiplyByQuantizedMultiplier(int64_t x, Multiplier m) {
  return MultiplyByQuantizedMultiplier(x, m.multiplier, m.shift);
}

}  // namespace litesmith

#endif  // LITESMITH_BASE_FIXED_POINT_H_
