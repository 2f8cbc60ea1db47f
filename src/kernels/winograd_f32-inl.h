// The transforms of Winograd's convolutions (kernels/winograd_f32.h) for inference and training.
// Included once per instruction set.

#if defined(LITESMITH_KERNELS_WINOGRAD_F32_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LITESMITH_KERNELS_WINOGRAD_F32_INL_H_
#undef LITESMITH_KERNELS_WINOGRAD_F32_INL_H_
#else
#define LITESMITH_KERNELS_WINOGRAD_F32_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"
#include "kernels/gemm_f32.h"
#include "kernels/winograd_f32.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using reference::ConvGeometry;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// The image, row and column of tiles that a tile is in.
struct TilePlace {
  size_t image, y, x;
};
HWY_INLINE TilePlace PlaceOf(const WinogradTiles& t, size_t tile) {
  const size_t row = tile / t.columns;
  return {row / t.rows, row % t.rows, tile % t.columns};
}

// B'd of one column (or row) of inputs, for 2 outputs.
HWY_INLINE void ToSpectrum(const V (&d)[4], V (&t)[4]) {
  t[0] = hn::Sub(d[0], d[2]);
  t[1] = hn::Add(d[1], d[2]);
  t[2] = hn::Sub(d[2], d[1]);
  t[3] = hn::Sub(d[1], d[3]);
}
// The same for 4, whose points are 0, +-a, +-b and infinity. The customary 1 and 2 make
// coefficients up to 8 and several times the rounding; a = 3/4 and b = 3/2 have exact powers and
// keep them small.
constexpr float kA = 0.75f, kB = 1.5f;
constexpr float kA2 = kA * kA, kB2 = kB * kB;
HWY_INLINE void ToSpectrum(const V (&d)[6], V (&t)[6]) {
  const D tag;
  const V a = hn::Set(tag, kA), b = hn::Set(tag, kB);
  const V a2 = hn::Set(tag, kA2), b2 = hn::Set(tag, kB2);
  const V product = hn::Set(tag, kA2 * kB2), both = hn::Set(tag, kA2 + kB2);
  const V even_a = hn::NegMulAdd(b2, d[2], d[4]), odd_a = hn::NegMulAdd(b2, d[1], d[3]);
  const V even_b = hn::NegMulAdd(a2, d[2], d[4]), odd_b = hn::NegMulAdd(a2, d[1], d[3]);
  t[0] = hn::MulAdd(product, d[0], hn::NegMulAdd(both, d[2], d[4]));
  t[1] = hn::MulAdd(a, odd_a, even_a);
  t[2] = hn::NegMulAdd(a, odd_a, even_a);
  t[3] = hn::MulAdd(b, odd_b, even_b);
  t[4] = hn::NegMulAdd(b, odd_b, even_b);
  t[5] = hn::MulAdd(product, d[1], hn::NegMulAdd(both, d[3], d[5]));
}

// A'm of one column (or row) of products.
HWY_INLINE void FromSpectrum(const V (&m)[4], V (&y)[2]) {
  y[0] = hn::Add(hn::Add(m[0], m[1]), m[2]);
  y[1] = hn::Sub(hn::Sub(m[1], m[2]), m[3]);
}
HWY_INLINE void FromSpectrum(const V (&m)[6], V (&y)[4]) {
  const D tag;
  const V a = hn::Set(tag, kA), b = hn::Set(tag, kB);
  const V a2 = hn::Set(tag, kA2), b2 = hn::Set(tag, kB2);
  const V a3 = hn::Set(tag, kA2 * kA), b3 = hn::Set(tag, kB2 * kB);
  const V sum_a = hn::Add(m[1], m[2]), difference_a = hn::Sub(m[1], m[2]);
  const V sum_b = hn::Add(m[3], m[4]), difference_b = hn::Sub(m[3], m[4]);
  y[0] = hn::Add(m[0], hn::Add(sum_a, sum_b));
  y[1] = hn::MulAdd(b, difference_b, hn::Mul(a, difference_a));
  y[2] = hn::MulAdd(b2, sum_b, hn::Mul(a2, sum_a));
  y[3] = hn::MulAdd(b3, difference_b, hn::MulAdd(a3, difference_a, m[5]));
}

// Gg of one column (or row) of a filter, for 4 outputs.
constexpr float kByA = 1.0f / (2 * kA2 * (kA2 - kB2)), kByB = 1.0f / (2 * kB2 * (kB2 - kA2));
HWY_INLINE void FilterToSpectrum(const V (&g)[3], V (&u)[6]) {
  const D tag;
  const V even_a = hn::Mul(hn::MulAdd(hn::Set(tag, kA2), g[2], g[0]), hn::Set(tag, kByA));
  const V even_b = hn::Mul(hn::MulAdd(hn::Set(tag, kB2), g[2], g[0]), hn::Set(tag, kByB));
  const V odd_a = hn::Mul(g[1], hn::Set(tag, kA * kByA));
  const V odd_b = hn::Mul(g[1], hn::Set(tag, kB * kByB));
  u[0] = hn::Mul(g[0], hn::Set(tag, 1.0f / (kA2 * kB2)));
  u[1] = hn::Add(even_a, odd_a);
  u[2] = hn::Sub(even_a, odd_a);
  u[3] = hn::Add(even_b, odd_b);
  u[4] = hn::Sub(even_b, odd_b);
  u[5] = g[2];
}

// The transposes of these three, for the gradients: G'm, Ay and Bp.
HWY_INLINE void FilterFromSpectrum(const V (&m)[6], V (&g)[3]) {
  const D tag;
  const V sum_a = hn::Mul(hn::Add(m[1], m[2]), hn::Set(tag, kByA));
  const V sum_b = hn::Mul(hn::Add(m[3], m[4]), hn::Set(tag, kByB));
  g[0] = hn::MulAdd(m[0], hn::Set(tag, 1.0f / (kA2 * kB2)), hn::Add(sum_a, sum_b));
  g[1] = hn::MulAdd(hn::Sub(m[1], m[2]), hn::Set(tag, kA * kByA),
                    hn::Mul(hn::Sub(m[3], m[4]), hn::Set(tag, kB * kByB)));
  g[2] = hn::MulAdd(sum_a, hn::Set(tag, kA2), hn::MulAdd(sum_b, hn::Set(tag, kB2), m[5]));
}
HWY_INLINE void OutputToSpectrum(const V (&y)[4], V (&s)[6]) {
  const D tag;
  const V even_a = hn::MulAdd(hn::Set(tag, kA2), y[2], y[0]);
  const V even_b = hn::MulAdd(hn::Set(tag, kB2), y[2], y[0]);
  const V odd_a = hn::MulAdd(hn::Set(tag, kA2), y[3], y[1]);
  const V odd_b = hn::MulAdd(hn::Set(tag, kB2), y[3], y[1]);
  s[0] = y[0];
  s[1] = hn::MulAdd(hn::Set(tag, kA), odd_a, even_a);
  s[2] = hn::NegMulAdd(hn::Set(tag, kA), odd_a, even_a);
  s[3] = hn::MulAdd(hn::Set(tag, kB), odd_b, even_b);
  s[4] = hn::NegMulAdd(hn::Set(tag, kB), odd_b, even_b);
  s[5] = y[3];
}
HWY_INLINE void InputFromSpectrum(const V (&p)[6], V (&d)[6]) {
  const D tag;
  const V product = hn::Set(tag, kA2 * kB2), both = hn::Set(tag, kA2 + kB2);
  const V a2 = hn::Set(tag, kA2), b2 = hn::Set(tag, kB2);
  const V sum_a = hn::Add(p[1], p[2]), sum_b = hn::Add(p[3], p[4]);
  const V odd_a = hn::Mul(hn::Set(tag, kA), hn::Sub(p[1], p[2]));
  const V odd_b = hn::Mul(hn::Set(tag, kB), hn::Sub(p[3], p[4]));
  d[0] = hn::Mul(product, p[0]);
  d[1] = hn::NegMulAdd(b2, odd_a, hn::NegMulAdd(a2, odd_b, hn::Mul(product, p[5])));
  d[2] = hn::Neg(hn::MulAdd(both, p[0], hn::MulAdd(b2, sum_a, hn::Mul(a2, sum_b))));
  d[3] = hn::NegMulAdd(both, p[5], hn::Add(odd_a, odd_b));
  d[4] = hn::Add(p[0], hn::Add(sum_a, sum_b));
  d[5] = p[5];
}

// Tiles [begin, end) of the pass: B'dB of the inputs, for every channel.
template <size_t kOut>
void TransformInputOf(const WinogradTiles& t, size_t begin, size_t end) {
  constexpr size_t kIn = kOut + 2;
  const D d;
  const ConvGeometry& g = *t.g;
  const size_t channels = g.in_c, lanes = hn::Lanes(d),
               plane = WinogradPlaneFloats(t.count, channels);
  for (size_t i = begin; i < end; ++i) {
    const TilePlace at = PlaceOf(t, t.first + i);
    const float* image = t.input + at.image * g.in_h * g.in_w * channels;
    const int64_t in_x = static_cast<int64_t>(kOut * at.x) - g.pad_w;
    // Columns [first, last) are inside; rows outside read the padding.
    const auto first = static_cast<size_t>(std::clamp<int64_t>(-in_x, 0, kIn));
    const auto last = static_cast<size_t>(std::clamp<int64_t>(g.in_w - in_x, 0, kIn));
    const float* rows[kIn];
    ptrdiff_t offsets[kIn];
    for (size_t y = 0; y < kIn; ++y) {
      const int64_t in_y = static_cast<int64_t>(kOut * at.y + y) - g.pad_h;
      const bool inside = in_y >= 0 && in_y < g.in_h;
      rows[y] = inside ? image + in_y * g.in_w * g.in_c : t.pad;
      offsets[y] = inside ? static_cast<ptrdiff_t>(in_x * g.in_c) : 0;
    }
    float* to = t.spectrum + i * channels;
    for (size_t block = 0; block < channels; block += lanes) {
      const size_t c = std::min(block, channels - lanes);  // the last one overlaps
      V half[kIn][kIn];
#pragma GCC unroll 16
      for (size_t x = 0; x < kIn; ++x) {
        V column[kIn], transformed[kIn];
        if (x >= first && x < last) {
          const auto from = static_cast<ptrdiff_t>(x * channels + c);
#pragma GCC unroll 16
          for (size_t y = 0; y < kIn; ++y) column[y] = hn::LoadU(d, rows[y] + (offsets[y] + from));
        } else {
#pragma GCC unroll 16
          for (size_t y = 0; y < kIn; ++y) column[y] = hn::Zero(d);
        }
        ToSpectrum(column, transformed);
#pragma GCC unroll 16
        for (size_t y = 0; y < kIn; ++y) half[y][x] = transformed[y];
      }
#pragma GCC unroll 16
      for (size_t y = 0; y < kIn; ++y) {
        V row[kIn];
        ToSpectrum(half[y], row);
#pragma GCC unroll 16
        for (size_t x = 0; x < kIn; ++x) {
          hn::StoreU(row[x], d, to + (kIn * y + x) * plane + c);
        }
      }
    }
  }
}

// Tiles [begin, end) of the pass: A'mA of the products, the bias and the clamp.
template <size_t kOut>
void TransformOutputOf(const WinogradTiles& t, size_t begin, size_t end) {
  constexpr size_t kIn = kOut + 2;
  const D d;
  const ConvGeometry& g = *t.g;
  const size_t channels = g.out_c, lanes = hn::Lanes(d),
               plane = WinogradPlaneFloats(t.count, channels);
  const float low = t.out.low, high = t.out.high;
  for (size_t i = begin; i < end; ++i) {
    const TilePlace at = PlaceOf(t, t.first + i);
    const size_t rows = std::min<size_t>(kOut, g.out_h - kOut * at.y);
    const size_t columns = std::min<size_t>(kOut, g.out_w - kOut * at.x);
    const float* from = t.products + i * channels;
    float* to =
        t.out.data + ((at.image * g.out_h + kOut * at.y) * g.out_w + kOut * at.x) * channels;
    for (size_t block = 0; block < channels; block += lanes) {
      const size_t c = std::min(block, channels - lanes);
      V half[kOut][kIn];
#pragma GCC unroll 16
      for (size_t x = 0; x < kIn; ++x) {
        V column[kIn], transformed[kOut];
#pragma GCC unroll 16
        for (size_t y = 0; y < kIn; ++y) {
          column[y] = hn::LoadU(d, from + (kIn * y + x) * plane + c);
        }
        FromSpectrum(column, transformed);
#pragma GCC unroll 16
        for (size_t y = 0; y < kOut; ++y) half[y][x] = transformed[y];
      }
      const V bias = t.out.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, t.out.bias + c);
#pragma GCC unroll 16
      for (size_t y = 0; y < kOut; ++y) {
        if (y >= rows) break;
        V sums[kOut];
        FromSpectrum(half[y], sums);
        float* row = to + y * g.out_w * channels + c;
#pragma GCC unroll 16
        for (size_t x = 0; x < kOut; ++x) {
          if (x >= columns) break;
          hn::StoreU(Clamp(d, hn::Add(sums[x], bias), low, high), d, row + x * channels);
        }
      }
    }
  }
}

// GgG' of filters for 4 outputs, packed for products of `depth` rows and `columns` columns (a
// multiple of kGemmPanel): tap t of row k and column n is at from[t * tap_stride + k * row_stride +
// n], plane p of it in the panels from packed + p * WinogradFilterFloats(depth, columns) on.
inline void FiltersToSpectrum(const float* from, size_t tap_stride, size_t row_stride, size_t depth,
                              size_t columns, float* packed) {
  const D d;
  const size_t lanes = hn::Lanes(d), plane = WinogradFilterFloats(depth, columns);
  for (size_t k = 0; k < depth; ++k) {
    for (size_t n = 0; n < columns; n += lanes) {
      const float* g = from + k * row_stride + n;
      V half[6][3];
#pragma GCC unroll 16
      for (size_t x = 0; x < 3; ++x) {
        const V column[3] = {hn::LoadU(d, g + x * tap_stride),
                             hn::LoadU(d, g + (3 + x) * tap_stride),
                             hn::LoadU(d, g + (6 + x) * tap_stride)};
        V u[6];
        FilterToSpectrum(column, u);
#pragma GCC unroll 16
        for (size_t y = 0; y < 6; ++y) half[y][x] = u[y];
      }
      float* to = packed + n / kGemmPanel * kGemmPanel * depth + k * kGemmPanel + n % kGemmPanel;
#pragma GCC unroll 16
      for (size_t y = 0; y < 6; ++y) {
        V u[6];
        FilterToSpectrum(half[y], u);
#pragma GCC unroll 16
        for (size_t x = 0; x < 6; ++x) hn::StoreU(u[x], d, to + (6 * y + x) * plane);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
