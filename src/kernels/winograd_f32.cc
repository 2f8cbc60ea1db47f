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
#include "kernels/winograd_f32-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

void TransformInput(const WinogradTiles& t, size_t begin, size_t end) {
  t.side == 2 ? TransformInputOf<2>(t, begin, end) : TransformInputOf<4>(t, begin, end);
}
void TransformOutput(const WinogradTiles& t, size_t begin, size_t end) {
  t.side == 2 ? TransformOutputOf<2>(t, begin, end) : TransformOutputOf<4>(t, begin, end);
}
void TransformFilters(const float* taps, size_t in, size_t out, float* packed) {
  FiltersToSpectrum(taps, in * out, out, in, out, packed);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(TransformInput);
HWY_EXPORT(TransformOutput);
HWY_EXPORT(TransformFilters);

using reference::ConvGeometry;

// The least product of channels and filters for tiles of 2x2 and of 4x4 (below it the transforms
// cost more than they save), the least channels (what the vectors of every instruction set need),
// and the fewest tiles.
constexpr int64_t kLeastFilters2 = 32 * 32, kLeastFilters4 = 16 * 16;
constexpr int32_t kLeastChannels = 16;
constexpr size_t kLeastTiles2 = 16, kLeastTiles4 = 4;
// The fewest tiles that are worth transforming the filters.
constexpr size_t kLeastTilesAnew = 16;
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

size_t WinogradFilterFloats(size_t in, size_t out) { return PackedFloats(in, out) + 16; }

size_t WinogradF32PackedFloats(const ConvGeometry& g) {
  return Planes(SideOf(g)) *
         WinogradFilterFloats(static_cast<size_t>(g.in_c), static_cast<size_t>(g.out_c));
}

void PackWinogradF32(const ConvGeometry& g, const float* weights, float* packed) {
  const size_t in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  const size_t one = WinogradFilterFloats(in, out), side = SideOf(g), planes = Planes(side);
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

bool WinogradF32FitsAnew(const ConvGeometry& g) {
  const auto panel = static_cast<int32_t>(kGemmPanel);
  return WinogradF32Fits(g) && g.in_c % panel == 0 && g.out_c % panel == 0 && SideOf(g) == 4 &&
         Tiles(g, 4) >= kLeastTilesAnew;
}

void PackWinogradF32Anew(const ConvGeometry& g, const float* weights, float* taps, float* packed) {
  const auto in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  for (size_t block = 0; block < out; block += kGemmPanel) {
    for (size_t i = 0; i < 9 * in; ++i) {
      const float* from = weights + block * 9 * in + i;
      float* to = taps + i * out + block;
      for (size_t o = 0; o < kGemmPanel; ++o) to[o] = from[o * 9 * in];
    }
  }
  HWY_DYNAMIC_DISPATCH(TransformFilters)(taps, in, out, packed);
}

size_t WinogradF32ScratchBytes(const ConvGeometry& g) {
  const size_t side = SideOf(g), tiles = PassTiles(g, side);
  return (PadFloats(g, side) +
          Planes(side) * (WinogradPlaneFloats(tiles, static_cast<size_t>(g.in_c)) +
                          WinogradPlaneFloats(tiles, static_cast<size_t>(g.out_c)))) *
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
  float* products = spectrum + planes * WinogradPlaneFloats(pass, in);
  const size_t one = WinogradFilterFloats(in, filters);
  WinogradTiles t{&g,    side, Rows(g, side), Columns(g, side), 0,  0,
                  input, pad,  spectrum,      products,         out};
  const auto to_spectrum = [&](size_t begin, size_t end) {
    HWY_DYNAMIC_DISPATCH(TransformInput)(t, begin, end);
  };
  const auto multiply = [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      GemmResult c;
      c.data = products + p * WinogradPlaneFloats(t.count, filters);
      c.stride = filters;
      GemmF32(t.count, filters,
              GemmLeft::RowMajor(spectrum + p * WinogradPlaneFloats(t.count, in), in, in),
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
