#include "kernels/winograd_f32.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/gemm_f32.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/winograd_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

#ifndef LITESMITH_KERNELS_WINOGRAD_PLANES_
#define LITESMITH_KERNELS_WINOGRAD_PLANES_
namespace litesmith {
// Floats from one of the planes to the next: a line more than they hold, so that a tile's elements
// do not all fall into the same set of the first-level cache.
inline size_t PlaneFloats(size_t tiles, size_t channels) { return tiles * channels + 16; }
}  // namespace litesmith
#endif

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

// Tiles [begin, end) of the pass: B'dB of the inputs, for every channel.
template <size_t kOut>
void TransformInputOf(const WinogradTiles& t, size_t begin, size_t end) {
  constexpr size_t kIn = kOut + 2;
  const D d;
  const ConvGeometry& g = *t.g;
  const size_t channels = g.in_c, lanes = hn::Lanes(d), plane = PlaneFloats(t.count, channels);
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
  const size_t channels = g.out_c, lanes = hn::Lanes(d), plane = PlaneFloats(t.count, channels);
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

void TransformInput(const WinogradTiles& t, size_t begin, size_t end) {
  t.side == 2 ? TransformInputOf<2>(t, begin, end) : TransformInputOf<4>(t, begin, end);
}
void TransformOutput(const WinogradTiles& t, size_t begin, size_t end) {
  t.side == 2 ? TransformOutputOf<2>(t, begin, end) : TransformOutputOf<4>(t, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(TransformInput);
HWY_EXPORT(TransformOutput);

using reference::ConvGeometry;

// The least product of channels and filters for tiles of 2x2 and of 4x4 (below it the transforms
// cost more than they save), the least channels (what the vectors of every instruction set need),
// and the fewest tiles.
constexpr int64_t kLeastFilters2 = 32 * 32, kLeastFilters4 = 16 * 16;
constexpr int32_t kLeastChannels = 16;
constexpr size_t kLeastTiles2 = 16, kLeastTiles4 = 4;
// The greatest product: beyond it, reading the transformed weights (16/9 or 4 times as many) takes
// the time.
constexpr int64_t kMostFilters2 = int64_t{1} << 16, kMostFilters4 = int64_t{1} << 14;
// What a pass over some tiles may keep, to stay in the second-level cache, and its tiles' multiple.
constexpr size_t kPassBytes = size_t{192} << 10;
constexpr size_t kPassTiles = 16;
// Multiply-adds of a pass below which a second thread costs more than it brings.
constexpr size_t kSerialWork = size_t{1} << 18;

size_t Columns(const ConvGeometry& g, size_t side) {
  return (static_cast<size_t>(g.out_w) + side - 1) / side;
}
size_t Rows(const ConvGeometry& g, size_t side) {
  return (static_cast<size_t>(g.out_h) + side - 1) / side;
}
size_t Tiles(const ConvGeometry& g, size_t side) {
  return static_cast<size_t>(g.batches) * Rows(g, side) * Columns(g, side);
}
size_t Planes(size_t side) { return (side + 2) * (side + 2); }

// Outputs on a tile's side: 4 or 2, whichever takes fewer products; 0 where neither pays.
size_t SideOf(const ConvGeometry& g) {
  const int64_t filters = int64_t{g.in_c} * g.out_c;
  const size_t tiles2 = Tiles(g, 2), tiles4 = Tiles(g, 4);
  const bool four = filters >= kLeastFilters4 && filters <= kMostFilters4 && tiles4 >= kLeastTiles4;
  if (four && Planes(4) * tiles4 < Planes(2) * tiles2) return 4;
  return filters >= kLeastFilters2 && filters <= kMostFilters2 && tiles2 >= kLeastTiles2 ? 2 : 0;
}

size_t PassTiles(const ConvGeometry& g, size_t side) {
  const size_t floats = Planes(side) * (static_cast<size_t>(g.in_c) + static_cast<size_t>(g.out_c));
  const size_t fit = kPassBytes / sizeof(float) / floats / kPassTiles * kPassTiles;
  return std::min(Tiles(g, side), std::max(fit, kPassTiles));
}
// A row of the input's tile.
size_t PadFloats(const ConvGeometry& g, size_t side) {
  return ((side + 2) * static_cast<size_t>(g.in_c) + 15) / 16 * 16;
}

// Gg of one column (or row) of a filter, in double: only the result is rounded.
void FilterToSpectrum(size_t side, double a, double b, double c, double* u) {
  if (side == 2) {
    u[0] = a;
    u[1] = 0.5 * (a + b + c);
    u[2] = 0.5 * (a - b + c);
    u[3] = c;
    return;
  }
  // Row p: (1, p, p^2) over the product of p's distances from the other finite points.
  constexpr double kPointA = 0.75, kPointB = 1.5, kA2 = kPointA * kPointA, kB2 = kPointB * kPointB;
  const double by_a = 1 / (2 * kA2 * (kA2 - kB2)), by_b = 1 / (2 * kB2 * (kB2 - kA2));
  u[0] = a / (kA2 * kB2);
  u[1] = (a + kPointA * b + kA2 * c) * by_a;
  u[2] = (a - kPointA * b + kA2 * c) * by_a;
  u[3] = (a + kPointB * b + kB2 * c) * by_b;
  u[4] = (a - kPointB * b + kB2 * c) * by_b;
  u[5] = c;
}

// GgG' of one 3x3 filter whose taps are `step` floats apart.
void TransformFilter(size_t side, const float* g, size_t step, float* u) {
  const size_t in = side + 2;
  double columns[3][6], row[6];
  for (size_t x = 0; x < 3; ++x) {
    FilterToSpectrum(side, double{g[x * step]}, double{g[(3 + x) * step]},
                     double{g[(6 + x) * step]}, columns[x]);
  }
  for (size_t y = 0; y < in; ++y) {
    FilterToSpectrum(side, columns[0][y], columns[1][y], columns[2][y], row);
    for (size_t x = 0; x < in; ++x) u[in * y + x] = static_cast<float>(row[x]);
  }
}

}  // namespace

bool WinogradF32Fits(const ConvGeometry& g) {
  return g.filter_h == 3 && g.filter_w == 3 && g.stride_h == 1 && g.stride_w == 1 &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.filter_c == g.in_c &&
         g.in_c >= kLeastChannels && g.out_c >= kLeastChannels && SideOf(g) != 0;
}

size_t WinogradF32PackedFloats(const ConvGeometry& g) {
  return Planes(SideOf(g)) *
         PackedFloats(static_cast<size_t>(g.in_c), static_cast<size_t>(g.out_c));
}

void PackWinogradF32(const ConvGeometry& g, const float* weights, float* packed) {
  const size_t in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  const size_t one = PackedFloats(in, out), side = SideOf(g), planes = Planes(side);
  std::vector<float> spectrum(planes * in * out);  // [planes][out][in]
  std::vector<float> u(planes);
  for (size_t i = 0; i < in * out; ++i) {
    TransformFilter(side, weights + i / in * 9 * in + i % in, in, u.data());
    for (size_t p = 0; p < planes; ++p) spectrum[p * in * out + i] = u[p];
  }
  for (size_t p = 0; p < planes; ++p) {
    PackTransposed(spectrum.data() + p * in * out, in, out, in, packed + p * one);
  }
}

size_t WinogradF32ScratchBytes(const ConvGeometry& g) {
  const size_t side = SideOf(g), tiles = PassTiles(g, side);
  return (PadFloats(g, side) + Planes(side) * (PlaneFloats(tiles, static_cast<size_t>(g.in_c)) +
                                               PlaneFloats(tiles, static_cast<size_t>(g.out_c)))) *
         sizeof(float);
}

void WinogradF32(const ConvGeometry& g, const float* input, const float* packed,
                 const ConvF32Output& out, std::byte* scratch, ThreadPool* threads) {
  auto* pad = reinterpret_cast<float*>(scratch);
  const size_t side = SideOf(g), planes = Planes(side);
  std::fill_n(pad, PadFloats(g, side), 0.0f);
  const size_t pass = PassTiles(g, side), tiles = Tiles(g, side);
  const size_t in = static_cast<size_t>(g.in_c), filters = static_cast<size_t>(g.out_c);
  float* spectrum = pad + PadFloats(g, side);
  float* products = spectrum + planes * PlaneFloats(pass, in);
  const size_t one = PackedFloats(in, filters);
  WinogradTiles t{&g,    side, Rows(g, side), Columns(g, side), 0,  0,
                  input, pad,  spectrum,      products,         out};
  const auto to_spectrum = [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(TransformInput)(t, begin, end);
  };
  const auto multiply = [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      GemmResult c;
      c.data = products + p * PlaneFloats(t.count, filters);
      c.stride = filters;
      GemmF32(t.count, filters, GemmLeft::RowMajor(spectrum + p * PlaneFloats(t.count, in), in, in),
              GemmRight::Packed(packed + p * one, in), c, nullptr);
    }
  };
  const auto from_spectrum = [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(TransformOutput)(t, begin, end);
  };
  ThreadPool* pool = planes * pass * in * filters < kSerialWork ? nullptr : threads;
  for (; t.first < tiles; t.first += t.count) {
    t.count = std::min(pass, tiles - t.first);
    ParallelFor(pool, t.count, 8, std::cref(to_spectrum));
    ParallelFor(pool, planes, 1, std::cref(multiply));
    ParallelFor(pool, t.count, 8, std::cref(from_spectrum));
  }
}

int64_t WinogradF32Targets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
