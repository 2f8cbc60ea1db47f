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

PrepareArgs AsPrepareArgs(const GradArgs& args) {
  return {args.node, args.inputs, args.outputs, KernelMode::kReference, Arithmetic::kLitert, 1};
}

namespace {

// Element numbers as floats are exact up to here.
constexpr int64_t kMostNumbered = 1 << 24;

// Runs the node's kernel with input `data` replaced by 1, 2, 3 ...; numbers[] gets the outputs, one
// after the other.
absl::Status NumberOutputs(const GradArgs& args, size_t data, int32_t* numbers) {
  const PrepareArgs prepare = AsPrepareArgs(args);
  LS_ASSIGN_OR_RETURN(const Kernel kernel, FindOp(args.node)->prepare(prepare));
  std::vector<float> in(static_cast<size_t>(args.inputs[data].elements()));
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i + 1);
  std::vector<const void*> inputs;
  for (const TensorView& view : args.inputs) inputs.push_back(view.data);
  inputs[data] = in.data();
  std::vector<std::vector<float>> results;
  std::vector<void*> outputs;
  for (const TensorView& view : args.outputs) {
    results.emplace_back(static_cast<size_t>(view.elements()));
    outputs.push_back(results.back().data());
  }
  std::vector<std::byte> scratch(kernel.scratch_bytes + 64);
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  LS_RETURN_IF_ERROR(
      kernel.run(RunArgs{inputs, outputs, scratch.data() + (64 - address % 64) % 64, nullptr}));
  for (const std::vector<float>& result : results) {
    for (float number : result) *numbers++ = static_cast<int32_t>(number);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MoveGradient(const GradArgs& args, bool fixed) {
  size_t data = 0;
  while (data < args.inputs.size() && args.in_grads[data] == nullptr) ++data;
  if (data == args.inputs.size()) return absl::OkStatus();
  const int64_t in_elements = args.inputs[data].elements();
  int64_t out_elements = 0;
  for (const TensorView& view : args.outputs) out_elements += view.elements();
  if (std::max(in_elements, out_elements) >= kMostNumbered) {
    return Unsupported("more than 16 million elements have no gradient here: use a smaller batch");
  }
  const bool known = fixed && !args.scratch->empty();
  auto* numbers = reinterpret_cast<int32_t*>(
      GradScratch(args, static_cast<size_t>(out_elements) * sizeof(int32_t)));
  if (!known) LS_RETURN_IF_ERROR(NumberOutputs(args, data, numbers));
  float* dx = args.in_grads[data];
  if (args.first[data]) std::fill_n(dx, in_elements, 0.0f);
  for (size_t k = 0; k < args.outputs.size(); ++k) {
    const int64_t count = args.outputs[k].elements();
    const float* dy = args.out_grads[k];
    for (int64_t i = 0; i < count; ++i) {
      if (numbers[i] > 0) dx[numbers[i] - 1] += dy[i];
    }
    numbers += count;
  }
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
