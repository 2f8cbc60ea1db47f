#ifndef LITESMITH_KERNELS_REFERENCE_SOFTMAX_H_
#define LITESMITH_KERNELS_REFERENCE_SOFTMAX_H_

// SOFTMAX over rows of `depth`. Freestanding.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/fixed_point.h"
#include "kernels/reference/fixed_math.h"
#include "kernels/reference/lookup.h"

namespace litesmith::reference {

inline void SoftmaxRow(const float* in, size_t depth, float beta, float* out) {
  float most = std::numeric_limits<float>::lowest();
  for (size_t c = 0; c < depth; ++c) most = std::max(most, in[c]);
  float sum = 0.0f;
  for (size_t c = 0; c < depth; ++c) {
    out[c] = std::exp((in[c] - most) * beta);
    sum += out[c];
  }
  for (size_t c = 0; c < depth; ++c) out[c] = out[c] / sum;
}

// Differences to the maximum become 5.26 fixed point by `scale` (input scale * beta); those below
// `diff_min` count as nothing.
struct SoftmaxScale {
  Multiplier scale;
  int32_t diff_min = 0;
};

inline constexpr int kSoftmaxSumBits = 12, kSoftmaxDiffBits = 5;

// exp of a difference to the maximum, which is at most 0. REQUIRES: diff >= s.diff_min.
inline int32_t SoftmaxExp(int32_t diff, const SoftmaxScale& s) {
  return ExpOfNegative<kSoftmaxDiffBits>(MultiplyByQuantizedMultiplier(diff, s.scale));
}

// One output from its exponential and the reciprocal of their sum.
template <typename Out>
Out SoftmaxOutput(int32_t e, const FixedReciprocal& factor) {
  constexpr int32_t kLow = std::numeric_limits<Out>::min();
  constexpr int32_t kHigh = std::numeric_limits<Out>::max();
  const int exponent = std::max(factor.bits_over_unit + 31 - int(sizeof(Out)) * 8, 0);
  // A sum of 512 or more: each output is less than half a step. (TFLite shifts a 32-bit integer by
  // 32 here, which C++ leaves undefined.)
  if (exponent > 31) return static_cast<Out>(kLow);
  const int32_t value = RoundingDivideByPowerOfTwo(FixedMul(factor.value, e), exponent);
  return static_cast<Out>(std::clamp(FixedAdd(value, kLow), kLow, kHigh));
}

// 8-bit input; 8- or 16-bit output of scale 2^-bits whose lowest value stands for 0.
template <typename In, typename Out>
void SoftmaxRow(const In* in, size_t depth, const SoftmaxScale& s, Out* out) {
  constexpr int32_t kLow = std::numeric_limits<Out>::min();
  In most = std::numeric_limits<In>::min();
  for (size_t c = 0; c < depth; ++c) most = std::max(most, in[c]);
  int32_t sum = 0;
  for (size_t c = 0; c < depth; ++c) {
    const int32_t diff = int32_t{in[c]} - most;
    if (diff < s.diff_min) continue;
    sum = FixedAdd(sum, RoundingDivideByPowerOfTwo(SoftmaxExp(diff, s), kSoftmaxSumBits));
  }
  const FixedReciprocal factor = Reciprocal(sum, kSoftmaxSumBits);
  for (size_t c = 0; c < depth; ++c) {
    const int32_t diff = int32_t{in[c]} - most;
    out[c] = diff < s.diff_min ? static_cast<Out>(kLow)
                               : SoftmaxOutput<Out>(SoftmaxExp(diff, s), factor);
  }
}

// int16 to int16 by two tables: exp over [-10, 0] and 1 / (1 + x) over [0, 1]. `scale` brings
// differences to the first table's units. REQUIRES: depth <= 65536, so that the sum of exponentials
// fits.
inline void SoftmaxRow(const int16_t* in, size_t depth, Multiplier scale, const int16_t* exp_table,
                       const int16_t* reciprocal_table, int16_t* out) {
  int16_t most = std::numeric_limits<int16_t>::min();
  for (size_t c = 0; c < depth; ++c) most = std::max(most, in[c]);
  int32_t sum = 0;  // 16.15
  for (size_t c = 0; c < depth; ++c) {
    const int32_t scaled = MultiplyByQuantizedMultiplier(int32_t{in[c]} - most, scale);
    const int32_t centred = std::clamp(FixedAdd(scaled, 32767), -32768, 32767);
    out[c] = Lookup16(static_cast<int16_t>(centred), exp_table);
    sum += out[c];
  }
  if (sum <= 0) return;  // an empty row
  const int headroom = __builtin_clz(static_cast<uint32_t>(sum));
  const auto mantissa = static_cast<int32_t>(((int64_t{sum} << (headroom - 1)) + (1 << 13)) >> 14);
  // The table takes x = sum - 1 in [0, 1], centred.
  const int32_t centred = std::clamp(mantissa - ((1 << 15) + (1 << 16)), -32768, 32767);
  const int64_t reciprocal = Lookup16(static_cast<int16_t>(centred), reciprocal_table);
  const int shift = 31 - headroom;
  for (size_t c = 0; c < depth; ++c) {
    const auto value =
        static_cast<int32_t>((out[c] * reciprocal + (int64_t{1} << (shift - 1))) >> shift);
    out[c] = static_cast<int16_t>(std::clamp(value, 0, 32767));
  }
}

// LOG_SOFTMAX.
inline void LogSoftmaxRow(const float* in, size_t depth, float* out) {
  float most = std::numeric_limits<float>::lowest();
  for (size_t c = 0; c < depth; ++c) most = std::max(most, in[c]);
  float sum = 0.0f;
  for (size_t c = 0; c < depth; ++c) sum += std::exp(in[c] - most);
  const float log_sum = std::log(sum);
  for (size_t c = 0; c < depth; ++c) out[c] = in[c] - most - log_sum;
}

// 8-bit LOG_SOFTMAX: output scale 1/16, the highest value stands for 0. `reverse` is the inverse of
// the input's scale in 5.26.
template <typename T>
void LogSoftmaxRow(const T* in, size_t depth, const SoftmaxScale& s, Multiplier reverse, T* out) {
  constexpr int kSumBits = 12, kDiffBits = 5, kOutBits = 4;
  constexpr int32_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  T most = std::numeric_limits<T>::min();
  for (size_t c = 0; c < depth; ++c) most = std::max(most, in[c]);
  int32_t sum = 0;
  for (size_t c = 0; c < depth; ++c) {
    const int32_t diff = int32_t{in[c]} - most;
    if (diff < s.diff_min) continue;
    const int32_t scaled = MultiplyByQuantizedMultiplier(diff, s.scale);
    sum = FixedAdd(sum, RoundingDivideByPowerOfTwo(ExpOfNegative<kDiffBits>(scaled), kSumBits));
  }
  const int32_t log_sum = FixedLog<kDiffBits, kSumBits>(sum);
  const int32_t least = std::max(
      s.diff_min - 1, MultiplyByQuantizedMultiplier(
                          FixedAdd(log_sum, std::numeric_limits<int32_t>::min()), reverse));
  for (size_t c = 0; c < depth; ++c) {
    const int32_t diff = int32_t{in[c]} - most;
    if (diff <= least) {
      out[c] = static_cast<T>(kLow);
      continue;
    }
    const int32_t scaled = MultiplyByQuantizedMultiplier(diff, s.scale);
    const int32_t value =
        RoundingDivideByPowerOfTwo(FixedSub(scaled, log_sum), 31 - kDiffBits - kOutBits) + kHigh;
    out[c] = static_cast<T>(std::clamp(value, kLow, kHigh));
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_SOFTMAX_H_
