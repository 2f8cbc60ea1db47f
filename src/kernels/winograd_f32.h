#ifndef LITESMITH_KERNELS_WINOGRAD_F32_H_
#define LITESMITH_KERNELS_WINOGRAD_F32_H_

// CONV_2D in float with 3x3 filters of stride 1 by Lavin and Gray 2016 ("Fast Algorithms for
// Convolutional Neural Networks"): F(4x4, 3x3), 36 products for 16 outputs instead of 144, or
// F(2x2, 3x3), 16 for 4 instead of 36, as matrix products (kernels/gemm_f32.h). Agrees with
// kernels/reference/conv.h to rounding (with 4x4 about ten times as much of it) for finite inputs;
// an infinite one makes its neighbours NaN. The bytes do not depend on the threads.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/conv_f32.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// False where the filter is another, or where the transforms or the larger weights (4 or 16/9
// times as many) eat the gain. The functions below REQUIRE it to be true.
bool WinogradF32Fits(const reference::ConvGeometry& g);

// Floats of the transformed and packed filters, and making them from OHWI.
size_t WinogradF32PackedFloats(const reference::ConvGeometry& g);
void PackWinogradF32(const reference::ConvGeometry& g, const float* weights, float* packed);

size_t WinogradF32ScratchBytes(const reference::ConvGeometry& g);

// Whether it pays to transform the filters at every run: for weights that are no constants. Then
// also channels fill whole panels of the product, and tiles are of 4x4.
bool WinogradF32FitsAnew(const reference::ConvGeometry& g);
// PackWinogradF32 for these, in float. `taps`: 9 * in_c * out_c floats of scratch.
void PackWinogradF32Anew(const reference::ConvGeometry& g, const float* weights, float* taps,
                         float* packed);

// out = clamp(conv(input) + bias); `scratch` is aligned to 64. REQUIRES: not out.accumulate.
void WinogradF32(const reference::ConvGeometry& g, const float* input, const float* packed,
                 const ConvF32Output& out, std::byte* scratch, ThreadPool* threads);

// Tiles of side x side outputs: what the loops of one instruction set see.
struct WinogradTiles {
  const reference::ConvGeometry* g;
  size_t side;           // 2 or 4
  size_t rows, columns;  // tiles of an image
  size_t first, count;   // the tiles of this pass, over all images
  const float *input, *pad;
  float* spectrum;        // [(side + 2)^2][count][in_c]
  const float* products;  // [(side + 2)^2][count][out_c]
  ConvF32Output out;
};

// Floats from one plane of a spectrum to the next: a line more than they hold, so that a tile's
// elements do not all fall into the same set of the first-level cache.
inline size_t WinogradPlaneFloats(size_t tiles, size_t channels) { return tiles * channels + 16; }
// Likewise for packed filters.
size_t WinogradFilterFloats(size_t in, size_t out);

// The instruction sets of winograd_f32.cc, for tests.
int64_t WinogradF32Targets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_WINOGRAD_F32_H_
