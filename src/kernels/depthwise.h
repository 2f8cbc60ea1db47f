#ifndef LITESMITH_KERNELS_DEPTHWISE_H_
#define LITESMITH_KERNELS_DEPTHWISE_H_

// DEPTHWISE_CONV_2D by vectors of channels, for out_c == in_c or in_c == 1. Float agrees with
// kernels/reference/conv.h to rounding, integers bit for bit. Nothing here allocates.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/gemm_s16.h"
#include "kernels/reference/conv.h"

namespace litesmith {

bool HasDepthwise(const reference::ConvGeometry& g);

struct DepthwiseF32Output {
  const float* bias = nullptr;  // may be null
  float low = 0.0f, high = 0.0f;
  float* data = nullptr;
};
void DepthwiseF32(const reference::ConvGeometry& g, const float* input, const float* weights,
                  const DepthwiseF32Output& out, ThreadPool* threads);

// Weights 1HWO with their zero point taken off. In is int8_t, uint8_t or int16_t. `out` sees rows =
// output positions and columns = channels; its per-channel arrays have out_c + kGemmS16Panel
// entries. For wide_rows REQUIRES that filter_h * filter_w sums fit 32 bits: HasWideDepthwise.
template <typename In>
void DepthwiseInteger(const reference::ConvGeometry& g, const reference::ConvOffsets& offsets,
                      const In* input, const int32_t* weights, const S16Result& out,
                      ThreadPool* threads);
bool HasWideDepthwise(const reference::ConvGeometry& g);

// The instruction sets depthwise.cc was compiled for (a mask of Highway's target bits), for tests.
int64_t DepthwiseTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DEPTHWISE_H_
