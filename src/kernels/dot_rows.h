#ifndef LITESMITH_KERNELS_DOT_ROWS_H_
#define LITESMITH_KERNELS_DOT_ROWS_H_

// Rows times rows of integers that are known only when they are multiplied, so that packing them
// would cost as much as it saves: BATCH_MATMUL.

#include <cstddef>
#include <cstdint>

namespace litesmith {

// sums[u] = left[0..depth) * right[u * depth ..): of 8 bits modulo 2^32, of 16 bits exact.
void DotRows(const int8_t* left, const int8_t* right, size_t depth, size_t units, uint32_t* sums);
void DotRows(const int16_t* left, const int8_t* right, size_t depth, size_t units, uint64_t* sums);
void DotRows(const int16_t* left, const int16_t* right, size_t depth, size_t units, uint64_t* sums);

int64_t DotRowsTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DOT_ROWS_H_
