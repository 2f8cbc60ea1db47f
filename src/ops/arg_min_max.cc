// ARG_MAX and ARG_MIN.

#include <cmath>

#include "ops/elementwise.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

// The axis, known only where its tensor is.
absl::StatusOr<int> ReadAxis(const TensorView& input, const TensorView& axis) {
  LS_RETURN_IF_ERROR(
      CheckType(axis, "the axis", {schema::TensorType_INT32, schema::TensorType_INT64}));
  if (axis.elements() != 1) return Invalid("the axis needs 1 value, it has {}", axis.elements());
  if (axis.data == nullptr) return NeedsValue(1);
  const int64_t value =
      axis.type == schema::TensorType_INT64 ? *axis.As<int64_t>() : *axis.As<int32_t>();
  LS_ASSIGN_OR_RETURN(const int resolved, ResolveAxis(value, input.rank()));
  if (input.shape[static_cast<size_t>(resolved)] <= 0) return Invalid("axis {} is empty", value);
  return resolved;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const int axis, ReadAxis(args.in(0), args.in(1)));
  Shape out = args.in(0).shape;
  out.erase(out.begin() + axis);
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

// NaN is never the best while there is a number.
template <typename T>
bool Better(T candidate, T best, bool most) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(candidate)) return false;
    if (std::isnan(best)) return true;
  }
  return most ? candidate > best : candidate < best;
}

struct Sizes {
  size_t outer = 1, axis = 1, inner = 1;
  bool most = true;
};

template <typename T, typename Index>
Kernel IndexKernel(const Sizes& s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const T* in = args.in<T>(0);
    Index* out = args.out<Index>(0);
    for (size_t o = 0; o < s.outer; ++o) {
      for (size_t i = 0; i < s.inner; ++i) {
        const T* from = in + o * s.axis * s.inner + i;
        size_t best = 0;
        for (size_t a = 1; a < s.axis; ++a) {
          if (Better(from[a * s.inner], from[best * s.inner], s.most)) best = a;
        }
        out[o * s.inner + i] = static_cast<Index>(best);
      }
    }
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T>
absl::StatusOr<Kernel> KernelByIndex(const PrepareArgs& args, const Sizes& s) {
  if (args.out(0).type == schema::TensorType_INT32) return IndexKernel<T, int32_t>(s);
  if (args.out(0).type == schema::TensorType_INT64) return IndexKernel<T, int64_t>(s);
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, const Sizes& s) {
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      return KernelByIndex<float>(args, s);
    case schema::TensorType_INT32:
      return KernelByIndex<int32_t>(args, s);
    case schema::TensorType_INT8:
      return KernelByIndex<int8_t>(args, s);
    case schema::TensorType_UINT8:
    case schema::TensorType_BOOL:
      return KernelByIndex<uint8_t>(args, s);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareArgMinMax(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const int axis, ReadAxis(args.in(0), args.in(1)));
  Sizes s;
  s.most = args.node.op == schema::BuiltinOperator_ARG_MAX;
  const TensorType asked = s.most ? args.node.GetOptions<schema::ArgMaxOptionsT>().output_type
                                  : args.node.GetOptions<schema::ArgMinOptionsT>().output_type;
  if (asked != args.out(0).type) {
    return Invalid("output_type is {}, the output has type {}", TypeName(asked),
                   TypeName(args.out(0).type));
  }
  for (int d = 0; d < args.in(0).rank(); ++d) {
    const auto size = static_cast<size_t>(args.in(0).shape[static_cast<size_t>(d)]);
    (d < axis ? s.outer : d == axis ? s.axis : s.inner) *= size;
  }
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, s));
  kernel.name = KernelName(args);
  return kernel;
}

int Version(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_BOOL) return 3;
  return args.in(0) == schema::TensorType_INT8 ? 2 : 1;
}

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = Infer;
  record.prepare = PrepareArgMinMax;
  record.version = Version;
  record.quant.int8 = true;
  record.quant.inputs = {{Role::kActivation, -1}, {Role::kIndex, -1}};
  record.quant.output = OutputRule::kIndex;
  return record;
}

}  // namespace

const OpRecord& ArgMaxOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_ARG_MAX, {"", "ArgMax", "ArgMax"});
  return record;
}

const OpRecord& ArgMinOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_ARG_MIN, {"", "ArgMin", "ArgMin"});
  return record;
}

}  // namespace litesmith
