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
// Floats from one of the 16 planes to the next: a line more than they hold, so that a tile's 16
// elements do not all fall into the same set of the first-level cache.
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

// Tiles [begin, end) of the pass: B'dB of the 4x4 inputs, for every channel.
void TransformInput(const WinogradTiles& t, size_t begin, size_t end) {
  const D d;
  const ConvGeometry& g = *t.g;
  const size_t channels = g.in_c, lanes = hn::Lanes(d), plane = PlaneFloats(t.count, channels);
  for (size_t i = begin; i < end; ++i) {
    const TilePlace at = PlaceOf(t, t.first + i);
    const float* image = t.input + at.image * g.in_h * g.in_w * channels;
    const float* from[16];
    for (size_t y = 0; y < 4; ++y) {
      const int64_t in_y = static_cast<int64_t>(2 * at.y + y) - g.pad_h;
      for (size_t x = 0; x < 4; ++x) {
        const int64_t in_x = static_cast<int64_t>(2 * at.x + x) - g.pad_w;
        const bool inside = in_y >= 0 && in_y < g.in_h && in_x >= 0 && in_x < g.in_w;
        from[4 * y + x] = inside ? image + (in_y * g.in_w + in_x) * g.in_c : t.pad;
      }
    }
    float* to = t.spectrum + i * channels;
    for (size_t block = 0; block < channels; block += lanes) {
      const size_t c = std::min(block, channels - lanes);  // the last one overlaps
      V v[4][4];
#pragma GCC unroll 16
      for (size_t x = 0; x < 4; ++x) {
        const V d0 = hn::LoadU(d, from[x] + c), d1 = hn::LoadU(d, from[4 + x] + c);
        const V d2 = hn::LoadU(d, from[8 + x] + c), d3 = hn::LoadU(d, from[12 + x] + c);
        v[0][x] = hn::Sub(d0, d2);
        v[1][x] = hn::Add(d1, d2);
        v[2][x] = hn::Sub(d2, d1);
        v[3][x] = hn::Sub(d1, d3);
      }
#pragma GCC unroll 16
      for (size_t y = 0; y < 4; ++y) {
        float* row = to + 4 * y * plane + c;
        hn::StoreU(hn::Sub(v[y][0], v[y][2]), d, row);
        hn::StoreU(hn::Add(v[y][1], v[y][2]), d, row + plane);
        hn::StoreU(hn::Sub(v[y][2], v[y][1]), d, row + 2 * plane);
        hn::StoreU(hn::Sub(v[y][1], v[y][3]), d, row + 3 * plane);
      }
    }
  }
}

// Tiles [begin, end) of the pass: A'mA of the products, the bias and the clamp.
void TransformOutput(const WinogradTiles& t, size_t begin, size_t end) {
  const D d;
  const ConvGeometry& g = *t.g;
  const size_t channels = g.out_c, lanes = hn::Lanes(d), plane = PlaneFloats(t.count, channels);
  const float low = t.out.low, high = t.out.high;
  for (size_t i = begin; i < end; ++i) {
    const TilePlace at = PlaceOf(t, t.first + i);
    const size_t rows = std::min<size_t>(2, g.out_h - 2 * at.y);
    const size_t columns = std::min<size_t>(2, g.out_w - 2 * at.x);
    const float* from = t.products + i * channels;
    float* to = t.out.data + ((at.image * g.out_h + 2 * at.y) * g.out_w + 2 * at.x) * channels;
    for (size_t block = 0; block < channels; block += lanes) {
      const size_t c = std::min(block, channels - lanes);
      V s[2][4];
#pragma GCC unroll 16
      for (size_t x = 0; x < 4; ++x) {
        const float* column = from + x * plane + c;
        const V m0 = hn::LoadU(d, column), m1 = hn::LoadU(d, column + 4 * plane);
        const V m2 = hn::LoadU(d, column + 8 * plane), m3 = hn::LoadU(d, column + 12 * plane);
        s[0][x] = hn::Add(hn::Add(m0, m1), m2);
        s[1][x] = hn::Sub(hn::Sub(m1, m2), m3);
      }
      const V bias = t.out.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, t.out.bias + c);
#pragma GCC unroll 16
      for (size_t y = 0; y < 2; ++y) {
        if (y >= rows) break;
        const V even = hn::Add(hn::Add(s[y][0], s[y][1]), hn::Add(s[y][2], bias));
        const V odd = hn::Add(hn::Sub(s[y][1], s[y][2]), hn::Sub(bias, s[y][3]));
        float* row = to + y * g.out_w * channels + c;
        hn::StoreU(Clamp(d, even, low, high), d, row);
        if (columns == 2) hn::StoreU(Clamp(d, odd, low, high), d, row + channels);
      }
    }
  }
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

// Products of channels and filters below which the transforms cost more than they save, and what
// the vectors of every instruction set need.
constexpr int64_t kLeastFilters = 32 * 32;
constexpr int32_t kLeastChannels = 16;
constexpr size_t kLeastTiles = 16;
// Beyond 256 x 256 channels, reading the transformed weights takes the time.
constexpr int64_t kMostFilters = int64_t{1} << 16;
// What a pass over some tiles may keep, to stay in the second-level cache.
constexpr size_t kPassBytes = size_t{192} << 10;
// Multiply-adds of a pass below which a second thread costs more than it brings.
constexpr size_t kSerialWork = size_t{1} << 18;

size_t Columns(const ConvGeometry& g) { return (static_cast<size_t>(g.out_w) + 1) / 2; }
size_t Rows(const ConvGeometry& g) { return (static_cast<size_t>(g.out_h) + 1) / 2; }
size_t Tiles(const ConvGeometry& g) {
  return static_cast<size_t>(g.batches) * Rows(g) * Columns(g);
}
size_t TileFloats(const ConvGeometry& g) {
  return 16 * (static_cast<size_t>(g.in_c) + static_cast<size_t>(g.out_c));
}
size_t PassTiles(const ConvGeometry& g) {
  const size_t fit = kPassBytes / sizeof(float) / TileFloats(g) / kLeastTiles * kLeastTiles;
  return std::min(Tiles(g), std::max(fit, kLeastTiles));
}
size_t PadFloats(const ConvGeometry& g) { return (static_cast<size_t>(g.in_c) + 15) / 16 * 16; }

// GgG' of one 3x3 filter whose taps are `step` floats apart.
void TransformFilter(const float* g, size_t step, float (&u)[16]) {
  float half[4][3];
  for (size_t x = 0; x < 3; ++x) {
    const float a = g[x * step], b = g[(3 + x) * step], c = g[(6 + x) * step];
    half[0][x] = a;
    half[1][x] = 0.5f * (a + b + c);
    half[2][x] = 0.5f * (a - b + c);
    half[3][x] = c;
  }
  for (size_t y = 0; y < 4; ++y) {
    const float a = half[y][0], b = half[y][1], c = half[y][2];
    u[4 * y] = a;
    u[4 * y + 1] = 0.5f * (a + b + c);
    u[4 * y + 2] = 0.5f * (a - b + c);
    u[4 * y + 3] = c;
  }
}

}  // namespace

bool WinogradF32Fits(const ConvGeometry& g) {
  return g.filter_h == 3 && g.filter_w == 3 && g.stride_h == 1 && g.stride_w == 1 &&
         g.dilation_h == 1 && g.dilation_w == 1 && g.filter_c == g.in_c &&
         g.in_c >= kLeastChannels && g.out_c >= kLeastChannels &&
         int64_t{g.in_c} * g.out_c >= kLeastFilters && int64_t{g.in_c} * g.out_c <= kMostFilters &&
         Tiles(g) >= kLeastTiles;
}

size_t WinogradF32PackedFloats(const ConvGeometry& g) {
  return 16 * PackedFloats(static_cast<size_t>(g.in_c), static_cast<size_t>(g.out_c));
}

void PackWinogradF32(const ConvGeometry& g, const float* weights, float* packed) {
  const size_t in = static_cast<size_t>(g.in_c), out = static_cast<size_t>(g.out_c);
  const size_t one = PackedFloats(in, out);
  std::vector<float> spectrum(16 * in * out);  // [16][out][in]
  for (size_t i = 0; i < in * out; ++i) {
    float u[16];
    TransformFilter(weights + i / in * 9 * in + i % in, in, u);
    for (size_t p = 0; p < 16; ++p) spectrum[p * in * out + i] = u[p];
  }
  for (size_t p = 0; p < 16; ++p) {
    PackTransposed(spectrum.data() + p * in * out, in, out, in, packed + p * one);
  }
}

size_t WinogradF32ScratchBytes(const ConvGeometry& g) {
  return (PadFloats(g) + 16 * (PlaneFloats(PassTiles(g), static_cast<size_t>(g.in_c)) +
                               PlaneFloats(PassTiles(g), static_cast<size_t>(g.out_c)))) *
         sizeof(float);
}

void WinogradF32(const ConvGeometry& g, const float* input, const float* packed,
                 const ConvF32Output& out, std::byte* scratch, ThreadPool* threads) {
  auto* pad = reinterpret_cast<float*>(scratch);
  std::fill_n(pad, PadFloats(g), 0.0f);
  const size_t pass = PassTiles(g), tiles = Tiles(g);
  const size_t in = static_cast<size_t>(g.in_c), filters = static_cast<size_t>(g.out_c);
  float* spectrum = pad + PadFloats(g);
  float* products = spectrum + 16 * PlaneFloats(pass, in);
  const size_t one = PackedFloats(in, filters);
  WinogradTiles t{&g, Rows(g), Columns(g), 0, 0, input, pad, spectrum, products, out};
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
  ThreadPool* pool = 16 * pass * in * filters < kSerialWork ? nullptr : threads;
  for (; t.first < tiles; t.first += t.count) {
    t.count = std::min(pass, tiles - t.first);
    ParallelFor(pool, t.count, 8, std::cref(to_spectrum));
    ParallelFor(pool, 16, 1, std::cref(multiply));
    ParallelFor(pool, t.count, 8, std::cref(from_spectrum));
  }
}

int64_t WinogradF32Targets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
