// The integer micro-kernels for AVX-VNNI: the dot products on 256 bits. Compiled with flags of its
// own, so nothing here may be an inline function that another file could share: intrinsics only.
#include "kernels/gemm_int_kernels.h"

#if defined(__AVXVNNI__)

#include <immintrin.h>

namespace litesmith {
namespace {

constexpr size_t kRows = 5;

struct Bytes {
  static inline __m256i Left(__m256i a, __m256i flip) { return _mm256_xor_si256(a, flip); }
  static inline __m256i Dot(__m256i sum, __m256i a, __m256i b) {
    return _mm256_dpbusd_avx_epi32(sum, a, b);
  }
};

struct Pairs {
  static inline __m256i Left(__m256i a, __m256i /*flip*/) { return a; }
  static inline __m256i Dot(__m256i sum, __m256i a, __m256i b) {
    return _mm256_dpwssd_avx_epi32(sum, a, b);
  }
};

inline __m256i Broadcast(const std::byte* p) {
  int32_t group;
  __builtin_memcpy(&group, p, sizeof(group));
  return _mm256_set1_epi32(group);
}

inline __m256i Load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// kM rows by one panel, which is two vectors.
template <class Op, size_t kM>
void Run(const IntTile& t, size_t panel, size_t first) {
  __m256i sum[kM][2];
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) {
    sum[m][0] = Load(t.init + panel * kIntPanel);
    sum[m][1] = Load(t.init + panel * kIntPanel + 8);
  }
  const __m256i flip = _mm256_set1_epi32(static_cast<int32_t>(t.flip));
  const std::byte* rows[kM];
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) rows[m] = t.rows[first + m];
  const std::byte* b = t.panels[panel];
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    for (size_t g = 0; g < t.groups; ++g) {
      const __m256i b0 = Load(b), b1 = Load(b + 32);
#pragma GCC unroll 8
      for (size_t m = 0; m < kM; ++m) {
        const __m256i a = Op::Left(Broadcast(rows[m] + at), flip);
        sum[m][0] = Op::Dot(sum[m][0], a, b0);
        sum[m][1] = Op::Dot(sum[m][1], a, b1);
      }
      at += 4;
      b += 64;
    }
  }
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m) {
    int32_t* to = t.sums + (first + m) * kIntTileColumns + panel * kIntPanel;
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), sum[m][0]);
    _mm256_store_si256(reinterpret_cast<__m256i*>(to + 8), sum[m][1]);
  }
}

template <class Op>
void RunPanels(const IntTile& t) {
  for (size_t panel = 0; panel < t.num_panels; ++panel) {
    size_t m = 0;
    for (; m + kRows <= t.num_rows; m += kRows) Run<Op, kRows>(t, panel, m);
    switch (t.num_rows - m) {
      case 1:
        Run<Op, 1>(t, panel, m);
        break;
      case 2:
        Run<Op, 2>(t, panel, m);
        break;
      case 3:
        Run<Op, 3>(t, panel, m);
        break;
      case 4:
        Run<Op, 4>(t, panel, m);
        break;
      default:
        break;
    }
  }
}

}  // namespace

void IntTileS8AvxVnni(const IntTile& t) { RunPanels<Bytes>(t); }
void IntTileS16AvxVnni(const IntTile& t) { RunPanels<Pairs>(t); }

}  // namespace litesmith

#endif  // __AVXVNNI__
