#include "kernels/depthwise.h"

#include <algorithm>
#include <functional>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using reference::ConvGeometry;
using reference::ConvOffsets;

// The part of the filter that meets the image, in one direction: filter index f reads position
// origin + f * dilation.
struct Reach {
  int64_t origin = 0;
  int32_t begin = 0, end = 0;

  Reach(int64_t at, int32_t filter, int32_t dilation, int32_t size) : origin(at) {
    if (origin < 0) {
      begin = static_cast<int32_t>(std::min<int64_t>(filter, (dilation - 1 - origin) / dilation));
    }
    if (size > origin) {
      end = static_cast<int32_t>(std::min<int64_t>(filter, (size - 1 - origin) / dilation + 1));
    }
  }
};

// One output position's window.
template <typename In>
struct Window {
  Reach y, x;
  const In* image;
};

template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadCount(D d, const T* p, size_t count) {
  if (count == hn::Lanes(d)) return hn::LoadU(d, p);
  HWY_ALIGN T lanes[HWY_MAX_BYTES / sizeof(T)] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
}

#if HWY_TARGET == HWY_SCALAR
constexpr size_t kIntegerLanes = 1;
#else
constexpr size_t kIntegerLanes = hn::MaxLanes(D32());
#endif

// Sums of channels [c, c + count) of one position, count <= kIntegerLanes.
template <typename In, bool kShared>
HWY_INLINE void IntegerChannels(const ConvGeometry& g, const Window<In>& w, int32_t offset,
                                const int32_t* weights, size_t c, size_t count, int32_t* to) {
#if HWY_TARGET == HWY_SCALAR
  uint32_t sum = 0;
#else
  const D32 d;
  const hn::Rebind<In, D32> d_in;
  const V32 plus = hn::Set(d, offset);
  V32 sum = hn::Zero(d);
#endif
  for (int32_t fy = w.y.begin; fy < w.y.end; ++fy) {
    const In* row = w.image + size_t(w.y.origin + int64_t(fy) * g.dilation_h) * g.in_w * g.in_c;
    for (int32_t fx = w.x.begin; fx < w.x.end; ++fx) {
      const In* x = row + size_t(w.x.origin + int64_t(fx) * g.dilation_w) * g.in_c;
      const int32_t* by = weights + (size_t(fy) * g.filter_w + fx) * g.out_c + c;
#if HWY_TARGET == HWY_SCALAR
      const int32_t from = (kShared ? *x : x[c]) + offset;
      sum += static_cast<uint32_t>(from) * static_cast<uint32_t>(*by);
#else
      const V32 from =
          kShared ? hn::Set(d, int32_t{*x}) : hn::PromoteTo(d, LoadCount(d_in, x + c, count));
      sum = hn::Add(sum, hn::Mul(hn::Add(from, plus), LoadCount(d, by, count)));
#endif
    }
  }
#if HWY_TARGET == HWY_SCALAR
  (void)count;
  *to = static_cast<int32_t>(sum);
#else
  hn::StoreU(sum, d, to);
#endif
}

// Channels whose sums are kept before they are stored.
constexpr size_t kChannelBlock = 128;

void Deliver(const S16Result& out, size_t m, size_t n, const int32_t* sums, size_t count) {
  if (out.fixed_point != nullptr) {
    StoreFixedPoint(*out.fixed_point, m, n, sums, count);
  } else if (out.rows != nullptr) {
    out.rows(out.context, m, n, sums, count);
  } else {
    int64_t wide[kChannelBlock];
    std::copy_n(sums, count, wide);
    out.wide_rows(out.context, m, n, wide, count);
  }
}

template <typename In>
void IntegerRows(const ConvGeometry& g, const ConvOffsets& offsets, const In* input,
                 const int32_t* weights, const S16Result& out, size_t begin, size_t end) {
  // A vector more than there are channels in a block.
  HWY_ALIGN int32_t sums[kChannelBlock + HWY_MAX_BYTES / sizeof(int32_t)];
  const size_t channels = g.out_c;
  for (size_t row = begin; row < end; ++row) {
    const size_t batch = row / g.out_h;
    const Reach y(int64_t(row % g.out_h) * g.stride_h - g.pad_h, g.filter_h, g.dilation_h, g.in_h);
    const In* image = input + batch * g.in_h * g.in_w * g.in_c;
    const int32_t offset =
        offsets.per_image_input == nullptr ? offsets.input : offsets.per_image_input[batch];
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const Reach x(int64_t(out_x) * g.stride_w - g.pad_w, g.filter_w, g.dilation_w, g.in_w);
      const Window<In> w{y, x, image};
      for (size_t block = 0; block < channels; block += kChannelBlock) {
        const size_t size = std::min(kChannelBlock, channels - block);
        for (size_t c = 0; c < size; c += kIntegerLanes) {
          const size_t count = std::min(kIntegerLanes, size - c);
          if (g.in_c == 1) {
            IntegerChannels<In, true>(g, w, offset, weights, block + c, count, sums + c);
          } else {
            IntegerChannels<In, false>(g, w, offset, weights, block + c, count, sums + c);
          }
        }
        Deliver(out, row * g.out_w + out_x, block, sums, size);
      }
    }
  }
}

void Int8Rows(const ConvGeometry& g, const ConvOffsets& offsets, const int8_t* input,
              const int32_t* weights, const S16Result& out, size_t begin, size_t end) {
  IntegerRows(g, offsets, input, weights, out, begin, end);
}
void Uint8Rows(const ConvGeometry& g, const ConvOffsets& offsets, const uint8_t* input,
               const int32_t* weights, const S16Result& out, size_t begin, size_t end) {
  IntegerRows(g, offsets, input, weights, out, begin, end);
}
void Int16Rows(const ConvGeometry& g, const ConvOffsets& offsets, const int16_t* input,
               const int32_t* weights, const S16Result& out, size_t begin, size_t end) {
  IntegerRows(g, offsets, input, weights, out, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Int8Rows);
HWY_EXPORT(Uint8Rows);
HWY_EXPORT(Int16Rows);

// All output rows, in chunks worth a thread.
template <typename Body>
void ForRows(const reference::ConvGeometry& g, const Body& body, ThreadPool* threads) {
  const size_t row_work = size_t(g.out_w) * g.out_c * g.filter_h * g.filter_w;
  const size_t grain = std::max<size_t>(1, (size_t{1} << 16) / std::max<size_t>(1, row_work));
  ParallelFor(threads, size_t(g.batches) * g.out_h, grain, std::cref(body));
}

}  // namespace

bool HasDepthwise(const reference::ConvGeometry& g) { return g.out_c == g.in_c || g.in_c == 1; }

bool HasWideDepthwise(const reference::ConvGeometry& g) {
  // 2^15 * 2^7 * 255 < 2^31.
  return int64_t{g.filter_h} * g.filter_w <= 255;
}

template <typename In>
void DepthwiseInteger(const reference::ConvGeometry& g, const reference::ConvOffsets& offsets,
                      const In* input, const int32_t* weights, const S16Result& out,
                      ThreadPool* threads) {
  const auto body = [&](size_t begin, size_t end) {
    if constexpr (std::is_same_v<In, int8_t>) {
      HWY_DYNAMIC_DISPATCH(Int8Rows)(g, offsets, input, weights, out, begin, end);
    } else if constexpr (std::is_same_v<In, uint8_t>) {
      HWY_DYNAMIC_DISPATCH(Uint8Rows)(g, offsets, input, weights, out, begin, end);
    } else {
      HWY_DYNAMIC_DISPATCH(Int16Rows)(g, offsets, input, weights, out, begin, end);
    }
  };
  ForRows(g, body, threads);
}
template void DepthwiseInteger(const reference::ConvGeometry&, const reference::ConvOffsets&,
                               const int8_t*, const int32_t*, const S16Result&, ThreadPool*);
template void DepthwiseInteger(const reference::ConvGeometry&, const reference::ConvOffsets&,
                               const uint8_t*, const int32_t*, const S16Result&, ThreadPool*);
template void DepthwiseInteger(const reference::ConvGeometry&, const reference::ConvOffsets&,
                               const int16_t*, const int32_t*, const S16Result&, ThreadPool*);

int64_t DepthwiseTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
