// SLICE, and the operators that cut an input into several outputs: SPLIT, SPLIT_V, UNPACK.

#include <algorithm>
#include <memory>

#include "ops/movement.h"

namespace litesmith {
namespace {

constexpr size_t kMostOutputs = 1 << 16;

absl::Status CheckOutputs(const ShapeArgs& args, size_t inputs, int64_t outputs) {
  if (outputs <= 0 || outputs != static_cast<int64_t>(args.outputs.size()) ||
      args.outputs.size() > kMostOutputs) {
    return Invalid("the options speak of {} outputs, there are {}", outputs, args.outputs.size());
  }
  return CheckOperands(args, inputs, inputs, args.outputs.size());
}

// begin and size by dimension, size -1 resolved.
struct Box {
  std::vector<int64_t> begin, size;
};

template <typename Args>
absl::StatusOr<Box> SliceBox(const Args& args) {
  const Shape& in = args.in(0).shape;
  Box box;
  LS_ASSIGN_OR_RETURN(box.begin, IntegerInput(args, 1));
  LS_ASSIGN_OR_RETURN(box.size, IntegerInput(args, 2));
  if (box.begin.size() != in.size() || box.size.size() != in.size()) {
    return Invalid("begin has {} and size {} entries for {} dimensions", box.begin.size(),
                   box.size.size(), in.size());
  }
  for (size_t d = 0; d < in.size(); ++d) {
    const int64_t begin = box.begin[d];
    if (begin < 0 || begin > in[d]) {
      return Invalid("begin {} is outside of dimension {} of shape {}", begin, d, ShapeString(in));
    }
    if (box.size[d] == -1) box.size[d] = in[d] - begin;
    if (box.size[d] < 0 || box.size[d] > in[d] - begin) {
      return Invalid("{} elements from {} on are not in dimension {} of shape {}", box.size[d],
                     begin, d, ShapeString(in));
    }
  }
  return box;
}

absl::Status SliceShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  LS_ASSIGN_OR_RETURN(const Box box, SliceBox(args));
  *outputs = {Shape(box.size.begin(), box.size.end())};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareSlice(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const Box box, SliceBox(args));
  const std::vector<int64_t> from = DenseStrides(args.in(0).shape);
  int64_t offset = 0;
  for (size_t d = 0; d < from.size(); ++d) offset += box.begin[d] * from[d];
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan,
                      MakeCopy(bytes, box.size, from, DenseStrides(args.out(0).shape), offset));
  return CopyKernel(args, plan);
}

// Output i takes sizes[i] of the input's `axis`, one after the other.
absl::StatusOr<Kernel> CutKernel(const PrepareArgs& args, size_t input, int axis,
                                 const std::vector<int64_t>& sizes) {
  LS_RETURN_IF_ERROR(CheckOneType(args, args.inputs.size()));
  if (args.in(input).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args, input));
  const Shape& in = args.in(input).shape;
  const std::vector<int64_t> from = DenseStrides(in);
  auto plans = std::make_shared<std::vector<reference::CopyPlan>>();
  int64_t begin = 0;
  for (int64_t taken : sizes) {
    Shape part = in;
    part[axis] = static_cast<int32_t>(taken);
    const std::vector<int64_t> size(part.begin(), part.end());
    LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan,
                        MakeCopy(bytes, size, from, DenseStrides(part), begin * from[axis]));
    plans->push_back(plan);
    begin += taken;
  }
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [plans, input](const RunArgs& run) {
    for (size_t i = 0; i < plans->size(); ++i) {
      reference::Copy((*plans)[i], run.in<std::byte>(input), run.out<std::byte>(i));
    }
    return absl::OkStatus();
  };
  return kernel;
}

std::vector<Shape> PartShapes(const Shape& in, int axis, const std::vector<int64_t>& sizes) {
  std::vector<Shape> shapes;
  for (int64_t size : sizes) {
    shapes.push_back(in);
    shapes.back()[axis] = static_cast<int32_t>(size);
  }
  return shapes;
}

// What SPLIT and SPLIT_V agree on: where to cut.
struct Cut {
  int axis = 0;
  std::vector<int64_t> sizes;
};

template <typename Args>
absl::StatusOr<Cut> SplitCut(const Args& args) {
  Cut cut;
  LS_ASSIGN_OR_RETURN(const int64_t axis, IntegerScalarInput(args, 0));
  LS_ASSIGN_OR_RETURN(cut.axis, ResolveAxis(axis, args.in(1).rank()));
  const int32_t size = args.in(1).shape[cut.axis];
  const auto parts = static_cast<int64_t>(args.outputs.size());
  if (size % parts != 0) return Invalid("a dimension of {} cannot be cut into {}", size, parts);
  cut.sizes.assign(args.outputs.size(), size / parts);
  return cut;
}

absl::Status SplitShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(
      CheckOutputs(args, 2, args.node.GetOptions<schema::SplitOptionsT>().num_splits));
  LS_ASSIGN_OR_RETURN(const Cut cut, SplitCut(args));
  *outputs = PartShapes(args.in(1).shape, cut.axis, cut.sizes);
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareSplit(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const Cut cut, SplitCut(args));
  return CutKernel(args, 1, cut.axis, cut.sizes);
}

template <typename Args>
absl::StatusOr<Cut> SplitVCut(const Args& args) {
  Cut cut;
  LS_ASSIGN_OR_RETURN(const int64_t axis, IntegerScalarInput(args, 2));
  LS_ASSIGN_OR_RETURN(cut.axis, ResolveAxis(axis, args.in(0).rank()));
  if (args.in(1).elements() != static_cast<int64_t>(args.outputs.size())) {
    return Invalid("{} sizes do not fit {} outputs", args.in(1).elements(), args.outputs.size());
  }
  LS_ASSIGN_OR_RETURN(cut.sizes, IntegerInput(args, 1));
  int64_t rest = args.in(0).shape[cut.axis];
  int64_t* free = nullptr;
  for (int64_t& size : cut.sizes) {
    if (size == -1 && free == nullptr) {
      free = &size;
    } else if (size < 0 || size > rest) {
      return Invalid("the sizes do not fit a dimension of {}", args.in(0).shape[cut.axis]);
    } else {
      rest -= size;
    }
  }
  if (free != nullptr) {
    *free = rest;
  } else if (rest != 0) {
    return Invalid("the sizes leave {} of a dimension of {}", rest, args.in(0).shape[cut.axis]);
  }
  return cut;
}

absl::Status SplitVShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(
      CheckOutputs(args, 3, args.node.GetOptions<schema::SplitVOptionsT>().num_splits));
  LS_ASSIGN_OR_RETURN(const Cut cut, SplitVCut(args));
  *outputs = PartShapes(args.in(0).shape, cut.axis, cut.sizes);
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareSplitV(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const Cut cut, SplitVCut(args));
  return CutKernel(args, 0, cut.axis, cut.sizes);
}

absl::Status UnpackShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  const auto& options = args.node.GetOptions<schema::UnpackOptionsT>();
  LS_RETURN_IF_ERROR(CheckOutputs(args, 1, options.num));
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(options.axis, args.in(0).rank()));
  Shape out = args.in(0).shape;
  if (out[axis] != options.num) {
    return Invalid("a dimension of {} cannot be unpacked into {}", out[axis], options.num);
  }
  out.erase(out.begin() + axis);
  outputs->assign(args.outputs.size(), out);
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareUnpack(const PrepareArgs& args) {
  const auto& options = args.node.GetOptions<schema::UnpackOptionsT>();
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(options.axis, args.in(0).rank()));
  for (const TensorView& out : args.outputs) {
    if (out.scale() != args.in(0).scale() || out.zero_point() != args.in(0).zero_point()) {
      return Invalid("'{}' has another scale or zero point than the input", Printable(out.name));
    }
  }
  return CutKernel(args, 0, axis, std::vector<int64_t>(args.outputs.size(), 1));
}

int SliceVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_INT4) return 7;
  if (args.in(0) == schema::TensorType_UINT32) return 6;
  if (args.inputs[0].rank() > 4) return 5;
  if (args.in(0) == schema::TensorType_STRING) return 3;
  return VersionTwoWhenQuantized(args);
}

int SplitVersion(const VersionArgs& args) {
  const TensorType type = args.in(1);
  if (type == schema::TensorType_INT32) return 3;
  return type == schema::TensorType_INT8 || type == schema::TensorType_INT16 ? 2 : 1;
}

int UnpackVersion(const VersionArgs& args) {
  switch (args.in(0)) {
    case schema::TensorType_INT8:
    case schema::TensorType_UINT8:
      return 2;
    case schema::TensorType_BOOL:
      return 3;
    case schema::TensorType_FLOAT16:
    case schema::TensorType_BFLOAT16:
      return 5;
    default:
      return 1;
  }
}

}  // namespace

const OpRecord& SliceOp() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_SLICE, {"", "Slice", ""}, SliceShape, PrepareSlice,
                     SliceVersion, {{Role::kActivation}, {Role::kIndex}});
  return record;
}

const OpRecord& SplitOp() {
  static const OpRecord record = [] {
    OpRecord r = MovementRecord(schema::BuiltinOperator_SPLIT, {"", "Split", ""}, SplitShape,
                                PrepareSplit, SplitVersion, {{Role::kIndex}, {Role::kActivation}});
    r.quant.same_as = 1;
    return r;
  }();
  return record;
}

const OpRecord& SplitVOp() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_SPLIT_V, {"", "SplitV", "Split"}, SplitVShape,
                     PrepareSplitV, VersionTwoWhenQuantized, {{Role::kActivation}, {Role::kIndex}});
  return record;
}

const OpRecord& UnpackOp() {
  static const OpRecord record =
      MovementRecord(schema::BuiltinOperator_UNPACK, {"", "Unpack", ""}, UnpackShape, PrepareUnpack,
                     UnpackVersion, {{Role::kActivation}});
  return record;
}

}  // namespace litesmith
