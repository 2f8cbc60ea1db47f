// The integer micro-kernels for AVX-512 VNNI: vpdpbusd and vpdpwssd sum a group of 4 bytes in one
// instruction. Compiled with flags of its own, so nothing here may be an inline function that
// another file could share: intrinsics only.
#include "kernels/gemm_int_kernels.h"

#if defined(__AVX512VNNI__)

// GCC 12 takes its own headers' undefined vectors for a mistake.
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

namespace litesmith {
namespace {

#include "kernels/line_avx512-inl.h"

constexpr size_t kRows = 8;
static_assert(kRows == kIntLineRows);

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

// Keeps a tile's sums in the registers they have: else GCC 12 moves all of them in every step of
// the loop before, to have them elsewhere after it.
template <size_t kM, size_t kN>
inline __attribute__((always_inline)) void Settle(__m512i (*sum)[kN]) {
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) asm volatile("" : "+v"(sum[m][n]));
  }
}

#include "kernels/tile_stages_avx512-inl.h"

// kM rows by kN panels; kChains sums each, so that small tiles do not wait for the instruction's
// latency.
template <class Op, size_t kM, size_t kN, size_t kChains, class Out = Sums>
__attribute__((noinline)) void Run(const IntTile& t, size_t first) {
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
  if constexpr (kChains == 1) Settle<kM, kN>(sum[0]);
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) {
#pragma GCC unroll 8
      for (size_t c = 1; c < kChains; ++c) {
        sum[0][m][n] = _mm512_add_epi32(sum[0][m][n], sum[c][m][n]);
      }
    }
  }
  Out::template Finish<kM, kN>(t, first, sum[0]);
}

// kRows rows by one panel. Each product of the tile above loads its own left group there, and the
// loads are what it waits for: so two groups are loaded at a time, and the weights' groups are
// interleaved to match; lanes then hold the sums of even and of odd groups side by side
// (1024x16x144 in int8: 7.7 -> 6.3 us).
template <class Op, class Out = Sums>
__attribute__((noinline)) void RunSinglePanel(const IntTile& t, size_t first) {
  // Sums are stored for rows that are all there.
  const bool spaced = Out::kSparse && (t.spaced >> (first / kRows) & 1) != 0;
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
  for (size_t m = 0; m < kRows; ++m) {
    rows[m] = spaced ? t.rows[first] + static_cast<ptrdiff_t>(m) * t.step : t.rows[first + m];
  }
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
  for (size_t m = 0; m < kRows; ++m) asm volatile("" : "+v"(low[m]), "+v"(high[m]));
  __m512i sum[kRows][1];
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) {
    const __m512 l = _mm512_castsi512_ps(low[m]), h = _mm512_castsi512_ps(high[m]);
    const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(l, h, 0x88));
    const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(l, h, 0xdd));
    sum[m][0] = _mm512_add_epi32(_mm512_add_epi32(even, odd), single[m]);
  }
  Out::template Finish<kRows, 1>(t, first, sum);
}

// kRows rows by 8 columns, all there are: as above, but one vector holds the even and the odd
// group of every column.
template <class Op, bool kPositive, bool kTwo>
void RunEightColumns(const IntTile& t, size_t first) {
  const __m512i both = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i zero = _mm512_setzero_si512();
  const __m512i flip = _mm512_set1_epi32(static_cast<int32_t>(t.flip));
  __m512i sum[kRows];
  const std::byte* rows[kRows];
  const bool spaced = (t.spaced >> (first / kRows) & 1) != 0;
  const __m512i init = _mm512_permutex2var_epi32(_mm512_loadu_si512(t.init), both, zero);
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) {
    sum[m] = init;
    rows[m] = spaced ? t.rows[first] + static_cast<ptrdiff_t>(m) * t.step : t.rows[first + m];
  }
  const std::byte* b = t.panels[0];
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    size_t left = t.groups;
    for (; left >= 2; left -= 2, at += 8, b += 128) {
      const __m512i right =
          _mm512_permutex2var_epi32(_mm512_load_si512(b), both, _mm512_load_si512(b + 64));
#pragma GCC unroll 8
      for (size_t m = 0; m < kRows; ++m) {
        int64_t groups;
        __builtin_memcpy(&groups, rows[m] + at, sizeof(groups));
        sum[m] = Op::Dot(sum[m], Op::Left(_mm512_set1_epi64(groups), flip), right);
      }
    }
    if (left == 0) continue;
    const __m512i right = _mm512_permutex2var_epi32(_mm512_load_si512(b), both, zero);
#pragma GCC unroll 8
    for (size_t m = 0; m < kRows; ++m) {
      sum[m] = Op::Dot(sum[m], Op::Left(Broadcast(rows[m] + at), flip), right);
    }
    b += 64;
  }
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) asm volatile("" : "+v"(sum[m]));
  // Lane i of 128 bits: columns 2i and 2i + 1 of one row, then of the next.
  const IntTileLines& l = *t.lines;
  const __m512i pairs = _mm512_setr_epi32(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7);
  Line<kTwo> line = LoadLine<kTwo>(l.scale, l.rest, l.add);
  line.scale = _mm512_permutexvar_ps(pairs, line.scale);
  line.rest = _mm512_permutexvar_ps(pairs, line.rest);
  line.add = _mm512_permutexvar_ps(pairs, line.add);
  __m512i x[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const __m512 u = _mm512_castsi512_ps(sum[2 * i]), v = _mm512_castsi512_ps(sum[2 * i + 1]);
    const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(u, v, 0x88));
    const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(u, v, 0xdd));
    x[i] = ApplyLine<kPositive>(line, _mm512_add_epi32(even, odd));
  }
  const __m512i point = _mm512_set1_epi16(l.zero_point);
  const __m512i low = _mm512_set1_epi8(l.low), high = _mm512_set1_epi8(l.high);
  const __m512i u = _mm512_packs_epi32(x[0], x[1]), v = _mm512_packs_epi32(x[2], x[3]);
  const __m512i packed =
      kPositive
          ? _mm512_xor_si512(_mm512_packus_epi16(u, v), low)
          : _mm512_max_epi8(
                _mm512_packs_epi16(_mm512_adds_epi16(u, point), _mm512_adds_epi16(v, point)), low);
  const __m512i bytes = _mm512_min_epi8(packed, high);
  // Lane i has two columns of rows 0 to 7 now: transposed, row after row.
  const __m512i order = _mm512_set_epi16(31, 23, 15, 7, 30, 22, 14, 6, 29, 21, 13, 5, 28, 20, 12, 4,
                                         27, 19, 11, 3, 26, 18, 10, 2, 25, 17, 9, 1, 24, 16, 8, 0);
  _mm512_storeu_si512(l.out + first * 8, _mm512_permutexvar_epi16(order, bytes));
}

template <class Op>
bool RunEightColumns(const IntTile& t) {
  const IntTileLines& l = *t.lines;
  if (l.columns != 8 || l.stride != 8) return false;
  for (size_t m = 0; m + kRows <= t.num_rows; m += kRows) {
    if (l.positive) {
      l.two ? RunEightColumns<Op, true, true>(t, m) : RunEightColumns<Op, true, false>(t, m);
    } else {
      l.two ? RunEightColumns<Op, false, true>(t, m) : RunEightColumns<Op, false, false>(t, m);
    }
  }
  return true;
}

// kBlocks blocks of 8 rows from row `first` on by kN panels; the rows of a block are t.step apart,
// so that few registers address them all and nothing is left to prepare for a tile.
template <class Op, size_t kBlocks, size_t kN, class Out>
inline __attribute__((always_inline)) void RunSpaced(const IntTile& t, size_t first) {
  constexpr size_t kM = kBlocks * kRows;
  __m512i sum[kM][kN];
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) sum[m][n] = _mm512_loadu_si512(t.init + n * kIntPanel);
  }
  const __m512i flip = _mm512_set1_epi32(static_cast<int32_t>(t.flip));
  const std::byte* b = t.panels[0];
  const ptrdiff_t next = t.panels[kN - 1] - b, step = t.step, step3 = 3 * step;
  const size_t groups = t.groups;
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    const ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    const std::byte* from[2 * kBlocks];  // every fourth row
#pragma GCC unroll 4
    for (size_t i = 0; i < 2 * kBlocks; ++i) {
      from[i] = t.rows[first + i / 2 * kRows] + at + static_cast<ptrdiff_t>(i % 2) * 4 * step;
    }
    for (size_t g = 0; g < groups; ++g, b += 64) {
      __m512i right[kN];
      right[0] = _mm512_load_si512(b);
      if constexpr (kN == 2) right[1] = _mm512_load_si512(b + next);
#pragma GCC unroll 16
      for (size_t m = 0; m < kM; ++m) {
        const size_t i = m % 4;
        const ptrdiff_t row = i == 3 ? step3 : static_cast<ptrdiff_t>(i) * step;
        const __m512i left =
            Op::Left(Broadcast(from[m / 4] + row + static_cast<ptrdiff_t>(4 * g)), flip);
#pragma GCC unroll 2
        for (size_t n = 0; n < kN; ++n) sum[m][n] = Op::Dot(sum[m][n], left, right[n]);
      }
    }
  }
  Settle<kM, kN>(sum);
  Out::template Finish<kM, kN>(t, first, sum);
}

// RunSinglePanel for rows that are t.step apart, with an even number of groups: in the loop over
// tiles (1024x16x144 in int8: 5.9 -> 5.6 us).
template <class Op, class Out>
inline __attribute__((always_inline)) void RunSpacedPairs(const IntTile& t, size_t first) {
  __m512i low[kRows], high[kRows];
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) low[m] = high[m] = _mm512_setzero_si512();
  const __m512i flip = _mm512_set1_epi32(static_cast<int32_t>(t.flip));
  const std::byte* b = t.panels[0];
  const ptrdiff_t step = t.step, step3 = 3 * step;
  const size_t bytes = 4 * t.groups;
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    const std::byte* p = t.rows[first] + (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    const std::byte* q = p + 4 * step;
    for (const std::byte* end = p + bytes; p != end; p += 8, q += 8, b += 128) {
      const __m512i even = _mm512_load_si512(b), odd = _mm512_load_si512(b + 64);
      const __m512i b_low = _mm512_unpacklo_epi32(even, odd);
      const __m512i b_high = _mm512_unpackhi_epi32(even, odd);
#pragma GCC unroll 8
      for (size_t m = 0; m < kRows; ++m) {
        const size_t i = m % 4;
        const ptrdiff_t row = i == 3 ? step3 : static_cast<ptrdiff_t>(i) * step;
        int64_t groups;
        __builtin_memcpy(&groups, (m < 4 ? p : q) + row, sizeof(groups));
        const __m512i a = Op::Left(_mm512_set1_epi64(groups), flip);
        low[m] = Op::Dot(low[m], a, b_low);
        high[m] = Op::Dot(high[m], a, b_high);
      }
    }
  }
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) asm volatile("" : "+v"(low[m]), "+v"(high[m]));
  const __m512i init = _mm512_loadu_si512(t.init);
  __m512i sum[kRows][1];
#pragma GCC unroll 8
  for (size_t m = 0; m < kRows; ++m) {
    const __m512 l = _mm512_castsi512_ps(low[m]), h = _mm512_castsi512_ps(high[m]);
    const __m512i even = _mm512_castps_si512(_mm512_shuffle_ps(l, h, 0x88));
    const __m512i odd = _mm512_castps_si512(_mm512_shuffle_ps(l, h, 0xdd));
    sum[m][0] = _mm512_add_epi32(_mm512_add_epi32(even, odd), init);
  }
  Out::template Finish<kRows, 1>(t, first, sum);
}

// The tile is a copy: what is stored could change the caller's.
template <class Op, class Out>
inline __attribute__((always_inline)) void RunOnePanel(const IntTile t) {
  // What joining the sums of RunSinglePanel costs, its loop earns in this many groups.
  const bool shallow = t.num_taps * t.groups <= 12;
  const bool pairs = t.groups % 2 == 0;
  size_t m = 0;
  while (m + kRows <= t.num_rows) {
    const bool spaced = (t.spaced >> (m / kRows) & 3) == 3;
    if (shallow && spaced && m + 2 * kRows <= t.num_rows) {
      RunSpaced<Op, 2, 1, Out>(t, m);
      m += 2 * kRows;
      continue;
    }
    if (pairs && (t.spaced >> (m / kRows) & 1) != 0) {
      RunSpacedPairs<Op, Out>(t, m);
    } else {
      RunSinglePanel<Op, Out>(t, m);
    }
    m += kRows;
  }
}
template <class Op, class Out>
inline __attribute__((always_inline)) void RunTwoPanels(const IntTile t) {
  for (size_t m = 0; m + kRows <= t.num_rows; m += kRows) {
    if ((t.spaced >> (m / kRows) & 1) != 0) {
      RunSpaced<Op, 1, 2, Out>(t, m);
    } else {
      Run<Op, kRows, 2, 1, Out>(t, m);
    }
  }
}
template <class Op, class Out>
void RunPanels(const IntTile& tile) {
  if (tile.lines == nullptr) {
    const IntTileFloats floats = *tile.floats;
    IntTile t = tile;
    t.floats = &floats;
    return t.num_panels == 2 ? RunTwoPanels<Op, Out>(t) : RunOnePanel<Op, Out>(t);
  }
  const IntTileLines lines = *tile.lines;
  IntTile t = tile;
  t.lines = &lines;
  t.num_panels == 2 ? RunTwoPanels<Op, Out>(t) : RunOnePanel<Op, Out>(t);
}

template <bool kBounded, Place kPlace>
void RunWides(const IntTile& tile) {
  const WideColumns wides(*tile.wides, tile.num_panels);
  IntTile t = tile;
  t.wides = &wides;
  using Out = Wides<kBounded, kPlace>;
  t.num_panels == 2 ? RunTwoPanels<Pairs, Out>(t) : RunOnePanel<Pairs, Out>(t);
}

template <bool kBounded>
void RunWides(const IntTile& t) {
  const size_t columns = t.wides->columns;
  if (columns != t.num_panels * kIntPanel) return RunWides<kBounded, Place::kPart>(t);
  if (columns != t.wides->stride) return RunWides<kBounded, Place::kWhole>(t);
  RunWides<kBounded, Place::kDense>(t);
}

template <class Op, bool kPositive, bool kTwo>
void RunLines(const IntTile& t) {
  const size_t columns = t.lines->columns;
  if (columns != t.num_panels * kIntPanel) {
    RunPanels<Op, Lines<kPositive, kTwo, Place::kPart>>(t);
  } else if (columns == t.lines->stride) {
    RunPanels<Op, Lines<kPositive, kTwo, Place::kDense>>(t);
  } else {
    RunPanels<Op, Lines<kPositive, kTwo, Place::kWhole>>(t);
  }
}

template <class Op>
void RunWhole(const IntTile& t) {
  if (t.floats != nullptr) {
    return t.floats->twice ? RunPanels<Op, Floats<true>>(t) : RunPanels<Op, Floats<false>>(t);
  }
  if (RunEightColumns<Op>(t)) return;
  if (t.lines->positive) {
    return t.lines->two ? RunLines<Op, true, true>(t) : RunLines<Op, true, false>(t);
  }
  return t.lines->two ? RunLines<Op, false, true>(t) : RunLines<Op, false, false>(t);
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
  if (t.lines != nullptr || t.floats != nullptr) {
    return t.flip != 0 ? RunWhole<Bytes<true>>(t) : RunWhole<Bytes<false>>(t);
  }
  if (t.flip != 0) {
    t.num_panels == 2 ? RunRows<Bytes<true>, 2>(t) : RunRows<Bytes<true>, 1>(t);
  } else {
    t.num_panels == 2 ? RunRows<Bytes<false>, 2>(t) : RunRows<Bytes<false>, 1>(t);
  }
}
void IntTileS16Avx512Vnni(const IntTile& t) {
  if (t.wides != nullptr) return t.wides->bounded ? RunWides<true>(t) : RunWides<false>(t);
  t.num_panels == 2 ? RunRows<Pairs, 2>(t) : RunRows<Pairs, 1>(t);
}

}  // namespace litesmith

#endif  // __AVX512VNNI__
