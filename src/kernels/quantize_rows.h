#ifndef LITESMITH_KERNELS_QUANTIZE_ROWS_H_
#define LITESMITH_KERNELS_QUANTIZE_ROWS_H_

// Quantization of activations at run time by vectors, with the bits of
// kernels/reference/dynamic_range.h.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"

namespace litesmith {

// As reference::QuantizeSymmetric. Long rows are shared among `threads`, here and below.
float QuantizeRowSymmetric(const float* values, size_t count, int8_t* quantized,
                           ThreadPool* threads = nullptr);

// As reference::QuantizeAsymmetric.
float QuantizeRowAsymmetric(const float* values, size_t count, int8_t* quantized,
                            int32_t* zero_point, ThreadPool* threads = nullptr);

// The same in two steps, for rows that are written elsewhere piece by piece. `plain`: only the
// functions above do it (no range, or one whose inverse or values are not finite).
struct RowQuantizer {
  float scale = 1.0f, inverse = 1.0f;
  int32_t zero_point = 0, low = -128;
  bool plain = true;
};
RowQuantizer FindSymmetric(const float* values, size_t count, ThreadPool* threads = nullptr);
RowQuantizer FindAsymmetric(const float* values, size_t count, ThreadPool* threads = nullptr);
// A part of those values, the top bit of each number inverted: as unsigned ones. REQUIRES: not
// q.plain.
void QuantizeFlipped(const RowQuantizer& q, const float* values, size_t count, uint8_t* quantized);

int64_t QuantizeRowsTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_QUANTIZE_ROWS_H_
