// Functions of two inputs, element by element and broadcast: ADD_N, BITWISE_XOR, DIV, FLOOR_DIV,
// FLOOR_MOD, LOGICAL_AND, LOGICAL_OR, MAXIMUM, MINIMUM, POW, RIGHT_SHIFT, SQUARED_DIFFERENCE. (ADD,
// SUB and MUL: arithmetic.cc.)

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/gradient/elementwise_f32.h"
#include "kernels/reference/quotient.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/half_kernel.h"

namespace litesmith {
namespace {

using schema::TensorType_BOOL;
using schema::TensorType_FLOAT32;
using schema::TensorType_INT16;
using schema::TensorType_INT32;
using schema::TensorType_INT64;
using schema::TensorType_INT8;
using schema::TensorType_UINT8;

absl::Status CheckOneType(const PrepareArgs& args) {
  const bool one = args.in(0).type == args.in(1).type && args.in(0).type == args.out(0).type;
  return one ? absl::OkStatus() : NoKernel(args);
}

absl::Status CheckAllQuantized(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "input 0"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(1), "input 1"));
  return CheckActivationQuant(args.out(0), "output");
}

// Fails where the second input holds `value` (division).
template <typename T>
absl::StatusOr<Kernel> WithoutDivisor(absl::StatusOr<Kernel> kernel, const PrepareArgs& args,
                                      T value) {
  if (!kernel.ok()) return kernel;
  const int64_t count = args.in(1).elements();
  return Checked(std::move(kernel).value(), [count, value](const RunArgs& run) -> absl::Status {
    const T* divisors = run.in<T>(1);
    for (int64_t i = 0; i < count; ++i) {
      if (divisors[i] == value) return Invalid("division by zero");
    }
    return absl::OkStatus();
  });
}

template <typename T>
absl::StatusOr<Kernel> QuantizedDiv(const PrepareArgs& args,
                                    schema::ActivationFunctionType activation) {
  LS_RETURN_IF_ERROR(CheckAllQuantized(args));
  LS_ASSIGN_OR_RETURN(const IntRange range, QuantizedActivationRange(activation, args.out(0)));
  const TensorView &a = args.in(0), &b = args.in(1), &out = args.out(0);
  reference::QuantizedQuotient f;
  f.a_offset = -a.zero_point();
  f.b_offset = -b.zero_point();
  f.out_offset = out.zero_point();
  f.out = QuantizeMultiplier(a.scale() / (b.scale() * out.scale()));  // in float, as TFLite
  f.low = range.low;
  f.high = range.high;
  return WithoutDivisor<T>(BinaryKernel<T, T>(args, f), args, static_cast<T>(b.zero_point()));
}

absl::StatusOr<Kernel> PrepareDiv(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  const auto activation = args.node.GetOptions<schema::DivOptionsT>().fused_activation_function;
  LS_ASSIGN_OR_RETURN(const FloatRange range, ActivationRange(activation));
  switch (args.in(0).type) {
    case TensorType_FLOAT32: {
      constexpr float kMost = std::numeric_limits<float>::max();
      const float low = std::max(range.low, -kMost), high = std::min(range.high, kMost);
      return BinaryKernel<float, float>(
          args, [low, high](float a, float b) { return reference::Clamp(a / b, low, high); });
    }
    case TensorType_INT32: {
      constexpr int32_t kLeast = std::numeric_limits<int32_t>::min();
      constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
      const int32_t low = std::isinf(range.low) ? kLeast : static_cast<int32_t>(range.low);
      const int32_t high = std::isinf(range.high) ? kMost : static_cast<int32_t>(range.high);
      auto f = [low, high](int32_t a, int32_t b) {
        return reference::Clamp(reference::Quotient(a, b), low, high);
      };
      return WithoutDivisor<int32_t>(BinaryKernel<int32_t, int32_t>(args, f), args, 0);
    }
    case TensorType_INT8:
      return QuantizedDiv<int8_t>(args, activation);
    case TensorType_UINT8:
      return QuantizedDiv<uint8_t>(args, activation);
    case TensorType_INT16:
      return QuantizedDiv<int16_t>(args, activation);
    default:
      return NoKernel(args);
  }
}

template <typename T>
absl::StatusOr<Kernel> FloorDivKernel(const PrepareArgs& args) {
  return WithoutDivisor<T>(BinaryKernel<T, T>(args, &reference::FloorQuotient<T>), args, T{0});
}

absl::StatusOr<Kernel> PrepareFloorDiv(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  switch (args.in(0).type) {
    case TensorType_FLOAT32:
      return FloorDivKernel<float>(args);
    case TensorType_INT8:
      return FloorDivKernel<int8_t>(args);
    case TensorType_INT16:
      return FloorDivKernel<int16_t>(args);
    case TensorType_INT32:
      return FloorDivKernel<int32_t>(args);
    default:
      return NoKernel(args);
  }
}

template <typename T>
absl::StatusOr<Kernel> FloorModKernel(const PrepareArgs& args) {
  return WithoutDivisor<T>(BinaryKernel<T, T>(args, &reference::FloorRemainder<T>), args, T{0});
}

absl::StatusOr<Kernel> PrepareFloorMod(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  switch (args.in(0).type) {
    case TensorType_FLOAT32:
      return BinaryKernel<float, float>(args, &reference::FloorRemainder<float>);
    case TensorType_INT8:
      return FloorModKernel<int8_t>(args);
    case TensorType_INT16:
      return FloorModKernel<int16_t>(args);
    case TensorType_INT32:
      return FloorModKernel<int32_t>(args);
    case TensorType_INT64:
      return FloorModKernel<int64_t>(args);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> QuantizedSquaredDifference(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckAllQuantized(args));
  const TensorView &a = args.in(0), &b = args.in(1), &out = args.out(0);
  reference::QuantizedSquaredDifference f;
  f.a_offset = -a.zero_point();
  f.b_offset = -b.zero_point();
  f.out_offset = out.zero_point();
  const double twice_larger = 2.0 * static_cast<double>(std::max(a.scale(), b.scale()));
  f.a = QuantizeMultiplier(static_cast<double>(a.scale()) / twice_larger);
  f.b = QuantizeMultiplier(static_cast<double>(b.scale()) / twice_larger);
  constexpr float kUnit = 1 << (2 * reference::QuantizedSquaredDifference::kLeftShift);
  f.out =
      QuantizeMultiplier(twice_larger * twice_larger / static_cast<double>(kUnit * out.scale()));
  return BinaryKernel<int8_t, int8_t>(args, f);
}

absl::StatusOr<Kernel> PrepareSquaredDifference(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  auto f = [](auto a, auto b) {
    const auto difference = reference::WrappingSub(a, b);
    return reference::WrappingMul(difference, difference);
  };
  switch (args.in(0).type) {
    case TensorType_FLOAT32:
      return BinaryKernel<float, float>(args, f);
    case TensorType_INT32:
      return BinaryKernel<int32_t, int32_t>(args, f);
    case TensorType_INT8:
      return QuantizedSquaredDifference(args);
    default:
      return NoKernel(args);
  }
}

// TFLite takes a broadcast exponent that is whole, or nearly so, as whole.
float FloatPower(float x, float exponent, bool broadcast_scalar) {
  if (broadcast_scalar && exponent < 1e9f) {
    const float whole = std::round(exponent);
    if (whole >= 1.0f && std::abs(exponent - whole) < 1e-5f) {
      return reference::WholePower(x, static_cast<int32_t>(whole));
    }
  }
  return std::pow(x, exponent);
}

absl::StatusOr<Kernel> PreparePow(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  const bool scalar = args.in(1).elements() == 1 && args.in(0).shape != args.in(1).shape;
  if (args.in(0).type == TensorType_FLOAT32) {
    return BinaryKernel<float, float>(
        args, [scalar](float x, float exponent) { return FloatPower(x, exponent, scalar); });
  }
  if (args.in(0).type != TensorType_INT32) return NoKernel(args);
  // As TFLite: by multiplication where one exponent is broadcast, else in double.
  auto f = [scalar](int32_t x, int32_t exponent) {
    if (scalar && exponent >= 1) return reference::WholePower(x, exponent);
    return TruncateToInt32(std::pow(static_cast<double>(x), static_cast<double>(exponent)));
  };
  LS_ASSIGN_OR_RETURN(Kernel kernel, (BinaryKernel<int32_t, int32_t>(args, f)));
  const int64_t count = args.in(1).elements();
  return Checked(std::move(kernel), [count](const RunArgs& run) -> absl::Status {
    const auto* exponents = run.in<int32_t>(1);
    for (int64_t i = 0; i < count; ++i) {
      if (exponents[i] < 0) return Invalid("an integer to the power of {}", exponents[i]);
    }
    return absl::OkStatus();
  });
}

// MAXIMUM and MINIMUM compare the stored numbers: equal scales are the quantizer's concern.
template <bool maximum>
absl::StatusOr<Kernel> PrepareExtremum(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareExtremum<maximum>);
  LS_RETURN_IF_ERROR(CheckOneType(args));
  auto f = [](auto a, auto b) {
    if constexpr (maximum) return a > b ? a : b;
    return a < b ? a : b;
  };
  switch (args.in(0).type) {
    case TensorType_FLOAT32:
      return BinaryKernel<float, float>(args, f);
    case TensorType_INT8:
      return BinaryKernel<int8_t, int8_t>(args, f);
    case TensorType_UINT8:
      return BinaryKernel<uint8_t, uint8_t>(args, f);
    case TensorType_INT16:
      return BinaryKernel<int16_t, int16_t>(args, f);
    case TensorType_INT32:
      return BinaryKernel<int32_t, int32_t>(args, f);
    case TensorType_INT64:
      return BinaryKernel<int64_t, int64_t>(args, f);
    default:
      return NoKernel(args);
  }
}

template <bool both>
absl::StatusOr<Kernel> PrepareLogical(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  if (args.in(0).type != TensorType_BOOL) return NoKernel(args);
  return BinaryKernel<uint8_t, uint8_t>(args, [](uint8_t a, uint8_t b) {
    return static_cast<uint8_t>(both ? a != 0 && b != 0 : a != 0 || b != 0);
  });
}

absl::StatusOr<Kernel> PrepareXor(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  auto f = [](auto a, auto b) { return static_cast<decltype(a)>(a ^ b); };
  switch (args.in(0).type) {
    case TensorType_INT8:
    case TensorType_UINT8:
      return BinaryKernel<uint8_t, uint8_t>(args, f);
    case TensorType_INT16:
    case schema::TensorType_UINT16:
      return BinaryKernel<uint16_t, uint16_t>(args, f);
    case TensorType_INT32:
    case schema::TensorType_UINT32:
      return BinaryKernel<uint32_t, uint32_t>(args, f);
    default:
      return NoKernel(args);
  }
}

template <typename T>
absl::StatusOr<Kernel> ShiftKernel(const PrepareArgs& args) {
  // The amount is held within [0, bits).
  return BinaryKernel<T, T>(args, [](T x, T by) {
    constexpr T kMost = static_cast<T>(sizeof(T) * 8 - 1);
    return static_cast<T>(x >> reference::Clamp(by, T{0}, kMost));
  });
}

absl::StatusOr<Kernel> PrepareRightShift(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckOneType(args));
  switch (args.in(0).type) {
    case TensorType_INT8:
      return ShiftKernel<int8_t>(args);
    case TensorType_UINT8:
      return ShiftKernel<uint8_t>(args);
    case TensorType_INT16:
      return ShiftKernel<int16_t>(args);
    case schema::TensorType_UINT16:
      return ShiftKernel<uint16_t>(args);
    case TensorType_INT32:
      return ShiftKernel<int32_t>(args);
    case schema::TensorType_UINT32:
      return ShiftKernel<uint32_t>(args);
    default:
      return NoKernel(args);
  }
}

absl::Status AddNShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 1 << 16, 1));
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (!args.has(i)) return Invalid("input {} is missing", i);
    if (args.in(i).shape != args.in(0).shape) {
      return Invalid("input {} has shape {}, input 0 has {}", i, ShapeString(args.in(i).shape),
                     ShapeString(args.in(0).shape));
    }
  }
  *outputs = {args.in(0).shape};
  return absl::OkStatus();
}

template <typename T>
Kernel AddNKernel(const PrepareArgs& args) {
  Kernel kernel;
  kernel.name = KernelName(args);
  const int64_t count = args.out(0).elements();
  kernel.run = [count](const RunArgs& run) {
    T* out = run.out<T>(0);
    for (int64_t i = 0; i < count; ++i) {
      T sum = 0;
      for (size_t k = 0; k < run.inputs.size(); ++k)
        sum = reference::WrappingAdd(sum, run.in<T>(k)[i]);
      out[i] = sum;
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareAddN(const PrepareArgs& args) {
  for (const TensorView& in : args.inputs) {
    if (in.type != args.out(0).type) return NoKernel(args);
  }
  if (args.out(0).type == TensorType_FLOAT32) return AddNKernel<float>(args);
  if (args.out(0).type == TensorType_INT32) return AddNKernel<int32_t>(args);
  return NoKernel(args);
}

absl::Status DivGradient(const GradArgs& args) {
  auto* masked = reinterpret_cast<float*>(
      GradScratch(args, static_cast<size_t>(args.outputs[0].elements()) * sizeof(float)));
  LS_ASSIGN_OR_RETURN(
      const float* dy,
      BeforeActivation(args, args.node.GetOptions<schema::DivOptionsT>().fused_activation_function,
                       masked));
  return BroadcastGradient(
      args, dy, [](float, float b) { return 1.0f / b; },
      [](float a, float b) { return -a / (b * b); });
}

absl::Status SquaredDifferenceGradient(const GradArgs& args) {
  return BroadcastGradient(
      args, args.out_grads[0], [](float a, float b) { return 2.0f * (a - b); },
      [](float a, float b) { return 2.0f * (b - a); });
}

// The exponent's gradient counts where the logarithm exists.
absl::Status PowGradient(const GradArgs& args) {
  return BroadcastGradient(
      args, args.out_grads[0],
      [](float a, float b) { return b == 0.0f ? 0.0f : b * std::pow(a, b - 1.0f); },
      [](float a, float b) { return a > 0.0f ? std::pow(a, b) * std::log(a) : 0.0f; });
}

// Equal inputs: the first one's, as TensorFlow has it.
template <bool maximum>
absl::Status ExtremumGradient(const GradArgs& args) {
  const auto first = [](float a, float b) { return (maximum ? a >= b : a <= b) ? 1.0f : 0.0f; };
  return BroadcastGradient(args, args.out_grads[0], first,
                           [first](float a, float b) { return 1.0f - first(a, b); });
}

absl::Status AddNGradient(const GradArgs& args) {
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (args.in_grads[i] == nullptr) continue;
    gradient::AddOrCopy(args.out_grads[0], static_cast<size_t>(args.outputs[0].elements()),
                        !args.first[i], args.in_grads[i]);
  }
  return absl::OkStatus();
}

bool WideBroadcast(const VersionArgs& args) {
  return args.inputs[0].shape != args.inputs[1].shape &&
         std::max(args.inputs[0].rank(), args.inputs[1].rank()) > 4;
}

int VersionOne(const VersionArgs&) { return 1; }
int DivVersion(const VersionArgs& args) { return WideBroadcast(args) ? 2 : 1; }
int ExtremumVersion(const VersionArgs& args) {
  return WideBroadcast(args) ? 3 : VersionTwoWhenQuantized(args);
}
int FloorDivVersion(const VersionArgs& args) {
  const TensorType type = args.in(0);
  if (type == TensorType_INT8 || type == TensorType_INT16) return 3;
  return type == TensorType_FLOAT32 ? 2 : 1;
}

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, Prepare prepare,
                    VersionRule version) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = BinaryShape;
  record.prepare = prepare;
  record.version = version;
  return record;
}

OpRecord ExtremumRecord(schema::BuiltinOperator op, ForeignNames names, Prepare prepare,
                        Gradient gradient) {
  OpRecord record = MakeRecord(op, names, prepare, ExtremumVersion);
  record.quant.int8 = true;
  record.quant.int16x8 = true;
  record.quant.inputs_like_output = true;
  record.gradient = gradient;
  return record;
}

}  // namespace

const OpRecord& AddNOp() {
  static const OpRecord record = [] {
    OpRecord r =
        MakeRecord(schema::BuiltinOperator_ADD_N, {"", "AddN", "Sum"}, PrepareAddN, VersionOne);
    r.infer_shapes = AddNShape;
    r.gradient = AddNGradient;
    return r;
  }();
  return record;
}

const OpRecord& BitwiseXorOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_BITWISE_XOR, {"", "BitwiseXor", "BitwiseXor"}, PrepareXor,
                 VersionOne);
  return record;
}

const OpRecord& DivOp() {
  static const OpRecord record = [] {
    OpRecord r =
        MakeRecord(schema::BuiltinOperator_DIV, {"", "RealDiv", "Div"}, PrepareDiv, DivVersion);
    r.gradient = DivGradient;
    r.quant.int8 = true;
    r.quant.int16x8 = true;
    return r;
  }();
  return record;
}

const OpRecord& FloorDivOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_FLOOR_DIV, {"", "FloorDiv", ""},
                                            PrepareFloorDiv, FloorDivVersion);
  return record;
}

const OpRecord& FloorModOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_FLOOR_MOD, {"", "FloorMod", "Mod"}, PrepareFloorMod,
                 VersionTwoWhenQuantized);
  return record;
}

const OpRecord& LogicalAndOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_LOGICAL_AND, {"", "LogicalAnd", "And"},
                 PrepareLogical<true>, VersionOne);
  return record;
}

const OpRecord& LogicalOrOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_LOGICAL_OR, {"", "LogicalOr", "Or"}, PrepareLogical<false>,
                 VersionOne);
  return record;
}

const OpRecord& MaximumOp() {
  static const OpRecord record =
      ExtremumRecord(schema::BuiltinOperator_MAXIMUM, {"Maximum", "Maximum", "Max"},
                     PrepareExtremum<true>, ExtremumGradient<true>);
  return record;
}

const OpRecord& MinimumOp() {
  static const OpRecord record =
      ExtremumRecord(schema::BuiltinOperator_MINIMUM, {"Minimum", "Minimum", "Min"},
                     PrepareExtremum<false>, ExtremumGradient<false>);
  return record;
}

const OpRecord& PowOp() {
  static const OpRecord record = WithGradient(
      MakeRecord(schema::BuiltinOperator_POW, {"", "Pow", "Pow"}, PreparePow, VersionOne),
      PowGradient);
  return record;
}

const OpRecord& RightShiftOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_RIGHT_SHIFT,
                                            {"", "RightShift", ""}, PrepareRightShift, VersionOne);
  return record;
}

const OpRecord& SquaredDifferenceOp() {
  static const OpRecord record = [] {
    OpRecord r =
        MakeRecord(schema::BuiltinOperator_SQUARED_DIFFERENCE, {"", "SquaredDifference", ""},
                   PrepareSquaredDifference, VersionTwoWhenQuantized);
    r.gradient = SquaredDifferenceGradient;
    r.quant.int8 = true;
    return r;
  }();
  return record;
}

}  // namespace litesmith
