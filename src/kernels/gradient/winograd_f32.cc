#include "kernels/gradient/winograd_f32.h"

#include <algorithm>

#include "kernels/gemm_f32.h"
#include "kernels/simd.h"
#include "kernels/winograd_f32.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gradient/winograd_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/winograd_f32-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

// A dy A' of the pass's tiles, for every filter; positions beyond the image are zeros.
void TransformGradient(const WinogradTiles& t, const float* dy, float* spectrum) {
  const D d;
  const ConvGeometry& g = *t.g;
  const auto channels = static_cast<size_t>(g.out_c);
  const auto out_h = static_cast<size_t>(g.out_h), out_w = static_cast<size_t>(g.out_w);
  const size_t lanes = hn::Lanes(d), plane = WinogradPlaneFloats(t.count, channels);
  for (size_t i = 0; i < t.count; ++i) {
    const TilePlace at = PlaceOf(t, t.first + i);
    const size_t rows = std::min<size_t>(4, out_h - 4 * at.y);
    const size_t columns = std::min<size_t>(4, out_w - 4 * at.x);
    const float* from = dy + ((at.image * out_h + 4 * at.y) * out_w + 4 * at.x) * channels;
    float* to = spectrum + i * channels;
    for (size_t c = 0; c < channels; c += lanes) {
      V half[6][4];
#pragma GCC unroll 16
      for (size_t x = 0; x < 4; ++x) {
        V column[4], s[6];
#pragma GCC unroll 16
        for (size_t y = 0; y < 4; ++y) {
          column[y] = x < columns && y < rows ? hn::LoadU(d, from + (y * out_w + x) * channels + c)
                                              : hn::Zero(d);
        }
        OutputToSpectrum(column, s);
#pragma GCC unroll 16
        for (size_t y = 0; y < 6; ++y) half[y][x] = s[y];
      }
#pragma GCC unroll 16
      for (size_t y = 0; y < 6; ++y) {
        V s[6];
        OutputToSpectrum(half[y], s);
#pragma GCC unroll 16
        for (size_t x = 0; x < 6; ++x) hn::StoreU(s[x], d, to + (6 * y + x) * plane + c);
      }
    }
  }
}

// B p B' of the pass's tiles, added to the input's gradient; with `write` the first tile at a
// position (of those in rising order) writes it.
void SpreadInput(const WinogradTiles& t, const float* products, bool write, float* dx) {
  const D d;
  const ConvGeometry& g = *t.g;
  const auto channels = static_cast<size_t>(g.in_c);
  const size_t lanes = hn::Lanes(d), plane = WinogradPlaneFloats(t.count, channels);
  for (size_t i = 0; i < t.count; ++i) {
    const TilePlace at = PlaceOf(t, t.first + i);
    const int64_t top = static_cast<int64_t>(4 * at.y) - g.pad_h;
    const int64_t left = static_cast<int64_t>(4 * at.x) - g.pad_w;
    float* image = dx + at.image * g.in_h * g.in_w * channels;
    const auto first = static_cast<size_t>(std::clamp<int64_t>(-left, 0, 6));
    const auto last = static_cast<size_t>(std::clamp<int64_t>(g.in_w - left, 0, 6));
    // What the tiles to the left and above have written before.
    const size_t old_columns = !write ? 6 : at.x > 0 ? 2 : 0;
    const size_t old_rows = !write ? 6 : at.y > 0 ? 2 : 0;
    const float* from = products + i * channels;
    for (size_t c = 0; c < channels; c += lanes) {
      V half[6][6];
#pragma GCC unroll 16
      for (size_t x = 0; x < 6; ++x) {
        V column[6], p[6];
#pragma GCC unroll 16
        for (size_t y = 0; y < 6; ++y) column[y] = hn::LoadU(d, from + (6 * y + x) * plane + c);
        InputFromSpectrum(column, p);
#pragma GCC unroll 16
        for (size_t y = 0; y < 6; ++y) half[y][x] = p[y];
      }
#pragma GCC unroll 16
      for (size_t y = 0; y < 6; ++y) {
        const int64_t row = top + static_cast<int64_t>(y);
        if (row < 0 || row >= g.in_h) continue;
        V p[6];
        InputFromSpectrum(half[y], p);
        float* to = image + (row * g.in_w + left) * static_cast<int64_t>(channels) + c;
#pragma GCC unroll 16
        for (size_t x = 0; x < 6; ++x) {
          if (x < first || x >= last) continue;
          V sum = p[x];
          if (y < old_rows || x < old_columns) {
            sum = hn::Add(hn::LoadU(d, to + x * channels), sum);
          }
          hn::StoreU(sum, d, to + x * channels);
        }
      }
    }
  }
}

// The filters' spectra, from OHWI, as right operands of a product over filters.
void FiltersOfRows(const float* weights, size_t in, size_t out, float* packed) {
  FiltersToSpectrum(weights, in, 9 * in, out, in, packed);
}

// dw (+)= G' m G of the sums [36][out][in], planes WinogradFilterFloats apart.
void FiltersFromSpectrum(const float* sums, size_t in, size_t out, bool accumulate, float* dw) {
  const D d;
  const size_t lanes = hn::Lanes(d), plane = WinogradFilterFloats(in, out);
  for (size_t o = 0; o < out; ++o) {
    for (size_t c = 0; c < in; c += lanes) {
      const float* from = sums + o * in + c;
      V half[3][6];
#pragma GCC unroll 16
      for (size_t x = 0; x < 6; ++x) {
        V column[6], w[3];
#pragma GCC unroll 16
        for (size_t y = 0; y < 6; ++y) column[y] = hn::LoadU(d, from + (6 * y + x) * plane);
        FilterFromSpectrum(column, w);
#pragma GCC unroll 16
        for (size_t y = 0; y < 3; ++y) half[y][x] = w[y];
      }
#pragma GCC unroll 16
      for (size_t y = 0; y < 3; ++y) {
        V w[3];
        FilterFromSpectrum(half[y], w);
#pragma GCC unroll 16
        for (size_t x = 0; x < 3; ++x) {
          float* to = dw + (o * 9 + 3 * y + x) * in + c;
          hn::StoreU(accumulate ? hn::Add(hn::LoadU(d, to), w[x]) : w[x], d, to);
        }
      }
    }
  }
}

void TransformPatches(const WinogradTiles& t) { TransformInputOf<4>(t, 0, t.count); }

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(TransformPatches);
HWY_EXPORT(TransformGradient);
HWY_EXPORT(SpreadInput);
HWY_EXPORT(FiltersOfRows);
HWY_EXPORT(FiltersFromSpectrum);

using reference::ConvGeometry;

constexpr size_t kPlanes = 36;
// What the spectra of a pass may take, so that they stay in the second-level cache, and the
// multiple of its tiles.
constexpr size_t kPassBytes = size_t{512} << 10;
constexpr size_t kPassTiles = 16;

size_t TileRows(const ConvGeometry& g) { return (static_cast<size_t>(g.out_h) + 3) / 4; }
size_t TileColumns(const ConvGeometry& g) { return (static_cast<size_t>(g.out_w) + 3) / 4; }
size_t AllTiles(const ConvGeometry& g) {
  return static_cast<size_t>(g.batches) * TileRows(g) * TileColumns(g);
}
size_t PassTiles(const ConvGeometry& g) {
  const auto in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  const size_t fit = kPassBytes / sizeof(float) / kPlanes / (in + out) / kPassTiles * kPassTiles;
  return std::min(AllTiles(g), std::max(fit, kPassTiles));
}

// Where things are in the scratch memory, in floats.
struct Layout {
  size_t input, gradient, filters, sums, pad, end;
};
Layout LayOut(const ConvGeometry& g) {
  const auto in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  const size_t tiles = PassTiles(g);
  Layout at{};
  at.gradient = at.input + kPlanes * WinogradPlaneFloats(tiles, in);
  at.filters = at.gradient + kPlanes * WinogradPlaneFloats(tiles, out);
  at.sums = at.filters + kPlanes * WinogradFilterFloats(in, out);
  at.pad = at.sums + kPlanes * WinogradFilterFloats(in, out);
  at.end = at.pad + 6 * in;
  return at;
}

}  // namespace

namespace gradient {

bool WinogradFits(const ConvGeometry& g) { return WinogradF32FitsAnew(g); }

size_t WinogradScratchBytes(const ConvGeometry& g) { return LayOut(g).end * sizeof(float); }

void WinogradConv(const ConvGeometry& g, const float* x, const float* weights, const float* dy,
                  bool accumulate_dx, float* dx, bool accumulate_dw, float* dw,
                  std::byte* scratch) {
  const auto in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  const Layout at = LayOut(g);
  auto* memory = reinterpret_cast<float*>(scratch);
  float *input = memory + at.input, *gradient = memory + at.gradient;
  float *filters = memory + at.filters, *sums = memory + at.sums, *pad = memory + at.pad;
  std::fill_n(pad, 6 * in, 0.0f);
  if (dx != nullptr) HWY_DYNAMIC_DISPATCH(FiltersOfRows)(weights, in, out, filters);
  WinogradTiles t{&g, 4, TileRows(g), TileColumns(g), 0, 0, x, pad, input, nullptr, {}};
  const size_t pass = PassTiles(g), tiles = AllTiles(g);
  for (; t.first < tiles; t.first += t.count) {
    t.count = std::min(pass, tiles - t.first);
    const size_t in_plane = WinogradPlaneFloats(t.count, in);
    const size_t out_plane = WinogradPlaneFloats(t.count, out);
    HWY_DYNAMIC_DISPATCH(TransformGradient)(t, dy, gradient);
    if (dw != nullptr) {
      HWY_DYNAMIC_DISPATCH(TransformPatches)(t);
      for (size_t p = 0; p < kPlanes; ++p) {
        GemmResult c;
        c.data = sums + p * WinogradFilterFloats(in, out);
        c.stride = in;
        c.accumulate = t.first > 0;
        GemmF32(out, in, GemmLeft::Transposed(gradient + p * out_plane, t.count, out),
                GemmRight::RowMajor(input + p * in_plane, in), c, nullptr);
      }
    }
    if (dx == nullptr) continue;
    for (size_t p = 0; p < kPlanes; ++p) {
      GemmResult c;
      c.data = input + p * in_plane;  // the patches' spectra have been used
      c.stride = in;
      GemmF32(t.count, in, GemmLeft::RowMajor(gradient + p * out_plane, out, out),
              GemmRight::Packed(filters + p * WinogradFilterFloats(in, out), out), c, nullptr);
    }
    HWY_DYNAMIC_DISPATCH(SpreadInput)(t, input, !accumulate_dx, dx);
  }
  if (dw != nullptr) HWY_DYNAMIC_DISPATCH(FiltersFromSpectrum)(sums, in, out, accumulate_dw, dw);
}

int64_t WinogradTargets() { return HWY_TARGETS; }

}  // namespace gradient
}  // namespace litesmith
#endif  // HWY_ONCE
