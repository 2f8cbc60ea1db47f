#ifndef LITESMITH_KERNELS_REFERENCE_POOL_H_
#define LITESMITH_KERNELS_REFERENCE_POOL_H_

// MAX_POOL_2D and AVERAGE_POOL_2D on NHWC. Freestanding.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/reference/conv.h"

namespace litesmith::reference {

// The part of the window at `origin` that lies in the input.
struct WindowPart {
  int64_t begin = 0, end = 0;

  WindowPart(int64_t origin, int32_t window, int32_t size)
      : begin(std::max<int64_t>(0, origin)), end(std::min<int64_t>(size, origin + window)) {}
};

// Output rows [begin, end) of batches * out_h. Calls pool(input at the channel, row stride, column
// stride, rows, columns) for each output element. in_c == out_c.
template <typename T, typename Pool>
void PoolRows(const ConvGeometry& g, const T* input, T* output, size_t begin, size_t end,
              const Pool& pool) {
  const size_t row_stride = size_t(g.in_w) * g.in_c;
  for (size_t row = begin; row < end; ++row) {
    const size_t image = row / g.out_h;
    const WindowPart ys(int64_t(row % g.out_h) * g.stride_h - g.pad_h, g.filter_h, g.in_h);
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const WindowPart xs(int64_t(out_x) * g.stride_w - g.pad_w, g.filter_w, g.in_w);
      const T* from =
          input + (image * g.in_h + size_t(ys.begin)) * row_stride + size_t(xs.begin) * g.in_c;
      T* to = output + (row * g.out_w + out_x) * g.in_c;
      for (int32_t c = 0; c < g.in_c; ++c) {
        to[c] = pool(from + c, row_stride, size_t(g.in_c), size_t(ys.end - ys.begin),
                     size_t(xs.end - xs.begin));
      }
    }
  }
}

// T is float or a quantized type; Limit float or int32_t.
template <typename T, typename Limit>
struct MaxPool {
  Limit low, high;

  T operator()(const T* from, size_t row_stride, size_t column_stride, size_t rows,
               size_t columns) const {
    T most = std::numeric_limits<T>::lowest();
    for (size_t y = 0; y < rows; ++y) {
      for (size_t x = 0; x < columns; ++x) {
        most = std::max(most, from[y * row_stride + x * column_stride]);
      }
    }
    return static_cast<T>(std::min<Limit>(std::max<Limit>(most, low), high));
  }
};

template <typename T, typename Limit>
struct AveragePool {
  Limit low, high;

  T operator()(const T* from, size_t row_stride, size_t column_stride, size_t rows,
               size_t columns) const {
    std::conditional_t<std::is_floating_point_v<T>, float, uint32_t> sum = 0;
    for (size_t y = 0; y < rows; ++y) {
      for (size_t x = 0; x < columns; ++x) sum += from[y * row_stride + x * column_stride];
    }
    if constexpr (std::is_floating_point_v<T>) {
      const float average = sum / static_cast<float>(rows * columns);
      return std::min(std::max(average, low), high);
    } else {
      // The nearest integer; a tie goes away from zero.
      const int64_t total = static_cast<int32_t>(sum);
      const auto count = static_cast<int64_t>(rows * columns);
      const int64_t half = total > 0 || std::is_unsigned_v<T> ? count / 2 : -(count / 2);
      return static_cast<T>(std::clamp(static_cast<int32_t>((total + half) / count), low, high));
    }
  }
};

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_POOL_H_
