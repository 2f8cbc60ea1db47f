#ifndef LITESMITH_KERNELS_CONV_INT_H_
#define LITESMITH_KERNELS_CONV_INT_H_

// CONV_2D on integers through kernels/gemm_int.h: output positions are its rows, output channels
// its columns. Patches are read in place; an image is copied to the scratch memory only where it
// needs a border (of its zero point), wider numbers, or groups of 4 bytes.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/conv_pixels.h"
#include "kernels/gemm_int.h"
#include "kernels/quantize_rows.h"
#include "kernels/reference/conv.h"

namespace litesmith {

struct IntConv {
  std::vector<IntWeights> groups;
  PixelWeights pixels;       // instead, where they fit and the stage allows it
  size_t scratch_bytes = 0;  // aligned to 64

  // REQUIRES: ConvF32Fits(g) (kernels/conv_f32.h). `element` is the largest size of the inputs'
  // numbers: 4 where some are float. W
  // is int8_t or uint8_t; `offset` is added to every weight. `bytes` as IntWeights.
  template <typename W>
  static IntConv Prepare(const reference::ConvGeometry& g, const IntKernel& kernel, bool bytes,
                         size_t element, const W* weights, int32_t offset);
};

// `zero_points`: one (`per_image` false) or one per image; what the border is made of. The stage
// sees rows = output positions of the whole batch and columns = output channels; `init` has whole
// panels for each group one after the other. In is int8_t, uint8_t, int16_t, or float for `bytes`:
// then every image is quantized on its way into the copy.
struct IntConvInput {
  const void* data = nullptr;
  const int32_t* zero_points = nullptr;
  bool per_image = false;
  const RowQuantizer* quantizers = nullptr;  // float: one per image, none `plain`
};
template <typename In>
void ConvInt(const reference::ConvGeometry& g, const IntConv& conv, const IntConvInput& input,
             const int32_t* init, bool wide_sums, const IntStage& stage, std::byte* scratch,
             ThreadPool* threads);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_CONV_INT_H_
