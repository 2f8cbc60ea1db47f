#ifndef LITESMITH_KERNELS_REFERENCE_FULLY_CONNECTED_H_
#define LITESMITH_KERNELS_REFERENCE_FULLY_CONNECTED_H_

// rows x depth times (units x depth) transposed: FULLY_CONNECTED in every mode, and the inner
// product of BATCH_MATMUL. Freestanding.

#include <cstddef>
#include <cstdint>

#include "kernels/reference/accumulate.h"

namespace litesmith::reference {

// One row. Calls stage(index + unit, unit, row, acc) once per output element.
template <typename Acc, typename In, typename Weight, typename Stage>
void MultiplyRow(const In* input, const Weight* weights, int32_t depth, int32_t units,
                 int32_t in_offset, int32_t weight_offset, size_t row, const Stage& stage) {
  for (int32_t unit = 0; unit < units; ++unit) {
    const Weight* by = weights + size_t(unit) * depth;
    Acc acc = 0;
    for (int32_t d = 0; d < depth; ++d) {
      acc = MultiplyAdd<Acc>(acc, Offset<Acc>(by[d], weight_offset),
                             Offset<Acc>(input[d], in_offset));
    }
    stage(row * units + unit, unit, static_cast<int32_t>(row), acc);
  }
}

// Rows [begin, end). `row_offsets`, when given, replaces `in_offset` row by row.
template <typename Acc, typename In, typename Weight, typename Stage>
void MultiplyRows(const In* input, const Weight* weights, int32_t depth, int32_t units,
                  int32_t in_offset, int32_t weight_offset, const int32_t* row_offsets,
                  size_t begin, size_t end, const Stage& stage) {
  for (size_t row = begin; row < end; ++row) {
    MultiplyRow<Acc>(input + row * depth, weights, depth, units,
                     row_offsets == nullptr ? in_offset : row_offsets[row], weight_offset, row,
                     stage);
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_FULLY_CONNECTED_H_
