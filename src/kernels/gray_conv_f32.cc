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
HWY_INLINE Indices IndicesOf(size_t j) {
  HWY_ALIGN int32_t lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    lanes[i] = static_cast<int32_t>(j * kPositions + i / kFilters);
  }
  return hn::SetTableIndices(D(), lanes);
}

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

// Adds one row's products for kGroup taps to sums[kGroup][kLanes], and dy to total[kLanes].
constexpr size_t kGroup = 9;
void GrayRowGradient(const float* row, const size_t* offsets, const float* y, const float* dy,
                     float low, float high, size_t width, float* sums, float* total) {
  const D d;
  const V lowest = hn::Set(d, low), highest = hn::Set(d, high);
  const bool open = low == -std::numeric_limits<float>::infinity() &&
                    high == std::numeric_limits<float>::infinity();
  V sum[kGroup];
#pragma GCC unroll 16
  for (size_t t = 0; t < kGroup; ++t) sum[t] = hn::Load(d, sums + t * kLanes);
  V all = hn::Load(d, total);
  Indices indices[kResults];
#pragma GCC unroll 16
  for (size_t j = 0; j < kResults; ++j) indices[j] = IndicesOf(j);
  for (size_t x = 0; x < width; x += kLanes) {
    const size_t count = (width - x) * kFilters;
    for (size_t j = 0; j < kResults && j * kLanes < count; ++j) {
      const size_t at = x * kFilters + j * kLanes;
      const auto there = hn::FirstN(d, std::min(kLanes, count - j * kLanes));
      V g = hn::MaskedLoad(there, d, dy + at);
      if (!open) {
        const V v = hn::MaskedLoad(there, d, y + at);
        g = hn::IfThenElseZero(hn::And(hn::Gt(v, lowest), hn::Lt(v, highest)), g);
      }
      all = hn::Add(all, g);
      const Indices index = indices[j];
#pragma GCC unroll 16
      for (size_t t = 0; t < kGroup; ++t) {
        const V input = hn::LoadU(d, row + offsets[t] + x);
        sum[t] = hn::MulAdd(hn::TableLookupLanes(input, index), g, sum[t]);
      }
    }
  }
#pragma GCC unroll 16
  for (size_t t = 0; t < kGroup; ++t) hn::Store(sum[t], d, sums + t * kLanes);
  hn::Store(all, d, total);
}

#else

constexpr size_t kLanes = kMostLanes;
constexpr size_t kGroup = 1;
bool HasGrayConv() { return false; }
void GrayRow(const float*, const size_t*, size_t, const float*, const float*, float, float, size_t,
             float*) {}
void GrayRowGradient(const float*, const size_t*, const float*, const float*, float, float, size_t,
                     float*, float*) {}

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
  const size_t taps = TapCount(g), groups = (taps + kGroup - 1) / kGroup;
  float* total = scratch;
  float* unused = total + kMostLanes;
  float* sums = unused + kMostLanes;
  auto* offsets = reinterpret_cast<size_t*>(sums + groups * kGroup * kMostLanes);
  auto* picture = reinterpret_cast<float*>(offsets + groups * kGroup);
  std::fill(total, reinterpret_cast<float*>(offsets), 0.0f);
  // The last group has its last tap several times.
  for (size_t t = 0; t < groups * kGroup; ++t) offsets[t] = layout.Offset(g, std::min(t, taps - 1));
  const auto width = static_cast<size_t>(g.out_w), height = static_cast<size_t>(g.out_h);
  size_t at = 0;
  for (size_t b = 0; b < static_cast<size_t>(g.batches); ++b) {
    CopyPicture(g, layout, what.x + b * g.in_h * g.in_w, picture);
    for (size_t y = 0; y < height; ++y, at += width * kFilters) {
      for (size_t i = 0; i < groups; ++i) {
        GrayRowGradient(picture + y * layout.stride, offsets + i * kGroup, what.y + at,
                        what.dy + at, what.low, what.high, width, sums + i * kGroup * kLanes,
                        i == 0 ? total : unused);
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
      const float sum = folded(sums + t * kLanes, o);
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
  constexpr size_t kMostGroup = 9;
  const size_t taps = (TapCount(g) + kMostGroup - 1) / kMostGroup * kMostGroup;
  return (2 * kMostLanes + taps * kMostLanes + layout.rows * layout.stride) * sizeof(float) +
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
