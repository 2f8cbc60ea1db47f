#include "kernels/gray_conv_f32.h"

#include <algorithm>
#include <cstring>
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

constexpr size_t kLanes = HWY_MAX_BYTES / sizeof(float);
// Positions of a vector of results: lane f * kPositions + p belongs to filter f, so that all inputs
// of a vector are one broadcast, without a permutation.
constexpr size_t kPositions = kLanes / kFilters;
constexpr size_t kResults = kLanes / kPositions;

bool HasGrayConv() { return true; }

// The inputs of a vector of results: [0] of the first position, and so on, for every filter.
HWY_INLINE V Inputs(D d, const float* from) {
  if constexpr (kPositions == 2) {
    double pair;  // moved, never computed with
    std::memcpy(&pair, from, sizeof(pair));
    return hn::BitCast(d, hn::Set(hn::Repartition<double, D>(), pair));
  } else {
    return hn::Set(d, *from);
  }
}

// From lanes in that order to [position][filter] as they lie in memory, and back.
struct OrderTable {
  alignas(64) int32_t to_memory[kLanes], from_memory[kLanes];
  constexpr OrderTable() : to_memory(), from_memory() {
    for (size_t i = 0; i < kLanes; ++i) {
      const size_t lane = i % kFilters * kPositions + i / kFilters;
      to_memory[i] = static_cast<int32_t>(lane);
      from_memory[lane] = static_cast<int32_t>(i);
    }
  }
};
constexpr OrderTable kOrder;
HWY_INLINE V Reordered(D d, V v, const int32_t* table) {
  return kPositions == 1 ? v : hn::TableLookupLanes(v, hn::SetTableIndices(d, table));
}

// What a row of results is made of. `weights`: [tap][kLanes], as `bias` in the order of lanes.
struct GrayTaps {
  const size_t* offsets;
  size_t count;
  const float *weights, *bias;
  float low, high;
};

// kCount vectors of results, for the positions from `row` on. `left`: floats that are left in the
// row of results.
template <size_t kCount>
HWY_INLINE void GrayResults(const GrayTaps& taps, const float* row, size_t left, float* to) {
  const D d;
  V sums[kCount];
#pragma GCC unroll 16
  for (size_t j = 0; j < kCount; ++j) sums[j] = hn::Load(d, taps.bias);
  const size_t count = taps.count;
  for (size_t t = 0; t < count; ++t) {
    const V weight = hn::Load(d, taps.weights + t * kLanes);
    const float* input = row + taps.offsets[t];
#pragma GCC unroll 16
    for (size_t j = 0; j < kCount; ++j) {
      sums[j] = hn::MulAdd(Inputs(d, input + j * kPositions), weight, sums[j]);
    }
  }
#pragma GCC unroll 16
  for (size_t j = 0; j < kCount; ++j) {
    const V y = Reordered(d, Clamp(d, sums[j], taps.low, taps.high), kOrder.to_memory);
    if ((j + 1) * kLanes <= left) {
      hn::StoreU(y, d, to + j * kLanes);
    } else {
      hn::BlendedStore(y, hn::FirstN(d, left - j * kLanes), d, to + j * kLanes);
    }
  }
}

// One row of an image.
void GrayRow(const float* row, const GrayTaps& taps, size_t width, float* to) {
  const size_t vectors = (width + kPositions - 1) / kPositions;
  size_t v = 0;
  const auto some = [&]<size_t kCount>() HWY_ATTR {
    for (; v + kCount <= vectors; v += kCount) {
      GrayResults<kCount>(taps, row + v * kPositions, width * kFilters - v * kLanes,
                          to + v * kLanes);
    }
  };
  some.template operator()<8>();
  some.template operator()<4>();
  some.template operator()<1>();
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
    const float *top = picture + rows[0], *center = picture + rows[1];
    const float* bottom = picture + rows[2];
    const size_t end = width * kFilters;
    for (size_t i = 0, x = 0; i < end; i += kLanes, x += kPositions) {
      const bool whole = i + kLanes <= end;
      const auto there = hn::FirstN(d, std::min(kLanes, end - i));
      V g = whole ? hn::LoadU(d, dy + i) : hn::MaskedLoad(there, d, dy + i);
      if (!open) {
        const V v = whole ? hn::LoadU(d, y + i) : hn::MaskedLoad(there, d, y + i);
        g = hn::IfThenElseZero(hn::And(hn::Gt(v, lowest), hn::Lt(v, highest)), g);
      }
      g = Reordered(d, g, kOrder.from_memory);
      all = hn::Add(all, g);
      const auto add = [&](size_t t, const float* input)
                           HWY_ATTR { sum[t] = hn::MulAdd(Inputs(d, input + x), g, sum[t]); };
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
#pragma GCC unroll 16
  for (size_t t = 0; t < 9; ++t) hn::Store(sum[t], d, sums + t * kLanes);
  hn::Store(all, d, total);
}

#else

constexpr size_t kLanes = kMostLanes, kPositions = 2;
struct GrayTaps {
  const size_t* offsets;
  size_t count;
  const float *weights, *bias;
  float low, high;
};
bool HasGrayConv() { return false; }
void GrayRow(const float*, const GrayTaps&, size_t, float*) {}
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
    bias[i] = out.bias == nullptr ? 0.0f : out.bias[i / kPositions];
  }
  for (size_t t = 0; t < taps; ++t) {
    offsets[t] = layout.Offset(g, t);
    for (size_t i = 0; i < kLanes; ++i) wide[t * kLanes + i] = weights[i / kPositions * taps + t];
  }
  const auto width = static_cast<size_t>(g.out_w), height = static_cast<size_t>(g.out_h);
  const GrayTaps all{offsets, taps, wide, bias, out.low, out.high};
  float* to = out.data;
  for (size_t b = 0; b < static_cast<size_t>(g.batches); ++b) {
    CopyPicture(g, layout, input + b * g.in_h * g.in_w, picture);
    for (size_t y = 0; y < height; ++y, to += width * kFilters) {
      GrayRow(picture + y * layout.stride, all, width, to);
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
    for (size_t p = 0; p < kPositions; ++p) sum += lanes[o * kPositions + p];
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
