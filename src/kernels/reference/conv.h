#ifndef LITESMITH_KERNELS_REFERENCE_CONV_H_
#define LITESMITH_KERNELS_REFERENCE_CONV_H_

// CONV_2D and DEPTHWISE_CONV_2D: one loop nest for all modes. NHWC input, OHWI filters (depthwise:
// 1HWO). The mode is made of the accumulator, the operand types and the output stage
// (kernels/reference/stage.h). Freestanding.

#include <cstddef>
#include <cstdint>

#include "kernels/reference/accumulate.h"

namespace litesmith::reference {

struct ConvGeometry {
  int32_t batches = 0, in_h = 0, in_w = 0, in_c = 0;
  int32_t filter_h = 0, filter_w = 0;
  int32_t filter_c =
      0;  // input channels that one filter sees: in_c / groups (not used by depthwise)
  int32_t out_h = 0, out_w = 0, out_c = 0;
  int32_t stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int32_t pad_h = 0, pad_w = 0;
};

// What a kernel adds to its operands before the product: minus the zero points. Hybrid kernels have
// an input offset per image.
struct ConvOffsets {
  int32_t input = 0;
  int32_t weight = 0;
  const int32_t* per_image_input = nullptr;
};

// Output rows [begin, end) of batches * out_h. Calls stage(index, channel, image, acc) once per
// output element. Positions outside the image contribute nothing.
template <typename Acc, typename In, typename Weight, typename Stage>
void Convolve(const ConvGeometry& g, const ConvOffsets& offsets, const In* input,
              const Weight* weights, size_t begin, size_t end, const Stage& stage) {
  const int32_t filters_per_group = g.out_c / (g.in_c / g.filter_c);
  const size_t filter_size = size_t(g.filter_h) * g.filter_w * g.filter_c;
  for (size_t row = begin; row < end; ++row) {
    const auto image = static_cast<int32_t>(row / g.out_h);
    const int64_t y0 = int64_t(row % g.out_h) * g.stride_h - g.pad_h;
    const int32_t in_offset =
        offsets.per_image_input == nullptr ? offsets.input : offsets.per_image_input[image];
    const In* picture = input + size_t(image) * g.in_h * g.in_w * g.in_c;
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const int64_t x0 = int64_t(out_x) * g.stride_w - g.pad_w;
      const size_t index = (row * g.out_w + out_x) * g.out_c;
      for (int32_t channel = 0; channel < g.out_c; ++channel) {
        const int32_t first = channel / filters_per_group * g.filter_c;
        const Weight* filter = weights + channel * filter_size;
        Acc acc = 0;
        for (int32_t fy = 0; fy < g.filter_h; ++fy) {
          const int64_t y = y0 + int64_t(fy) * g.dilation_h;
          if (y < 0 || y >= g.in_h) continue;
          for (int32_t fx = 0; fx < g.filter_w; ++fx) {
            const int64_t x = x0 + int64_t(fx) * g.dilation_w;
            if (x < 0 || x >= g.in_w) continue;
            const In* from = picture + (size_t(y) * g.in_w + size_t(x)) * g.in_c + first;
            const Weight* by = filter + (size_t(fy) * g.filter_w + fx) * g.filter_c;
            for (int32_t c = 0; c < g.filter_c; ++c) {
              acc = MultiplyAdd<Acc>(acc, Offset<Acc>(by[c], offsets.weight),
                                     Offset<Acc>(from[c], in_offset));
            }
          }
        }
        stage(index + channel, channel, image, acc);
      }
    }
  }
}

// The same for depthwise: output channel o reads input channel o / (out_c / in_c).
template <typename Acc, typename In, typename Weight, typename Stage>
void ConvolveDepthwise(const ConvGeometry& g, const ConvOffsets& offsets, const In* input,
                       const Weight* weights, size_t begin, size_t end, const Stage& stage) {
  const int32_t depth_multiplier = g.out_c / g.in_c;
  for (size_t row = begin; row < end; ++row) {
    const auto image = static_cast<int32_t>(row / g.out_h);
    const int64_t y0 = int64_t(row % g.out_h) * g.stride_h - g.pad_h;
    const int32_t in_offset =
        offsets.per_image_input == nullptr ? offsets.input : offsets.per_image_input[image];
    const In* picture = input + size_t(image) * g.in_h * g.in_w * g.in_c;
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const int64_t x0 = int64_t(out_x) * g.stride_w - g.pad_w;
      const size_t index = (row * g.out_w + out_x) * g.out_c;
      for (int32_t channel = 0; channel < g.out_c; ++channel) {
        const int32_t in_channel = channel / depth_multiplier;
        Acc acc = 0;
        for (int32_t fy = 0; fy < g.filter_h; ++fy) {
          const int64_t y = y0 + int64_t(fy) * g.dilation_h;
          if (y < 0 || y >= g.in_h) continue;
          for (int32_t fx = 0; fx < g.filter_w; ++fx) {
            const int64_t x = x0 + int64_t(fx) * g.dilation_w;
            if (x < 0 || x >= g.in_w) continue;
            const In from = picture[(size_t(y) * g.in_w + size_t(x)) * g.in_c + in_channel];
            const Weight by = weights[(size_t(fy) * g.filter_w + fx) * g.out_c + channel];
            acc = MultiplyAdd<Acc>(acc, Offset<Acc>(by, offsets.weight),
                                   Offset<Acc>(from, in_offset));
          }
        }
        stage(index + channel, channel, image, acc);
      }
    }
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_CONV_H_
