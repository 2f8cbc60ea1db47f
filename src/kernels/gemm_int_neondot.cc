// The 8-bit integer micro-kernel for ARMv8.2's dot products (Cortex-A55, A75, A76 and later). The
// inner loop has 11 multiply-adds for each of its instructions, gemm_int_neon.cc's 3.6 (counted).
//
// Compiled with flags of its own, so nothing here may be an inline function that another file could
// share: intrinsics only.
#include "kernels/gemm_int_kernels.h"

#if defined(__ARM_FEATURE_DOTPROD)

#include <arm_neon.h>

namespace litesmith {
namespace {

// 16 sums: more than the latency of two units, and room for B and the rows.
constexpr size_t kRows = 4, kVectors = 4;

// One group of k, the kLane-th of the four in `a`.
template <size_t kM, int kLane>
inline void Add(const int8_t* b, const int8x16_t* a, int32x4_t (*sum)[kVectors]) {
#pragma GCC unroll 4
  for (size_t v = 0; v < kVectors; ++v) {
    const int8x16_t four = vld1q_s8(b + 4 * kIntPanel * kLane + 16 * v);
#pragma GCC unroll 4
    for (size_t m = 0; m < kM; ++m) sum[m][v] = vdotq_laneq_s32(sum[m][v], four, a[m], kLane);
  }
}

// kM rows by one panel.
template <size_t kM>
void Run(const IntTile& t, size_t panel, size_t first) {
  int32x4_t sum[kM][kVectors];
  const int8_t* rows[kM];
#pragma GCC unroll 4
  for (size_t m = 0; m < kM; ++m) {
    rows[m] = reinterpret_cast<const int8_t*>(t.rows[first + m]);
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) sum[m][v] = vld1q_s32(t.init + panel * kIntPanel + 4 * v);
  }
  const int8x16_t flip = vreinterpretq_s8_u32(vdupq_n_u32(t.flip));
  const int8_t* b = reinterpret_cast<const int8_t*>(t.panels[panel]);
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    int8x16_t a[kM];
    size_t g = 0;
    for (; g + 4 <= t.groups; g += 4) {
#pragma GCC unroll 4
      for (size_t m = 0; m < kM; ++m) a[m] = veorq_s8(vld1q_s8(rows[m] + at), flip);
      Add<kM, 0>(b, a, sum);
      Add<kM, 1>(b, a, sum);
      Add<kM, 2>(b, a, sum);
      Add<kM, 3>(b, a, sum);
      at += 16;
      b += 16 * kIntPanel;
    }
    for (; g < t.groups; ++g) {
#pragma GCC unroll 4
      for (size_t m = 0; m < kM; ++m) {
        int32_t group;
        __builtin_memcpy(&group, rows[m] + at, sizeof(group));
        a[m] = veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(group)), flip);
      }
      Add<kM, 0>(b, a, sum);
      at += 4;
      b += 4 * kIntPanel;
    }
  }
#pragma GCC unroll 4
  for (size_t m = 0; m < kM; ++m) {
    int32_t* to = t.sums + (first + m) * kIntTileColumns + panel * kIntPanel;
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) vst1q_s32(to + 4 * v, sum[m][v]);
  }
}

}  // namespace

void IntTileS8NeonDot(const IntTile& t) {
  for (size_t panel = 0; panel < t.num_panels; ++panel) {
    size_t m = 0;
    for (; m + kRows <= t.num_rows; m += kRows) Run<kRows>(t, panel, m);
    switch (t.num_rows - m) {
      case 1:
        Run<1>(t, panel, m);
        break;
      case 2:
        Run<2>(t, panel, m);
        break;
      case 3:
        Run<3>(t, panel, m);
        break;
      default:
        break;
    }
  }
}

}  // namespace litesmith

#endif  // __ARM_FEATURE_DOTPROD
