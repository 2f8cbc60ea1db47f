#ifndef LITESMITH_KERNELS_GRADIENT_BATCH_NORM_F32_H_
#define LITESMITH_KERNELS_GRADIENT_BATCH_NORM_F32_H_

// Batch normalisation in training (Ioffe and Szegedy 2015, arXiv:1502.03167) over rows of
// `channels` values, in Highway. Sums have one order; results depend on the instruction set.

#include <cstddef>

namespace litesmith::gradient {

inline constexpr float kBatchNormEpsilon = 1e-5f;

// Mean and (biased) variance of each channel. REQUIRES: rows > 0.
void ChannelStatistics(const float* x, size_t rows, size_t channels, float* mean, float* variance);

// y = min(max(x * scale[c] + offset[c], low), high).
void ScaleChannels(const float* x, size_t rows, size_t channels, const float* scale,
                   const float* offset, float low, float high, float* y);

// What ScaleChannels was called with, and the channels' means.
struct BatchNormForward {
  const float *mean, *scale, *offset;
  float low, high;
};

// sum[c] = sum of g, product[c] = sum of g * (x - mean[c]), where g is dy with 0 where y was
// clamped.
void BatchNormSums(const BatchNormForward& forward, const float* x, const float* dy, size_t rows,
                   size_t channels, float* sum, float* product);

// dx (+)= a[c] * g - b[c] - c[c] * (x - mean[c]). dx may be dy.
struct BatchNormBack {
  const float *a, *b, *c;
  bool accumulate;
};
void BatchNormInput(const BatchNormForward& forward, const BatchNormBack& back, const float* x,
                    const float* dy, size_t rows, size_t channels, float* dx);

}  // namespace litesmith::gradient

#endif  // LITESMITH_KERNELS_GRADIENT_BATCH_NORM_F32_H_
