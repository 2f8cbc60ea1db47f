#ifndef LITESMITH_KERNELS_GRAY_CONV_F32_H_
#define LITESMITH_KERNELS_GRAY_CONV_F32_H_

// CONV_2D in float of one input channel to eight, stride 1: the first layer of networks for gray
// pictures. A matrix product would leave half of a wide vector empty; here a vector holds all
// channels of one or two positions. Sums have one order. Agrees with kernels/reference/conv.h to
// rounding.

#include <cstddef>
#include <cstdint>

#include "kernels/conv_f32.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// False for other layers, and where vectors have fewer than eight floats. The functions below
// REQUIRE it to be true.
bool GrayConvF32Fits(const reference::ConvGeometry& g);

size_t GrayConvF32ScratchBytes(const reference::ConvGeometry& g);

// out = clamp(conv(input) + bias); `weights` are OHWI, `scratch` is aligned to 64. REQUIRES: not
// out.accumulate.
void GrayConvF32(const reference::ConvGeometry& g, const float* input, const float* weights,
                 const ConvF32Output& out, std::byte* scratch);

namespace gradient {

// dw (OHWI) (+)= the sum over positions of dy times patch, db (may be null) (+)= the sum of dy,
// where dy counts as 0 wherever y is not between `low` and `high`.
struct GrayConvGradient {
  const float *x, *y, *dy;
  float low, high;
  bool accumulate_dw, accumulate_db;
  float *dw, *db;
};
void GrayConv(const reference::ConvGeometry& g, const GrayConvGradient& what, std::byte* scratch);

}  // namespace gradient

// The instruction sets of this file, for tests.
int64_t GrayConvTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GRAY_CONV_F32_H_
