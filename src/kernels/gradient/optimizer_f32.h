#ifndef LITESMITH_KERNELS_GRADIENT_OPTIMIZER_F32_H_
#define LITESMITH_KERNELS_GRADIENT_OPTIMIZER_F32_H_

// The parameter updates, in Highway. Every element stands alone, so any split of the range gives
// the same bits.

#include <cstddef>

namespace litesmith::gradient {

// out[i] = parts[0][i] + parts[1][i] + ..., for i in [begin, end).
void SumParts(const float* const* parts, size_t num_parts, size_t begin, size_t end, float* out);

struct AdamStep {
  float rate = 0.0f;  // with the bias corrections
  float one_minus_beta1 = 0.0f, one_minus_beta2 = 0.0f, epsilon = 0.0f;
  float shrink = 1.0f;           // AdamW: the parameter's factor
  float decay = 0.0f;            // Adam: times the parameter, added to the gradient
  float gradient_factor = 1.0f;  // clipping
};
// g, w, m, v: `count` gradients, parameters, first and second moments.
void Adam(const AdamStep& step, const float* g, size_t count, float* w, float* m, float* v);

struct SgdStep {
  float rate = 0.0f, momentum = 0.0f, decay = 0.0f, gradient_factor = 1.0f;
  bool nesterov = false;
};
void Sgd(const SgdStep& step, const float* g, size_t count, float* w, float* velocity);

}  // namespace litesmith::gradient

#endif  // LITESMITH_KERNELS_GRADIENT_OPTIMIZER_F32_H_
