#include "kernels/peak_neon.h"

#if defined(__ARM_NEON)

#include <arm_neon.h>

namespace litesmith {

// As kernels/gemm_int_neon.cc: two products of eight bytes, added in pairs.
double NeonByteLoop(size_t rounds, int32_t* result) {
  constexpr size_t kChains = 8;
  int32x4_t sums[kChains];
  const int8x8_t x = vdup_n_s8(static_cast<int8_t>(*result & 0x3f));
#pragma GCC unroll 8
  for (size_t c = 0; c < kChains; ++c) sums[c] = vdupq_n_s32(static_cast<int32_t>(c));
  for (size_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 8
    for (size_t c = 0; c < kChains; ++c) {
      int8x8_t y = x;
      __asm__ volatile("" : "+w"(y));  // the products are constant: the compiler must not know
      sums[c] = vpadalq_s16(sums[c], vmlal_s8(vmull_s8(y, x), y, x));
    }
  }
#pragma GCC unroll 8
  for (size_t c = 1; c < kChains; ++c) sums[0] = vaddq_s32(sums[0], sums[c]);
  *result = vgetq_lane_s32(sums[0], 0);
  return static_cast<double>(rounds * kChains * 16);
}

}  // namespace litesmith

#endif  // __ARM_NEON
