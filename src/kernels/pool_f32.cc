#include "kernels/pool_f32.h"

#include <algorithm>
#include <limits>

#include "kernels/reference/pool.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using reference::ConvGeometry;
using reference::WindowPart;

// The window of one output position: where it starts in the input and its extent inside it.
struct Window {
  size_t at, row_stride, column_stride, rows, columns;
};

// Whole vectors of the channels from `c` on with the tag `d`; returns the first channel left over.
template <typename Tag, typename Step>
HWY_INLINE size_t Channels(Tag d, size_t c, size_t channels, const Step& step) {
  for (; c + hn::Lanes(d) <= channels; c += hn::Lanes(d)) step(d, c);
  return c;
}
// All channels in ever shorter vectors.
template <typename Step>
HWY_INLINE void AllChannels(size_t channels, const Step& step) {
  size_t c = Channels(hn::ScalableTag<float>(), 0, channels, step);
  c = Channels(hn::CappedTag<float, 8>(), c, channels, step);
  c = Channels(hn::CappedTag<float, 4>(), c, channels, step);
  Channels(hn::CappedTag<float, 1>(), c, channels, step);
}

// Windows of output columns [x, x_end) of one output row.
template <typename Body>
HWY_INLINE void ForWindows(const ConvGeometry& g, size_t row, int32_t x, int32_t x_end,
                           const Body& body) {
  const auto channels = static_cast<size_t>(g.in_c);
  const size_t image = row / g.out_h;
  const WindowPart ys(int64_t(row % g.out_h) * g.stride_h - g.pad_h, g.filter_h, g.in_h);
  Window w;
  w.row_stride = static_cast<size_t>(g.in_w) * channels;
  w.column_stride = channels;
  w.rows = ys.end > ys.begin ? static_cast<size_t>(ys.end - ys.begin) : 0;
  for (; x < x_end; ++x) {
    const WindowPart xs(int64_t{x} * g.stride_w - g.pad_w, g.filter_w, g.in_w);
    w.at = (image * g.in_h + static_cast<size_t>(ys.begin)) * w.row_stride +
           static_cast<size_t>(xs.begin) * channels;
    w.columns = xs.end > xs.begin ? static_cast<size_t>(xs.end - xs.begin) : 0;
    body(w, (row * g.out_w + static_cast<size_t>(x)) * channels);
  }
}

template <typename Body>
HWY_INLINE void ForEachWindow(const ConvGeometry& g, size_t begin, size_t end, const Body& body) {
  for (size_t row = begin; row < end; ++row) ForWindows(g, row, 0, g.out_w, body);
}

// `b` where it is greater, else (also where one is no number) `a`: as std::max.
template <class V>
HWY_INLINE V Greater(V a, V b) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Max(b, a);  // x86 takes the second where one is no number
#else
  return hn::IfThenElse(hn::Lt(a, b), b, a);
#endif
}

struct MaxStep {
  Window w;
  const float* from;
  float* to;
  float low, high;

  template <typename Tag>
  HWY_ATTR HWY_INLINE void operator()(Tag d, size_t c) const {
    auto most = hn::Set(d, std::numeric_limits<float>::lowest());
    for (size_t y = 0; y < w.rows; ++y) {
      for (size_t x = 0; x < w.columns; ++x) {
        most = Greater(most, hn::LoadU(d, from + y * w.row_stride + x * w.column_stride + c));
      }
    }
    hn::StoreU(Clamp(d, most, low, high), d, to + c);
  }
};

struct MaxBody {
  const float* input;
  float* output;
  float low, high;
  size_t channels;
  HWY_ATTR HWY_INLINE void operator()(const Window& w, size_t out) const {
    AllChannels(channels, MaxStep{w, input + w.at, output + out, low, high});
  }
};

// `count` windows of a row that are inside the image, `step` floats apart, channels from `c` on.
// kSide: 0 is a filter of any size.
template <size_t kSide>
struct InnerMaxStep {
  const ConvGeometry* g;
  const float* from;
  float* to;
  size_t count, step, channels;
  float low, high;

  template <typename Tag>
  HWY_ATTR HWY_INLINE void operator()(Tag d, size_t c) const {
    const size_t rows = kSide == 0 ? static_cast<size_t>(g->filter_h) : kSide;
    const size_t columns = kSide == 0 ? static_cast<size_t>(g->filter_w) : kSide;
    // What the loop reads is copied first: its stores might be to any float.
    const size_t column_stride = channels, row_stride = channels * g->in_w;
    const size_t windows = count, next = step;
    const float least = low, greatest = high;
    const float* in = from + c;
    float* out = to + c;
    for (size_t i = 0; i < windows; ++i, in += next, out += column_stride) {
      auto most = hn::Set(d, std::numeric_limits<float>::lowest());
#pragma GCC unroll 4
      for (size_t y = 0; y < rows; ++y) {
#pragma GCC unroll 4
        for (size_t x = 0; x < columns; ++x) {
          most = Greater(most, hn::LoadU(d, in + y * row_stride + x * column_stride));
        }
      }
      hn::StoreU(Clamp(d, most, least, greatest), d, out);
    }
  }
};

void MaxRows(const ConvGeometry& g, const float* input, float low, float high, float* output,
             size_t begin, size_t end) {
  const auto channels = static_cast<size_t>(g.in_c);
  const MaxBody body{input, output, low, high, channels};
  // Output columns [left, right) have whole windows.
  const int64_t fit = int64_t{g.in_w} + g.pad_w - g.filter_w;
  const auto left = static_cast<int32_t>(
      std::min<int64_t>(g.out_w, (std::max(g.pad_w, 0) + g.stride_w - 1) / g.stride_w));
  const auto right =
      static_cast<int32_t>(std::clamp<int64_t>(fit < 0 ? 0 : fit / g.stride_w + 1, left, g.out_w));
  const bool two = g.filter_h == 2 && g.filter_w == 2;
  for (size_t row = begin; row < end; ++row) {
    const int64_t y = int64_t(row % g.out_h) * g.stride_h - g.pad_h;
    if (y < 0 || y + g.filter_h > g.in_h || left == right) {
      ForWindows(g, row, 0, g.out_w, body);
      continue;
    }
    ForWindows(g, row, 0, left, body);
    const size_t x = static_cast<size_t>(int64_t{left} * g.stride_w - g.pad_w);
    const float* from =
        input + ((row / g.out_h * g.in_h + static_cast<size_t>(y)) * g.in_w + x) * channels;
    float* to = output + (row * g.out_w + static_cast<size_t>(left)) * channels;
    const auto count = static_cast<size_t>(right - left);
    const size_t step = static_cast<size_t>(g.stride_w) * channels;
    if (two) {
      AllChannels(channels, InnerMaxStep<2>{&g, from, to, count, step, channels, low, high});
    } else {
      AllChannels(channels, InnerMaxStep<0>{&g, from, to, count, step, channels, low, high});
    }
    ForWindows(g, row, right, g.out_w, body);
  }
}

// kAdd: windows overlap, or dx holds something already.
template <bool kAdd>
struct GradientStep {
  Window w;
  const float *x, *y, *dy;
  float* dx;

  template <typename Tag>
  HWY_ATTR HWY_INLINE void operator()(Tag d, size_t c) const {
    const auto most = hn::LoadU(d, y + c);
    auto left = hn::LoadU(d, dy + c);  // becomes 0 once it is given to a position
    const auto give = [&](size_t at) HWY_ATTR {
      const auto hit = hn::Eq(hn::LoadU(d, x + at), most);
      auto given = hn::IfThenElseZero(hit, left);
      left = hn::IfThenZeroElse(hit, left);
      if constexpr (kAdd) given = hn::Add(given, hn::LoadU(d, dx + at));
      hn::StoreU(given, d, dx + at);
    };
    if (w.rows == 2 && w.columns == 2) {  // the usual window, without loops
      give(c);
      give(w.column_stride + c);
      give(w.row_stride + c);
      give(w.row_stride + w.column_stride + c);
      return;
    }
    for (size_t r = 0; r < w.rows; ++r) {
      for (size_t s = 0; s < w.columns; ++s) give(r * w.row_stride + s * w.column_stride + c);
    }
  }
};

template <bool kAdd>
struct GradientBody {
  const float *x, *y, *dy;
  float* dx;
  size_t channels;
  HWY_ATTR HWY_INLINE void operator()(const Window& w, size_t out) const {
    AllChannels(channels, GradientStep<kAdd>{w, x + w.at, y + out, dy + out, dx + w.at});
  }
};

void MaxGradient(const ConvGeometry& g, const float* x, const float* y, const float* dy, bool add,
                 float* dx) {
  const size_t rows = static_cast<size_t>(g.batches) * g.out_h;
  const auto channels = static_cast<size_t>(g.in_c);
  if (add) {
    ForEachWindow(g, 0, rows, GradientBody<true>{x, y, dy, dx, channels});
  } else {
    ForEachWindow(g, 0, rows, GradientBody<false>{x, y, dy, dx, channels});
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(MaxRows);
HWY_EXPORT(MaxGradient);

}  // namespace

void MaxPoolF32(const reference::ConvGeometry& g, const float* input, float low, float high,
                float* output, size_t begin, size_t end) {
  HWY_DYNAMIC_DISPATCH(MaxRows)(g, input, low, high, output, begin, end);
}

namespace gradient {

void MaxPool(const reference::ConvGeometry& g, const float* x, const float* y, const float* dy,
             bool accumulate, float* dx) {
  const bool tiled = g.stride_h == g.filter_h && g.stride_w == g.filter_w && g.pad_h == 0 &&
                     g.pad_w == 0 && g.out_h * g.stride_h == g.in_h &&
                     g.out_w * g.stride_w == g.in_w;
  if (!accumulate && !tiled) {
    std::fill(dx, dx + static_cast<size_t>(g.batches) * g.in_h * g.in_w * g.in_c, 0.0f);
  }
  HWY_DYNAMIC_DISPATCH(MaxGradient)(g, x, y, dy, accumulate || !tiled, dx);
}

}  // namespace gradient

int64_t PoolTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
