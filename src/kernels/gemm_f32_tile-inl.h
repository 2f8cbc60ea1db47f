// The register tiles of the float product (kernels/gemm_f32.h) and the table of them. Included once
// per instruction set.

#if defined(LITESMITH_KERNELS_GEMM_F32_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LITESMITH_KERNELS_GEMM_F32_TILE_INL_H_
#undef LITESMITH_KERNELS_GEMM_F32_TILE_INL_H_
#else
#define LITESMITH_KERNELS_GEMM_F32_TILE_INL_H_
#endif

#include <cstddef>
#include <cstring>

#include "hwy/highway.h"
#include "kernels/gemm_f32.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Tile sizes by registers: 32 of them with AVX-512 and NEON, 16 else. Two vectors of columns (four
// on NEON, whose vectors are short) by as many rows as leave room for B and the broadcast element
// of A.
#if HWY_TARGET == HWY_AVX3
constexpr size_t kRows = 8, kVectors = 2;
#elif HWY_TARGET == HWY_NEON
constexpr size_t kRows = 5, kVectors = 4;
#elif HWY_TARGET == HWY_SCALAR
constexpr size_t kRows = 4, kVectors = 2;
#else
constexpr size_t kRows = 6, kVectors = 2;
#endif

// Rows of a tile of one vector, because kRows sums hardly cover the latency of their additions.
constexpr size_t kTallRows = 2 * kRows;

// B rows per block: two panels of one block fit the first-level cache.
constexpr size_t kDepthBlock = 256;

// Tiles one below the other that one call computes: with little depth, a call for each would cost
// as much as its products.
struct Tile {
  const float* rows[kRows];  // of the first tile
  ptrdiff_t delta;           // floats from row i to row i + kRows; for more than kRows
  size_t tiles;
  ptrdiff_t advance;  // floats of A from a tile's rows to those of the next
  const float* columns[kVectors];
  const float* ahead;  // the packed columns to fetch into the cache meanwhile, a panel a tile
  size_t ahead_tiles, panel_stride;  // how many tiles do so, and the way to the next panel
  size_t k_stride;
  const ptrdiff_t* taps;
  size_t num_taps, run;
  ptrdiff_t k_step, k_offset;
  float* c;
  size_t c_stride;
  const float* bias;  // of the tile's first column, or null
  bool load;          // start from what is in C
  bool clamp;
  float low, high;
  size_t last;  // columns of the last vector, 1..Lanes
};

// `count` floats at p and zeros: never reads beyond them.
template <bool kPartial>
HWY_INLINE V LoadColumns(D d, const float* p, size_t count) {
  if constexpr (!kPartial) return hn::LoadU(d, p);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, count), d, p);
#else
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
#endif
}

HWY_INLINE void StoreColumns(D d, V v, float* p, size_t count) {
  if (count == hn::Lanes(d)) {
    hn::StoreU(v, d, p);
    return;
  }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, count), d, p);
#else
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) p[i] = lanes[i];
#endif
}

HWY_INLINE V LoadUpTo(D d, const float* p, size_t count) {
  return count == hn::Lanes(d) ? hn::LoadU(d, p) : LoadColumns<true>(d, p, count);
}

// NaN stays NaN: of two operands one of which is no number, x86 takes the second.
HWY_INLINE V Clamp(V x, V low, V high) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Min(high, hn::Max(low, x));
#else
  const V above = hn::IfThenElse(hn::Lt(x, low), low, x);
  return hn::IfThenElse(hn::Gt(above, high), high, above);
#endif
}

// How B lies: packed beside packed elements of A (strides are constants, which leaves registers to
// the rows of A), or with any strides, its last vector full or not to be read beyond `last`
// columns.
enum class Form { kPacked, kStrided, kPartial };

// `t` again, and the compiler must not know: what only the start and the end of a tile need is then
// read there, and the loop between them has the registers.
HWY_INLINE const Tile& Anew(const Tile& t) {
  const Tile* same = &t;
  asm volatile("" : "+r"(same) : : "memory");
  return *same;
}

template <size_t kM, size_t kN>
HWY_INLINE void StartTile(const Tile& t, const float* c, V (&acc)[kM][kN]) {
  const D d;
  const size_t lanes = hn::Lanes(d), last = t.last, stride = t.c_stride;
  if (t.load) {
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m, c += stride) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kN; ++v) {
        acc[m][v] = LoadUpTo(d, c + v * lanes, v + 1 == kN ? last : lanes);
      }
    }
    return;
  }
#pragma GCC unroll 16
  for (size_t v = 0; v < kN; ++v) {
    const size_t count = v + 1 == kN ? last : lanes;
    const V start = t.bias != nullptr ? LoadUpTo(d, t.bias + v * lanes, count) : hn::Zero(d);
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m) acc[m][v] = start;
  }
}

template <size_t kM, size_t kN>
HWY_INLINE void FinishTile(const Tile& t, V (&acc)[kM][kN], float* c) {
  const D d;
  const size_t lanes = hn::Lanes(d), last = t.last, stride = t.c_stride;
  if (t.clamp) {
    const V low = hn::Set(d, t.low), high = hn::Set(d, t.high);
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kN; ++v) acc[m][v] = Clamp(acc[m][v], low, high);
    }
  }
  if (last == lanes) {
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m, c += stride) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kN; ++v) hn::StoreU(acc[m][v], d, c + v * lanes);
    }
    return;
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m, c += stride) {
#pragma GCC unroll 16
    for (size_t v = 0; v + 1 < kN; ++v) hn::StoreU(acc[m][v], d, c + v * lanes);
    StoreColumns(d, acc[m][kN - 1], c + (kN - 1) * lanes, last);
  }
}

template <size_t kM, size_t kN, Form kForm>
void RunTile(const Tile& tile) {
  constexpr bool kPartial = kForm == Form::kPartial;
  const D d;
  float* c = tile.c;
  ptrdiff_t offset = tile.k_offset;
  for (size_t i = 0; i < tile.tiles; ++i) {
    const Tile& t = Anew(tile);
    V acc[kM][kN];
    StartTile(t, c, acc);
    const ptrdiff_t k_step = kForm == Form::kPacked ? 1 : t.k_step;
    const size_t k_stride = kForm == Form::kPacked ? kGemmPanel : t.k_stride;
    constexpr size_t kHeld = kM < kRows ? kM : kRows;  // all would not fit the registers
    const float* rows[kHeld];
#pragma GCC unroll 16
    for (size_t m = 0; m < kHeld; ++m) rows[m] = t.rows[m];
    [[maybe_unused]] const ptrdiff_t delta = t.delta;
    const float* columns[kN];
#pragma GCC unroll 16
    for (size_t v = 0; v < kN; ++v) columns[v] = t.columns[v];
    [[maybe_unused]] const float* ahead =
        i < t.ahead_tiles ? t.ahead + i * t.panel_stride : columns[0];
    size_t at_b = 0;
    for (size_t tap = 0; tap < t.num_taps; ++tap) {
      ptrdiff_t at = (t.taps != nullptr ? t.taps[tap] : 0) + offset;
      for (size_t r = 0; r < t.run; ++r) {
        if constexpr (kForm == Form::kPacked && kN > 1) __builtin_prefetch(ahead + at_b, 0, 2);
        V b[kN];
#pragma GCC unroll 16
        for (size_t v = 0; v < kN; ++v) {
          b[v] = kPartial && v + 1 == kN ? LoadColumns<kPartial>(d, columns[v] + at_b, t.last)
                                         : hn::LoadU(d, columns[v] + at_b);
        }
#pragma GCC unroll 16
        for (size_t m = 0; m < kM; ++m) {
          const V a = hn::Set(d, m < kHeld ? rows[m][at] : rows[m - kHeld][at + delta]);
#pragma GCC unroll 16
          for (size_t v = 0; v < kN; ++v) acc[m][v] = hn::MulAdd(a, b[v], acc[m][v]);
        }
        at += k_step;
        at_b += k_stride;
      }
    }
    const Tile& end = Anew(tile);
    FinishTile(end, acc, c);
    c += kM * end.c_stride;
    offset += end.advance;
  }
}

#if HWY_TARGET == HWY_AVX3
// Adds the two lanes of each column, two rows at a time, and stores them.
template <size_t kM>
HWY_INLINE void FinishPairs(const Tile& t, const __m512 (&acc)[kM], float* c) {
  const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odds = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  const auto columns = static_cast<__mmask8>((1u << t.last) - 1);
  const __m512 low = _mm512_set1_ps(t.low), high = _mm512_set1_ps(t.high);
  const float* bias = t.load ? nullptr : t.bias;
  const __m256 half = bias == nullptr ? _mm256_setzero_ps() : _mm256_maskz_loadu_ps(columns, bias);
  const __m512 twice = _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(half)));
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; m += 2) {
    const bool two = m + 1 < kM;
    const __m512 other = acc[two ? m + 1 : m];
    __m512 start = twice;
    if (t.load) {
      const __m256 first = _mm256_maskz_loadu_ps(columns, c);
      const __m256 second = two ? _mm256_maskz_loadu_ps(columns, c + t.c_stride) : first;
      start = _mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(first)),
                                                  _mm256_castps_pd(second), 1));
    }
    __m512 sum = _mm512_add_ps(_mm512_permutex2var_ps(acc[m], evens, other),
                               _mm512_permutex2var_ps(acc[m], odds, other));
    sum = _mm512_add_ps(sum, start);
    if (t.clamp) sum = _mm512_min_ps(high, _mm512_max_ps(low, sum));
    _mm256_mask_storeu_ps(c, columns, _mm512_castps512_ps256(sum));
    c += t.c_stride;
    if (!two) break;
    _mm256_mask_storeu_ps(c, columns,
                          _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sum), 1)));
    c += t.c_stride;
  }
}

// At most half a vector of packed columns: each has two lanes, one for the even and one for the odd
// elements of a run, so that one addition serves two. Their sums are added at the end. (256 x 8 of
// depth 96 rise from 52 to 89 GMAC/s on Zen 5.)
template <size_t kM>
void RunPairs(const Tile& tile) {
  const __m512i both = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  float* c = tile.c;
  ptrdiff_t offset = tile.k_offset;
  for (size_t i = 0; i < tile.tiles; ++i) {
    const Tile& t = Anew(tile);
    __m512 acc[kM];
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m) acc[m] = _mm512_setzero_ps();
    constexpr size_t kHeld = kM < kRows ? kM : kRows;
    const float* rows[kHeld];
#pragma GCC unroll 16
    for (size_t m = 0; m < kHeld; ++m) rows[m] = t.rows[m];
    [[maybe_unused]] const ptrdiff_t delta = t.delta;
    const float* column = t.columns[0];
    for (size_t tap = 0; tap < t.num_taps; ++tap) {
      ptrdiff_t at = (t.taps != nullptr ? t.taps[tap] : 0) + offset;
      size_t r = 0;
      for (; r + 2 <= t.run; r += 2, at += 2, column += 2 * kGemmPanel) {
        const __m512 b = _mm512_permutex2var_ps(_mm512_loadu_ps(column), both,
                                                _mm512_loadu_ps(column + kGemmPanel));
#pragma GCC unroll 16
        for (size_t m = 0; m < kM; ++m) {
          const float* a = m < kHeld ? rows[m] + at : rows[m - kHeld] + at + delta;
          double two;
          std::memcpy(&two, a, sizeof(two));
          acc[m] = _mm512_fmadd_ps(_mm512_castpd_ps(_mm512_set1_pd(two)), b, acc[m]);
        }
      }
      if (r < t.run) {  // the last of an odd run: nothing beside it
        const __m512 b = _mm512_permutex2var_ps(_mm512_loadu_ps(column), both, _mm512_setzero_ps());
        column += kGemmPanel;
#pragma GCC unroll 16
        for (size_t m = 0; m < kM; ++m) {
          const float* a = m < kHeld ? rows[m] + at : rows[m - kHeld] + at + delta;
          const __m512 one = _mm512_maskz_mov_ps(0x5555, _mm512_set1_ps(*a));
          acc[m] = _mm512_fmadd_ps(one, b, acc[m]);
        }
      }
    }
    FinishPairs(Anew(tile), acc, c);
    c += kM * tile.c_stride;
    offset += tile.advance;
  }
}
#endif

using TileFunction = void (*)(const Tile&);

struct TileTable {
  TileFunction run[kRows][kVectors][3];
  TileFunction tall[kTallRows];  // one vector of packed columns
  TileFunction
      half[kTallRows];  // at most half a vector of them; null where there is no such kernel
};

template <size_t kM, size_t kN>
void FillRow(TileTable* table) {
  table->run[kM - 1][kN - 1][0] = RunTile<kM, kN, Form::kPacked>;
  table->run[kM - 1][kN - 1][1] = RunTile<kM, kN, Form::kStrided>;
  table->run[kM - 1][kN - 1][2] = RunTile<kM, kN, Form::kPartial>;
  if constexpr (kN > 1) FillRow<kM, kN - 1>(table);
}
template <size_t kM>
void Fill(TileTable* table) {
  if constexpr (kM <= kRows) FillRow<kM, kVectors>(table);
  table->tall[kM - 1] = RunTile<kM, 1, Form::kPacked>;
#if HWY_TARGET == HWY_AVX3
  table->half[kM - 1] = RunPairs<kM>;
#else
  table->half[kM - 1] = nullptr;
#endif
  if constexpr (kM > 1) Fill<kM - 1>(table);
}

const TileTable& Tiles() {
  static const TileTable table = [] {
    TileTable t;
    Fill<kTallRows>(&t);
    return t;
  }();
  return table;
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
