// A vector of sums requantized by lines (kernels/fixed_line.h). A part of the files for AVX-512,
// included inside a namespace of theirs, because they have compile flags of their own; after
// <immintrin.h>. No include guard: once per file.

// The columns' constants. kTwo: LineKind::kTwo, else kOne.
template <bool kTwo>
struct Line {
  __m512 scale, rest, add;
};

template <bool kTwo>
static inline __attribute__((always_inline)) Line<kTwo> LoadLine(const float* scale,
                                                                 const float* rest,
                                                                 const float* add) {
  Line<kTwo> line;
  line.scale = _mm512_loadu_ps(scale);
  line.rest = kTwo ? _mm512_loadu_ps(rest) : _mm512_setzero_ps();
  line.add = _mm512_loadu_ps(add);
  return line;
}

// kPositive: results below 0 may be anything below 1.
template <bool kPositive, bool kTwo>
static inline __attribute__((always_inline)) __m512i ApplyLine(const Line<kTwo>& line,
                                                               __m512i sum) {
  const __m512 x = _mm512_cvtepi32_ps(sum);
  if (kPositive) {
    const __m512 add = kTwo ? _mm512_fmadd_ps(x, line.rest, line.add) : line.add;
    const __m512 y =
        _mm512_fmadd_round_ps(x, line.scale, add, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    return _mm512_cvt_roundps_epi32(y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  // (sum & sign) | add
  const __m512i sign = _mm512_set1_epi32(INT32_MIN);
  const __m512 signed_add = _mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(sum, sign, _mm512_castps_si512(line.add), 0xea));
  const __m512 add = kTwo ? _mm512_fmadd_ps(x, line.rest, signed_add) : signed_add;
  const __m512 y =
      _mm512_fmadd_round_ps(x, line.scale, add, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
  return _mm512_cvttps_epi32(y);
}
