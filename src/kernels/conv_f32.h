#ifndef LITESMITH_KERNELS_CONV_F32_H_
#define LITESMITH_KERNELS_CONV_F32_H_

// CONV_2D in float through the one GEMM (kernels/gemm_f32.h): output positions are its rows, output
// channels its columns. Patches are read in place; only an image that needs padding is copied once,
// with its border, to the scratch memory. NHWC, OHWI filters, groups, any stride and dilation.

#include <cstddef>

#include "base/threads.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// Floats of the packed filters, and packing them.
size_t PackedConvFloats(const reference::ConvGeometry& g);
void PackConvF32(const reference::ConvGeometry& g, const float* weights, float* packed);

// False where the border would make the images absurdly large (a dilation in the millions): such a
// convolution is left to the reference kernel. The functions below REQUIRE it to be true.
bool ConvF32Fits(const reference::ConvGeometry& g);

// Bytes of scratch that ConvF32 needs.
size_t ConvF32ScratchBytes(const reference::ConvGeometry& g);

// out = clamp(conv(input) + bias). `bias` may be null. `scratch` is aligned for ptrdiff_t. With
// `accumulate`, which takes no bias, out += conv(input).
struct ConvF32Output {
  float* data = nullptr;
  const float* bias = nullptr;
  float low = 0.0f, high = 0.0f;
  bool accumulate = false;
};
void ConvF32(const reference::ConvGeometry& g, const float* input, const float* packed,
             const ConvF32Output& out, void* scratch, ThreadPool* threads);

// How a convolution's images lie in memory once they are padded; shared with its gradient.
struct PaddedImages {
  bool copied = false;  // false: they are read where they are
  size_t height = 0, width = 0;
  size_t per_pass = 0;  // images that the scratch memory holds at a time
  size_t floats() const { return copied ? per_pass * height * width : 0; }  // times channels
};
PaddedImages PadImages(const reference::ConvGeometry& g);

// The `count` images from `first` on, with their zero border (or the input itself where none is
// needed).
const float* PadInto(const reference::ConvGeometry& g, const PaddedImages& images,
                     const float* input, size_t first, size_t count, float* padded,
                     ThreadPool* threads);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_CONV_F32_H_
