// SELECT and SELECT_V2: one of two values by a condition. WHERE: the places where a condition
// holds.

#include <algorithm>
#include <cstring>

#include "ops/elementwise.h"
#include "ops/gradient.h"

namespace litesmith {
namespace {

// Where all is one element, TFLite keeps the shape that the file gives the output.
bool KeepsScalarShape(const ShapeArgs& args) {
  auto single = [](const TensorView& t) { return CheckShape(t.shape).ok() && t.elements() == 1; };
  return single(args.in(0)) && single(args.in(1)) && single(args.in(2)) && single(args.outputs[0]);
}

absl::Status SelectV2Shape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  if (KeepsScalarShape(args)) {
    *outputs = {args.outputs[0].shape};
    return absl::OkStatus();
  }
  LS_ASSIGN_OR_RETURN(const Shape values, BroadcastShapes(args.in(1).shape, args.in(2).shape));
  LS_ASSIGN_OR_RETURN(Shape shape, BroadcastShapes(args.in(0).shape, values));
  *outputs = {std::move(shape)};
  return absl::OkStatus();
}

// SELECT's condition has the values' shape, or is a scalar, or has one element for each row of the
// values.
absl::Status SelectShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  const Shape &condition = args.in(0).shape, &x = args.in(1).shape, &y = args.in(2).shape;
  const bool by_row = condition.size() == 1 && !x.empty() && condition[0] == x[0];
  const bool single =
      args.in(0).elements() == 1 && args.in(1).elements() == 1 && args.in(2).elements() == 1;
  if (!single && (x != y || (condition != x && !condition.empty() && !by_row))) {
    return Invalid("condition of shape {} does not fit values of shapes {} and {}",
                   ShapeString(condition), ShapeString(x), ShapeString(y));
  }
  *outputs = {x};
  return absl::OkStatus();
}

// The condition's shape, broadcast against the values': by row, SELECT's has as many dimensions as
// they, all but the first 1.
Shape ConditionShape(const PrepareArgs& args) {
  Shape condition = args.in(0).shape;
  const Shape& x = args.in(1).shape;
  if (args.node.op == schema::BuiltinOperator_SELECT && condition.size() == 1 && condition != x &&
      !x.empty() && condition[0] == x[0]) {
    condition.resize(x.size(), 1);
  }
  return condition;
}

absl::StatusOr<reference::LoopNest<3>> SelectNest(const PrepareArgs& args) {
  const Shape condition = ConditionShape(args);
  const Shape &x = args.in(1).shape, &y = args.in(2).shape, &out = args.out(0).shape;
  const int32_t* const shapes[3] = {condition.data(), x.data(), y.data()};
  const int ranks[3] = {static_cast<int>(condition.size()), args.in(1).rank(), args.in(2).rank()};
  reference::LoopNest<3> nest;
  if (!reference::MakeLoopNest<3>(out.data(), args.out(0).rank(), shapes, ranks, &nest)) {
    return Unsupported("the broadcast to {} needs more than {} nested loops", ShapeString(out),
                       reference::kMaxLoops);
  }
  return nest;
}

absl::Status SelectGradient(const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const reference::LoopNest<3> nest, SelectNest(AsPrepareArgs(args)));
  const auto* condition = args.inputs[0].As<uint8_t>();
  for (size_t side : {1, 2}) {
    float* to = args.in_grads[side];
    if (to != nullptr && args.first[side]) std::fill_n(to, args.inputs[side].elements(), 0.0f);
  }
  const auto row = [&](const int64_t(&at)[3], int64_t from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const size_t side = condition[at[0] + i * nest.stride[0][0]] != 0 ? 1 : 2;
      float* to = args.in_grads[side];
      if (to != nullptr) to[at[side] + i * nest.stride[side][0]] += args.out_grads[0][from + i];
    }
  };
  reference::ForEachRow<3>(nest, 0, nest.units(), row);
  return absl::OkStatus();
}

template <typename T>
absl::StatusOr<Kernel> SelectKernel(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const reference::LoopNest<3> nest, SelectNest(args));
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [nest](const RunArgs& run) {
    reference::BroadcastTernary(nest, 0, nest.units(), run.in<uint8_t>(0), run.in<T>(1),
                                run.in<T>(2), run.out<T>(0),
                                [](uint8_t c, T a, T b) { return c != 0 ? a : b; });
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareSelect(const PrepareArgs& args) {
  const TensorType type = args.out(0).type;
  if (args.in(0).type != schema::TensorType_BOOL || args.in(1).type != type ||
      args.in(2).type != type) {
    return NoKernel(args);
  }
  switch (TypeSize(type)) {
    case 1:
      return SelectKernel<uint8_t>(args);
    case 2:
      return SelectKernel<uint16_t>(args);
    case 4:
      return SelectKernel<uint32_t>(args);
    case 8:
      return SelectKernel<uint64_t>(args);
    default:
      return NoKernel(args);
  }
}

// Calls f with a value of the condition's type; false for types that are no condition.
template <typename F>
bool ForConditionType(TensorType type, const F& f) {
  switch (type) {
    case schema::TensorType_BOOL:
    case schema::TensorType_UINT8:
    case schema::TensorType_INT8:
      f(uint8_t{});
      return true;
    case schema::TensorType_INT32:
    case schema::TensorType_UINT32:
      f(uint32_t{});
      return true;
    case schema::TensorType_INT64:
      f(uint64_t{});
      return true;
    case schema::TensorType_FLOAT32:
      f(float{});
      return true;
    default:
      return false;
  }
}

absl::Status WhereShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  const TensorView& condition = args.in(0);
  if (condition.rank() == 0) return Invalid("the condition is a scalar");
  const int64_t elements = condition.elements();
  if (condition.data == nullptr && elements != 0) return NeedsValue(0);
  int64_t count = 0;
  const bool known = ForConditionType(condition.type, [&](auto zero) {
    const auto* data = condition.As<decltype(zero)>();
    for (int64_t i = 0; i < elements; ++i) count += data[i] != zero;
  });
  if (!known) return Unsupported("{} is no type of a condition", TypeName(condition.type));
  if (count > INT32_MAX) return Invalid("the condition holds in too many places");
  *outputs = {{static_cast<int32_t>(count), condition.rank()}};
  return absl::OkStatus();
}

// The output has a row for each place that the shape rule counted in the same value.
absl::StatusOr<Kernel> PrepareWhere(const PrepareArgs& args) {
  if (args.out(0).type != schema::TensorType_INT64) return NoKernel(args);
  Kernel kernel;
  kernel.name = KernelName(args);
  const Shape shape = args.in(0).shape;
  const TensorType type = args.in(0).type;
  const int64_t elements = args.in(0).elements();
  const int64_t places = args.out(0).shape[0];
  kernel.run = [=](const RunArgs& run) -> absl::Status {
    auto* out = run.out<int64_t>(0);
    int64_t found = 0;
    ForConditionType(type, [&](auto zero) {
      const auto* data = run.in<decltype(zero)>(0);
      for (int64_t i = 0; i < elements && found <= places; ++i) {
        if (data[i] == zero) continue;
        if (found++ == places) break;
        int64_t rest = i;
        for (size_t d = shape.size(); d-- > 0;) {
          out[d] = rest % shape[d];
          rest /= shape[d];
        }
        out += shape.size();
      }
    });
    if (found != places) return Internal("the condition changed after its places were counted");
    return absl::OkStatus();
  };
  return kernel;
}

int SelectVersion(const VersionArgs& args) {
  for (const TensorView& in : args.inputs) {
    if (in.rank() == 5) return 3;
  }
  return 1;
}
int VersionOne(const VersionArgs&) { return 1; }
int WhereVersion(const VersionArgs& args) { return args.in(0) == schema::TensorType_BOOL ? 1 : 2; }

OpRecord SelectRecord(schema::BuiltinOperator op, ForeignNames names, InferShapes infer_shapes,
                      VersionRule version) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = infer_shapes;
  record.prepare = PrepareSelect;
  record.version = version;
  record.quant.int8 = true;
  record.quant.int16x8 = true;
  record.gradient = SelectGradient;
  record.quant.inputs = {{Role::kIndex}, {Role::kActivation}};
  record.quant.inputs_like_output = true;
  return record;
}

}  // namespace

const OpRecord& SelectOp() {
  static const OpRecord record =
      SelectRecord(schema::BuiltinOperator_SELECT, {"", "Select", ""}, SelectShape, SelectVersion);
  return record;
}

const OpRecord& SelectV2Op() {
  static const OpRecord record = SelectRecord(schema::BuiltinOperator_SELECT_V2,
                                              {"", "SelectV2", "Where"}, SelectV2Shape, VersionOne);
  return record;
}

const OpRecord& WhereOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_WHERE;
    r.names = {"", "Where", ""};
    r.infer_shapes = WhereShape;
    r.prepare = PrepareWhere;
    r.version = WhereVersion;
    return r;
  }();
  return record;
}

}  // namespace litesmith
