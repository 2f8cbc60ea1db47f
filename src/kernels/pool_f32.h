#ifndef LITESMITH_KERNELS_POOL_F32_H_
#define LITESMITH_KERNELS_POOL_F32_H_

// MAX_POOL_2D in float and its gradient, vectors along the channels, in Highway. The forward
// results are the reference kernel's bits.

#include <cstddef>
#include <cstdint>

#include "kernels/reference/conv.h"

namespace litesmith {

// Output rows [begin, end) of batches * out_h.
void MaxPoolF32(const reference::ConvGeometry& g, const float* input, float low, float high,
                float* output, size_t begin, size_t end);

namespace gradient {

// dx (+)= for each window, its dy at the first position that holds the maximum y. dy is the
// gradient before the fused activation: 0 where that clamped. REQUIRES: finite values; NaNs take no
// gradient.
void MaxPool(const reference::ConvGeometry& g, const float* x, const float* y, const float* dy,
             bool accumulate, float* dx);

}  // namespace gradient

// The instruction sets of pool_f32.cc, for tests.
int64_t PoolTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_POOL_F32_H_
