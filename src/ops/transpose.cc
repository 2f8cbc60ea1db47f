// TRANSPOSE, REVERSE_V2, TILE and BROADCAST_TO: one copy with other strides.

#include <algorithm>

#include "ops/movement.h"

namespace litesmith {
namespace {

template <typename Args>
absl::StatusOr<std::vector<int>> Permutation(const Args& args) {
  const int rank = args.in(0).rank();
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, IntegerInput(args, 1));
  if (static_cast<int>(values.size()) != rank) {
    return Invalid("a permutation of {} does not fit {} dimensions", values.size(), rank);
  }
  std::vector<int> permutation;
  std::vector<bool> seen(rank, false);
  for (int64_t value : values) {
    LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(value, rank));
    if (seen[axis]) return Invalid("dimension {} stands twice in the permutation", axis);
    seen[axis] = true;
    permutation.push_back(axis);
  }
  return permutation;
}

absl::Status TransposeShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const std::vector<int> permutation, Permutation(args));
  Shape out;
  for (int axis : permutation) out.push_back(args.in(0).shape[axis]);
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareTranspose(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const std::vector<int> permutation, Permutation(args));
  const std::vector<int64_t> strides = DenseStrides(args.in(0).shape);
  std::vector<int64_t> from;
  for (int axis : permutation) from.push_back(strides[axis]);
  const Shape& out = args.out(0).shape;
  const std::vector<int64_t> size(out.begin(), out.end());
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan,
                      MakeCopy(bytes, size, from, DenseStrides(out)));
  return CopyKernel(args, plan);
}

absl::Status ReverseShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_RETURN_IF_ERROR(IntegerInput(args, 1).status());
  *outputs = {args.in(0).shape};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareReverse(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> axes, IntegerInput(args, 1));
  const Shape& shape = args.in(0).shape;
  const std::vector<int64_t> to = DenseStrides(shape);
  std::vector<int64_t> from = to;
  int64_t offset = 0;
  for (int64_t value : axes) {
    LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(value, args.in(0).rank()));
    if (from[axis] < 0) return Invalid("dimension {} is to be reversed twice", axis);
    offset += (shape[axis] - 1) * to[axis];
    from[axis] = -to[axis];
  }
  const std::vector<int64_t> size(shape.begin(), shape.end());
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan, MakeCopy(bytes, size, from, to, offset));
  return CopyKernel(args, plan);
}

absl::Status TileShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> times, IntegerInput(args, 1));
  Shape out = args.in(0).shape;
  if (times.size() != out.size()) {
    return Invalid("{} multiples do not fit {} dimensions", times.size(), out.size());
  }
  for (size_t d = 0; d < out.size(); ++d) {
    if (times[d] < 0 || times[d] > INT32_MAX)
      return Invalid("a multiple of {} is not possible", times[d]);
    LS_ASSIGN_OR_RETURN(out[d], CheckedDimension(out[d] * times[d]));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareTile(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> times, IntegerInput(args, 1));
  const Shape& shape = args.in(0).shape;
  const std::vector<int64_t> in_stride = DenseStrides(shape);
  const std::vector<int64_t> out_stride = DenseStrides(args.out(0).shape);
  std::vector<int64_t> size, from, to;  // per dimension: the repetitions, then the input's elements
  for (size_t d = 0; d < shape.size(); ++d) {
    size.insert(size.end(), {times[d], int64_t{shape[d]}});
    from.insert(from.end(), {int64_t{0}, in_stride[d]});
    to.insert(to.end(), {out_stride[d] * shape[d], out_stride[d]});
  }
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan, MakeCopy(bytes, size, from, to));
  return CopyKernel(args, plan);
}

absl::Status BroadcastToShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> wanted, IntegerInput(args, 1));
  const Shape& in = args.in(0).shape;
  Shape out;
  for (int64_t size : wanted) {
    LS_ASSIGN_OR_RETURN(const int32_t checked, CheckedDimension(size));
    out.push_back(checked);
  }
  bool fits = in.size() <= out.size();
  for (size_t d = 0; fits && d < in.size(); ++d) {
    const int32_t size = in[in.size() - 1 - d];
    fits = size == 1 || size == out[out.size() - 1 - d];
  }
  if (!fits) {
    return Invalid("shape {} cannot be broadcast to {}", ShapeString(in), ShapeString(out));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareBroadcastTo(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  const Shape &in = args.in(0).shape, &out = args.out(0).shape;
  const std::vector<int64_t> strides = DenseStrides(in);
  std::vector<int64_t> from(out.size(), 0);
  const size_t added = out.size() - in.size();
  for (size_t d = 0; d < in.size(); ++d) from[added + d] = in[d] == 1 ? 0 : strides[d];
  const std::vector<int64_t> size(out.begin(), out.end());
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan,
                      MakeCopy(bytes, size, from, DenseStrides(out)));
  return CopyKernel(args, plan);
}

int TransposeVersion(const VersionArgs& args) {
  if (args.inputs[0].rank() > 6) return 8;
  if (args.in(0) == schema::TensorType_INT4) return 7;
  if (args.inputs[0].rank() > 5) return 6;
  if (args.inputs[0].rank() > 4) return 4;
  if (args.in(0) == schema::TensorType_BOOL) return 3;
  return VersionTwoWhenQuantized(args);
}

int VersionThreeWhenQuantized(const VersionArgs& args) {
  return VersionTwoWhenQuantized(args) == 2 ? 3 : 1;
}

int ReverseVersion(const VersionArgs& args) {
  return args.in(0) == schema::TensorType_BOOL ? 2 : VersionThreeWhenQuantized(args);
}

int BroadcastToVersion(const VersionArgs& args) {
  return VersionTwoWhenQuantized(args) == 2 ? 3 : 2;
}

const std::vector<InputRule>& ValueAndIndex() {
  static const std::vector<InputRule> rules = {{Role::kActivation}, {Role::kIndex}};
  return rules;
}

}  // namespace

const OpRecord& TransposeOp() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_TRANSPOSE, {"Permute", "Transpose", "Transpose"},
                     TransposeShape, PrepareTranspose, TransposeVersion, ValueAndIndex());
  return record;
}

const OpRecord& ReverseV2Op() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_REVERSE_V2, {"", "ReverseV2", ""}, ReverseShape,
                     PrepareReverse, ReverseVersion, ValueAndIndex());
  return record;
}

const OpRecord& TileOp() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_TILE, {"", "Tile", "Tile"}, TileShape, PrepareTile,
                     VersionThreeWhenQuantized, ValueAndIndex());
  return record;
}

const OpRecord& BroadcastToOp() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_BROADCAST_TO, {"", "BroadcastTo", "Expand"},
                     BroadcastToShape, PrepareBroadcastTo, BroadcastToVersion, ValueAndIndex());
  return record;
}

}  // namespace litesmith
