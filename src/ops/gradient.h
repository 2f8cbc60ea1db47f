#ifndef LITESMITH_OPS_GRADIENT_H_
#define LITESMITH_OPS_GRADIENT_H_

// What the gradients of the operator records share.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/reference/broadcast.h"
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

// Gradient of an operator that only moves, repeats or leaves out elements of its one float input:
// its own kernel is run on the elements' numbers, and what it makes of them says where each
// gradient goes back to. FIXED: every other input is constant, so this is done once.
absl::Status MoveGradient(const GradArgs& args, bool fixed);
inline absl::Status FixedMoveGradient(const GradArgs& args) { return MoveGradient(args, true); }
inline absl::Status IndexedMoveGradient(const GradArgs& args) { return MoveGradient(args, false); }

// The operator's forward arguments.
PrepareArgs AsPrepareArgs(const GradArgs& args);

// a and b broadcast to y = f(a, b): da (+)= dy * fa(a, b), summed over what a was broadcast to;
// likewise db with fb. `dy` is the gradient before a fused activation.
template <typename Fa, typename Fb>
absl::Status BroadcastGradient(const GradArgs& args, const float* dy, const Fa& fa, const Fb& fb) {
  const TensorView &a = args.inputs[0], &b = args.inputs[1], &out = args.outputs[0];
  reference::LoopNest<2> nest;
  if (!reference::MakeLoopNest<2>(out.shape.data(), out.rank(), {a.shape.data(), b.shape.data()},
                                  {a.rank(), b.rank()}, &nest)) {
    return Unsupported("the shapes have too many dimensions");
  }
  const auto* x = a.As<float>();
  const auto* y = b.As<float>();
  float *da = args.in_grads[0], *db = args.in_grads[1];
  if (da != nullptr && args.first[0]) std::fill_n(da, a.elements(), 0.0f);
  if (db != nullptr && args.first[1]) std::fill_n(db, b.elements(), 0.0f);
  const int64_t a_step = nest.stride[0][0], b_step = nest.stride[1][0];
  reference::ForEachRow<2>(nest, 0, nest.units(),
                           [&](const int64_t(&at)[2], int64_t from, int64_t count) {
                             for (int64_t i = 0; i < count; ++i) {
                               const int64_t p = at[0] + i * a_step, q = at[1] + i * b_step;
                               const float g = dy[from + i];
                               if (da != nullptr) da[p] += g * fa(x[p], y[q]);
                               if (db != nullptr) db[q] += g * fb(x[p], y[q]);
                             }
                           });
  return absl::OkStatus();
}

// dx (+)= a box of dy: the transpose of a copy from x to y, element (i0, i1 ...) of the box being
// dy[dy_offset + sum i * dy_stride] and dx[dx_offset + sum i * dx_stride]. Zeroes dx first where it
// must.
absl::Status AddBox(const GradArgs& args, std::span<const int64_t> size,
                    std::span<const int64_t> dy_stride, std::span<const int64_t> dx_stride,
                    int64_t dy_offset, int64_t dx_offset);

}  // namespace litesmith

#endif  // LITESMITH_OPS_GRADIENT_H_
