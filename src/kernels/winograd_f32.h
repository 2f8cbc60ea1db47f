#ifndef LITESMITH_KERNELS_WINOGRAD_F32_H_
#define LITESMITH_KERNELS_WINOGRAD_F32_H_

// CONV_2D in float with 3x3 filters of stride 1 by Lavin and Gray 2016 ("Fast Algorithms for
// Convolutional Neural Networks"), F(2x2, 3x3): 16 products for 4 outputs instead of 36, as 16
// matrix products (kernels/gemm_f32.h). Agrees with kernels/reference/conv.h to rounding for finite
// inputs; an infinite one makes its neighbours NaN. The bytes do not depend on the threads.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/conv_f32.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// False where the filter is another, or where the transforms or the larger weights (16/9) eat the
// gain. The functions below REQUIRE it to be true.
bool WinogradF32Fits(const reference::ConvGeometry& g);

// Floats of the transformed and packed filters, and making them from OHWI.
size_t WinogradF32PackedFloats(const reference::ConvGeometry& g);
void PackWinogradF32(const reference::ConvGeometry& g, const float* weights, float* packed);

size_t WinogradF32ScratchBytes(const reference::ConvGeometry& g);

// out = clamp(conv(input) + bias); `scratch` is aligned to 64. REQUIRES: not out.accumulate.
void WinogradF32(const reference::ConvGeometry& g, const float* input, const float* packed,
                 const ConvF32Output& out, std::byte* scratch, ThreadPool* threads);

// Tiles of 2x2 outputs: what the loops of one instruction set see.
struct WinogradTiles {
  const reference::ConvGeometry* g;
  size_t rows, columns;  // tiles of an image
  size_t first, count;   // the tiles of this pass, over all images
  const float *input, *pad;
  float* spectrum;        // [16][count][in_c]
  const float* products;  // [16][count][out_c]
  ConvF32Output out;
};

// The instruction sets of winograd_f32.cc, for tests.
int64_t WinogradF32Targets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_WINOGRAD_F32_H_
