// The first layer of VWW: 0.0051 -> 0.0031 ms in int8, 0.0111 -> 0.0074 in 16x8.
// Compiled with flags of its own, so nothing here may be an inline function that another file could
// share: intrinsics only.
#include "kernels/conv_pixels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)

// GCC 12 takes its own headers' undefined vectors for a mistake.
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>

namespace litesmith {
namespace {

#include "kernels/line_avx512-inl.h"

struct Bytes {
  static inline __m512i Dot(__m512i sum, __m512i a, __m512i b) {
    return _mm512_dpbusd_epi32(sum, a, b);
  }
};
struct Pairs {
  static inline __m512i Dot(__m512i sum, __m512i a, __m512i b) {
    return _mm512_dpwssd_epi32(sum, a, b);
  }
};

// 16 outputs: where their patches and their results lie.
struct Unit {
  const std::byte* from;
  std::byte* to;
};

// The units of a band in order; the last of a row begins earlier where 16 do not divide it.
struct Units {
  const std::byte* image;
  std::byte* out;
  ptrdiff_t row_stride, step;
  size_t pixels, size, left, x;  // bytes of an output; units that follow; of the next one

  inline __attribute__((always_inline)) Unit Next() {
    const size_t at = x + kPixels <= pixels ? x : pixels - kPixels;
    const Unit unit = {image + static_cast<ptrdiff_t>(at) * step, out + at * size};
    x += kPixels;
    if (x >= pixels) {
      x = 0;
      image += row_stride;
      out += pixels * size;
    }
    --left;
    return unit;
  }
};

inline __attribute__((always_inline)) void Gather(const PixelBand& r, const std::byte* a,
                                                  const std::byte* b, __m512i (*to)[2]) {
  const PixelShuffle* s = r.shuffles;
  const ptrdiff_t* at = r.offsets;
  for (size_t g = 0; g < r.groups; ++g) {
    __m512i v = _mm512_setzero_si512(), w = v;
    for (size_t i = r.counts[g]; i > 0; --i, ++s, ++at) {
      const __m512i order = _mm512_loadu_si512(s->from);
      v = _mm512_or_si512(
          v, _mm512_maskz_permutex2var_epi8(s->mask, _mm512_loadu_si512(a + *at), order,
                                            _mm512_loadu_si512(a + *at + 64)));
      w = _mm512_or_si512(
          w, _mm512_maskz_permutex2var_epi8(s->mask, _mm512_loadu_si512(b + *at), order,
                                            _mm512_loadu_si512(b + *at + 64)));
    }
    to[g][0] = v;
    to[g][1] = w;
  }
}

// Four columns of 16 outputs by lines, as bytes: the columns of an output side by side.
template <bool kPositive, bool kTwo>
inline __attribute__((always_inline)) __m512i FourBytes(const PixelStage& s, size_t n,
                                                        const __m512i* sums) {
  __m512i x[4];
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    Line<kTwo> line;
    line.scale = _mm512_set1_ps(s.scale[n + i]);
    line.rest = kTwo ? _mm512_set1_ps(s.rest[n + i]) : _mm512_setzero_ps();
    line.add = _mm512_set1_ps(s.add[n + i]);
    x[i] = ApplyLine<kPositive>(line, sums[i]);
  }
  const __m512i low = _mm512_set1_epi8(static_cast<int8_t>(s.low));
  const __m512i zero = _mm512_set1_epi16(s.zero_point);
  const __m512i a = _mm512_packs_epi32(x[0], x[1]), b = _mm512_packs_epi32(x[2], x[3]);
  __m512i bytes;
  if (kPositive) {
    bytes = _mm512_xor_si512(_mm512_packus_epi16(a, b), low);  // low is the sign bit
  } else {
    bytes = _mm512_packs_epi16(_mm512_adds_epi16(a, zero), _mm512_adds_epi16(b, zero));
    bytes = _mm512_max_epi8(bytes, low);
  }
  bytes = _mm512_min_epi8(bytes, _mm512_set1_epi8(static_cast<int8_t>(s.high)));
  const __m512i order =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return _mm512_shuffle_epi8(bytes, order);
}

// (x * m >> 32) + 2^(shift - 1) >> shift: with m moved up, base/fixed_point.h's 64-bit
// MultiplyByQuantizedMultiplier, because the first shift drops nothing of what is added.
inline __attribute__((always_inline)) __m512i Wide(const PixelStage& s, size_t n, __m512i x) {
  const __m512i m = _mm512_set1_epi32(s.multiplier[n]);
  const __m512i even = _mm512_mul_epi32(x, m);
  const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(x, 32), m);
  const __m512i high = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
  const __m512i half = _mm512_set1_epi32((1 << s.shift[n]) >> 1);
  return _mm512_srav_epi32(_mm512_add_epi32(high, half), _mm512_set1_epi32(s.shift[n]));
}

// Two columns of 16 outputs, as int16.
inline __attribute__((always_inline)) __m512i TwoWords(const PixelStage& s, size_t n,
                                                       const __m512i* sums) {
  __m512i words = _mm512_packs_epi32(Wide(s, n, sums[0]), Wide(s, n + 1, sums[1]));
  words = _mm512_max_epi16(words, _mm512_set1_epi16(s.low));
  words = _mm512_min_epi16(words, _mm512_set1_epi16(s.high));
  const __m512i order =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
  return _mm512_shuffle_epi8(words, order);
}

// 16 bytes of each of 16 outputs, `stride` bytes apart: lanes of 128 bits transposed.
inline __attribute__((always_inline)) void StoreCells(const __m512i* q, size_t stride,
                                                      std::byte* to) {
  const __m512i a = _mm512_unpacklo_epi32(q[0], q[1]), b = _mm512_unpackhi_epi32(q[0], q[1]);
  const __m512i c = _mm512_unpacklo_epi32(q[2], q[3]), d = _mm512_unpackhi_epi32(q[2], q[3]);
  const __m512i cells[4] = {_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c),
                            _mm512_unpacklo_epi64(b, d), _mm512_unpackhi_epi64(b, d)};
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i, to += 4 * stride) {
    if (stride == 16) {
      _mm512_storeu_si512(to, cells[i]);
      continue;
    }
    const auto store = [&](size_t pixel, __m128i cell) __attribute__((always_inline)) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + pixel * stride), cell);
    };
    store(0, _mm512_castsi512_si128(cells[i]));
    store(1, _mm512_extracti32x4_epi32(cells[i], 1));
    store(2, _mm512_extracti32x4_epi32(cells[i], 2));
    store(3, _mm512_extracti32x4_epi32(cells[i], 3));
  }
}

// What becomes of the sums of 8 columns: vectors of a cell, stored once it is whole.
template <bool kPositive, bool kTwo, bool kHalf>
struct ByteOut {
  static constexpr size_t kSize = 1, kBlocks = kHalf ? 1 : 2;  // blocks of 8 columns in a cell

  static inline __attribute__((always_inline)) void Make(const PixelStage& s, size_t n,
                                                         const __m512i* sums, __m512i* q) {
    q[0] = FourBytes<kPositive, kTwo>(s, n, sums);
    q[1] = FourBytes<kPositive, kTwo>(s, n + 4, sums + 4);
  }
  static inline __attribute__((always_inline)) void Store(const __m512i* q, size_t stride,
                                                          std::byte* to) {
    if constexpr (kHalf) {  // all columns there are
      _mm512_storeu_si512(to, _mm512_unpacklo_epi32(q[0], q[1]));
      _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi32(q[0], q[1]));
    } else {
      StoreCells(q, stride, to);
    }
  }
};
struct WordOut {
  static constexpr size_t kSize = 2, kBlocks = 1;

  static inline __attribute__((always_inline)) void Make(const PixelStage& s, size_t n,
                                                         const __m512i* sums, __m512i* q) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) q[i] = TwoWords(s, n + 2 * i, sums + 2 * i);
  }
  static inline __attribute__((always_inline)) void Store(const __m512i* q, size_t stride,
                                                          std::byte* to) {
    StoreCells(q, stride, to);
  }
};

// The products of two units with 8 columns: each weight serves two, because loads are what they
// wait for.
template <class Op>
inline __attribute__((always_inline)) void Multiply(const int32_t* init, const std::byte* w,
                                                    size_t groups, const __m512i (*left)[2],
                                                    __m512i (*sums)[8]) {
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; ++i) sums[0][i] = sums[1][i] = _mm512_set1_epi32(init[i]);
  for (size_t g = 0; g < groups; ++g, w += 32) {
    const __m512i a = left[g][0], b = left[g][1];
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; ++i) {
      int32_t group;
      __builtin_memcpy(&group, w + 4 * i, sizeof(group));
      const __m512i right = _mm512_set1_epi32(group);
      sums[0][i] = Op::Dot(sums[0][i], a, right);
      sums[1][i] = Op::Dot(sums[1][i], b, right);
    }
  }
  // Else GCC 12 moves all sums in every step, to have them elsewhere after the loop.
#pragma GCC unroll 8
  for (size_t i = 0; i < 8; ++i) asm volatile("" : "+v"(sums[0][i]), "+v"(sums[1][i]));
}

// The band and its stage are copies: what is stored could change the caller's. The next units'
// groups are gathered before these units' last sums are used, so that neither waits.
template <class Op, class Out>
void RunBand(const PixelBand& band) {
  const PixelBand r = band;
  const PixelStage s = *band.stage;
  const size_t size = r.columns * Out::kSize, groups = r.groups;
  Units units = {r.image,
                 r.out,
                 r.row_stride,
                 r.step,
                 r.pixels,
                 size,
                 (r.pixels + kPixels - 1) / kPixels * r.rows,
                 0};
  if (units.left == 0) return;
  __m512i left[2][kMaxPixelGroups][2];
  Unit a = units.Next(), b = units.left > 0 ? units.Next() : a;
  Gather(r, a.from, b.from, left[0]);
  for (size_t turn = 0;; turn ^= 1) {
    Unit next_a = a, next_b = b;
    const bool more = units.left > 0;
    if (more) {
      next_a = units.Next();
      next_b = units.left > 0 ? units.Next() : next_a;
    }
    const std::byte* w = r.weights;
    for (size_t n = 0; n < r.columns; n += 8 * Out::kBlocks) {
      __m512i q[2][4];
#pragma GCC unroll 2
      for (size_t i = 0; i < Out::kBlocks; ++i, w += groups * 32) {
        const size_t c = n + 8 * i;
        __m512i sums[2][8];
        Multiply<Op>(r.init + c, w, groups, left[turn], sums);
        if (more && c + 8 == r.columns) Gather(r, next_a.from, next_b.from, left[turn ^ 1]);
        Out::Make(s, c, sums[0], q[0] + 2 * i);
        Out::Make(s, c, sums[1], q[1] + 2 * i);
      }
      Out::Store(q[0], size, a.to + n * Out::kSize);
      Out::Store(q[1], size, b.to + n * Out::kSize);
    }
    if (!more) return;
    a = next_a;
    b = next_b;
  }
}

template <bool kPositive, bool kTwo>
void RunBytes(const PixelBand& band) {
  if (band.columns == 8) return RunBand<Bytes, ByteOut<kPositive, kTwo, true>>(band);
  return RunBand<Bytes, ByteOut<kPositive, kTwo, false>>(band);
}

}  // namespace

void RunPixelsS8(const PixelBand& band) {
  if (band.stage->positive) {
    return band.stage->two ? RunBytes<true, true>(band) : RunBytes<true, false>(band);
  }
  return band.stage->two ? RunBytes<false, true>(band) : RunBytes<false, false>(band);
}
void RunPixelsS16(const PixelBand& band) { RunBand<Pairs, WordOut>(band); }
bool PixelsBuilt() { return true; }

}  // namespace litesmith

#else

namespace litesmith {
void RunPixelsS8(const PixelBand&) {}
void RunPixelsS16(const PixelBand&) {}
bool PixelsBuilt() { return false; }
}  // namespace litesmith

#endif  // __AVX512VNNI__
