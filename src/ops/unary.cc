// Functions of one input, element by element: ABS, CEIL, COS, ELU, EXP, FLOOR, GELU, HARD_SWISH,
// LOG, LOGICAL_NOT, NEG, ROUND, RSQRT, SIGN, SIN, SQRT, SQUARE. (RELU and its kin: rectifiers.cc.)

#include "kernels/reference/unary.h"

#include <cmath>
#include <limits>
#include <memory>
#include <numbers>

#include "kernels/reference/lookup.h"
#include "kernels/table_int16.h"
#include "ops/elementwise.h"
#include "ops/function_kernel.h"
#include "ops/gradient.h"
#include "ops/half_kernel.h"

namespace litesmith {
namespace {

using schema::TensorType_FLOAT32;
using schema::TensorType_INT16;
using schema::TensorType_INT32;
using schema::TensorType_INT64;
using schema::TensorType_INT8;
using schema::TensorType_UINT8;

absl::Status CheckQuantized(const PrepareArgs& args, std::initializer_list<TensorType> types) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  if (std::find(types.begin(), types.end(), args.in(0).type) == types.end()) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "input"));
  return CheckActivationQuant(args.out(0), "output");
}

bool IsFloat(const PrepareArgs& args) {
  return args.in(0).type == TensorType_FLOAT32 && args.out(0).type == TensorType_FLOAT32;
}

template <float (*function)(float)>
absl::StatusOr<Kernel> PrepareFloat(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareFloat<function>);
  if (!IsFloat(args)) return NoKernel(args);
  return UnaryKernel<float, float>(args, [](float x) { return function(x); });
}

float Sin(float x) { return std::sin(x); }
float Cos(float x) { return std::cos(x); }
float Ceil(float x) { return std::ceil(x); }
float Floor(float x) { return std::floor(x); }
float Square(float x) { return x * x; }
float Exp(float x) { return std::exp(x); }

// A real function by table: 256 entries for 8 bits, 513 interpolated ones for 16.
template <typename F>
absl::StatusOr<Kernel> RealFunctionKernel(const PrepareArgs& args, const F& f) {
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type == TensorType_INT16) {
    auto table = std::make_shared<Table16>();
    reference::FillTable16<float>(in.scale(), in.zero_point(), out.scale(), out.zero_point(), f,
                                  table->data());
    if (args.mode == KernelMode::kBest) {
      return UnaryRowKernel<int16_t, int16_t>(
          args, [table](const int16_t* from, size_t count, int16_t* to) {
            LookupRow16(from, count, *table, to);
          });
    }
    return UnaryKernel<int16_t, int16_t>(
        args, [table](int16_t x) { return reference::Lookup16(x, table->data()); });
  }
  const IntRange range = IntegerRange(out.type);
  return TableKernel(args, [&](int32_t x) {
    return reference::Lookup8(x, in.scale(), in.zero_point(), out.scale(), out.zero_point(),
                              range.low, range.high, f);
  });
}

// Fails for values below the zero point, where a root is not defined.
template <typename T>
Kernel NotBelowZero(Kernel kernel, const PrepareArgs& args) {
  const int32_t zero = args.in(0).zero_point();
  const int64_t count = args.in(0).elements();
  return Checked(std::move(kernel), [zero, count](const RunArgs& run) -> absl::Status {
    const T* in = run.in<T>(0);
    for (int64_t i = 0; i < count; ++i) {
      if (in[i] < zero) return Invalid("the root of a negative number is not defined");
    }
    return absl::OkStatus();
  });
}

absl::StatusOr<Kernel> PrepareAbs(const PrepareArgs& args) {
  const TensorView &in = args.in(0), &out = args.out(0);
  if (IsFloat(args)) return UnaryKernel<float, float>(args, [](float x) { return std::abs(x); });
  if (in.type == TensorType_INT32 && out.type == in.type) {
    return UnaryKernel<int32_t, int32_t>(
        args, [](int32_t x) { return x < 0 ? reference::WrappingSub(0, x) : x; });
  }
  if (in.type == TensorType_INT16 && out.type == in.type && !IsQuantized(in)) {
    return UnaryKernel<int16_t, int16_t>(
        args, [](int16_t x) { return static_cast<int16_t>(x < 0 ? -x : x); });
  }
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_INT16}));
  const IntRange range = IntegerRange(out.type);
  reference::QuantizedAbs f;
  f.in_zero_point = in.zero_point();
  f.out_zero_point = out.zero_point();
  f.rescale = in.scale() != out.scale();
  f.multiplier = QuantizeMultiplier(in.scale() / out.scale());  // in float, as TFLite
  f.low = range.low;
  f.high = range.high;
  return QuantizedUnaryKernel(args, f);
}

absl::StatusOr<Kernel> PrepareNeg(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareNeg);
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  auto negate = [](auto x) { return reference::WrappingSub(decltype(x){0}, x); };
  switch (args.in(0).type) {
    case TensorType_FLOAT32:
      return UnaryKernel<float, float>(args, [](float x) { return -x; });
    case TensorType_INT8:
      return UnaryKernel<int8_t, int8_t>(args, negate);
    case TensorType_INT16:
      return UnaryKernel<int16_t, int16_t>(args, negate);
    case TensorType_INT32:
      return UnaryKernel<int32_t, int32_t>(args, negate);
    case TensorType_INT64:
      return UnaryKernel<int64_t, int64_t>(args, negate);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareSign(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  if (IsFloat(args)) {
    return UnaryKernel<float, float>(args, [](float x) {
      if (x != x) return x;
      return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f;
    });
  }
  if (args.in(0).type != TensorType_INT32) return NoKernel(args);
  return UnaryKernel<int32_t, int32_t>(args, [](int32_t x) { return (x > 0) - (x < 0); });
}

absl::StatusOr<Kernel> PrepareSqrt(const PrepareArgs& args) {
  if (IsFloat(args)) return UnaryKernel<float, float>(args, [](float x) { return std::sqrt(x); });
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_INT16}));
  const TensorView &in = args.in(0), &out = args.out(0);
  const IntRange range = IntegerRange(out.type);
  const reference::QuantizedSqrt f{in.scale(),       out.scale(), in.zero_point(),
                                   out.zero_point(), range.low,   range.high};
  if (in.type == TensorType_INT8) return NotBelowZero<int8_t>(TableKernel(args, f), args);
  LS_ASSIGN_OR_RETURN(Kernel kernel, QuantizedUnaryKernel(args, f));
  return NotBelowZero<int16_t>(std::move(kernel), args);
}

absl::StatusOr<Kernel> PrepareRsqrt(const PrepareArgs& args) {
  if (IsFloat(args)) {
    return UnaryKernel<float, float>(args, [](float x) { return 1.0f / std::sqrt(x); });
  }
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_INT16}));
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type == TensorType_INT16) {
    const float highest = 32767.0f * out.scale();
    auto f = [highest](float x) { return x <= 0.0f ? highest : 1.0f / std::sqrt(x); };
    LS_ASSIGN_OR_RETURN(Kernel kernel, RealFunctionKernel(args, f));
    return NotBelowZero<int16_t>(std::move(kernel), args);
  }
  reference::QuantizedRsqrt f;
  f.in_zero_point = in.zero_point();
  f.out_zero_point = out.zero_point();
  f.multiplier = QuantizeMultiplier(1.0 / static_cast<double>(std::sqrt(in.scale()) * out.scale()));
  const int32_t zero = in.zero_point();
  // Entries below the zero point are never read.
  auto entry = [f, zero](int32_t x) { return x < zero ? 0 : f(x); };
  return NotBelowZero<int8_t>(TableKernel(args, entry), args);
}

absl::StatusOr<Kernel> PrepareExp(const PrepareArgs& args) {
  if (IsFloat(args)) return UnaryKernel<float, float>(args, [](float x) { return std::exp(x); });
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_INT16}));
  return RealFunctionKernel(args, Exp);
}

absl::StatusOr<Kernel> PrepareLog(const PrepareArgs& args) {
  if (IsFloat(args)) return UnaryKernel<float, float>(args, [](float x) { return std::log(x); });
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_INT16}));
  const TensorView& out = args.out(0);
  const float lowest =
      static_cast<float>(IntegerRange(out.type).low - out.zero_point()) * out.scale();
  return RealFunctionKernel(args, [lowest](float x) { return x <= 0.0f ? lowest : std::log(x); });
}

absl::StatusOr<Kernel> PrepareElu(const PrepareArgs& args) {
  if (IsFloat(args)) return UnaryKernel<float, float>(args, reference::Elu);
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8}));
  return RealFunctionKernel(args, reference::Elu);
}

absl::StatusOr<Kernel> PrepareGelu(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareGelu);
  const bool approximate = args.node.GetOptions<schema::GeluOptionsT>().approximate;
  const auto f = approximate ? reference::GeluApproximate : reference::Gelu;
  if (IsFloat(args) && args.mode == KernelMode::kBest) {
    return FunctionKernel(args, approximate ? RowFunction::kGeluApproximate : RowFunction::kGelu);
  }
  if (IsFloat(args)) return UnaryKernel<float, float>(args, f);
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_UINT8, TensorType_INT16}));
  return RealFunctionKernel(args, f);
}

absl::StatusOr<Kernel> PrepareHardSwish(const PrepareArgs& args) {
  if (IsFloat(args) && args.mode == KernelMode::kBest) {
    return FunctionKernel(args, RowFunction::kHardSwish);
  }
  if (IsFloat(args)) return UnaryKernel<float, float>(args, reference::HardSwish);
  LS_RETURN_IF_ERROR(CheckQuantized(args, {TensorType_INT8, TensorType_UINT8}));
  const TensorView &in = args.in(0), &out = args.out(0);
  const float fine_scale = (1.0f / 128.0f) * in.scale();
  const Multiplier to_out = QuantizeMultiplier(fine_scale / out.scale());
  const Multiplier to_gate = QuantizeMultiplier(fine_scale / (3.0f / 32768.0f));
  if (to_out.shift > 0) {
    return Invalid("the output scale {} is too small for the input scale {}", out.scale(),
                   in.scale());
  }
  const IntRange range = IntegerRange(out.type);
  reference::QuantizedHardSwish f;
  f.in_zero_point = in.zero_point();
  f.out_zero_point = out.zero_point();
  f.out_multiplier = reference::Multiplier16(to_out.multiplier);
  f.out_shift = -to_out.shift;
  f.gate_multiplier = reference::Multiplier16(to_gate.multiplier);
  f.gate_exponent = to_gate.shift;
  f.low = range.low;
  f.high = range.high;
  return TableKernel(args, f);
}

absl::StatusOr<Kernel> PrepareLogicalNot(const PrepareArgs& args) {
  if (args.in(0).type != schema::TensorType_BOOL || args.out(0).type != schema::TensorType_BOOL) {
    return NoKernel(args);
  }
  return UnaryKernel<uint8_t, uint8_t>(args,
                                       [](uint8_t x) { return static_cast<uint8_t>(x == 0); });
}

float GeluSlope(float x, bool approximate) {
  constexpr float kRootHalf = std::numbers::sqrt2_v<float> / 2.0f;
  if (approximate) {
    const float slope = 2.0f * kRootHalf * std::numbers::inv_sqrtpi_v<float>;
    const float t = std::tanh(slope * (x + 0.044715f * x * x * x));
    return 0.5f * (1.0f + t) +
           0.5f * x * (1.0f - t * t) * slope * (1.0f + 3.0f * 0.044715f * x * x);
  }
  const float density = kRootHalf * std::numbers::inv_sqrtpi_v<float> * std::exp(-0.5f * x * x);
  return 0.5f * (1.0f + std::erf(x * kRootHalf)) + x * density;
}

float HardSwishSlope(float x) {
  if (x <= -3.0f) return 0.0f;
  return x >= 3.0f ? 1.0f : (2.0f * x + 3.0f) / 6.0f;
}

// The slope at x, where the function's value is y. Functions of steps have none.
absl::Status Differentiate(const GradArgs& args) {
  switch (args.node.op) {
    case schema::BuiltinOperator_ABS:
      return UnaryGradient(
          args, [](float x, float) { return x > 0.0f ? 1.0f : (x < 0.0f ? -1.0f : 0.0f); });
    case schema::BuiltinOperator_COS:
      return UnaryGradient(args, [](float x, float) { return -std::sin(x); });
    case schema::BuiltinOperator_ELU:
      return UnaryGradient(args, [](float x, float y) { return x > 0.0f ? 1.0f : y + 1.0f; });
    case schema::BuiltinOperator_EXP:
      return UnaryGradient(args, [](float, float y) { return y; });
    case schema::BuiltinOperator_GELU: {
      const bool approximate = args.node.GetOptions<schema::GeluOptionsT>().approximate;
      return UnaryGradient(args,
                           [approximate](float x, float) { return GeluSlope(x, approximate); });
    }
    case schema::BuiltinOperator_HARD_SWISH:
      return UnaryGradient(args, [](float x, float) { return HardSwishSlope(x); });
    case schema::BuiltinOperator_LOG:
      return UnaryGradient(args, [](float x, float) { return 1.0f / x; });
    case schema::BuiltinOperator_NEG:
      return UnaryGradient(args, [](float, float) { return -1.0f; });
    case schema::BuiltinOperator_RSQRT:
      return UnaryGradient(args, [](float, float y) { return -0.5f * y * y * y; });
    case schema::BuiltinOperator_SIN:
      return UnaryGradient(args, [](float x, float) { return std::cos(x); });
    case schema::BuiltinOperator_SQRT:
      return UnaryGradient(args, [](float, float y) { return 0.5f / y; });
    case schema::BuiltinOperator_SQUARE:
      return UnaryGradient(args, [](float x, float) { return 2.0f * x; });
    default:
      return Unsupported("there is no gradient");
  }
}

bool HasSlope(schema::BuiltinOperator op) {
  return op != schema::BuiltinOperator_CEIL && op != schema::BuiltinOperator_FLOOR &&
         op != schema::BuiltinOperator_ROUND && op != schema::BuiltinOperator_SIGN &&
         op != schema::BuiltinOperator_LOGICAL_NOT;
}

int VersionOne(const VersionArgs&) { return 1; }

int AbsVersion(const VersionArgs& args) {
  if (args.in(0) == TensorType_INT32) return 5;
  if (args.in(0) == TensorType_INT16 && !IsQuantized(args.inputs[0])) return 4;
  return VersionTwoWhenQuantized(args);
}

int SignVersion(const VersionArgs& args) { return args.in(0) == TensorType_INT32 ? 2 : 1; }

int GeluVersion(const VersionArgs& args) {
  return args.in(0) == TensorType_UINT8 ? 2 : VersionTwoWhenQuantized(args);
}

struct Modes {
  bool int8 = false, int16x8 = false;
};

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, Prepare prepare,
                    VersionRule version, Modes modes) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = UnaryShape;
  record.prepare = prepare;
  record.version = version;
  record.gradient = HasSlope(op) ? Differentiate : nullptr;
  record.quant.int8 = modes.int8;
  record.quant.int16x8 = modes.int16x8;
  return record;
}

constexpr Modes kFloatOnly = {false, false};
constexpr Modes kInt8Only = {true, false};
constexpr Modes kBoth = {true, true};

}  // namespace

#define LITESMITH_UNARY(Function, op, names, ...)                                  \
  const OpRecord& Function() {                                                     \
    static const OpRecord record =                                                 \
        MakeRecord(schema::BuiltinOperator_##op, ForeignNames names, __VA_ARGS__); \
    return record;                                                                 \
  }
#define LITESMITH_NAMES(keras, tf, onnx) \
  { keras, tf, onnx }

LITESMITH_UNARY(AbsOp, ABS, LITESMITH_NAMES("", "Abs", "Abs"), PrepareAbs, AbsVersion, kBoth)
LITESMITH_UNARY(CeilOp, CEIL, LITESMITH_NAMES("", "Ceil", "Ceil"), PrepareFloat<Ceil>, VersionOne,
                kFloatOnly)
LITESMITH_UNARY(CosOp, COS, LITESMITH_NAMES("", "Cos", "Cos"), PrepareFloat<Cos>, VersionOne,
                kFloatOnly)
LITESMITH_UNARY(EluOp, ELU, LITESMITH_NAMES("elu", "Elu", "Elu"), PrepareElu, VersionOne, kInt8Only)
LITESMITH_UNARY(ExpOp, EXP, LITESMITH_NAMES("exponential", "Exp", "Exp"), PrepareExp,
                VersionTwoWhenQuantized, kBoth)
LITESMITH_UNARY(FloorOp, FLOOR, LITESMITH_NAMES("", "Floor", "Floor"), PrepareFloat<Floor>,
                VersionOne, kFloatOnly)
LITESMITH_UNARY(GeluOp, GELU, LITESMITH_NAMES("gelu", "Gelu", "Gelu"), PrepareGelu, GeluVersion,
                kBoth)
LITESMITH_UNARY(HardSwishOp, HARD_SWISH, LITESMITH_NAMES("hard_silu", "", "HardSwish"),
                PrepareHardSwish, VersionOne, kInt8Only)
LITESMITH_UNARY(LogOp, LOG, LITESMITH_NAMES("", "Log", "Log"), PrepareLog, VersionTwoWhenQuantized,
                kBoth)
LITESMITH_UNARY(LogicalNotOp, LOGICAL_NOT, LITESMITH_NAMES("", "LogicalNot", "Not"),
                PrepareLogicalNot, VersionOne, kFloatOnly)
LITESMITH_UNARY(NegOp, NEG, LITESMITH_NAMES("", "Neg", "Neg"), PrepareNeg, VersionOne, kFloatOnly)
LITESMITH_UNARY(RoundOp, ROUND, LITESMITH_NAMES("", "Round", "Round"),
                PrepareFloat<reference::RoundToEven>, VersionOne, kFloatOnly)
LITESMITH_UNARY(RsqrtOp, RSQRT, LITESMITH_NAMES("", "Rsqrt", ""), PrepareRsqrt,
                VersionTwoWhenQuantized, kBoth)
LITESMITH_UNARY(SignOp, SIGN, LITESMITH_NAMES("", "Sign", "Sign"), PrepareSign, SignVersion,
                kFloatOnly)
LITESMITH_UNARY(SinOp, SIN, LITESMITH_NAMES("", "Sin", "Sin"), PrepareFloat<Sin>, VersionOne,
                kFloatOnly)
LITESMITH_UNARY(SqrtOp, SQRT, LITESMITH_NAMES("", "Sqrt", "Sqrt"), PrepareSqrt,
                VersionTwoWhenQuantized, kBoth)
LITESMITH_UNARY(SquareOp, SQUARE, LITESMITH_NAMES("", "Square", ""), PrepareFloat<Square>,
                VersionOne, kFloatOnly)

#undef LITESMITH_NAMES
#undef LITESMITH_UNARY

}  // namespace litesmith
