#ifndef LITESMITH_KERNELS_REFERENCE_STAGE_H_
#define LITESMITH_KERNELS_REFERENCE_STAGE_H_

// Output stages of the matrix-like kernels: bias, rescaling, activation, store. Called as
// stage(index, channel, row, accumulator). `row` is the image of a convolution or the row of a
// matrix product. Freestanding.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/fixed_point.h"

namespace litesmith::reference {

// a + b modulo 2^32.
inline int32_t WrappingAdd(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

struct FloatStage {
  const float* bias = nullptr;  // may be null
  float low = 0.0f, high = 0.0f;
  float* out = nullptr;

  void operator()(size_t index, int32_t channel, int32_t /*row*/, float acc) const {
    const float value = acc + (bias == nullptr ? 0.0f : bias[channel]);
    out[index] = std::min(std::max(value, low), high);
  }
};

// What all integer outputs share.
template <typename Bias, typename Out>
struct IntegerOutput {
  const Bias* bias = nullptr;  // may be null
  int32_t zero_point = 0;
  int32_t low = 0, high = 0;
  Out* out = nullptr;

  // The accumulator with its bias, as a signed number of the accumulator's width.
  template <typename Acc>
  std::make_signed_t<Acc> Biased(Acc acc, int32_t channel) const {
    if (bias != nullptr) acc += static_cast<Acc>(bias[channel]);
    return static_cast<std::make_signed_t<Acc>>(acc);
  }
  void Store(size_t index, int32_t scaled) const {
    out[index] = static_cast<Out>(std::clamp(WrappingAdd(scaled, zero_point), low, high));
  }
};

// Fixed point, a multiplier per channel (stride 1) or one for all (stride 0).
template <typename Bias, typename Out>
struct FixedPointStage {
  IntegerOutput<Bias, Out> output;
  const Multiplier* multipliers = nullptr;
  int32_t multiplier_stride = 1;

  template <typename Acc>
  void operator()(size_t index, int32_t channel, int32_t /*row*/, Acc acc) const {
    output.Store(index, MultiplyByQuantizedMultiplier(output.Biased(acc, channel),
                                                      multipliers[channel * multiplier_stride]));
  }
};

// LiteRT's FULLY_CONNECTED: the product with the real factor is rounded once, in double.
template <typename Bias, typename Out>
struct DoubleStage {
  IntegerOutput<Bias, Out> output;
  const double* factors = nullptr;
  int32_t factor_stride = 1;

  template <typename Acc>
  void operator()(size_t index, int32_t channel, int32_t /*row*/, Acc acc) const {
    const double real =
        static_cast<double>(output.Biased(acc, channel)) * factors[channel * factor_stride];
    output.Store(index, RoundToInt32(real));
  }
};

// Hybrid: integer products of quantized inputs, scaled back to float. `before_rows` says whether
// the channel's scale meets the accumulator before the row's (CONV_2D) or the two scales are
// multiplied first.
struct HybridStage {
  const float* bias = nullptr;
  const float* row_scales = nullptr;
  const float* channel_scales = nullptr;  // null: already in the row scales
  int32_t channel_scale_stride = 1;
  bool before_rows = false;
  float low = 0.0f, high = 0.0f;
  float* out = nullptr;

  void operator()(size_t index, int32_t channel, int32_t row, uint32_t acc) const {
    const auto sum = static_cast<float>(static_cast<int32_t>(acc));
    float value = 0.0f;
    if (channel_scales == nullptr) {
      value = sum * row_scales[row];
    } else if (before_rows) {
      value = sum * channel_scales[channel * channel_scale_stride] * row_scales[row];
    } else {
      value = sum * (channel_scales[channel * channel_scale_stride] * row_scales[row]);
    }
    if (bias != nullptr) value += bias[channel];
    out[index] = std::min(std::max(value, low), high);
  }
};

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_STAGE_H_
