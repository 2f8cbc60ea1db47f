#include "kernels/gray_conv_f32.h"

#include <algorithm>
#include <limits>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gray_conv_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

#ifndef LITESMITH_KERNELS_GRAY_CONV_
#define LITESMITH_KERNELS_GRAY_CONV_
namespace litesmith {
namespace {

using reference::ConvGeometry;

constexpr size_t kFilters = 8;
// Positions that are read at a time at most: lanes of the widest vectors.
constexpr size_t kMostLanes = 16;

size_t TapCount(const ConvGeometry& g) { return static_cast<size_t>(g.filter_h) * g.filter_w; }

// The copy of a picture, with its border: so much to the right that whole vectors can be read at
// every position.
struct GrayLayout {
  size_t rows, stride;
  explicit GrayLayout(const ConvGeometry& g)
      : rows(static_cast<size_t>(g.out_h) + size_t(g.filter_h - 1) * g.dilation_h),
        stride((static_cast<size_t>(g.out_w) + kMostLanes - 1) / kMostLanes * kMostLanes +
               size_t(g.filter_w - 1) * g.dilation_w) {}
  // Where tap t is.
  size_t Offset(const ConvGeometry& g, size_t t) const {
    return t / g.filter_w * g.dilation_h * stride + t % g.filter_w * g.dilation_w;
  }
};

// Blocks of 3x3 taps.
inline size_t GrayBlocks(const ConvGeometry& g) {
  return (static_cast<size_t>(g.filter_h) + 2) / 3 * ((static_cast<size_t>(g.filter_w) + 2) / 3);
}

inline void CopyPicture(const ConvGeometry& g, const GrayLayout& layout, const float* from,
                        float* to) {
  const int64_t first = std::max<int64_t>(0, -int64_t{g.pad_w});
  const auto left = std::min(layout.stride, static_cast<size_t>(std::max(g.pad_w, 0)));
  const size_t inner =
      std::min(layout.stride - left, static_cast<size_t>(std::max<int64_t>(g.in_w - first, 0)));
  for (size_t r = 0; r < layout.rows; ++r, to += layout.stride) {
    const int64_t y = static_cast<int64_t>(r) - g.pad_h;
    if (y < 0 || y >= g.in_h) {
      std::fill_n(to, layout.stride, 0.0f);
      continue;
    }
    std::fill_n(to, left, 0.0f);
    std::copy_n(from + y * g.in_w + first, inner, to + left);
    std::fill(to + left + inner, to + layout.stride, 0.0f);
  }
}

}  // namespace
}  // namespace litesmith
#endif

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
using Indices = decltype(hn::SetTableIndices(D(), static_cast<const int32_t*>(nullptr)));

constexpr size_t kLanes = HWY_MAX_BYTES / sizeof(float);
// Positions of a vector of results; a vector of inputs makes eight of them.
constexpr size_t kPositions = kLanes / kFilters;
constexpr size_t kResults = kLanes / kPositions;

bool HasGrayConv() { return true; }

// For result j: every input that it needs, as often as there are filters.
struct IndexTable {
  alignas(64) int32_t lanes[kResults][kLanes];
  constexpr IndexTable() : lanes() {
    for (size_t j = 0; j < kResults; ++j) {
      for (size_t i = 0; i < kLanes; ++i) {
        lanes[j][i] = static_cast<int32_t>(j * kPositions + i / kFilters);
      }
    }
  }
};
constexpr IndexTable kIndices;
HWY_INLINE Indices IndicesOf(size_t j) { return hn::SetTableIndices(D(), kIndices.lanes[j]); }

// One row of an image. `weights`: [tap][kLanes], repeated for each position of a vector.
void GrayRow(const float* row, const size_t* offsets, size_t taps, const float* weights,
             const float* bias, float low, float high, size_t width, float* to) {
  const D d;
  Indices indices[kResults];
#pragma GCC unroll 16
  for (size_t j = 0; j < kResults; ++j) indices[j] = IndicesOf(j);
  for (size_t x = 0; x < width; x += kLanes) {
    V sums[kResults];
#pragma GCC unroll 16
    for (size_t j = 0; j < kResults; ++j) sums[j] = hn::Load(d, bias);
    for (size_t t = 0; t < taps; ++t) {
      const V input = hn::LoadU(d, row + offsets[t] + x);
      const V weight = hn::Load(d, weights + t * kLanes);
#pragma GCC unroll 16
      for (size_t j = 0; j < kResults; ++j) {
        sums[j] = hn::MulAdd(hn::TableLookupLanes(input, indices[j]), weight, sums[j]);
      }
    }
    const size_t count = (width - x) * kFilters;  // floats of the row that are left
    float* out = to + x * kFilters;
#pragma GCC unroll 16
    for (size_t j = 0; j < kResults; ++j) {
      const V y = Clamp(d, sums[j], low, high);
      if ((j + 1) * kLanes <= count) {
        hn::StoreU(y, d, out + j * kLanes);
      } else if (j * kLanes < count) {
        hn::BlendedStore(y, hn::FirstN(d, count - j * kLanes), d, out + j * kLanes);
      }
    }
  }
}

// Adds a picture's products for nine taps, at rows[i] + columns[k] of each position, to
// sums[9][kLanes], and dy to total[kLanes].
void GrayPicture(const float* picture, const size_t (&rows)[3], const size_t (&columns)[3],
                 size_t stride, const gradient::GrayConvGradient& what, size_t at, size_t height,
                 size_t width, float* sums, float* total) {
  const D d;
  const V lowest = hn::Set(d, what.low), highest = hn::Set(d, what.high);
  const bool open = what.low == -std::numeric_limits<float>::infinity() &&
                    what.high == std::numeric_limits<float>::infinity();
  const size_t left = columns[0], middle = columns[1], right = columns[2];
  V sum[9], all = hn::Load(d, total);
#pragma GCC unroll 16
  for (size_t t = 0; t < 9; ++t) sum[t] = hn::Load(d, sums + t * kLanes);
  for (size_t row = 0; row < height; ++row, picture += stride, at += width * kFilters) {
    const float *y = what.y + at, *dy = what.dy + at;
    for (size_t x = 0; x < width; x += kLanes) {
      const float *top = picture + rows[0] + x, *center = picture + rows[1] + x;
      const float* bottom = picture + rows[2] + x;
      const size_t end = std::min((width - x) * kFilters, kResults * kLanes);
      for (size_t i = 0; i < end; i += kLanes, y += kLanes, dy += kLanes) {
        const bool whole = i + kLanes <= end;
        const auto there = hn::FirstN(d, std::min(kLanes, end - i));
        V g = whole ? hn::LoadU(d, dy) : hn::MaskedLoad(there, d, dy);
        if (!open) {
          const V v = whole ? hn::LoadU(d, y) : hn::MaskedLoad(there, d, y);
          g = hn::IfThenElseZero(hn::And(hn::Gt(v, lowest), hn::Lt(v, highest)), g);
        }
        all = hn::Add(all, g);
        const Indices index = IndicesOf(i / kLanes);
        const auto add = [&](size_t t, const float* input) HWY_ATTR {
          sum[t] = hn::MulAdd(hn::TableLookupLanes(hn::LoadU(d, input), index), g, sum[t]);
        };
        add(0, top + left);
        add(1, top + middle);
        add(2, top + right);
        add(3, center + left);
        add(4, center + middle);
        add(5, center + right);
        add(6, bottom + left);
        add(7, bottom + middle);
        add(8, bottom + right);
      }
    }
  }
#pragma GCC unroll 16
  for (size_t t = 0; t < 9; ++t) hn::Store(sum[t], d, sums + t * kLanes);
  hn::Store(all, d, total);
}

#else

constexpr size_t kLanes = kMostLanes;
bool HasGrayConv() { return false; }
void GrayRow(const float*, const size_t*, size_t, const float*, const float*, float, float, size_t,
             float*) {}
void GrayPicture(const float*, const size_t (&)[3], const size_t (&)[3], size_t,
                 const gradient::GrayConvGradient&, size_t, size_t, size_t, float*, float*) {}

#endif

void GrayForward(const ConvGeometry& g, const float* input, const float* weights,
                 const ConvF32Output& out, float* scratch) {
  const GrayLayout layout(g);
  const size_t taps = TapCount(g);
  float* bias = scratch;
  float* wide = bias + kMostLanes;
  auto* offsets = reinterpret_cast<size_t*>(wide + taps * kMostLanes);
  auto* picture = reinterpret_cast<float*>(offsets + taps);
  for (size_t i = 0; i < kLanes; ++i) {
    bias[i] = out.bias == nullptr ? 0.0f : out.bias[i % kFilters];
  }
  for (size_t t = 0; t < taps; ++t) {
    offsets[t] = layout.Offset(g, t);
    for (size_t i = 0; i < kLanes; ++i) wide[t * kLanes + i] = weights[i % kFilters * taps + t];
  }
  const auto width = static_cast<size_t>(g.out_w), height = static_cast<size_t>(g.out_h);
  float* to = out.data;
  for (size_t b = 0; b < static_cast<size_t>(g.batches); ++b) {
    CopyPicture(g, layout, input + b * g.in_h * g.in_w, picture);
    for (size_t y = 0; y < height; ++y, to += width * kFilters) {
      GrayRow(picture + y * layout.stride, offsets, taps, wide, bias, out.low, out.high, width, to);
    }
  }
}

void GrayBackward(const ConvGeometry& g, const gradient::GrayConvGradient& what, float* scratch) {
  const GrayLayout layout(g);
  const size_t taps = TapCount(g), blocks = GrayBlocks(g);
  const auto filter_h = static_cast<size_t>(g.filter_h);
  const auto filter_w = static_cast<size_t>(g.filter_w);
  float* total = scratch;
  float* unused = total + kMostLanes;
  float* sums = unused + kMostLanes;  // [block][9][kLanes]
  float* picture = sums + blocks * 9 * kMostLanes;
  std::fill(total, picture, 0.0f);
  const auto width = static_cast<size_t>(g.out_w), height = static_cast<size_t>(g.out_h);
  for (size_t b = 0; b < static_cast<size_t>(g.batches); ++b) {
    CopyPicture(g, layout, what.x + b * g.in_h * g.in_w, picture);
    float* to = sums;
    for (size_t fy = 0; fy < filter_h; fy += 3) {
      for (size_t fx = 0; fx < filter_w; fx += 3, to += 9 * kLanes) {
        // Blocks at the end have their last row or column several times.
        size_t rows[3], columns[3];
        for (size_t i = 0; i < 3; ++i) {
          rows[i] = std::min(fy + i, filter_h - 1) * g.dilation_h * layout.stride;
          columns[i] = std::min(fx + i, filter_w - 1) * g.dilation_w;
        }
        GrayPicture(picture, rows, columns, layout.stride, what, b * height * width * kFilters,
                    height, width, to, to == sums ? total : unused);
      }
    }
  }
  const auto folded = [](const float* lanes, size_t o) {
    float sum = 0.0f;
    for (size_t i = o; i < kLanes; i += kFilters) sum += lanes[i];
    return sum;
  };
  for (size_t o = 0; o < kFilters; ++o) {
    for (size_t t = 0; t < taps; ++t) {
      float& to = what.dw[o * taps + t];
      const size_t fy = t / filter_w, fx = t % filter_w;
      const size_t block = fy / 3 * ((filter_w + 2) / 3) + fx / 3;
      const float sum = folded(sums + (block * 9 + fy % 3 * 3 + fx % 3) * kLanes, o);
      to = what.accumulate_dw ? to + sum : sum;
    }
    if (what.db == nullptr) continue;
    const float sum = folded(total, o);
    what.db[o] = what.accumulate_db ? what.db[o] + sum : sum;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(HasGrayConv);
HWY_EXPORT(GrayForward);
HWY_EXPORT(GrayBackward);

// Beyond this a border would make the copy absurdly large.
constexpr size_t kMostPicture = size_t{1} << 24;

}  // namespace

bool GrayConvF32Fits(const ConvGeometry& g) {
  return g.in_c == 1 && g.filter_c == 1 && g.out_c == static_cast<int32_t>(kFilters) &&
         g.stride_h == 1 && g.stride_w == 1 && ConvF32Fits(g) && TapCount(g) <= 121 &&
         GrayLayout(g).rows * GrayLayout(g).stride <= kMostPicture &&
         HWY_DYNAMIC_DISPATCH(HasGrayConv)();
}

size_t GrayConvF32ScratchBytes(const ConvGeometry& g) {
  const GrayLayout layout(g);
  const size_t taps = TapCount(g);
  return (2 * kMostLanes + GrayBlocks(g) * 9 * kMostLanes + layout.rows * layout.stride) *
             sizeof(float) +
         taps * sizeof(size_t);
}

void GrayConvF32(const ConvGeometry& g, const float* input, const float* weights,
                 const ConvF32Output& out, std::byte* scratch) {
  HWY_DYNAMIC_DISPATCH(GrayForward)(g, input, weights, out, reinterpret_cast<float*>(scratch));
}

namespace gradient {
void GrayConv(const ConvGeometry& g, const GrayConvGradient& what, std::byte* scratch) {
  HWY_DYNAMIC_DISPATCH(GrayBackward)(g, what, reinterpret_cast<float*>(scratch));
}
}  // namespace gradient

int64_t GrayConvTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
