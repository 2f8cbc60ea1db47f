// TRANSPOSE, REVERSE_V2, TILE and BROADCAST_TO: one copy with other strides.

#include "kernels/transpose.h"

#include <algorithm>
#include <functional>
#include <optional>

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

// A copy whose innermost loop walks the input in steps, and another one element by element: that
// many matrices to be turned.
struct Turn {
  reference::CopyPlan plan;
  int columns = 0;  // the other loop

  // In pieces along the longer side.
  static constexpr int64_t kPiece = 256;
  bool by_rows() const { return plan.size[0] >= plan.size[columns]; }
  int64_t length() const { return plan.size[by_rows() ? 0 : columns]; }
  int64_t pieces() const { return (length() + kPiece - 1) / kPiece; }
  int64_t matrices() const { return plan.count / (plan.size[0] * plan.size[columns]); }

  void Run(int64_t unit, const std::byte* from, std::byte* to) const {
    from += plan.from_offset;
    to += plan.to_offset;
    int64_t matrix = unit / pieces();
    for (int d = 1; d < plan.loops; ++d) {
      if (d == columns) continue;
      from += matrix % plan.size[d] * plan.from_stride[d];
      to += matrix % plan.size[d] * plan.to_stride[d];
      matrix /= plan.size[d];
    }
    TransposeMatrix m;
    m.from_row = plan.from_stride[0];
    m.to_row = plan.to_stride[columns];
    m.rows = static_cast<size_t>(plan.size[0]);
    m.columns = static_cast<size_t>(plan.size[columns]);
    const int64_t begin = unit % pieces() * kPiece;
    const auto count = static_cast<size_t>(std::min(kPiece, length() - begin));
    m.from = from + begin * (by_rows() ? m.from_row : plan.run);
    m.to = to + begin * (by_rows() ? plan.run : m.to_row);
    (by_rows() ? m.rows : m.columns) = count;
    Transpose(m, static_cast<size_t>(plan.run));
  }
};

std::optional<Turn> FindTurn(const reference::CopyPlan& plan) {
  const bool element = plan.run == 1 || plan.run == 2 || plan.run == 4 || plan.run == 8;
  if (!element || plan.count == 0 || plan.loops < 2 || plan.to_stride[0] != plan.run) {
    return std::nullopt;
  }
  for (int d = 1; d < plan.loops; ++d) {
    if (plan.from_stride[d] == plan.run) return Turn{plan, d};
  }
  return std::nullopt;
}

Kernel TurnKernel(const PrepareArgs& args, const Turn& turn) {
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [turn](const RunArgs& run) {
    const auto body = [&](size_t begin, size_t end) {
      for (size_t unit = begin; unit < end; ++unit) {
        turn.Run(static_cast<int64_t>(unit), run.in<std::byte>(0), run.out<std::byte>(0));
      }
    };
    const auto units = static_cast<size_t>(turn.matrices() * turn.pieces());
    const auto elements = static_cast<size_t>(turn.plan.count) / units;
    ParallelFor(run.threads, units, kElementGrain / std::max<size_t>(1, elements) + 1,
                std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
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
  if (args.mode == KernelMode::kBest) {
    if (const std::optional<Turn> turn = FindTurn(plan)) return TurnKernel(args, *turn);
  }
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
