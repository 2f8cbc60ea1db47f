#ifndef LITESMITH_KERNELS_DOT_ROWS_H_
#define LITESMITH_KERNELS_DOT_ROWS_H_

// Rows times rows that are known only when they are multiplied, so that packing them would cost as
// much as it saves: BATCH_MATMUL of integers, FULLY_CONNECTED of a few rows in training.

#include <cstddef>
#include <cstdint>

namespace litesmith {

// sums[u] = left[0..depth) * right[u * depth ..): of 8 bits modulo 2^32, of 16 bits exact.
void DotRows(const int8_t* left, const int8_t* right, size_t depth, size_t units, uint32_t* sums);
void DotRows(const int16_t* left, const int8_t* right, size_t depth, size_t units, uint64_t* sums);
void DotRows(const int16_t* left, const int16_t* right, size_t depth, size_t units, uint64_t* sums);

// y[r * units + u] = x[r * depth ..] * weights[u * depth ..] + bias[u] (which may be null),
// clamped. Every result is one chain of multiply-adds for each lane, whatever the number of rows.
struct DotRowsF32Output {
  float* data = nullptr;
  const float* bias = nullptr;
  float low, high;
};
void DotRowsF32(const float* x, size_t rows, const float* weights, size_t units, size_t depth,
                const DotRowsF32Output& y);

int64_t DotRowsTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DOT_ROWS_H_
