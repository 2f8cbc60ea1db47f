// The 8-bit integer micro-kernel for NEON without dot products (Cortex-A53, A72, A7): products of
// bytes in 16 bits, added in pairs to 32-bit sums.
//
// A Cortex-A72 multiplies on one of its two vector pipes: eight bytes an instruction here, four
// numbers where 8-bit operands are widened to 16 (gemm_int.cc), so that half of the multiplications
// remain; the pairwise additions go to the other pipe. The inner loop has 3.6 multiply-adds for each
// of its instructions, with widened operands 2.7. Counted, not timed: no board was at hand.
#include "kernels/gemm_int_kernels.h"

#if defined(__ARM_NEON)

#include <arm_neon.h>

namespace litesmith {
namespace {

// A vector holds a group of four columns. By registers: 32 vectors, or 16 on 32-bit ARM.
#if defined(__aarch64__)
constexpr size_t kVectors = 4;
#else
constexpr size_t kVectors = 2;
#endif
constexpr size_t kRows = 2;

// Sums of two columns each, every column's in two lanes.
template <size_t kM>
struct Sums {
  int32x4_t low[kM][kVectors], high[kM][kVectors];
};

#if defined(__aarch64__)
inline int16x8_t MulHigh(int8x16_t b, int8x16_t a) { return vmull_high_s8(b, a); }
inline int16x8_t MulAddHigh(int16x8_t sum, int8x16_t b, int8x16_t a) {
  return vmlal_high_s8(sum, b, a);
}
#else
inline int16x8_t MulHigh(int8x16_t b, int8x16_t a) {
  return vmull_s8(vget_high_s8(b), vget_low_s8(a));
}
inline int16x8_t MulAddHigh(int16x8_t sum, int8x16_t b, int8x16_t a) {
  return vmlal_s8(sum, vget_high_s8(b), vget_low_s8(a));
}
#endif

// The group of four columns at `b` times that of every row in `a`.
template <size_t kM>
struct Products {
  int16x8_t low[kM], high[kM];

  inline Products(int8x16_t b, const int8x16_t* a) {
#pragma GCC unroll 4
    for (size_t m = 0; m < kM; ++m) {
      low[m] = vmull_s8(vget_low_s8(b), vget_low_s8(a[m]));
      high[m] = MulHigh(b, a[m]);
    }
  }
  inline void Add(int8x16_t b, const int8x16_t* a) {
#pragma GCC unroll 4
    for (size_t m = 0; m < kM; ++m) {
      low[m] = vmlal_s8(low[m], vget_low_s8(b), vget_low_s8(a[m]));
      high[m] = MulAddHigh(high[m], b, a[m]);
    }
  }
  inline void AddTo(Sums<kM>* s, size_t v) const {
#pragma GCC unroll 4
    for (size_t m = 0; m < kM; ++m) {
      s->low[m][v] = vpadalq_s16(s->low[m][v], low[m]);
      s->high[m][v] = vpadalq_s16(s->high[m][v], high[m]);
    }
  }
};

// One group of k.
template <size_t kM>
inline void AddOne(const int8_t* b, const int8x16_t* a, Sums<kM>* s) {
#pragma GCC unroll 4
  for (size_t v = 0; v < kVectors; ++v) Products<kM>(vld1q_s8(b + 16 * v), a).AddTo(s, v);
}

// Two groups. kNarrow: two products fit 16 bits.
template <size_t kM, bool kNarrow>
inline void AddTwo(const int8_t* b, const int8x16_t* a0, const int8x16_t* a1, Sums<kM>* s) {
  if (!kNarrow) {
    AddOne<kM>(b, a0, s);
    AddOne<kM>(b + 4 * kIntPanel, a1, s);
    return;
  }
#pragma GCC unroll 4
  for (size_t v = 0; v < kVectors; ++v) {
    Products<kM> p(vld1q_s8(b + 16 * v), a0);
    p.Add(vld1q_s8(b + 4 * kIntPanel + 16 * v), a1);
    p.AddTo(s, v);
  }
}

// Four columns from the sums of two and two.
inline int32x4_t Join(int32x4_t low, int32x4_t high) {
#if defined(__aarch64__)
  return vpaddq_s32(low, high);
#else
  return vcombine_s32(vpadd_s32(vget_low_s32(low), vget_high_s32(low)),
                      vpadd_s32(vget_low_s32(high), vget_high_s32(high)));
#endif
}

// kM rows by kVectors * 4 columns from `column` of the panel on.
template <size_t kM, bool kNarrow>
void Run(const IntTile& t, size_t panel, size_t column, size_t first) {
  Sums<kM> s;
#pragma GCC unroll 4
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) s.low[m][v] = s.high[m][v] = vdupq_n_s32(0);
  }
  const int8x8_t flip = vreinterpret_s8_u32(vdup_n_u32(t.flip));
  const int8_t* rows[kM];
#pragma GCC unroll 4
  for (size_t m = 0; m < kM; ++m) rows[m] = reinterpret_cast<const int8_t*>(t.rows[first + m]);
  const int8_t* b = reinterpret_cast<const int8_t*>(t.panels[panel]) + 4 * column;
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    int8x16_t a[kM], next[kM];
    size_t g = 0;
    for (; g + 2 <= t.groups; g += 2) {
#pragma GCC unroll 4
      for (size_t m = 0; m < kM; ++m) {
        const int32x2_t both = vreinterpret_s32_s8(veor_s8(vld1_s8(rows[m] + at), flip));
        a[m] = vreinterpretq_s8_s32(vdupq_lane_s32(both, 0));
        next[m] = vreinterpretq_s8_s32(vdupq_lane_s32(both, 1));
      }
      AddTwo<kM, kNarrow>(b, a, next, &s);
      at += 8;
      b += 8 * kIntPanel;
    }
    if (g == t.groups) continue;
#pragma GCC unroll 4
    for (size_t m = 0; m < kM; ++m) {
      int32_t group;
      __builtin_memcpy(&group, rows[m] + at, sizeof(group));
      const int8x8_t both = veor_s8(vreinterpret_s8_s32(vdup_n_s32(group)), flip);
      a[m] = vcombine_s8(both, both);
    }
    AddOne<kM>(b, a, &s);
    b += 4 * kIntPanel;
  }
  const size_t at = panel * kIntPanel + column;
#pragma GCC unroll 4
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kVectors; ++v) {
      const int32x4_t start = vld1q_s32(t.init + at + 4 * v);
      vst1q_s32(t.sums + (first + m) * kIntTileColumns + at + 4 * v,
                vaddq_s32(start, Join(s.low[m][v], s.high[m][v])));
    }
  }
}

template <bool kNarrow>
void RunTile(const IntTile& t) {
  for (size_t panel = 0; panel < t.num_panels; ++panel) {
    for (size_t column = 0; column < kIntPanel; column += 4 * kVectors) {
      size_t m = 0;
      for (; m + kRows <= t.num_rows; m += kRows) Run<kRows, kNarrow>(t, panel, column, m);
      if (m < t.num_rows) Run<1, kNarrow>(t, panel, column, m);
    }
  }
}

}  // namespace

void IntTileS8Neon(const IntTile& t) { t.no_lowest ? RunTile<true>(t) : RunTile<false>(t); }

}  // namespace litesmith

#endif  // __ARM_NEON
