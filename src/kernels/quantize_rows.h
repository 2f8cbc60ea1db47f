#ifndef LITESMITH_KERNELS_QUANTIZE_ROWS_H_
#define LITESMITH_KERNELS_QUANTIZE_ROWS_H_

// Quantization of activations at run time by vectors, with the bits of
// kernels/reference/dynamic_range.h.

#include <cstddef>
#include <cstdint>

namespace litesmith {

// As reference::QuantizeSymmetric.
float QuantizeRowSymmetric(const float* values, size_t count, int8_t* quantized);

// As reference::QuantizeAsymmetric.
float QuantizeRowAsymmetric(const float* values, size_t count, int8_t* quantized,
                            int32_t* zero_point);

int64_t QuantizeRowsTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_QUANTIZE_ROWS_H_
