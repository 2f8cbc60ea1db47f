// RESHAPE, SQUEEZE, EXPAND_DIMS: the same bytes under another shape. SHAPE and RANK: the shape as a
// value.

#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "ops/gradient.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

// `wanted` with one -1 replaced by what the elements of `input` leave for it.
absl::StatusOr<Shape> ResolveShape(const std::vector<int64_t>& wanted, const Shape& input) {
  LS_RETURN_IF_ERROR(CheckShape(input));
  Shape out;
  size_t free = wanted.size();
  int64_t non_zero = 1;  // product of the sizes that are neither 0 nor free
  bool zero = false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == -1) {
      if (free != wanted.size()) return Invalid("more than one dimension of the new shape is -1");
      free = i;
      out.push_back(1);
      continue;
    }
    LS_ASSIGN_OR_RETURN(const int32_t size, CheckedDimension(wanted[i]));
    out.push_back(size);
    zero = zero || size == 0;
    if (size != 0 && __builtin_mul_overflow(non_zero, int64_t{size}, &non_zero)) {
      return Invalid("the new shape has too many elements");
    }
  }
  if (free != wanted.size()) {
    // As TFLite: with a 0 on both sides the other dimensions decide.
    int64_t input_non_zero = 1;
    for (int32_t d : input) input_non_zero *= d == 0 ? 1 : d;
    const bool empty = NumElements(input) == 0 && !zero;
    LS_ASSIGN_OR_RETURN(out[free], CheckedDimension(empty ? 0 : input_non_zero / non_zero));
  }
  LS_RETURN_IF_ERROR(CheckShape(out));
  if (NumElements(out) != NumElements(input)) {
    return Invalid("{} elements of shape {} cannot take the shape {}", NumElements(input),
                   ShapeString(input), ShapeString(out));
  }
  return out;
}

absl::Status ReshapeShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 2, 1));
  std::vector<int64_t> wanted;
  // TFLite takes the shape from an int32 vector, else from the options.
  if (args.has(1) && args.in(1).rank() == 1 && args.in(1).type == schema::TensorType_INT32) {
    LS_ASSIGN_OR_RETURN(wanted, IntegerInput(args, 1));
  } else {
    const auto& shape = args.node.GetOptions<schema::ReshapeOptionsT>().new_shape;
    wanted.assign(shape.begin(), shape.end());
    if (wanted == std::vector<int64_t>{0}) wanted.clear();  // how old files say "scalar"
  }
  LS_ASSIGN_OR_RETURN(Shape shape, ResolveShape(wanted, args.in(0).shape));
  *outputs = {std::move(shape)};
  return absl::OkStatus();
}

absl::Status SqueezeShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  const Shape& in = args.in(0).shape;
  const auto& dims = args.node.GetOptions<schema::SqueezeOptionsT>().squeeze_dims;
  std::vector<bool> drop(in.size(), dims.empty());
  for (int32_t axis : dims) {
    LS_ASSIGN_OR_RETURN(const int resolved, ResolveAxis(axis, args.in(0).rank()));
    if (in[resolved] != 1) {
      return Invalid("dimension {} of shape {} is not 1 and cannot be squeezed", axis,
                     ShapeString(in));
    }
    drop[resolved] = true;
  }
  Shape out;
  for (size_t d = 0; d < in.size(); ++d) {
    if (!drop[d] || in[d] != 1) out.push_back(in[d]);
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::Status ExpandDimsShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const int64_t axis, IntegerScalarInput(args, 1));
  LS_ASSIGN_OR_RETURN(const int resolved, ResolveAxis(axis, args.in(0).rank() + 1));
  Shape out = args.in(0).shape;
  out.insert(out.begin() + resolved, 1);
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::Status ShapeShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  *outputs = {{static_cast<int32_t>(args.in(0).rank())}};
  return absl::OkStatus();
}

absl::Status RankShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  *outputs = {Shape{}};
  return absl::OkStatus();
}

template <typename T>
Kernel ConstantKernel(const PrepareArgs& args, const Shape& values) {
  Kernel kernel;
  kernel.name = KernelName(args);
  auto held = std::make_shared<const std::vector<T>>(values.begin(), values.end());
  kernel.run = [held](const RunArgs& run) {
    std::copy(held->begin(), held->end(), run.out<T>(0));
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareShape(const PrepareArgs& args) {
  switch (args.out(0).type) {
    case schema::TensorType_INT32:
      return ConstantKernel<int32_t>(args, args.in(0).shape);
    case schema::TensorType_INT64:
      return ConstantKernel<int64_t>(args, args.in(0).shape);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareRank(const PrepareArgs& args) {
  if (args.out(0).type != schema::TensorType_INT32) return NoKernel(args);
  return ConstantKernel<int32_t>(args, {static_cast<int32_t>(args.in(0).rank())});
}

int VersionOne(const VersionArgs&) { return 1; }

OpRecord ValueRecord(schema::BuiltinOperator op, ForeignNames names, InferShapes infer_shapes,
                     Prepare prepare) {
  OpRecord record =
      MovementRecord(op, names, infer_shapes, prepare, VersionOne, {{Role::kActivation}});
  record.quant.output = OutputRule::kIndex;
  record.shape_only = true;
  record.gradient = nullptr;
  return record;
}

}  // namespace

const OpRecord& ReshapeOp() {
  static const OpRecord record =
      WithGradient(MovementRecord(schema::BuiltinOperator_RESHAPE,
                                  {"Reshape", "Reshape", "Reshape"}, ReshapeShape, SameBytesKernel,
                                  VersionOne, {{Role::kActivation}, {Role::kIndex}}),
                   PassGradient);
  return record;
}

const OpRecord& SqueezeOp() {
  static const OpRecord record =
      WithGradient(MovementRecord(schema::BuiltinOperator_SQUEEZE, {"", "Squeeze", "Squeeze"},
                                  SqueezeShape, SameBytesKernel, VersionOne, {{Role::kActivation}}),
                   PassGradient);
  return record;
}

const OpRecord& ExpandDimsOp() {
  static const OpRecord record =
      WithGradient(MovementRecord(schema::BuiltinOperator_EXPAND_DIMS,
                                  {"", "ExpandDims", "Unsqueeze"}, ExpandDimsShape, SameBytesKernel,
                                  VersionOne, {{Role::kActivation}, {Role::kIndex}}),
                   PassGradient);
  return record;
}

const OpRecord& ShapeOp() {
  static const OpRecord record =
      ValueRecord(schema::BuiltinOperator_SHAPE, {"", "Shape", "Shape"}, ShapeShape, PrepareShape);
  return record;
}

const OpRecord& RankOp() {
  static const OpRecord record =
      ValueRecord(schema::BuiltinOperator_RANK, {"", "Rank", ""}, RankShape, PrepareRank);
  return record;
}

}  // namespace litesmith
