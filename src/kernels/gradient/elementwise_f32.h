#ifndef LITESMITH_KERNELS_GRADIENT_ELEMENTWISE_F32_H_
#define LITESMITH_KERNELS_GRADIENT_ELEMENTWISE_F32_H_

// Element by element loops of training, in Highway. Results depend on the instruction set only
// where sums of many elements are formed.

#include <cstddef>
#include <cstdint>

namespace litesmith::gradient {

// masked = dy where low < y < high, else 0: the gradient before a fused activation. `masked` may be
// dy.
void ThroughClamp(const float* dy, const float* y, size_t count, float low, float high,
                  float* masked);

// sums[c] (+)= sum over rows of x[row][c].
void ColumnSums(const float* x, size_t rows, size_t columns, bool accumulate, float* sums);

// to += from, or to = from (which may be the same place).
void AddOrCopy(const float* from, size_t count, bool accumulate, float* to);
// to (+)= from * factor.
void ScaleTo(const float* from, float factor, size_t count, bool accumulate, float* to);
// to (+)= a * b.
void MultiplyTo(const float* a, const float* b, size_t count, bool accumulate, float* to);

// The instruction sets of this file, for tests.
int64_t ElementwiseTargets();

}  // namespace litesmith::gradient

#endif  // LITESMITH_KERNELS_GRADIENT_ELEMENTWISE_F32_H_
