#ifndef LITESMITH_KERNELS_GRADIENT_CONV_F32_H_
#define LITESMITH_KERNELS_GRADIENT_CONV_F32_H_

// Gradients of CONV_2D through the GEMM, and of DEPTHWISE_CONV_2D in plain loops. `dy` is the
// gradient before the fused activation. Sums have one order, whatever the number of threads.
// `scratch` is aligned for ptrdiff_t.

#include <cstddef>

#include "base/threads.h"
#include "kernels/reference/conv.h"

namespace litesmith::gradient {

// dw (OHWI) (+)= the sum over positions of dy times patch.
size_t ConvWeightsScratchBytes(const reference::ConvGeometry& g);
void ConvWeights(const reference::ConvGeometry& g, const float* x, const float* dy, bool accumulate,
                 float* dw, void* scratch, ThreadPool* threads);

// dx (+)= dy spread back over the patches.
size_t ConvInputScratchBytes(const reference::ConvGeometry& g);
void ConvInput(const reference::ConvGeometry& g, const float* weights, const float* dy,
               bool accumulate, float* dx, void* scratch, ThreadPool* threads);

// Depthwise (filters 1HWO): both at once; dx or dw may be null. No scratch.
void Depthwise(const reference::ConvGeometry& g, const float* x, const float* weights,
               const float* dy, bool accumulate_dx, float* dx, bool accumulate_dw, float* dw);

}  // namespace litesmith::gradient

#endif  // LITESMITH_KERNELS_GRADIENT_CONV_F32_H_
