#ifndef LITESMITH_KERNELS_REFERENCE_FIXED_MATH_H_
#define LITESMITH_KERNELS_REFERENCE_FIXED_MATH_H_

// exp, reciprocals, tanh and logistic of fixed-point numbers, the polynomials and Newton steps of
// gemmlowp (Jacob and Warden, fixedpoint/). A raw value of type Raw with I integer bits stands for
// raw * 2^(I - (bits of Raw - 1)). Freestanding.

#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/fixed_point.h"

namespace litesmith::reference {

template <typename Raw>
inline constexpr int kFixedBits = static_cast<int>(sizeof(Raw)) * 8 - 1;

// Sums wrap as on LiteRT's machines.
template <typename Raw>
Raw FixedAdd(Raw a, Raw b) {
  return static_cast<Raw>(static_cast<uint32_t>(int32_t{a}) + static_cast<uint32_t>(int32_t{b}));
}
template <typename Raw>
Raw FixedSub(Raw a, Raw b) {
  return static_cast<Raw>(static_cast<uint32_t>(int32_t{a}) - static_cast<uint32_t>(int32_t{b}));
}
template <typename Raw>
Raw FixedMul(Raw a, Raw b) {
  return SaturatingRoundingDoublingHighMul(a, b);
}
// 16-bit sums near 1 saturate.
template <typename Raw>
Raw FixedAddSaturating16(Raw a, Raw b) {
  if constexpr (sizeof(Raw) == 2) {
    const int32_t sum = int32_t{a} + b;
    return static_cast<Raw>(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
  } else {
    return FixedAdd(a, b);
  }
}

// A constant given for 32 bits.
template <typename Raw>
constexpr Raw FixedConstant(int32_t value) {
  if constexpr (sizeof(Raw) == 4) {
    return value;
  } else {
    return static_cast<Raw>(RoundingDivideByPowerOfTwo(value, 16));
  }
}

// exp(a), a in [-1/4, 0) with no integer bits: Taylor's series around -1/8.
template <typename Raw>
Raw ExpNearZero(Raw a) {
  const Raw constant = FixedConstant<Raw>(1895147668);  // exp(-1/8)
  const Raw third = FixedConstant<Raw>(715827883);
  const Raw x = FixedAdd<Raw>(a, Raw{1} << (kFixedBits<Raw> - 3));
  const Raw x2 = FixedMul(x, x);
  const Raw x3 = FixedMul(x2, x);
  const Raw x4 = FixedMul(x2, x2);
  const Raw quarter_x4 = RoundingDivideByPowerOfTwo(x4, 2);
  const Raw tail =
      RoundingDivideByPowerOfTwo(FixedAdd(FixedMul(FixedAdd(quarter_x4, x3), third), x2), 1);
  return FixedAddSaturating16(constant, FixedMul(constant, FixedAdd(x, tail)));
}

// exp(a) with no integer bits, a <= 0 with kIntegerBits.
template <int kIntegerBits, typename Raw>
Raw ExpOfNegative(Raw a) {
  constexpr int kFraction = kFixedBits<Raw> - kIntegerBits;
  if (a == 0) return std::numeric_limits<Raw>::max();
  if constexpr (kIntegerBits > 5) {
    if (a < -(Raw{1} << (kFixedBits<Raw> - kIntegerBits + 5))) return 0;
  }
  constexpr Raw kQuarter = static_cast<Raw>(Raw{1} << (kFraction - 2));
  const Raw reduced = FixedSub<Raw>(static_cast<Raw>(a & (kQuarter - 1)), kQuarter);
  Raw result = ExpNearZero<Raw>(SaturatingShiftLeft(reduced, kIntegerBits));
  const Raw remainder = FixedSub(reduced, a);
  // exp(-2^e) for e = -2 .. 4.
  constexpr int32_t kFactors[7] = {1672461947, 1302514674, 790015084, 290630308,
                                   39332535,   720401,     242};
  for (int i = 0; i < 7; ++i) {
    const int exponent = i - 2;
    if (kIntegerBits > exponent && ((int32_t{remainder} >> (kFraction + exponent)) & 1) != 0) {
      result = FixedMul(result, FixedConstant<Raw>(kFactors[i]));
    }
  }
  return result;
}

// Three Newton steps towards 2 / (1 + a), a in (0, 1); with 2 integer bits.
template <typename Raw>
Raw TwiceReciprocalOfOnePlus(Raw a) {
  const Raw half_denominator = RoundingHalfSum(a, std::numeric_limits<Raw>::max());
  const Raw start = FixedConstant<Raw>(1515870810);   // 48/17
  const Raw slope = FixedConstant<Raw>(-1010580540);  // -32/17
  constexpr Raw kOne = static_cast<Raw>(Raw{1} << (kFixedBits<Raw> - 2));
  Raw x = FixedAdd(start, FixedMul(half_denominator, slope));
  for (int i = 0; i < 3; ++i) {
    const Raw error = FixedSub(kOne, FixedMul(half_denominator, x));
    x = FixedAdd(x, SaturatingShiftLeft(FixedMul(x, error), 2));
  }
  return x;
}

// 1 / (1 + a) for a in (0, 1), no integer bits.
template <typename Raw>
Raw ReciprocalOfOnePlus(Raw a) {
  return SaturatingShiftLeft(TwiceReciprocalOfOnePlus(a), 1);
}

// (1 - a) / (1 + a) for a in (0, 1), no integer bits.
template <typename Raw>
Raw OneMinusOverOnePlus(Raw a) {
  constexpr Raw kOne = static_cast<Raw>(Raw{1} << (kFixedBits<Raw> - 2));
  return SaturatingShiftLeft(FixedSub(TwiceReciprocalOfOnePlus(a), kOne), 2);
}

// tanh(a) with no integer bits, a with kIntegerBits.
template <int kIntegerBits, typename Raw>
Raw FixedTanh(Raw a) {
  if (a == 0) return 0;
  const Raw negative = a < 0 ? a : FixedSub(Raw{0}, a);
  const Raw t = OneMinusOverOnePlus(ExpOfNegative<kIntegerBits + 1>(negative));
  return a < 0 ? FixedSub(Raw{0}, t) : t;
}

// 1 / (1 + exp(-a)) with no integer bits.
template <int kIntegerBits, typename Raw>
Raw FixedLogistic(Raw a) {
  if (a == 0) return FixedConstant<Raw>(1 << 30);
  const Raw negative = a > 0 ? FixedSub(Raw{0}, a) : a;
  const Raw positive_side = ReciprocalOfOnePlus(ExpOfNegative<kIntegerBits>(negative));
  return a > 0 ? positive_side : FixedSub(std::numeric_limits<Raw>::max(), positive_side);
}

// 1 / x for x with `integer_bits`, as the result with no integer bits and the number of bits by
// which x is above 1.
struct FixedReciprocal {
  int32_t value = 0;
  int bits_over_unit = 0;
};
inline FixedReciprocal Reciprocal(int32_t x, int integer_bits) {
  const auto bits = static_cast<uint32_t>(x);
  const int headroom = bits == 0 ? 32 : __builtin_clz(bits);
  FixedReciprocal out;
  out.bits_over_unit = integer_bits - headroom;
  const uint32_t shifted = headroom == 32 ? bits : bits << headroom;
  out.value = ReciprocalOfOnePlus(static_cast<int32_t>(shifted - (uint32_t{1} << 31)));
  return out;
}

// log(x) for x >= 1 with kIn integer bits, as a number with kOut integer bits: x is brought near 1
// once directly and once times sqrt(1/2), the better of the two goes through a rational
// approximation.
template <int kOut, int kIn>
int32_t FixedLog(int32_t x) {
  constexpr int kAcc = kOut + 1;  // one bit of headroom
  constexpr int32_t kLog2 = 1488522236, kFourthRootOfHalf = 1805811301, kRootOfHalf = 1518500250;
  // With r = sqrt(sqrt(2)): 11/240 r, r/20, 2/r - r, r/4.
  constexpr int32_t kAlphaN = 117049297, kAlphaD = 127690142, kAlphaI = 1057819769,
                    kAlphaF = 638450708;
  const int32_t quarter = RoundingDivideByPowerOfTwo(int32_t{1} << 29, kAcc);
  const auto leading_zeros = [](int32_t v) {
    return v == 0 ? 32 : __builtin_clz(static_cast<uint32_t>(v));
  };
  const auto saturate = [](int64_t v) {
    constexpr int64_t kLow = std::numeric_limits<int32_t>::min();
    constexpr int64_t kHigh = std::numeric_limits<int32_t>::max();
    return static_cast<int32_t>(v < kLow ? kLow : v > kHigh ? kHigh : v);
  };
  const auto shift_left = [](int32_t v, int by) {
    return SaturatingShiftLeft(v, by < 0 ? 0 : by > 31 ? 31 : by);
  };
  const int headroom_a = leading_zeros(x);
  const int32_t r_a = SaturatingShiftLeft(FixedMul(shift_left(x, headroom_a - 1), kRootOfHalf), 1);
  const int32_t power_a = saturate(int64_t{shift_left(kIn - headroom_a, 31 - kAcc)} + quarter);
  const int headroom_b = leading_zeros(FixedMul(x, kRootOfHalf)) - 1;
  const int32_t r_b = shift_left(x, headroom_b);
  const int32_t power_b = saturate(int64_t{shift_left(kIn - headroom_b, 31 - kAcc)} - quarter);
  const int32_t r = r_a < r_b ? r_a : r_b;
  const int32_t power = power_a > power_b ? power_a : power_b;
  const int32_t p = RoundingHalfSum(r, kFourthRootOfHalf);
  int32_t q = FixedSub(r, kFourthRootOfHalf);
  q = FixedAdd(q, q);
  const int32_t square = FixedMul(q, q);
  const int32_t numerator = FixedAdd(FixedMul(q, r), FixedMul(FixedMul(q, square), kAlphaN));
  const int32_t denominator_minus_one = FixedAdd(
      FixedMul(p, FixedAdd(FixedAdd(kAlphaI, q), FixedMul(kAlphaD, square))), FixedMul(kAlphaF, q));
  const int32_t quotient = FixedMul(RoundingDivideByPowerOfTwo(numerator, kAcc),
                                    ReciprocalOfOnePlus(denominator_minus_one));
  return SaturatingShiftLeft(FixedAdd(FixedMul(power, kLog2), quotient), kAcc - kOut);
}

// 1 / sqrt(x) as a multiplier, by five Newton steps from 1 in numbers with 3 integer bits. 0 counts
// as 1.
inline Multiplier InverseSquareRoot(int32_t x) {
  if (x <= 1) return {std::numeric_limits<int32_t>::max(), 0};
  int right_shift = 11;
  for (; x >= (1 << 29); ++right_shift) x /= 4;
  const int pairs = (__builtin_clz(static_cast<uint32_t>(x)) - 1) / 2 - 1;
  right_shift -= pairs;
  x <<= 2 * pairs;
  const int32_t half = RoundingDivideByPowerOfTwo(x >> 1, 1);
  constexpr int32_t kThreeHalves = (1 << 28) + (1 << 27);
  int32_t root = 1 << 28;
  for (int i = 0; i < 5; ++i) {
    const int32_t cube = SaturatingShiftLeft(FixedMul(FixedMul(root, root), root), 6);
    root = SaturatingShiftLeft(FixedSub(FixedMul(kThreeHalves, root), FixedMul(half, cube)), 3);
  }
  root = FixedMul(root, int32_t{1518500250});  // sqrt(2) / 2
  if (right_shift < 0)
    return {static_cast<int32_t>(static_cast<uint32_t>(root) << -right_shift), 0};
  return {root, -right_shift};
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_FIXED_MATH_H_
