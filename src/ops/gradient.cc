#include "ops/gradient.h"

#include "kernels/gradient/elementwise_f32.h"

namespace litesmith {

std::byte* GradScratch(const GradArgs& args, size_t bytes) {
  constexpr size_t kAlignment = 64;
  std::vector<std::byte>& memory = *args.scratch;
  if (memory.size() < bytes + kAlignment) memory.resize(bytes + kAlignment);
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return memory.data() + (kAlignment - address % kAlignment) % kAlignment;
}

absl::StatusOr<const float*> BeforeActivation(const GradArgs& args,
                                              schema::ActivationFunctionType activation,
                                              float* masked) {
  if (activation == schema::ActivationFunctionType_NONE) return args.out_grads[0];
  LS_ASSIGN_OR_RETURN(const FloatRange range, ActivationRange(activation));
  gradient::ThroughClamp(args.out_grads[0], args.outputs[0].As<float>(),
                         static_cast<size_t>(args.outputs[0].elements()), range.low, range.high,
                         masked);
  return static_cast<const float*>(masked);
}

absl::Status PassGradient(const GradArgs& args) {
  if (args.in_grads[0] == nullptr) return absl::OkStatus();
  gradient::AddOrCopy(args.out_grads[0], static_cast<size_t>(args.outputs[0].elements()),
                      !args.first[0], args.in_grads[0]);
  return absl::OkStatus();
}

absl::Status AddBox(const GradArgs& args, std::span<const int64_t> size,
                    std::span<const int64_t> dy_stride, std::span<const int64_t> dx_stride,
                    int64_t dy_offset, int64_t dx_offset) {
  constexpr size_t kMostDimensions = 8;
  if (size.size() > kMostDimensions)
    return Unsupported("{} dimensions have no gradient", size.size());
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  if (args.first[0]) std::fill_n(dx, args.inputs[0].elements(), 0.0f);
  int64_t count = 1;
  for (int64_t s : size) count *= s;
  if (count == 0) return absl::OkStatus();
  const float* dy = args.out_grads[0] + dy_offset;
  dx += dx_offset;
  const int last = static_cast<int>(size.size()) - 1;
  const int64_t inner = last < 0 ? 1 : size[last];
  const int64_t dy_step = last < 0 ? 0 : dy_stride[last], dx_step = last < 0 ? 0 : dx_stride[last];
  int64_t index[kMostDimensions] = {};
  for (int64_t row = 0; row < count / inner; ++row) {
    if (dy_step == 1 && dx_step == 1) {
      gradient::AddOrCopy(dy, static_cast<size_t>(inner), true, dx);
    } else {
      for (int64_t i = 0; i < inner; ++i) dx[i * dx_step] += dy[i * dy_step];
    }
    for (int d = last - 1; d >= 0; --d) {
      dy += dy_stride[d];
      dx += dx_stride[d];
      if (++index[d] < size[d]) break;
      dy -= dy_stride[d] * size[d];
      dx -= dx_stride[d] * size[d];
      index[d] = 0;
    }
  }
  return absl::OkStatus();
}

}  // namespace litesmith
