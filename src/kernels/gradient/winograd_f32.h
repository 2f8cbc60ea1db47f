#ifndef LITESMITH_KERNELS_GRADIENT_WINOGRAD_F32_H_
#define LITESMITH_KERNELS_GRADIENT_WINOGRAD_F32_H_

// The gradients of CONV_2D with 3x3 filters of stride 1 as the transpose of F(4x4, 3x3) of
// kernels/winograd_f32.h. With y = A'[(GgG') * (B'dB)]A for a tile,
//   the input's gradient is   B [(GgG') * (A dy A')] B', added where tiles overlap,
//   the filter's              G'[(B'dB) * (A dy A')] G, summed over the tiles,
// where * is a matrix product over channels, or over tiles, for each of the 36 elements. Sums have
// one order. Agrees with gradient/conv_f32.h to rounding (about ten times as much of it).

#include <cstddef>
#include <cstdint>

#include "kernels/reference/conv.h"

namespace litesmith::gradient {

// The functions below REQUIRE it to be true.
bool WinogradFits(const reference::ConvGeometry& g);

// Scratch memory, aligned to 64, for WinogradConv.
size_t WinogradScratchBytes(const reference::ConvGeometry& g);

// dx (+)= dy spread back over the patches, dw (OHWI) (+)= the sum over positions of dy times patch.
// dx or dw may be null. `dy` is the gradient before the fused activation.
void WinogradConv(const reference::ConvGeometry& g, const float* x, const float* weights,
                  const float* dy, bool accumulate_dx, float* dx, bool accumulate_dw, float* dw,
                  std::byte* scratch);

// The instruction sets of this file, for tests.
int64_t WinogradTargets();

}  // namespace litesmith::gradient

#endif  // LITESMITH_KERNELS_GRADIENT_WINOGRAD_F32_H_
