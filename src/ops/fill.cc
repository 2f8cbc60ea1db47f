// Operators that make tensors of values: FILL, ZEROS_LIKE, RANGE, ONE_HOT, and BROADCAST_ARGS,
// which computes a shape.

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/reference/arithmetic.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

using schema::TensorType_FLOAT32;
using schema::TensorType_INT32;
using schema::TensorType_INT64;

absl::Status FillShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_RETURN_IF_ERROR(CheckType(args.in(0), "the shape", {TensorType_INT32, TensorType_INT64}));
  if (args.in(0).rank() != 1) return Invalid("the shape is no vector");
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> wanted, IntegerInput(args, 0));
  Shape out;
  for (int64_t size : wanted) {
    LS_ASSIGN_OR_RETURN(const int32_t checked, CheckedDimension(size));
    out.push_back(checked);
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareFill(const PrepareArgs& args) {
  if (args.in(1).type != args.out(0).type || args.in(1).elements() != 1) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args, 1));
  const int64_t elements = args.out(0).elements();
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [bytes, elements](const RunArgs& run) {
    reference::Fill(run.in<std::byte>(1), static_cast<int64_t>(bytes), elements,
                    run.out<std::byte>(0));
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareZerosLike(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  const size_t total = bytes * static_cast<size_t>(args.out(0).elements());
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [total](const RunArgs& run) {
    if (total != 0) std::memset(run.outputs[0], 0, total);
    return absl::OkStatus();
  };
  return kernel;
}

// How many values a range has; an error where it never ends.
absl::StatusOr<int32_t> RangeSize(int64_t start, int64_t limit, int64_t delta) {
  if (delta == 0 || (delta > 0 ? start > limit : start < limit)) {
    return Invalid("a range from {} to {} by {} never ends", start, limit, delta);
  }
  const auto from = static_cast<uint64_t>(start), to = static_cast<uint64_t>(limit);
  const uint64_t distance = delta > 0 ? to - from : from - to;
  const uint64_t step = delta > 0 ? static_cast<uint64_t>(delta) : 0 - static_cast<uint64_t>(delta);
  const uint64_t count = distance / step + (distance % step != 0 ? 1 : 0);
  if (count > std::numeric_limits<int32_t>::max()) {
    return Invalid("a range from {} to {} by {} has too many values", start, limit, delta);
  }
  return static_cast<int32_t>(count);
}

absl::StatusOr<int32_t> RangeSize(float start, float limit, float delta) {
  if (!((start >= limit && delta < 0.0f) || (start <= limit && delta > 0.0f))) {
    return Invalid("a range from {} to {} by {} never ends", start, limit, delta);
  }
  const float count = std::ceil(std::abs((limit - start) / delta));
  if (!(count < 0x1.0p31f)) {
    return Invalid("a range from {} to {} by {} has too many values", start, limit, delta);
  }
  return static_cast<int32_t>(count);
}

template <typename T, typename Wide>
absl::StatusOr<int32_t> ReadRangeSize(const ShapeArgs& args) {
  return RangeSize(static_cast<Wide>(*args.in(0).As<T>()), static_cast<Wide>(*args.in(1).As<T>()),
                   static_cast<Wide>(*args.in(2).As<T>()));
}

absl::Status RangeShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  const TensorType type = args.in(0).type;
  for (size_t i = 0; i < 3; ++i) {
    if (args.in(i).elements() != 1 || args.in(i).type != type) {
      return Invalid("start, limit and delta must be single values of one type");
    }
    if (args.in(i).data == nullptr) return NeedsValue(i);
  }
  int32_t size = 0;
  if (type == TensorType_INT32) {
    LS_ASSIGN_OR_RETURN(size, (ReadRangeSize<int32_t, int64_t>(args)));
  } else if (type == TensorType_INT64) {
    LS_ASSIGN_OR_RETURN(size, (ReadRangeSize<int64_t, int64_t>(args)));
  } else if (type == TensorType_FLOAT32) {
    LS_ASSIGN_OR_RETURN(size, (ReadRangeSize<float, float>(args)));
  } else {
    return Unsupported("there is no range of {}", TypeName(type));
  }
  *outputs = {{size}};
  return absl::OkStatus();
}

template <typename T>
Kernel RangeKernel(const PrepareArgs& args) {
  const int64_t count = args.out(0).elements();
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [count](const RunArgs& run) {
    T value = *run.in<T>(0);
    const T delta = *run.in<T>(2);
    T* out = run.out<T>(0);
    for (int64_t i = 0; i < count; ++i) {  // by addition, as TFLite: floats gather its rounding
      out[i] = value;
      value = reference::WrappingAdd(value, delta);
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareRange(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  switch (args.out(0).type) {
    case TensorType_INT32:
      return RangeKernel<int32_t>(args);
    case TensorType_INT64:
      return RangeKernel<int64_t>(args);
    case TensorType_FLOAT32:
      return RangeKernel<float>(args);
    default:
      return NoKernel(args);
  }
}

template <typename Args>
absl::StatusOr<int> OneHotAxis(const Args& args) {
  const int32_t axis = args.node.template GetOptions<schema::OneHotOptionsT>().axis;
  if (axis < -1) return Invalid("axis {} is not possible", axis);
  return ResolveAxis(axis, args.in(0).rank() + 1);
}

absl::Status OneHotShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 4, 4, 1));
  LS_ASSIGN_OR_RETURN(const int axis, OneHotAxis(args));
  LS_ASSIGN_OR_RETURN(const int64_t depth, IntegerScalarInput(args, 1));
  Shape out = args.in(0).shape;
  LS_ASSIGN_OR_RETURN(const int32_t checked, CheckedDimension(depth));
  out.insert(out.begin() + axis, checked);
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

template <typename T, typename Index>
absl::StatusOr<Kernel> OneHotKernel(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const int axis, OneHotAxis(args));
  const Shape& indices = args.in(0).shape;
  const int64_t outer = Elements(indices, 0, axis);
  const int64_t inner = Elements(indices, axis, args.in(0).rank());
  const int64_t depth = args.out(0).shape[axis];
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [=](const RunArgs& run) {
    const auto* index = run.in<Index>(0);
    const T on = *run.in<T>(2), off = *run.in<T>(3);
    T* out = run.out<T>(0);
    for (int64_t i = 0; i < outer; ++i) {
      for (int64_t j = 0; j < depth; ++j) {
        for (int64_t k = 0; k < inner; ++k) *out++ = index[i * inner + k] == j ? on : off;
      }
    }
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T>
absl::StatusOr<Kernel> OneHotOf(const PrepareArgs& args) {
  if (args.in(0).type == TensorType_INT32) return OneHotKernel<T, int32_t>(args);
  if (args.in(0).type == TensorType_INT64) return OneHotKernel<T, int64_t>(args);
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareOneHot(const PrepareArgs& args) {
  for (size_t i = 2; i < 4; ++i) {
    if (args.in(i).type != args.out(0).type || args.in(i).elements() != 1) return NoKernel(args);
  }
  switch (TypeSize(args.out(0).type)) {
    case 1:
      return OneHotOf<uint8_t>(args);
    case 2:
      return OneHotOf<uint16_t>(args);
    case 4:
      return OneHotOf<uint32_t>(args);
    case 8:
      return OneHotOf<uint64_t>(args);
    default:
      return NoKernel(args);
  }
}

absl::Status BroadcastArgsShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  if (args.in(0).rank() != 1 || args.in(1).rank() != 1) return Invalid("the shapes are no vectors");
  *outputs = {{std::max(args.in(0).shape[0], args.in(1).shape[0])}};
  return absl::OkStatus();
}

template <typename T>
Kernel BroadcastArgsKernel(const PrepareArgs& args) {
  const int64_t a_rank = args.in(0).elements(), b_rank = args.in(1).elements();
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [a_rank, b_rank](const RunArgs& run) -> absl::Status {
    const int64_t rank = std::max(a_rank, b_rank);
    for (int64_t i = 1; i <= rank; ++i) {  // from the end
      const T a = i <= a_rank ? run.in<T>(0)[a_rank - i] : T{1};
      const T b = i <= b_rank ? run.in<T>(1)[b_rank - i] : T{1};
      if (a != b && a != 1 && b != 1) return Invalid("sizes {} and {} cannot be broadcast", a, b);
      run.out<T>(0)[rank - i] = a == 1 ? b : a;
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareBroadcastArgs(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  if (args.out(0).type == TensorType_INT32) return BroadcastArgsKernel<int32_t>(args);
  if (args.out(0).type == TensorType_INT64) return BroadcastArgsKernel<int64_t>(args);
  return NoKernel(args);
}

int VersionOne(const VersionArgs&) { return 1; }

int FillVersion(const VersionArgs& args) {
  switch (args.in(1)) {
    case schema::TensorType_FLOAT16:
      return 4;
    case schema::TensorType_INT8:
    case schema::TensorType_INT16:
      return 3;
    case schema::TensorType_BOOL:
    case schema::TensorType_STRING:
      return 2;
    default:
      return 1;
  }
}

int RangeVersion(const VersionArgs& args) { return args.in(0) == TensorType_INT64 ? 2 : 1; }

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, InferShapes infer_shapes,
                    Prepare prepare, VersionRule version) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = infer_shapes;
  record.prepare = prepare;
  record.version = version;
  return record;
}

}  // namespace

const OpRecord& FillOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_FILL, {"", "Fill", "ConstantOfShape"},
                            FillShape, PrepareFill, FillVersion);
    r.quant.int8 = r.quant.int16x8 = true;
    r.quant.inputs = {{Role::kIndex, -1}, {Role::kActivation, -1}};
    r.quant.output = OutputRule::kSameAsInput;
    r.quant.same_as = 1;
    return r;
  }();
  return record;
}

const OpRecord& ZerosLikeOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_ZEROS_LIKE, {"", "ZerosLike", ""}, UnaryShape,
                            PrepareZerosLike, VersionOne);
    r.shape_only = true;
    return r;
  }();
  return record;
}

const OpRecord& RangeOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_RANGE, {"", "Range", "Range"},
                                            RangeShape, PrepareRange, RangeVersion);
  return record;
}

const OpRecord& OneHotOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_ONE_HOT, {"", "OneHot", "OneHot"}, OneHotShape,
                            PrepareOneHot, VersionOne);
    r.quant.int8 = true;  // LiteRT has no int16 kernel
    r.quant.inputs = {{Role::kIndex, -1}, {Role::kIndex, -1}, {Role::kActivation, -1}};
    r.quant.inputs_like_output = true;
    return r;
  }();
  return record;
}

const OpRecord& BroadcastArgsOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_BROADCAST_ARGS, {"", "BroadcastArgs", ""},
                 BroadcastArgsShape, PrepareBroadcastArgs, VersionOne);
  return record;
}

}  // namespace litesmith
