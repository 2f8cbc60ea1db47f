#ifndef LITESMITH_KERNELS_DEPTHWISE_TAPS_H_
#define LITESMITH_KERNELS_DEPTHWISE_TAPS_H_

// How the depthwise kernels walk over an image: runs of output positions whose filter taps all
// advance alike, so that no inner loop knows of borders. Taps outside the image point into a row of
// padding.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/reference/conv.h"

namespace litesmith {

// Filters with more positions are left to other kernels.
inline constexpr size_t kMaxDepthwiseTaps = 64;

// Output columns [begin, end) whose windows are inside the image from left to right.
struct InnerColumns {
  int32_t begin = 0, end = 0;

  explicit InnerColumns(const reference::ConvGeometry& g) {
    const int64_t reach = int64_t{g.filter_w - 1} * g.dilation_w;
    const int64_t last = int64_t{g.in_w} - 1 - reach + g.pad_w;  // origin + pad of the last window
    const int64_t first = (std::max(g.pad_w, 0) + g.stride_w - 1) / g.stride_w;
    const int64_t stop = last < 0 ? 0 : last / g.stride_w + 1;
    begin = static_cast<int32_t>(std::min<int64_t>(first, g.out_w));
    end = static_cast<int32_t>(std::clamp<int64_t>(stop, begin, g.out_w));
  }
};

// Calls run(taps, out_x, count) for the output row `y` of an image: taps[t] is where tap t reads
// the first channel for output column out_x, and every tap advances by stride_w * in_c from column
// to column. One more tap repeats the first, for kernels that take them in pairs. `pad` has in_w *
// in_c elements. REQUIRES: filter_h * filter_w <= kMaxDepthwiseTaps.
template <typename In, typename Run>
void ForTapRuns(const reference::ConvGeometry& g, const InnerColumns& inner, const In* image,
                const In* pad, int32_t y, const Run& run) {
  const In* taps[kMaxDepthwiseTaps + 1];
  const In* rows[kMaxDepthwiseTaps];
  for (int32_t fy = 0; fy < g.filter_h; ++fy) {
    const int64_t in_y = int64_t{y} * g.stride_h - g.pad_h + int64_t{fy} * g.dilation_h;
    rows[fy] = in_y >= 0 && in_y < g.in_h ? image + in_y * g.in_w * g.in_c : pad;
  }
  const auto point = [&](int32_t out_x) {
    const int64_t first = int64_t{out_x} * g.stride_w - g.pad_w;
    for (int32_t fx = 0; fx < g.filter_w; ++fx) {
      const int64_t in_x = first + int64_t{fx} * g.dilation_w;
      const bool inside = in_x >= 0 && in_x < g.in_w;
      const int64_t offset = in_x * g.in_c;
      for (int32_t fy = 0; fy < g.filter_h; ++fy) {
        taps[fy * g.filter_w + fx] = inside ? rows[fy] + offset : pad;
      }
    }
    taps[g.filter_h * g.filter_w] = taps[0];
  };
  const auto one_by_one = [&](int32_t begin, int32_t end) {
    for (int32_t x = begin; x < end; ++x) {
      point(x);
      run(taps, x, size_t{1});
    }
  };
  one_by_one(0, inner.begin);
  if (inner.end > inner.begin) {
    point(inner.begin);
    run(taps, inner.begin, static_cast<size_t>(inner.end - inner.begin));
  }
  one_by_one(inner.end, g.out_w);
}

// A multiplier above 1 is taken off by repeating every input channel: in_c becomes out_c.
template <typename In>
void RepeatChannels(const reference::ConvGeometry& g, const In* input, In* out) {
  const int32_t times = g.out_c / g.in_c;
  const size_t count = size_t(g.batches) * g.in_h * g.in_w * g.in_c;
  for (size_t i = 0; i < count; ++i, out += times) std::fill_n(out, times, input[i]);
}

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DEPTHWISE_TAPS_H_
