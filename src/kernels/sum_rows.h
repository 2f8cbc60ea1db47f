#ifndef LITESMITH_KERNELS_SUM_ROWS_H_
#define LITESMITH_KERNELS_SUM_ROWS_H_

// sums[i] += row[i] in vectors: MEAN and SUM over all but the last dimension. Each sum takes its
// elements in the caller's order, so float sums round as the plain loop's.

#include <cstddef>
#include <cstdint>

namespace litesmith {

void AddToSums(const float* row, size_t count, float* sums);
void AddToSums(const int8_t* row, size_t count, uint32_t* sums);
void AddToSums(const uint8_t* row, size_t count, uint32_t* sums);
void AddToSums(const int16_t* row, size_t count, uint32_t* sums);

// The instruction sets of sum_rows.cc, for tests.
int64_t SumRowTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_SUM_ROWS_H_
