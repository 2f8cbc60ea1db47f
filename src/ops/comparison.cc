// EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL: to booleans, broadcast.

#include "kernels/reference/comparison.h"

#include "ops/elementwise.h"
#include "ops/half_kernel.h"

namespace litesmith {
namespace {

using schema::TensorType_INT16;
using schema::TensorType_INT8;
using schema::TensorType_UINT8;

struct Equal {
  template <typename T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct NotEqual {
  template <typename T>
  bool operator()(T a, T b) const {
    return a != b;
  }
};
struct Less {
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessEqual {
  template <typename T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct Greater {
  template <typename T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterEqual {
  template <typename T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};

template <typename T, typename Op>
absl::StatusOr<Kernel> Plain(const PrepareArgs& args) {
  return BinaryKernel<T, uint8_t>(args, [](T a, T b) { return static_cast<uint8_t>(Op()(a, b)); });
}

template <typename T, typename Op>
absl::StatusOr<Kernel> Quantized(const PrepareArgs& args) {
  const TensorView &a = args.in(0), &b = args.in(1);
  if (!IsQuantized(a) && !IsQuantized(b)) return Plain<T, Op>(args);
  LS_RETURN_IF_ERROR(CheckActivationQuant(a, "input 0"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(b, "input 1"));
  const reference::CommonScale to_a{-a.zero_point(), QuantizeMultiplier(a.scale())};
  const reference::CommonScale to_b{-b.zero_point(), QuantizeMultiplier(b.scale())};
  return BinaryKernel<T, uint8_t>(
      args, [to_a, to_b](T x, T y) { return static_cast<uint8_t>(Op()(to_a(x), to_b(y))); });
}

template <typename Op, bool equality>
absl::StatusOr<Kernel> PrepareComparison(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareComparison<Op, equality>);
  const TensorType type = args.in(0).type;
  if (args.in(1).type != type || args.out(0).type != schema::TensorType_BOOL) return NoKernel(args);
  switch (type) {
    case schema::TensorType_BOOL:
      return equality ? Plain<bool, Op>(args) : NoKernel(args);
    case schema::TensorType_FLOAT32:
      return Plain<float, Op>(args);
    case schema::TensorType_INT32:
      return Plain<int32_t, Op>(args);
    case schema::TensorType_INT64:
      return Plain<int64_t, Op>(args);
    case TensorType_INT8:
      return Quantized<int8_t, Op>(args);
    case TensorType_UINT8:
      return Quantized<uint8_t, Op>(args);
    case TensorType_INT16:
      // TFLite brings int16 to a common scale only to test for equality.
      return equality ? Quantized<int16_t, Op>(args) : Plain<int16_t, Op>(args);
    default:
      return NoKernel(args);
  }
}

int EqualVersion(const VersionArgs& args) {
  if (args.in(0) == TensorType_INT16) return 5;
  return args.in(0) == TensorType_INT8 ? 2 : 1;
}
int NotEqualVersion(const VersionArgs& args) {
  if (args.in(0) == TensorType_INT16) return 4;
  return args.in(0) == TensorType_INT8 ? 2 : 1;
}
int ThreeForInt16(const VersionArgs& args) {
  if (args.in(0) == TensorType_INT16) return 3;
  return args.in(0) == TensorType_INT8 ? 2 : 1;
}
int TwoForInt8(const VersionArgs& args) { return args.in(0) == TensorType_INT8 ? 2 : 1; }

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, Prepare prepare,
                    VersionRule version, bool int16x8) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = BinaryShape;
  record.prepare = prepare;
  record.version = version;
  record.quant.int8 = true;
  record.quant.int16x8 = int16x8;
  record.quant.output = OutputRule::kIndex;
  return record;
}

}  // namespace

const OpRecord& EqualOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_EQUAL, {"", "Equal", "Equal"},
                                            PrepareComparison<Equal, true>, EqualVersion, true);
  return record;
}

const OpRecord& NotEqualOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_NOT_EQUAL, {"", "NotEqual", ""},
                 PrepareComparison<NotEqual, true>, NotEqualVersion, true);
  return record;
}

const OpRecord& LessOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_LESS, {"", "Less", "Less"},
                                            PrepareComparison<Less, false>, ThreeForInt16, false);
  return record;
}

const OpRecord& LessEqualOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_LESS_EQUAL, {"", "LessEqual", "LessOrEqual"},
                 PrepareComparison<LessEqual, false>, TwoForInt8, false);
  return record;
}

const OpRecord& GreaterOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_GREATER, {"", "Greater", "Greater"},
                 PrepareComparison<Greater, false>, TwoForInt8, false);
  return record;
}

const OpRecord& GreaterEqualOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_GREATER_EQUAL, {"", "GreaterEqual", "GreaterOrEqual"},
                 PrepareComparison<GreaterEqual, false>, ThreeForInt16, false);
  return record;
}

}  // namespace litesmith
