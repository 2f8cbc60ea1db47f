#ifndef LITESMITH_KERNELS_DEPTHWISE_H_
#define LITESMITH_KERNELS_DEPTHWISE_H_

// DEPTHWISE_CONV_2D in integers for what kernels/depthwise_s16.h leaves: few channels, factors of a
// half and more. By vectors of channels, for out_c == in_c or in_c == 1; kernels/reference/conv.h's
// bits. Nothing here allocates.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/gemm_s16.h"
#include "kernels/reference/conv.h"

namespace litesmith {

bool HasDepthwise(const reference::ConvGeometry& g);

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
