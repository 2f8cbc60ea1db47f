// The integer micro-kernels for AVX-512 VNNI: vpdpbusd and vpdpwssd sum a group of 4 bytes in one
// instruction. Compiled with flags of its own, so nothing here may be an inline function that
// another file could share: intrinsics only.
#include "kernels/gemm_int_kernels.h"

#if defined(__AVX512VNNI__)

#include <immintrin.h>

namespace litesmith {
namespace {

constexpr size_t kRows = 8;

template <bool kFlip>
struct Bytes {
  static inline __m512i Left(__m512i a, __m512i flip) {
    return kFlip ? _mm512_xor_si512(a, flip) : a;
  }
  static inline __m512i Dot(__m512i sum, __m512i a, __m512i b) {
    return _mm512_dpbusd_epi32(sum, a, b);
  }
};

struct Pairs {
  static inline __m512i Left(__m512i a, __m512i /*flip*/) { return a; }
  static inline __m512i Dot(__m512i sum, __m512i a, __m512i b) {
    return _mm512_dpwssd_epi32(sum, a, b);
  }
};

inline __m512i Broadcast(const std::byte* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return _mm512_set1_epi32(group);
}

// kM rows by kN panels; kChains sums each, so that small tiles do not wait for the instruction's
// latency.
template <class Op, size_t kM, size_t kN, size_t kChains>
void Run(const IntTile& t, size_t first) {
  __m512i sum[kChains][kM][kN];
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) {
      sum[0][m][n] = _mm512_loadu_si512(t.init + n * kIntPanel);
#pragma GCC unroll 8
      for (size_t c = 1; c < kChains; ++c) sum[c][m][n] = _mm512_setzero_si512();
    }
  }
  const __m512i flip = _mm512_set1_epi32(static_cast<int32_t>(t.flip));
  const std::byte* rows[kM];
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) rows[m] = t.rows[first + m];
  const std::byte* b0 = t.panels[0];
  const ptrdiff_t next = t.panels[kN - 1] - t.panels[0];
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    size_t left = t.groups;
    for (; left >= kChains; left -= kChains) {
#pragma GCC unroll 8
      for (size_t c = 0; c < kChains; ++c) {
        __m512i b[kN];
        b[0] = _mm512_load_si512(b0);
        if constexpr (kN == 2) b[1] = _mm512_load_si512(b0 + next);
#pragma GCC unroll 8
        for (size_t m = 0; m < kM; ++m) {
          const __m512i a = Op::Left(Broadcast(rows[m] + at), flip);
#pragma GCC unroll 2
          for (size_t n = 0; n < kN; ++n) sum[c][m][n] = Op::Dot(sum[c][m][n], a, b[n]);
        }
        at += 4;
        b0 += 64;
      }
    }
    if constexpr (kChains > 1) {
      for (; left > 0; --left) {
#pragma GCC unroll 8
        for (size_t m = 0; m < kM; ++m) {
          const __m512i a = Op::Left(Broadcast(rows[m] + at), flip);
#pragma GCC unroll 2
          for (size_t n = 0; n < kN; ++n) {
            const __m512i b = _mm512_load_si512(n == 0 ? b0 : b0 + next);
            sum[0][m][n] = Op::Dot(sum[0][m][n], a, b);
          }
        }
        at += 4;
        b0 += 64;
      }
    }
  }
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) {
#pragma GCC unroll 8
      for (size_t c = 1; c < kChains; ++c) {
        sum[0][m][n] = _mm512_add_epi32(sum[0][m][n], sum[c][m][n]);
      }
      _mm512_store_si512(t.sums + (first + m) * kIntTileColumns + n * kIntPanel, sum[0][m][n]);
    }
  }
}

// kRows rows by one panel. Each product of the tile above loads its own left group there, and the
// loads are what it waits for: so two groups are loaded at a time, and the weights' groups are
// interleaved to match; lanes then hold the sums of even and of odd groups side by side
// (1024x16x144 in int8: 7.7 -> 6.3 us).
template <class Op>
void RunSinglePanel(const IntTile& t, size_t first) {
  __m512i single[kRows], low[kRows], high[kRows];
  const __m512i init = _mm512_loadu_si512(t.init);
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) {
    single[m] = init;
    low[m] = high[m] = _mm512_setzero_si512();
  }
  const __m512i flip = _mm512_set1_epi32(static_cast<int32_t>(t.flip));
  const std::byte* rows[kRows];
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) rows[m] = t.rows[first + m];
  const std::byte* b = t.panels[0];
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    size_t left = t.groups;
    for (; left >= 2; left -= 2, at += 8, b += 128) {
      const __m512i even = _mm512_load_si512(b), odd = _mm512_load_si512(b + 64);
      const __m512i b_low = _mm512_unpacklo_epi32(even, odd);
      const __m512i b_high = _mm512_unpackhi_epi32(even, odd);
#pragma GCC unroll 8
      for (size_t m = 0; m < kRows; ++m) {
        int64_t groups;
        __builtin_memcpy(&groups, rows[m] + at, sizeof(groups));
        const __m512i a = Op::Left(_mm512_set1_epi64(groups), flip);
        low[m] = Op::Dot(low[m], a, b_low);
        high[m] = Op::Dot(high[m], a, b_high);
      }
    }
    if (left == 0) continue;
    const __m512i right = _mm512_load_si512(b);
#pragma GCC unroll 8
    for (size_t m = 0; m < kRows; ++m) {
      single[m] = Op::Dot(single[m], Op::Left(Broadcast(rows[m] + at), flip), right);
    }
    b += 64;
  }
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) {
    const __m512 l = _mm512_castsi512_ps(low[m]), h = _mm512_castsi512_ps(high[m]);
    const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(l, h, 0x88));
    const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(l, h, 0xdd));
    const __m512i sum = _mm512_add_epi32(_mm512_add_epi32(even, odd), single[m]);
    _mm512_store_si512(t.sums + (first + m) * kIntTileColumns, sum);
  }
}

template <class Op, size_t kN>
void RunRows(const IntTile& t) {
  size_t m = 0;
  for (; m + kRows <= t.num_rows; m += kRows) {
    if constexpr (kN == 1) {
      RunSinglePanel<Op>(t, m);
    } else {
      Run<Op, kRows, kN, 1>(t, m);
    }
  }
  switch (t.num_rows - m) {
    case 1:
      return Run<Op, 1, kN, 8 / kN>(t, m);
    case 2:
      return Run<Op, 2, kN, 4 / kN>(t, m);
    case 3:
      return Run<Op, 3, kN, 2>(t, m);
    case 4:
      return Run<Op, 4, kN, 2 / kN>(t, m);
    case 5:
      return Run<Op, 5, kN, 1>(t, m);
    case 6:
      return Run<Op, 6, kN, 1>(t, m);
    case 7:
      return Run<Op, 7, kN, 1>(t, m);
    default:
      return;
  }
}

}  // namespace

void IntTileS8Avx512Vnni(const IntTile& t) {
  if (t.flip != 0) {
    t.num_panels == 2 ? RunRows<Bytes<true>, 2>(t) : RunRows<Bytes<true>, 1>(t);
  } else {
    t.num_panels == 2 ? RunRows<Bytes<false>, 2>(t) : RunRows<Bytes<false>, 1>(t);
  }
}
void IntTileS16Avx512Vnni(const IntTile& t) {
  t.num_panels == 2 ? RunRows<Pairs, 2>(t) : RunRows<Pairs, 1>(t);
}

}  // namespace litesmith

#endif  // __AVX512VNNI__
