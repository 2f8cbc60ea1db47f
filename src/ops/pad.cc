// PAD and PADV2: the input surrounded by a value.

#include <array>
#include <limits>

#include "ops/gradient.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

// before and after, by dimension.
template <typename Args>
absl::StatusOr<std::vector<std::array<int64_t, 2>>> Paddings(const Args& args) {
  const int rank = args.in(0).rank();
  const Shape& shape = args.in(1).shape;
  if (shape != Shape{static_cast<int32_t>(rank), 2}) {
    return Invalid("paddings of shape {} do not fit an input of {} dimensions", ShapeString(shape),
                   rank);
  }
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, IntegerInput(args, 1));
  std::vector<std::array<int64_t, 2>> paddings(rank);
  for (int d = 0; d < rank; ++d) {
    for (int side = 0; side < 2; ++side) {
      const int64_t value = values[2 * d + side];
      if (value < 0 || value > std::numeric_limits<int32_t>::max()) {
        return Invalid("dimension {} is padded by {}", d, value);
      }
      paddings[d][side] = value;
    }
  }
  return paddings;
}

absl::Status PadShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 3, 1));
  LS_ASSIGN_OR_RETURN(const auto paddings, Paddings(args));
  Shape out = args.in(0).shape;
  for (size_t d = 0; d < out.size(); ++d) {
    LS_ASSIGN_OR_RETURN(out[d], CheckedDimension(out[d] + paddings[d][0] + paddings[d][1]));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::Status CheckPadValue(const PrepareArgs& args) {
  const TensorView& value = args.in(2);
  if (value.type != args.in(0).type) return NoKernel(args);
  if (value.elements() != 1)
    return Invalid("the value to pad with has {} elements", value.elements());
  const bool quantized = IsQuantized(args.in(0)) && value.type != schema::TensorType_INT32;
  if (quantized &&
      (value.scale() != args.out(0).scale() || value.zero_point() != args.out(0).zero_point())) {
    return Invalid("the value to pad with and the output have different scales or zero points");
  }
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PreparePad(const PrepareArgs& args) {
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type != out.type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const auto paddings, Paddings(args));
  const bool has_value = args.has(2);
  if (has_value) LS_RETURN_IF_ERROR(CheckPadValue(args));
  const std::vector<int64_t> to_stride = DenseStrides(out.shape);
  int64_t to_offset = 0;
  for (int d = 0; d < in.rank(); ++d) to_offset += paddings[d][0] * to_stride[d];
  const std::vector<int64_t> size(in.shape.begin(), in.shape.end());
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan,
                      MakeCopy(bytes, size, DenseStrides(in.shape), to_stride, 0, to_offset));
  // Real zero: the output's zero point.
  int64_t zero = 0;
  if (bytes <= 2 && IsQuantized(in) && in.type != schema::TensorType_BOOL) zero = out.zero_point();
  const int64_t elements = out.elements();
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [=](const RunArgs& run) {
    const auto* value =
        has_value ? run.in<std::byte>(2) : reinterpret_cast<const std::byte*>(&zero);
    auto* to = run.out<std::byte>(0);
    reference::Fill(value, static_cast<int64_t>(bytes), elements, to);
    reference::Copy(plan, run.in<std::byte>(0), to);
    return absl::OkStatus();
  };
  return kernel;
}

struct GradShapes {
  const GradArgs& args;
  const TensorView& in(size_t i) const { return args.inputs[i]; }
  bool has(size_t i) const { return i < args.inputs.size() && args.inputs[i].present; }
};

absl::Status PadGradient(const GradArgs& args) {
  if (args.in_grads.size() > 2 && args.in_grads[2] != nullptr) {
    return Unsupported("a value to pad with that is not constant has no gradient");
  }
  if (args.in_grads[0] == nullptr) return absl::OkStatus();
  const TensorView &in = args.inputs[0], &out = args.outputs[0];
  LS_ASSIGN_OR_RETURN(const auto paddings, Paddings(GradShapes{args}));
  const std::vector<int64_t> stride = DenseStrides(out.shape);
  int64_t offset = 0;
  for (int d = 0; d < in.rank(); ++d) offset += paddings[d][0] * stride[d];
  const std::vector<int64_t> size(in.shape.begin(), in.shape.end());
  return AddBox(args, size, stride, DenseStrides(in.shape), offset, 0);
}

int PadVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_BOOL) return 5;
  if (args.inputs[0].rank() > 4) return 4;
  return VersionTwoWhenQuantized(args);
}

}  // namespace

const OpRecord& PadOp() {
  static const OpRecord record = WithGradient(
      MovementRecord(schema::BuiltinOperator_PAD, {"ZeroPadding2D", "Pad", ""}, PadShape,
                     PreparePad, PadVersion, {{Role::kActivation}, {Role::kIndex}}),
      PadGradient);
  return record;
}

const OpRecord& PadV2Op() {
  static const OpRecord record = [] {
    OpRecord r =
        MovementRecord(schema::BuiltinOperator_PADV2, {"", "PadV2", "Pad"}, PadShape, PreparePad,
                       PadVersion, {{Role::kActivation}, {Role::kIndex}, {Role::kActivation}});
    // The value widens the range: all three share one scale.
    r.quant.output = OutputRule::kRange;
    r.quant.inputs_like_output = true;
    r.gradient = PadGradient;
    return r;
  }();
  return record;
}

}  // namespace litesmith
