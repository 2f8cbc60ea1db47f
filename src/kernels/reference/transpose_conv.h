#ifndef LITESMITH_KERNELS_REFERENCE_TRANSPOSE_CONV_H_
#define LITESMITH_KERNELS_REFERENCE_TRANSPOSE_CONV_H_

// TRANSPOSE_CONV, gathered: each output element sums what the input elements would scatter to it,
// in the order in which they would. Geometry: in_* is the small image that is read, out_* the large
// one; filters OHWI. Freestanding.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/reference/conv.h"

namespace litesmith::reference {

// Input positions whose window covers output position `at`.
struct Covering {
  int64_t begin = 0, end = 0;

  Covering(int64_t at, int32_t window, int32_t stride, int32_t size) {
    const int64_t first = at - window + 1;
    begin = first <= 0 ? 0 : (first + stride - 1) / stride;
    end = at < 0 ? 0 : std::min<int64_t>(size, at / stride + 1);
  }
};

// Output rows [begin, end) of batches * out_h. acc = add(acc, input, weight, image, channel) for
// every product, then stage(index, channel, image, acc).
template <typename Acc, typename In, typename Weight, typename Add, typename Stage>
void ConvolveTransposed(const ConvGeometry& g, const In* input, const Weight* weights, size_t begin,
                        size_t end, const Add& add, const Stage& stage) {
  const size_t filter_size = size_t(g.filter_h) * g.filter_w * g.in_c;
  for (size_t row = begin; row < end; ++row) {
    const auto image = static_cast<int32_t>(row / g.out_h);
    const int64_t at_y = int64_t(row % g.out_h) + g.pad_h;
    const Covering ys(at_y, g.filter_h, g.stride_h, g.in_h);
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const int64_t at_x = int64_t(out_x) + g.pad_w;
      const Covering xs(at_x, g.filter_w, g.stride_w, g.in_w);
      for (int32_t channel = 0; channel < g.out_c; ++channel) {
        const Weight* filter = weights + channel * filter_size;
        Acc acc = 0;
        for (int64_t y = ys.begin; y < ys.end; ++y) {
          const int64_t fy = at_y - y * g.stride_h;
          for (int64_t x = xs.begin; x < xs.end; ++x) {
            const int64_t fx = at_x - x * g.stride_w;
            const In* from =
                input + ((size_t(image) * g.in_h + size_t(y)) * g.in_w + size_t(x)) * g.in_c;
            const Weight* by = filter + (size_t(fy) * g.filter_w + size_t(fx)) * g.in_c;
            for (int32_t c = 0; c < g.in_c; ++c) acc = add(acc, from[c], by[c], image, channel);
          }
        }
        stage((row * g.out_w + out_x) * g.out_c + channel, channel, image, acc);
      }
    }
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_TRANSPOSE_CONV_H_
