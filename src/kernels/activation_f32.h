#ifndef LITESMITH_KERNELS_ACTIVATION_F32_H_
#define LITESMITH_KERNELS_ACTIVATION_F32_H_

// Float functions of one input in vectors: within some units in the last place of the reference
// kernels (kernels/reference), GELU within 2e-7 of its input's size. NaN stays NaN. An element's
// bits do not depend on where it lies in its row. `out` may be `in`.

#include <cstddef>
#include <cstdint>

#include "kernels/reference/resize.h"

namespace litesmith {

enum class RowFunction : uint8_t { kLogistic, kTanh, kGelu, kGeluApproximate, kHardSwish };

void FunctionRow(RowFunction function, const float* in, size_t count, float* out);

void SoftmaxRowF32(const float* in, size_t depth, float beta, float* out);

// Output rows [begin, end) of batches * out_h. `columns` has out_w entries. The bits of
// reference::ResizeBilinear.
void ResizeBilinearF32(const reference::ResizeGeometry& g, const reference::Between* columns,
                       const float* input, size_t begin, size_t end, float* output);

// The instruction sets of activation_f32.cc, for tests.
int64_t ActivationTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_ACTIVATION_F32_H_
