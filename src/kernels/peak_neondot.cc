// Compiled with flags of its own: intrinsics only.
#include "kernels/peak_neon.h"

#if defined(__ARM_FEATURE_DOTPROD)

#include <arm_neon.h>

namespace litesmith {

double NeonDotLoop(size_t rounds, int32_t* result) {
  constexpr size_t kChains = 16;
  int32x4_t sums[kChains];
  const int8x16_t x = vreinterpretq_s8_s32(vdupq_n_s32(*result));
#pragma GCC unroll 16
  for (size_t c = 0; c < kChains; ++c) sums[c] = vdupq_n_s32(static_cast<int32_t>(c));
  for (size_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (size_t c = 0; c < kChains; ++c) sums[c] = vdotq_s32(sums[c], x, x);
    __asm__ volatile("" : "+w"(sums[0]));  // the products are constant: the compiler must not know
  }
#pragma GCC unroll 16
  for (size_t c = 1; c < kChains; ++c) sums[0] = vaddq_s32(sums[0], sums[c]);
  *result = vgetq_lane_s32(sums[0], 0);
  return static_cast<double>(rounds * kChains * 16);
}

}  // namespace litesmith

#endif  // __ARM_FEATURE_DOTPROD
