#ifndef LITESMITH_KERNELS_DEPTHWISE_F32_H_
#define LITESMITH_KERNELS_DEPTHWISE_F32_H_

// DEPTHWISE_CONV_2D in float: vectors of channels, the filter in registers, 3x3 and 5x5 several
// output rows at a time. Agrees with kernels/reference/conv.h to rounding; a sum is the bias, then
// the taps, in an order that the geometry alone decides.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// Not for filters of very many positions (kMaxDepthwiseTaps).
bool DepthwiseF32Fits(const reference::ConvGeometry& g);
size_t DepthwiseF32ScratchBytes(const reference::ConvGeometry& g);

struct DepthwiseF32Output {
  const float* bias = nullptr;  // may be null
  float low = 0.0f, high = 0.0f;
  float* data = nullptr;
};
// `scratch` is aligned to 64. REQUIRES: DepthwiseF32Fits(g).
void DepthwiseF32(const reference::ConvGeometry& g, const float* input, const float* weights,
                  const DepthwiseF32Output& out, std::byte* scratch, ThreadPool* threads);

// What the loops of one instruction set see: in_c == out_c, a row of zeros for padding.
struct DepthwiseF32Job {
  const reference::ConvGeometry* g;
  const float *input, *pad, *weights;
  DepthwiseF32Output out;
};

// The instruction sets of depthwise_f32.cc, for tests.
int64_t DepthwiseF32Targets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DEPTHWISE_F32_H_
