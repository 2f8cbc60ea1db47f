#ifndef LITESMITH_IMPORT_KERAS_CONVOLUTION_H_
#define LITESMITH_IMPORT_KERAS_CONVOLUTION_H_

// What the convolution layers share.

#include <string_view>
#include <vector>

#include "import/keras/layer.h"

namespace litesmith::keras {

inline constexpr int64_t kMaxWindow = 1 << 24;  // of sizes, strides, numbers of filters

// A window that moves over the rows and columns. Layers of one dimension have one row.
struct Window {
  std::vector<int32_t> kernel, strides, dilation;
  schema::Padding padding = schema::Padding_VALID;
  bool causal = false;  // padded on the left by the caller

  // Reads kernel_size, strides, dilation_rate and padding of a layer of `dimensions` dimensions.
  static Window Read(ConfigReader& config, size_t dimensions);

  // The size after the window has passed over dimension `d` (0: rows), checked by c.Size.
  int32_t OutputSize(LayerContext& c, size_t d, int32_t size) const;
  // [N, H, W, channels] after the window has passed over `in`.
  Shape Output(LayerContext& c, const Shape& in, int32_t channels) const;
};

// The output size of a transposed convolution along dimension `d`, as Keras computes it;
// `output_padding` null: not given, `extra` is its number there.
int64_t TransposedSize(const Window& w, size_t d, int64_t size, const Json* output_padding,
                       int64_t extra);

// [..., O] to [O, ...].
std::vector<float> OutputFirst(const std::vector<float>& kernel, size_t outputs);

// The layer's bias, or zeros: TFLite's convolutions always have one.
absl::StatusOr<int32_t> Bias(LayerContext& c, bool use_bias, int32_t size);

// CONV_2D and DEPTHWISE_CONV_2D of x with the constants {filter, bias}.
int32_t AddConv(LayerContext& c, int32_t x, const std::vector<int32_t>& constants, const Window& w,
                int32_t filters, std::string_view what);
int32_t AddDepthwise(LayerContext& c, int32_t x, const std::vector<int32_t>& constants,
                     const Window& w, int32_t multiplier, std::string_view what);

// [N, L, C] as [N, 1, L, C] and back.
absl::StatusOr<int32_t> AddRow(LayerContext& c, int32_t x);
absl::StatusOr<int32_t> DropRow(LayerContext& c, int32_t x);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_CONVOLUTION_H_
