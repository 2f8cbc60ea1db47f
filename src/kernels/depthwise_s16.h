#ifndef LITESMITH_KERNELS_DEPTHWISE_S16_H_
#define LITESMITH_KERNELS_DEPTHWISE_S16_H_

// DEPTHWISE_CONV_2D with integer weights, for int8, uint8 and int16 activations and for activations
// quantized at run time: vectors of channels, two taps a product (int16 pairs), requantized in
// registers. Bit for bit kernels/reference/conv.h under the stages of kernels/reference/stage.h.
// What it cannot do exactly, or has too few channels for it, is left to kernels/depthwise.h.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fixed_point.h"
#include "base/threads.h"
#include "kernels/fixed_line.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// What the sums become.
enum class DepthwiseStage : uint8_t {
  kFixedPoint,  // int8 or uint8, int32 sums rounded twice
  kWide,        // int16, the 16-bit multiplier of 64-bit sums, rounded once
  kFloat,       // scaled to float
};

// What is known when a node is prepared. Arrays have out_c entries.
struct DepthwiseS16Spec {
  reference::ConvGeometry g;
  DepthwiseStage stage = DepthwiseStage::kFixedPoint;
  const int16_t* weights = nullptr;         // 1HWO, their zero point taken off
  const Multiplier* multipliers = nullptr;  // one per channel; not for kFloat
  const int64_t* bias = nullptr;            // may be null; not for kFloat
  int32_t input_range = 255;  // no input, its offset added, is larger than this in magnitude
  bool int8_input = false;    // inputs are int8, weights within int8
  bool dot_products = true;   // may use instructions beyond Highway's targets (tests compare)
  // Of the output, as in DepthwiseS16Run; for kFixedPoint.
  int32_t low = -128, high = 127, zero_point = 0;
};

// A cache line of packed numbers.
struct alignas(64) PackedLine {
  int32_t words[16];
};

struct DepthwiseS16Packed {
  reference::ConvGeometry g;  // in_c == out_c
  DepthwiseStage stage = DepthwiseStage::kFixedPoint;
  int32_t in_channels = 0;  // of the input itself
  bool repeat = false;      // which has fewer channels than the output
  bool deep = false;        // kWide: a multiplier is shifted by more than 16
  size_t lanes = 0;         // channels of a block; 0: not this kernel
  size_t flat_lanes = 0;    // a whole number of positions of few channels; 0: none
  size_t pairs = 0;
  std::vector<PackedLine> blocks, flat_block;
  std::vector<PackedLine> byte_blocks;  // kernels/depthwise_bytes.h; empty: not used
  std::vector<LineKind> byte_kinds;     // of these blocks

  bool fits() const { return lanes != 0; }
  // Scratch for inputs of this size in bytes and, where each image has its own offset, many images.
  size_t ScratchBytes(size_t input_size) const;
};

// Empty (fits() false) where the kernel cannot do it.
DepthwiseS16Packed PackDepthwiseS16(const DepthwiseS16Spec& spec);

struct DepthwiseS16Run {
  int32_t input_offset = 0;                // minus the input's zero point
  const int32_t* image_offsets = nullptr;  // instead, one per image
  int32_t low = 0, high = 0, zero_point = 0;
  void* out = nullptr;
  // kFloat: sum * (channel_scales[c] * image_scales[image]) + bias[c], clamped.
  const float* image_scales = nullptr;
  const float* channel_scales = nullptr;
  const float* bias = nullptr;  // may be null
  float float_low = 0, float_high = 0;
};

// `scratch` has ScratchBytes(sizeof(In)), aligned to 64. In: int8_t, uint8_t (kFixedPoint), int16_t
// (kWide). REQUIRES: for kWide a zero point of 0.
template <typename In>
void DepthwiseS16(const DepthwiseS16Packed& packed, const In* input, const DepthwiseS16Run& run,
                  std::byte* scratch, ThreadPool* threads);

// The instruction sets of depthwise_s16.cc, for tests.
int64_t DepthwiseS16Targets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DEPTHWISE_S16_H_
