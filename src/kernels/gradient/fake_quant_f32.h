#ifndef LITESMITH_KERNELS_GRADIENT_FAKE_QUANT_F32_H_
#define LITESMITH_KERNELS_GRADIENT_FAKE_QUANT_F32_H_

// Quantization in float: what a value becomes when it is stored as an integer, and gradients
// through that (straight through the rounding, none where it clips), in Highway.

#include <cstddef>
#include <cstdint>

namespace litesmith::gradient {

// y = scale * r, r = x * inverse rounded half away from zero and clamped to [low, high]: integers
// less their zero point.
struct FakeQuant {
  float scale = 1.0f, inverse = 1.0f;
  float low = -128.0f, high = 127.0f;
  // Averages of integers round half away from the integer 0, not from the real one, and are often
  // halves: with `average` r + zero is rounded, and what float rounding left just below a half goes
  // up.
  bool average = false;
  float zero = 0.0f;
};

// `y` may be x.
void FakeQuantize(const FakeQuant& quant, const float* x, size_t count, float* y);

// dx (+)= dy where x lies within the limits; dx may be null, or dy (as below). Returns the sum of
// dy * (r - x / scale) within and dy * r beyond: the gradient of the scale (Esser et al. 2020,
// arXiv:1902.08153).
float FakeQuantizeGradient(const FakeQuant& quant, const float* x, const float* dy, size_t count,
                           bool accumulate, float* dx);

// dx (+)= dy where x lies within the limits, without the scale's gradient; widens [*least, *most]
// to hold all of x.
void FakeQuantizeStraight(const FakeQuant& quant, const float* x, const float* dy, size_t count,
                          bool accumulate, float* dx, float* least, float* most);

// FakeQuantizeGradient for rows of `columns` values that each have a scale of their own; limits are
// one's for all. The gradients of the scales are added to `sums` (may be null).
void FakeQuantizeColumns(const float* scales, const float* inverses, float low, float high,
                         const float* x, size_t rows, size_t columns, float* y);
void FakeQuantizeColumnsGradient(const float* inverses, float low, float high, const float* x,
                                 const float* dy, size_t rows, size_t columns, bool accumulate,
                                 float* dx, float* sums);

// Widens [*low, *high] to hold all of x.
void Extend(const float* x, size_t count, float* low, float* high);

// The instruction sets of this file, for tests.
int64_t FakeQuantTargets();

}  // namespace litesmith::gradient

#endif  // LITESMITH_KERNELS_GRADIENT_FAKE_QUANT_F32_H_
