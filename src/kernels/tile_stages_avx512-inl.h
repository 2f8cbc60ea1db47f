// What becomes of a tile's sums (kernels/int_tile.h): they are stored, or requantized in registers.
// A part of the files for AVX-512, as line_avx512-inl.h, and after it. No include guard: once per
// file.

// What becomes of a tile's sums of kN panels: they are stored.
struct Sums {
  static constexpr bool kSparse = false;  // whether spaced blocks have their first row only

  template <size_t kM, size_t kN>
  static inline __attribute__((always_inline)) void Finish(const IntTile& t, size_t first,
                                                           const __m512i (*sum)[kN]) {
#pragma GCC unroll 8
    for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 2
      for (size_t n = 0; n < kN; ++n) {
        _mm512_store_si512(t.sums + (first + m) * kIntTileColumns + n * kIntPanel, sum[m][n]);
      }
    }
  }
};

// Where the columns of a row lie: all of them side by side with the next row's, all, or some.
enum class Place { kDense, kWhole, kPart };

// Or requantized in registers: four vectors to 64 bytes, 2 rows by 32 columns or 4 by 16, while the
// next tile's products begin (112x112x16 to 96 channels: 0.141 -> 0.109 ms). kPositive: zero point
// and lower limit are -128, so that the packs' saturation is that limit.
template <bool kPositive, bool kTwo, Place kPlace>
struct Lines {
  static constexpr bool kSparse = true;

  template <size_t kM, size_t kN>
  static inline __attribute__((always_inline)) void Finish(const IntTile& t, size_t first,
                                                           const __m512i (*sum)[kN]) {
    const IntTileLines& l = *t.lines;
    const __m512i zero = _mm512_set1_epi16(l.zero_point);
    const __m512i low = _mm512_set1_epi8(l.low), high = _mm512_set1_epi8(l.high);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    Line<kTwo> line[kN];
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) {
      line[n] =
          LoadLine<kTwo>(l.scale + n * kIntPanel, l.rest + n * kIntPanel, l.add + n * kIntPanel);
    }
    const size_t stride = kPlace == Place::kDense ? kN * kIntPanel : l.stride;
    const auto mask = static_cast<__mmask8>((1u << (l.columns / 4)) - 1);
    int8_t* to = l.out + first * stride;
    constexpr size_t kTogether = 4 / kN;
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; m += kTogether, to += kTogether * stride) {
      __m512i x[4];
#pragma GCC unroll 4
      for (size_t i = 0; i < 4; ++i) {
        x[i] = ApplyLine<kPositive>(line[i % kN], sum[m + i / kN][i % kN]);
      }
      __m512i a = _mm512_packs_epi32(x[0], x[1]), b = _mm512_packs_epi32(x[2], x[3]);
      __m512i bytes;
      if (kPositive) {
        bytes = _mm512_xor_si512(_mm512_packus_epi16(a, b), low);  // low is the sign bit
      } else {
        a = _mm512_adds_epi16(a, zero);
        b = _mm512_adds_epi16(b, zero);
        bytes = _mm512_max_epi8(_mm512_packs_epi16(a, b), low);
      }
      bytes = _mm512_min_epi8(bytes, high);
      StoreRows<kN>(_mm512_permutexvar_epi32(order, bytes), mask, stride, to);
    }
  }

  template <size_t kN>
  static inline __attribute__((always_inline)) void StoreRows(__m512i rows, __mmask8 mask,
                                                              size_t stride, int8_t* to) {
    if (kPlace == Place::kDense) {
      _mm512_storeu_si512(to, rows);
    } else if (kPlace == Place::kWhole && kN == 2) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(rows));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + stride),
                          _mm512_extracti64x4_epi64(rows, 1));
    } else if (kPlace == Place::kWhole) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(rows));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + stride), _mm512_extracti32x4_epi32(rows, 1));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * stride),
                       _mm512_extracti32x4_epi32(rows, 2));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * stride),
                       _mm512_extracti32x4_epi32(rows, 3));
    } else if (kN == 2) {
      _mm256_mask_storeu_epi32(to, mask, _mm512_castsi512_si256(rows));
      _mm256_mask_storeu_epi32(to + stride, mask, _mm512_extracti64x4_epi64(rows, 1));
    } else {
      _mm_mask_storeu_epi32(to, mask, _mm512_castsi512_si128(rows));
      _mm_mask_storeu_epi32(to + stride, mask, _mm512_extracti32x4_epi32(rows, 1));
      _mm_mask_storeu_epi32(to + 2 * stride, mask, _mm512_extracti32x4_epi32(rows, 2));
      _mm_mask_storeu_epi32(to + 3 * stride, mask, _mm512_extracti32x4_epi32(rows, 3));
    }
  }
};

// Or scaled to float.
template <bool kTwice>
struct Floats {
  static constexpr bool kSparse = true;

  template <size_t kM, size_t kN>
  static inline __attribute__((always_inline)) void Finish(const IntTile& t, size_t first,
                                                           const __m512i (*sum)[kN]) {
    const IntTileFloats& f = *t.floats;
    const size_t stride = f.stride, columns = f.columns;
    const __m512 low = _mm512_set1_ps(f.low), high = _mm512_set1_ps(f.high);
    const __m512 row_scale = _mm512_set1_ps(f.row_scale);
    const bool has_bias = f.bias != nullptr;
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) {
      const __m512 scale = _mm512_loadu_ps(f.scale + n * kIntPanel);
      const __m512 bias = has_bias ? _mm512_loadu_ps(f.bias + n * kIntPanel) : _mm512_setzero_ps();
      const size_t left = columns - n * kIntPanel;
      const auto mask = static_cast<__mmask16>(left >= kIntPanel ? 0xffff : (1u << left) - 1);
      float* to = f.out + first * stride + n * kIntPanel;
#pragma GCC unroll 16
      for (size_t m = 0; m < kM; ++m, to += stride) {
        __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[m][n]), scale);
        if (kTwice) x = _mm512_mul_ps(x, row_scale);
        if (has_bias) x = _mm512_add_ps(x, bias);
        x = _mm512_min_ps(high, _mm512_max_ps(low, x));  // the second operand where it is NaN
        _mm512_mask_storeu_ps(to, mask, x);
      }
    }
  }
};

// The columns' constants of the stage below: x becomes ((x * multiplier >> 32) + half) >> shift.
// With the multiplier moved up, this is base/fixed_point.h's 64-bit MultiplyByQuantizedMultiplier,
// because the first shift drops nothing of what is added. kBounded: instead (x * multiplier + 2^31)
// >> 32.
struct WideColumns : IntTileWides {
  alignas(64) int32_t moved[kIntTileColumns], half[kIntTileColumns], shift[kIntTileColumns];

  WideColumns(const IntTileWides& w, size_t num_panels) : IntTileWides(w) {
    const __m512i limit = _mm512_set1_epi32(0x7fff0000),
                  top = _mm512_set1_epi32(w.bounded ? 32 : 33);
    for (size_t n = 0; n < num_panels * kIntPanel; n += kIntPanel) {
      // base/fixed_point.h's reduction to 16 bits.
      const __m512i full = _mm512_min_epi32(_mm512_loadu_si512(w.multiplier + n), limit);
      const __m512i reduced =
          _mm512_srli_epi32(_mm512_add_epi32(full, _mm512_set1_epi32(1 << 15)), 16);
      const __m512i total = _mm512_loadu_si512(w.right_shift + n);
      const __m512i up = _mm512_max_epi32(_mm512_sub_epi32(top, total), _mm512_setzero_si512());
      const __m512i rest = _mm512_sub_epi32(_mm512_add_epi32(total, up), _mm512_set1_epi32(32));
      _mm512_store_si512(moved + n, _mm512_sllv_epi32(reduced, up));
      _mm512_store_si512(shift + n, rest);
      _mm512_store_si512(half + n,
                         _mm512_srli_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), rest), 1));
    }
  }
};

// Or requantized to int16 in registers: two vectors to 64 bytes, a row by 32 columns or 2 by 16.
template <bool kBounded, Place kPlace>
struct Wides {
  static constexpr bool kSparse = true;

  struct Column {
    __m512i even, odd, half, shift;
  };

  static inline __attribute__((always_inline)) __m512i Apply(const Column& c, __m512i x) {
    __m512i even = _mm512_mul_epi32(x, c.even);
    __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(x, 32), c.odd);
    if (kBounded) {
      even = _mm512_add_epi64(even, c.half);
      odd = _mm512_add_epi64(odd, c.half);
    }
    const __m512i high = _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
    if (kBounded) return high;
    return _mm512_srav_epi32(_mm512_add_epi32(high, c.half), c.shift);
  }

  template <size_t kM, size_t kN>
  static inline __attribute__((always_inline)) void Finish(const IntTile& t, size_t first,
                                                           const __m512i (*sum)[kN]) {
    const auto& w = static_cast<const WideColumns&>(*t.wides);
    const __m512i low = _mm512_set1_epi16(w.low), high = _mm512_set1_epi16(w.high);
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    Column column[kN];
#pragma GCC unroll 2
    for (size_t n = 0; n < kN; ++n) {
      column[n].even = _mm512_load_si512(w.moved + n * kIntPanel);
      column[n].odd = _mm512_srli_epi64(column[n].even, 32);
      column[n].half = kBounded ? _mm512_set1_epi64(int64_t{1} << 31)
                                : _mm512_load_si512(w.half + n * kIntPanel);
      column[n].shift =
          kBounded ? _mm512_setzero_si512() : _mm512_load_si512(w.shift + n * kIntPanel);
    }
    const size_t stride = kPlace == Place::kDense ? kN * kIntPanel : w.stride;
    const auto mask = static_cast<__mmask32>((uint64_t{1} << w.columns) - 1);
    int16_t* to = w.out + first * stride;
    constexpr size_t kTogether = 2 / kN;
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; m += kTogether, to += kTogether * stride) {
      const __m512i a = Apply(column[0], sum[m][0]);
      const __m512i b = Apply(column[kN - 1], sum[m + kTogether - 1][kN - 1]);
      __m512i words = _mm512_packs_epi32(a, b);
      words = _mm512_min_epi16(_mm512_max_epi16(words, low), high);
      StoreRows<kN>(_mm512_permutexvar_epi64(order, words), mask, stride, to);
    }
  }

  template <size_t kN>
  static inline __attribute__((always_inline)) void StoreRows(__m512i rows, __mmask32 mask,
                                                              size_t stride, int16_t* to) {
    if (kPlace == Place::kDense || (kPlace == Place::kWhole && kN == 2)) {
      _mm512_storeu_si512(to, rows);
    } else if (kN == 2) {
      _mm512_mask_storeu_epi16(to, mask, rows);
    } else if (kPlace == Place::kWhole) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(rows));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + stride),
                          _mm512_extracti64x4_epi64(rows, 1));
    } else {
      const auto part = static_cast<__mmask16>(mask);
      _mm256_mask_storeu_epi16(to, part, _mm512_castsi512_si256(rows));
      _mm256_mask_storeu_epi16(to + stride, part, _mm512_extracti64x4_epi64(rows, 1));
    }
  }
};
