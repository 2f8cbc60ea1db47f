// Compiled with flags of its own, so nothing here may be an inline function that another file could
// share: intrinsics only.
#include "kernels/depthwise_bytes.h"

#if defined(__AVX512VNNI__)

#include <immintrin.h>

namespace litesmith {
namespace {

#include "kernels/line_avx512-inl.h"

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

inline __attribute__((always_inline)) void StoreMasked(__m512i bytes, uint64_t mask, int8_t* to) {
  if (mask == ~uint64_t{0}) {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, mask, bytes);
  }
}

// The stages: parameters of a block, and what becomes of four vectors of sums.

// base/fixed_point.h's double rounding for sums and shifts that cannot overflow
// (kernels/depthwise_s16.cc checks it).
struct ExactStage {
  const int32_t* params;
  __m512i zero, low, high;
  int8_t* out;

  inline __attribute__((always_inline)) explicit ExactStage(const ByteBand& r)
      : params(r.block + 2 * kByteLanes),
        zero(_mm512_set1_epi16(r.zero_point)),
        low(_mm512_set1_epi8(r.low)),
        high(_mm512_set1_epi8(r.high)),
        out(r.bytes) {}
  static inline __attribute__((always_inline)) __m512i Scale(__m512i x, const int32_t* at) {
    const __m512i half = _mm512_set1_epi64(int64_t{1} << 30);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, _mm512_loadu_si512(at)), half);
    const __m512i odd = _mm512_add_epi64(
        _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_loadu_si512(at + kByteLanes)), half);
    const __m512i product =
        _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
    const __m512i rounded =
        _mm512_add_epi32(_mm512_add_epi32(product, _mm512_loadu_si512(at + 3 * kByteLanes)),
                         _mm512_srai_epi32(product, 31));
    return _mm512_srav_epi32(rounded, _mm512_loadu_si512(at + 2 * kByteLanes));
  }
  inline __attribute__((always_inline)) void Store(const Sums& s, uint64_t mask, size_t at) const {
    const __m512i a = _mm512_packs_epi32(Scale(s.v[0], params), Scale(s.v[1], params + 16));
    const __m512i b = _mm512_packs_epi32(Scale(s.v[2], params + 32), Scale(s.v[3], params + 48));
    const __m512i v = _mm512_packs_epi16(_mm512_adds_epi16(a, zero), _mm512_adds_epi16(b, zero));
    StoreMasked(_mm512_min_epi8(_mm512_max_epi8(v, low), high), mask, out + at);
  }
};

template <bool kPositive, bool kTwo>
struct LineStage {
  Line<kTwo> line[4];
  __m512i zero, low, high;
  int8_t* out;

  inline __attribute__((always_inline)) explicit LineStage(const ByteBand& r)
      : zero(_mm512_set1_epi16(r.zero_point)),
        low(_mm512_set1_epi8(r.low)),
        high(_mm512_set1_epi8(r.high)),
        out(r.bytes) {
    const auto* from = reinterpret_cast<const float*>(r.block + 2 * kByteLanes);
#pragma GCC unroll 4
    for (size_t v = 0; v < 4; ++v) {
      line[v] =
          LoadLine<kTwo>(from + 16 * v, from + kByteLanes + 16 * v, from + 2 * kByteLanes + 16 * v);
    }
  }
  inline __attribute__((always_inline)) void Store(const Sums& s, uint64_t mask, size_t at) const {
    const __m512i a = _mm512_packs_epi32(ApplyLine<kPositive>(line[0], s.v[0]),
                                         ApplyLine<kPositive>(line[1], s.v[1]));
    const __m512i b = _mm512_packs_epi32(ApplyLine<kPositive>(line[2], s.v[2]),
                                         ApplyLine<kPositive>(line[3], s.v[3]));
    const __m512i v = _mm512_packs_epi16(_mm512_adds_epi16(a, zero), _mm512_adds_epi16(b, zero));
    StoreMasked(_mm512_min_epi8(_mm512_max_epi8(v, low), high), mask, out + at);
  }
};

struct FloatStage {
  __m512 scale[4], bias[4], low, high;
  bool has_bias;
  float* out;

  inline __attribute__((always_inline)) explicit FloatStage(const ByteBand& r)
      : low(_mm512_set1_ps(r.float_low)),
        high(_mm512_set1_ps(r.float_high)),
        has_bias(r.bias != nullptr),
        out(r.floats) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      scale[i] = _mm512_loadu_ps(r.scales + 16 * i);
      bias[i] = has_bias ? _mm512_loadu_ps(r.bias + 16 * i) : _mm512_setzero_ps();
    }
  }
  inline __attribute__((always_inline)) void Store(const Sums& s, uint64_t mask, size_t at) const {
    // Blocks of four channels in the order of the channels.
    const __m512i a = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0x44);  // v0: 0, 1; v1: 0, 1
    const __m512i b = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(s.v[0], s.v[1], 0xee);  // v0: 2, 3; v1: 2, 3
    const __m512i d = _mm512_shuffle_i32x4(s.v[2], s.v[3], 0xee);
    const __m512i ordered[4] = {_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd),
                                _mm512_shuffle_i32x4(c, d, 0x88), _mm512_shuffle_i32x4(c, d, 0xdd)};
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; ++i) {
      __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(ordered[i]), scale[i]);
      if (has_bias) x = _mm512_add_ps(x, bias[i]);
      x = _mm512_min_ps(high, _mm512_max_ps(low, x));
      if (mask == ~uint64_t{0}) {
        _mm512_storeu_ps(out + at + 16 * i, x);
      } else {
        _mm512_mask_storeu_ps(out + at + 16 * i, static_cast<__mmask16>(mask >> (16 * i)), x);
      }
    }
  }
};

template <class Stage>
void Run(const ByteBand& band) {
  const ByteBand r = band;  // a copy that stores of bytes cannot alias
  const Stage stage(r);
  // Bytes with 128 added are unsigned.
  const __m512i offset = _mm512_set1_epi32(r.offset - 128);
  __m512i init[4], w[3][4];
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
  const uint8_t* p[kByteTaps];
  const auto step = [&](size_t from, uint64_t mask, size_t to) __attribute__((always_inline)) {
    __m512i x[kByteTaps];
#pragma GCC unroll 9
    for (size_t t = 0; t < kByteTaps; ++t) x[t] = _mm512_loadu_si512(p[t] + from);
    Sums sums = {{init[0], init[1], init[2], init[3]}};
    Accumulate(x[0], x[1], x[2], x[3], w[0], &sums);
    Accumulate(x[4], x[5], x[6], x[7], w[1], &sums);
    Accumulate(x[8], x[8], x[8], x[8], w[2], &sums);  // three of the weights are 0
    stage.Store(sums, mask, to);
  };
  for (size_t row = 0; row < r.num_rows; ++row) {
#pragma GCC unroll 9
    for (size_t t = 0; t < kByteTaps; ++t) {
      p[t] = r.rows[3 * row + t / 3] + r.columns[t % 3] + r.first;
    }
    size_t from = 0, to = row * r.out_row + r.first;
    if (r.mask == ~uint64_t{0}) {
      for (size_t i = 0; i < r.count; ++i, from += r.step, to += r.step) step(from, r.mask, to);
    } else {
      for (size_t i = 0; i < r.count; ++i, from += r.step, to += r.step) step(from, r.mask, to);
    }
    if (r.last_mask != 0) step(from, r.last_mask, to);
  }
}

// FlipChunks for chunks of kSize bytes, every second of which is taken: out of 128 bytes at a time
// (48x48x16 with a stride of 2: 0.0030 -> 0.0020 ms).
template <size_t kSize>
void FlipSecond(const int8_t* in, size_t count, uint8_t* out) {
  constexpr size_t kTogether = 64 / kSize, kWords = kSize / 4;
  alignas(64) int32_t from[16];
  for (size_t i = 0; i < 16; ++i) {
    from[i] = static_cast<int32_t>(i / kWords * 2 * kWords + i % kWords);
  }
  const __m512i order = _mm512_load_si512(from), flip = _mm512_set1_epi8(-128);
  const auto store = [&](__m512i low, __m512i high) __attribute__((always_inline)) {
    _mm512_storeu_si512(out, _mm512_xor_si512(flip, _mm512_permutex2var_epi32(low, order, high)));
  };
  // The chunk after the last one taken is read, too: there is one while more are to come.
  for (; count > kTogether; count -= kTogether, in += 128, out += 64) {
    store(_mm512_loadu_si512(in), _mm512_loadu_si512(in + 64));
  }
  if (count == 0) return;
  const size_t bytes = (2 * count - 1) * kSize;
  const uint64_t all = ~uint64_t{0};
  const __mmask64 low = bytes >= 64 ? all : all >> (64 - bytes);
  const __mmask64 high = bytes > 64 ? all >> (128 - bytes) : 0;
  store(_mm512_maskz_loadu_epi8(low, in), _mm512_maskz_loadu_epi8(high, in + 64));
}

}  // namespace

void DepthwiseByteBand(const ByteBand& band) {
  if (band.floats != nullptr) return Run<FloatStage>(band);
  if (band.kind == LineKind::kNone) return Run<ExactStage>(band);
  if (band.positive) {
    return band.kind == LineKind::kOne ? Run<LineStage<true, false>>(band)
                                       : Run<LineStage<true, true>>(band);
  }
  return band.kind == LineKind::kOne ? Run<LineStage<false, false>>(band)
                                     : Run<LineStage<false, true>>(band);
}

void FlipChunks(const int8_t* in, size_t in_step, size_t size, size_t count, uint8_t* out) {
  if (in_step == 2 * size && size == 8) return FlipSecond<8>(in, count, out);
  if (in_step == 2 * size && size == 16) return FlipSecond<16>(in, count, out);
  if (in_step == 2 * size && size == 32) return FlipSecond<32>(in, count, out);
  const __m512i flip = _mm512_set1_epi8(-128);
  const size_t whole = size / 64 * 64;
  const __mmask64 rest = (uint64_t{1} << (size - whole)) - 1;
  for (size_t i = 0; i < count; ++i, in += in_step, out += size) {
    for (size_t at = 0; at < whole; at += 64) {
      _mm512_storeu_si512(out + at, _mm512_xor_si512(flip, _mm512_loadu_si512(in + at)));
    }
    if (rest != 0) {
      const __m512i bytes = _mm512_maskz_loadu_epi8(rest, in + whole);
      _mm512_storeu_si512(out + whole, _mm512_xor_si512(flip, bytes));
    }
  }
}

bool DepthwiseBytesBuilt() { return true; }

}  // namespace litesmith

#else

namespace litesmith {
void DepthwiseByteBand(const ByteBand&) {}
void FlipChunks(const int8_t*, size_t, size_t, size_t, uint8_t*) {}
bool DepthwiseBytesBuilt() { return false; }
}  // namespace litesmith

#endif  // __AVX512VNNI__
