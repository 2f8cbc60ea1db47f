#ifndef LITESMITH_OPS_GRADIENT_H_
#define LITESMITH_OPS_GRADIENT_H_

// What the gradients of the operator records share.

#include <cstddef>

#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// At least `bytes` of the node's scratch memory, aligned to 64. A second call may move it.
std::byte* GradScratch(const GradArgs& args, size_t bytes);

// The gradient of output 0 before the node's fused activation: the gradient itself where there is
// none, else written to `masked`, which has the output's size (0 where the activation clamped).
absl::StatusOr<const float*> BeforeActivation(const GradArgs& args,
                                              schema::ActivationFunctionType activation,
                                              float* masked);

// dx[i] (+)= dy[i] * f(x[i], y[i]): gradient of a unary function.
template <typename F>
absl::Status UnaryGradient(const GradArgs& args, const F& f) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const auto* x = args.inputs[0].As<float>();
  const auto* y = args.outputs[0].As<float>();
  const float* dy = args.out_grads[0];
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  for (size_t i = 0; i < count; ++i) {
    const float g = dy[i] * f(x[i], y[i]);
    dx[i] = args.first[0] ? g : dx[i] + g;
  }
  return absl::OkStatus();
}

// `record` with this gradient.
inline OpRecord WithGradient(OpRecord record, Gradient gradient) {
  record.gradient = gradient;
  return record;
}

// Output 0 holds input 0's values in the same order: reshapes.
absl::Status PassGradient(const GradArgs& args);

// dx (+)= a box of dy: the transpose of a copy from x to y, element (i0, i1 ...) of the box being
// dy[dy_offset + sum i * dy_stride] and dx[dx_offset + sum i * dx_stride]. Zeroes dx first where it
// must.
absl::Status AddBox(const GradArgs& args, std::span<const int64_t> size,
                    std::span<const int64_t> dy_stride, std::span<const int64_t> dx_stride,
                    int64_t dy_offset, int64_t dx_offset);

}  // namespace litesmith

#endif  // LITESMITH_OPS_GRADIENT_H_
