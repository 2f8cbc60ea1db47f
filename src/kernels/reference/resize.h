#ifndef LITESMITH_KERNELS_REFERENCE_RESIZE_H_
#define LITESMITH_KERNELS_REFERENCE_RESIZE_H_

// RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR on NHWC. Freestanding.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

namespace litesmith::reference {

struct ResizeGeometry {
  int32_t batches = 0, in_h = 0, in_w = 0, out_h = 0, out_w = 0, channels = 0;
  bool align_corners = false, half_pixel_centers = false;
};

// The two input positions that output position `at` lies between, and how far it is from the lower
// one. LiteRT's rounding can lead past the last position; it is held there.
struct Between {
  int32_t low = 0, high = 0;
  float offset = 0.0f;

  Between(int32_t at, int32_t in, int32_t out, const ResizeGeometry& g) {
    float scale = static_cast<float>(in) / static_cast<float>(out);
    if (g.align_corners && out > 1) {
      scale = static_cast<float>(in - 1) / static_cast<float>(out - 1);
    }
    const auto position = static_cast<float>(at);
    const float scaled = g.half_pixel_centers ? (position + 0.5f) * scale - 0.5f : position * scale;
    low = std::clamp(static_cast<int32_t>(std::floor(scaled)), 0, in - 1);
    high = std::min(static_cast<int32_t>(std::ceil(scaled)), in - 1);
    offset = scaled - static_cast<float>(low);
  }
};

// The same in 10-bit fixed point.
struct BetweenFixed {
  int64_t low = 0, high = 0, offset = 0;

  BetweenFixed(int64_t at, int64_t in, int64_t out, const ResizeGeometry& g) {
    int64_t scale = (1024 * in + out / 2) / out;
    if (g.align_corners && out > 1) scale = (1024 * (in - 1) + (out - 1) / 2) / (out - 1);
    const int64_t scaled = g.half_pixel_centers ? at * scale + scale / 2 - 512 : at * scale;
    low = std::clamp<int64_t>(scaled / 1024, 0, in - 1);
    high = std::min((scaled + 1023) / 1024, in - 1);
    offset = scaled - 1024 * low;
  }
};

// Output rows [begin, end) of batches * out_h. Float; uint8 is interpolated in float and rounded.
template <typename T>
void ResizeBilinear(const ResizeGeometry& g, const T* input, size_t begin, size_t end, T* output) {
  const float rounding = std::numeric_limits<T>::is_integer ? 0.5f : 0.0f;
  const size_t row_size = size_t(g.in_w) * g.channels;
  for (size_t row = begin; row < end; ++row) {
    const Between y(static_cast<int32_t>(row % g.out_h), g.in_h, g.out_h, g);
    const T* image = input + row / g.out_h * g.in_h * row_size;
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const Between x(out_x, g.in_w, g.out_w, g);
      const T* low_low = image + y.low * row_size + size_t(x.low) * g.channels;
      const T* high_low = image + y.high * row_size + size_t(x.low) * g.channels;
      const T* low_high = image + y.low * row_size + size_t(x.high) * g.channels;
      const T* high_high = image + y.high * row_size + size_t(x.high) * g.channels;
      T* to = output + (row * g.out_w + out_x) * g.channels;
      for (int32_t c = 0; c < g.channels; ++c) {
        to[c] = static_cast<T>(static_cast<float>(low_low[c]) * (1 - y.offset) * (1 - x.offset) +
                               static_cast<float>(high_low[c]) * y.offset * (1 - x.offset) +
                               static_cast<float>(low_high[c]) * (1 - y.offset) * x.offset +
                               static_cast<float>(high_high[c]) * y.offset * x.offset + rounding);
      }
    }
  }
}

// int8 and int16.
template <typename T>
void ResizeBilinearFixed(const ResizeGeometry& g, const T* input, size_t begin, size_t end,
                         T* output) {
  const size_t row_size = size_t(g.in_w) * g.channels;
  for (size_t row = begin; row < end; ++row) {
    const BetweenFixed y(static_cast<int64_t>(row % g.out_h), g.in_h, g.out_h, g);
    const T* image = input + row / g.out_h * g.in_h * row_size;
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const BetweenFixed x(out_x, g.in_w, g.out_w, g);
      const T* low = image + y.low * row_size;
      const T* high = image + y.high * row_size;
      T* to = output + (row * g.out_w + out_x) * g.channels;
      for (int32_t c = 0; c < g.channels; ++c) {
        const int64_t left = x.low * g.channels + c, right = x.high * g.channels + c;
        const int64_t sum = low[left] * (1024 - y.offset) * (1024 - x.offset) +
                            high[left] * y.offset * (1024 - x.offset) +
                            low[right] * (1024 - y.offset) * x.offset +
                            high[right] * y.offset * x.offset;
        // The nearest integer, a tie away from zero.
        to[c] = static_cast<T>((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
      }
    }
  }
}

inline int32_t NearestPosition(int32_t at, int32_t in, int32_t out, const ResizeGeometry& g) {
  const float scale = g.align_corners && out > 1
                          ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                          : static_cast<float>(in) / static_cast<float>(out);
  const float position = (static_cast<float>(at) + (g.half_pixel_centers ? 0.5f : 0.0f)) * scale;
  const float nearest = g.align_corners ? std::round(position) : std::floor(position);
  return std::clamp(static_cast<int32_t>(nearest), 0, in - 1);
}

// Moves pixels of `pixel` bytes.
inline void ResizeNearest(const ResizeGeometry& g, size_t pixel, const std::byte* input,
                          size_t begin, size_t end, std::byte* output) {
  for (size_t row = begin; row < end; ++row) {
    const size_t y = NearestPosition(static_cast<int32_t>(row % g.out_h), g.in_h, g.out_h, g);
    const std::byte* from = input + (row / g.out_h * g.in_h + y) * g.in_w * pixel;
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const size_t x = NearestPosition(out_x, g.in_w, g.out_w, g);
      std::memcpy(output + (row * g.out_w + out_x) * pixel, from + x * pixel, pixel);
    }
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_RESIZE_H_
