// Compiled with flags of its own, so nothing here may be an inline function that another file could
// share: intrinsics only.
#include "kernels/depthwise_bytes.h"

#if defined(__AVX512VNNI__)

#include <immintrin.h>

namespace litesmith {
namespace {

struct Sums {
  __m512i v[4];
};

// The bytes of four taps side by side, channel by channel, times a group of weights.
inline __attribute__((always_inline)) void Accumulate(__m512i a, __m512i b, __m512i c, __m512i d,
                                                      const __m512i* w, Sums* sums) {
  const __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
  const __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);
  sums->v[0] = _mm512_dpbusd_epi32(sums->v[0], _mm512_unpacklo_epi16(ab0, cd0), w[0]);
  sums->v[1] = _mm512_dpbusd_epi32(sums->v[1], _mm512_unpackhi_epi16(ab0, cd0), w[1]);
  sums->v[2] = _mm512_dpbusd_epi32(sums->v[2], _mm512_unpacklo_epi16(ab1, cd1), w[2]);
  sums->v[3] = _mm512_dpbusd_epi32(sums->v[3], _mm512_unpackhi_epi16(ab1, cd1), w[3]);
}

// One vector of sums, requantized: base/fixed_point.h's double rounding for sums and shifts that
// cannot overflow (kernels/depthwise_s16.cc checks it).
inline __attribute__((always_inline)) __m512i Scale(__m512i x, const int32_t* at) {
  const __m512i half = _mm512_set1_epi64(int64_t{1} << 30);
  const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, _mm512_loadu_si512(at)), half);
  const __m512i odd = _mm512_add_epi64(
      _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_loadu_si512(at + kByteLanes)), half);
  const __m512i high =
      _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
  const __m512i rounded = _mm512_add_epi32(
      _mm512_add_epi32(high, _mm512_loadu_si512(at + 3 * kByteLanes)), _mm512_srai_epi32(high, 31));
  return _mm512_srav_epi32(rounded, _mm512_loadu_si512(at + 2 * kByteLanes));
}

inline __attribute__((always_inline)) void StoreBytes(const Sums& s, const int32_t* params,
                                                      __m512i zero, __m512i low, __m512i high,
                                                      int8_t* to) {
  const __m512i a = _mm512_packs_epi32(Scale(s.v[0], params), Scale(s.v[1], params + 16));
  const __m512i b = _mm512_packs_epi32(Scale(s.v[2], params + 32), Scale(s.v[3], params + 48));
  const __m512i bytes = _mm512_packs_epi16(_mm512_adds_epi16(a, zero), _mm512_adds_epi16(b, zero));
  _mm512_storeu_si512(to, _mm512_min_epi8(_mm512_max_epi8(bytes, low), high));
}

inline __attribute__((always_inline)) void StoreFloats(const Sums& s, const ByteRun& r, float* to) {
  // Blocks of four channels in the order of the channels.
  const __m512i a = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0x44);  // v0: 0, 1; v1: 0, 1
  const __m512i b = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0x44);
  const __m512i c = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0xee);  // v0: 2, 3; v1: 2, 3
  const __m512i d = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0xee);
  const __m512i ordered[4] = {_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd),
                              _mm512_shuffle_i32x4(c, d, 0x88), _mm512_shuffle_i32x4(c, d, 0xdd)};
  const __m512 image = _mm512_set1_ps(r.image_scale);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(r.scales + 16 * i), image);
    __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(ordered[i]), scale);
    if (r.bias != nullptr) x = _mm512_add_ps(x, _mm512_loadu_ps(r.bias + 16 * i));
    x = _mm512_max_ps(_mm512_set1_ps(r.float_low), x);
    _mm512_storeu_ps(to + 16 * i, _mm512_min_ps(_mm512_set1_ps(r.float_high), x));
  }
}

template <bool kFloats>
void Run(const ByteRun& run) {
  const ByteRun r = run;  // a copy that stores of bytes cannot alias
  const __m512i flip = _mm512_set1_epi8(-128);
  // Bytes with 128 added are unsigned.
  const __m512i offset = _mm512_set1_epi32(r.offset - 128);
  const __m512i zero = _mm512_set1_epi16(r.zero_point);
  const __m512i low = _mm512_set1_epi8(r.low), high = _mm512_set1_epi8(r.high);
  __m512i init[4], w[3][4];
  const int8_t* p[kByteTaps];
#pragma GCC unroll 4
  for (size_t v = 0; v < 4; ++v) {
    init[v] = _mm512_add_epi32(
        _mm512_loadu_si512(r.block + 16 * v),
        _mm512_mullo_epi32(offset, _mm512_loadu_si512(r.block + kByteLanes + 16 * v)));
#pragma GCC unroll 3
    for (size_t q = 0; q < 3; ++q) {
      w[q][v] = _mm512_loadu_si512(r.block + (6 + q) * kByteLanes + 16 * v);
    }
  }
#pragma GCC unroll 9
  for (size_t t = 0; t < kByteTaps; ++t) p[t] = r.taps[t] + r.c;
  const int32_t* params = r.block + 2 * kByteLanes;
  size_t from = 0, to = r.c;
  for (size_t i = 0; i < r.count; ++i, from += r.in_step, to += r.out_step) {
    __m512i x[kByteTaps];
#pragma GCC unroll 9
    for (size_t t = 0; t < kByteTaps; ++t) {
      x[t] = _mm512_xor_si512(flip, _mm512_loadu_si512(p[t] + from));
    }
    Sums sums = {{init[0], init[1], init[2], init[3]}};
    Accumulate(x[0], x[1], x[2], x[3], w[0], &sums);
    Accumulate(x[4], x[5], x[6], x[7], w[1], &sums);
    Accumulate(x[8], x[8], x[8], x[8], w[2], &sums);  // three of the weights are 0
    if (kFloats) {
      StoreFloats(sums, r, r.floats + to);
    } else {
      StoreBytes(sums, params, zero, low, high, r.bytes + to);
    }
  }
}

}  // namespace

void DepthwiseByteRun(const ByteRun& run) {
  if (run.floats != nullptr) {
    Run<true>(run);
  } else {
    Run<false>(run);
  }
}

bool DepthwiseByteRunBuilt() { return true; }

}  // namespace litesmith

#else

namespace litesmith {
void DepthwiseByteRun(const ByteRun&) {}
bool DepthwiseByteRunBuilt() { return false; }
}  // namespace litesmith

#endif  // __AVX512VNNI__
