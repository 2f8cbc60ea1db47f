// ADD, SUB and MUL: float32, int32, int64, plain int16 and quantized int8, uint8 and int16, with a
// fused activation; both inputs broadcast.

#include "kernels/reference/arithmetic.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <type_traits>

#include "kernels/gradient/elementwise_f32.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/half_kernel.h"

namespace litesmith {
namespace {

enum class Op { kAdd, kSub, kMul };

struct Fused {
  schema::ActivationFunctionType activation;
  bool power_of_two = false;  // pot_scale_int16
};

Fused GetFused(const Node& node, Op op) {
  if (op == Op::kMul) return {node.GetOptions<schema::MulOptionsT>().fused_activation_function};
  if (op == Op::kSub) {
    const auto& options = node.GetOptions<schema::SubOptionsT>();
    return {options.fused_activation_function, options.pot_scale_int16};
  }
  const auto& options = node.GetOptions<schema::AddOptionsT>();
  return {options.fused_activation_function, options.pot_scale_int16};
}

template <Op op, typename T>
absl::StatusOr<Kernel> Plain(const PrepareArgs& args, schema::ActivationFunctionType activation) {
  LS_ASSIGN_OR_RETURN(const FloatRange range, ActivationRange(activation));
  // TFLite's bounds are the type's largest finite values: an infinite sum becomes one of them.
  const T low =
      std::isinf(range.low) ? std::numeric_limits<T>::lowest() : static_cast<T>(range.low);
  const T high =
      std::isinf(range.high) ? std::numeric_limits<T>::max() : static_cast<T>(range.high);
  if constexpr (std::is_same_v<T, float>) {
    if (args.mode == KernelMode::kBest) {
      constexpr RowOp kOp = op == Op::kAdd   ? RowOp::kAdd
                            : op == Op::kSub ? RowOp::kSub
                                             : RowOp::kMul;
      return BinaryRowKernel<float>(
          args, [low, high](const float* a, const float* b, const RowSteps& steps, float* out) {
            FloatRow(kOp, a, b, steps, low, high, out);
          });
    }
  }
  return BinaryKernel<T, T>(args, [low, high](T a, T b) {
    if constexpr (op == Op::kAdd) return reference::Clamp(reference::WrappingAdd(a, b), low, high);
    if constexpr (op == Op::kSub) return reference::Clamp(reference::WrappingSub(a, b), low, high);
    return reference::Clamp(reference::WrappingMul(a, b), low, high);
  });
}

// The vector code where the mode asks for it and it is exact, else the reference's function.
template <typename T, typename F, typename Rows>
absl::StatusOr<Kernel> BestRows(const PrepareArgs& args, const F& f,
                                const std::optional<Rows>& rows) {
  if (args.mode != KernelMode::kBest || !rows.has_value()) return BinaryKernel<T, T>(args, f);
  return BinaryRowKernel<T>(args, [rows = *rows](const T* a, const T* b, const RowSteps& steps,
                                                 T* out) { rows.Run(a, b, steps, out); });
}

template <typename T>
absl::StatusOr<Kernel> QuantizedSumKernel(const PrepareArgs& args, IntRange range, bool subtract) {
  const TensorView &a = args.in(0), &b = args.in(1), &out = args.out(0);
  reference::QuantizedSum f;
  f.left_shift = sizeof(T) == 2 ? 15 : 20;
  f.a_offset = -a.zero_point();
  f.b_offset = -b.zero_point();
  f.out_offset = out.zero_point();
  const double twice_larger = 2.0 * static_cast<double>(std::max(a.scale(), b.scale()));
  f.a = QuantizeMultiplier(static_cast<double>(a.scale()) / twice_larger);
  f.b = QuantizeMultiplier(static_cast<double>(b.scale()) / twice_larger);
  f.out = QuantizeMultiplier(
      twice_larger / static_cast<double>(static_cast<float>(1 << f.left_shift) * out.scale()));
  f.low = range.low;
  f.high = range.high;
  f.subtract = subtract;
  return BestRows<T>(args, f, SumRow::Make<T>(f));
}

// log2 of a scale that is a power of two within float's precision of the logarithm, as TFLite
// decides it.
bool PowerOfTwoExponent(float scale, int* exponent) {
  const float log2 = std::log(scale) * (1.0f / std::log(2.0f));
  const float rounded = std::round(log2);
  *exponent = static_cast<int>(rounded);
  return std::abs(log2 - rounded) < 1e-3f;
}

absl::StatusOr<Kernel> SumInt16(const PrepareArgs& args, IntRange range, bool subtract,
                                bool power_of_two) {
  int a = 0, b = 0, out = 0;
  power_of_two = power_of_two && PowerOfTwoExponent(args.in(0).scale(), &a) &&
                 PowerOfTwoExponent(args.in(1).scale(), &b) &&
                 PowerOfTwoExponent(args.out(0).scale(), &out);
  if (!power_of_two) return QuantizedSumKernel<int16_t>(args, range, subtract);
  reference::PowerOfTwoSum f;
  f.a_shift = out - a;
  f.b_shift = out - b;
  if (std::min(f.a_shift, f.b_shift) != 0 || std::max(f.a_shift, f.b_shift) > 15) {
    return Invalid(
        "pot_scale_int16 needs an output scale equal to the larger input scale and at most "
        "2^15 times the smaller; the scales are {}, {} and {}",
        args.in(0).scale(), args.in(1).scale(), args.out(0).scale());
  }
  f.low = range.low;
  f.high = range.high;
  f.subtract = subtract;
  return BinaryKernel<int16_t, int16_t>(args, f);
}

template <typename T>
absl::StatusOr<Kernel> QuantizedProductKernel(const PrepareArgs& args, IntRange range) {
  const TensorView &a = args.in(0), &b = args.in(1), &out = args.out(0);
  reference::QuantizedProduct f;
  f.a_offset = -a.zero_point();
  f.b_offset = -b.zero_point();
  f.out_offset = out.zero_point();
  f.out = QuantizeMultiplier(a.scale() * b.scale() / out.scale());  // in float, as TFLite
  f.low = range.low;
  f.high = range.high;
  return BestRows<T>(args, f, ProductRow::Make<T>(f));
}

template <typename Out>
absl::StatusOr<Kernel> FractionProductKernel(const PrepareArgs& args, IntRange range) {
  return BinaryKernel<int16_t, Out>(
      args, reference::FractionProduct<Out>{args.out(0).zero_point(), range.low, range.high});
}

template <Op op>
absl::StatusOr<Kernel> QuantizedPrepare(const PrepareArgs& args, const Fused& fused) {
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "input 0"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(1), "input 1"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "output"));
  LS_ASSIGN_OR_RETURN(const IntRange range,
                      QuantizedActivationRange(fused.activation, args.out(0)));
  const TensorType in = args.in(0).type;
  const TensorType out = args.out(0).type;
  if constexpr (op == Op::kMul) {
    if (in == schema::TensorType_INT16 && out == schema::TensorType_INT8) {
      return FractionProductKernel<int8_t>(args, range);
    }
    if (in == schema::TensorType_INT16 && out == schema::TensorType_UINT8) {
      return FractionProductKernel<uint8_t>(args, range);
    }
    if (in != out) return NoKernel(args);
    if (in == schema::TensorType_INT8) return QuantizedProductKernel<int8_t>(args, range);
    if (in == schema::TensorType_UINT8) return QuantizedProductKernel<uint8_t>(args, range);
    return QuantizedProductKernel<int16_t>(args, range);
  } else {
    constexpr bool subtract = op == Op::kSub;
    if (in != out) return NoKernel(args);
    if (in == schema::TensorType_INT8) return QuantizedSumKernel<int8_t>(args, range, subtract);
    if (in == schema::TensorType_UINT8) return QuantizedSumKernel<uint8_t>(args, range, subtract);
    return SumInt16(args, range, subtract, fused.power_of_two);
  }
}

template <Op op>
absl::StatusOr<Kernel> PrepareArithmetic(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareArithmetic<op>);
  const Fused fused = GetFused(args.node, op);
  const TensorType type = args.in(0).type;
  if (args.in(1).type != type) return NoKernel(args);
  if (type == schema::TensorType_INT8 || type == schema::TensorType_UINT8 ||
      (type == schema::TensorType_INT16 && IsQuantized(args.out(0)))) {
    return QuantizedPrepare<op>(args, fused);
  }
  if (args.out(0).type != type) return NoKernel(args);
  switch (type) {
    case schema::TensorType_FLOAT32:
      return Plain<op, float>(args, fused.activation);
    case schema::TensorType_INT32:
      return Plain<op, int32_t>(args, fused.activation);
    case schema::TensorType_INT64:
      return Plain<op, int64_t>(args, fused.activation);
    case schema::TensorType_INT16:
      return Plain<op, int16_t>(args, fused.activation);
    case schema::TensorType_UINT32:
      if (op == Op::kMul && fused.activation == schema::ActivationFunctionType_NONE) {
        return Plain<op, uint32_t>(args, fused.activation);
      }
      return NoKernel(args);
    default:
      return NoKernel(args);
  }
}

// da (+)= the sum of dy * factor * other over the positions that `side` was broadcast to. `other`
// may be null (then 1). One order of summation: the output's.
void ReduceInto(const reference::LoopNest<2>& nest, int side, const float* dy, const float* other,
                float factor, float* da) {
  const int64_t own_step = nest.stride[side][0], other_step = nest.stride[1 - side][0];
  reference::ForEachRow<2>(
      nest, 0, nest.units(), [&](const int64_t(&at)[2], int64_t from, int64_t count) {
        const float* g = dy + from;
        float* to = da + at[side];
        const float* by = other == nullptr ? nullptr : other + at[1 - side];
        if (own_step == 1 && by == nullptr) {
          gradient::ScaleTo(g, factor, static_cast<size_t>(count), true, to);
          return;
        }
        if (own_step == 1 && other_step == 1) {
          gradient::MultiplyTo(g, by, static_cast<size_t>(count), true, to);
          return;
        }
        for (int64_t i = 0; i < count; ++i) {
          to[i * own_step] += g[i] * (by == nullptr ? factor : by[i * other_step]);
        }
      });
}

// Of a sum or difference of equal shapes: dy, masked in place of the first gradient that is written
// anew, where that may be dy itself.
absl::Status SumGradient(const GradArgs& args, schema::ActivationFunctionType activation,
                         bool difference) {
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  const auto anew = [&](size_t side) { return args.in_grads[side] != nullptr && args.first[side]; };
  float* masked = anew(0) ? args.in_grads[0] : anew(1) && !difference ? args.in_grads[1] : nullptr;
  if (masked == nullptr && activation != schema::ActivationFunctionType_NONE) {
    masked = reinterpret_cast<float*>(GradScratch(args, count * sizeof(float)));
  }
  LS_ASSIGN_OR_RETURN(const float* dy, BeforeActivation(args, activation, masked));
  // Side 1 first: where side 0 has dy's place, that is not written.
  for (size_t side : {size_t{1}, size_t{0}}) {
    float* to = args.in_grads[side];
    if (to == nullptr) continue;
    if (side == 1 && difference) {
      gradient::ScaleTo(dy, -1.0f, count, !args.first[side], to);
    } else {
      gradient::AddOrCopy(dy, count, !args.first[side], to);
    }
  }
  return absl::OkStatus();
}

template <Op op>
absl::Status ArithmeticGradient(const GradArgs& args) {
  const TensorView &a = args.inputs[0], &b = args.inputs[1], &out = args.outputs[0];
  if (op != Op::kMul && a.shape == out.shape && b.shape == out.shape) {
    return SumGradient(args, GetFused(args.node, op).activation, op == Op::kSub);
  }
  auto* masked = reinterpret_cast<float*>(
      GradScratch(args, static_cast<size_t>(out.elements()) * sizeof(float)));
  LS_ASSIGN_OR_RETURN(const float* dy,
                      BeforeActivation(args, GetFused(args.node, op).activation, masked));
  reference::LoopNest<2> nest;
  if (!reference::MakeLoopNest<2>(out.shape.data(), out.rank(), {a.shape.data(), b.shape.data()},
                                  {a.rank(), b.rank()}, &nest)) {
    return Unsupported("the shapes have too many dimensions");
  }
  for (int side = 0; side < 2; ++side) {
    float* to = args.in_grads[side];
    if (to == nullptr) continue;
    const TensorView& own = args.inputs[side];
    const float* other = op == Op::kMul ? args.inputs[1 - side].As<float>() : nullptr;
    const float factor = op == Op::kSub && side == 1 ? -1.0f : 1.0f;
    if (args.first[side]) std::fill_n(to, own.elements(), 0.0f);
    ReduceInto(nest, side, dy, other, factor, to);
  }
  return absl::OkStatus();
}

int MaxRank(const VersionArgs& args) {
  return std::max(args.inputs[0].rank(), args.inputs[1].rank());
}

int AddVersion(const VersionArgs& args) {
  const TensorType type = args.in(0);
  if (type == schema::TensorType_INT16 && !IsQuantized(args.inputs[0])) return 5;
  if (type == schema::TensorType_INT64) return 4;
  return VersionTwoWhenQuantized(args);
}

int SubVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_INT64) return 4;
  if (args.inputs[0].shape != args.inputs[1].shape && MaxRank(args) > 4) return 3;
  return VersionTwoWhenQuantized(args);
}

int MulVersion(const VersionArgs& args) {
  const TensorType type = args.in(0);
  const bool quantized = IsQuantized(args.inputs[0]);
  if ((type == schema::TensorType_INT16 && !quantized) || type == schema::TensorType_UINT32)
    return 7;
  if (type == schema::TensorType_INT64) return 5;
  const bool byte = type == schema::TensorType_INT8 || type == schema::TensorType_UINT8;
  const TensorView &a = args.inputs[0], &b = args.inputs[1], &out = args.outputs[0];
  if (byte && quantized && a.scale() * b.scale() / out.scale() >= 1.0f) return 3;
  return VersionTwoWhenQuantized(args);
}

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, Prepare prepare,
                    VersionRule version, Gradient gradient) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = BinaryShape;
  record.prepare = prepare;
  record.gradient = gradient;
  record.version = version;
  record.quant.int8 = true;
  record.quant.int16x8 = true;
  return record;
}

}  // namespace

const OpRecord& AddOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_ADD, {"Add", "AddV2", "Add"}, PrepareArithmetic<Op::kAdd>,
                 AddVersion, ArithmeticGradient<Op::kAdd>);
  return record;
}

const OpRecord& SubOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_SUB, {"Subtract", "Sub", "Sub"},
                 PrepareArithmetic<Op::kSub>, SubVersion, ArithmeticGradient<Op::kSub>);
  return record;
}

const OpRecord& MulOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_MUL, {"Multiply", "Mul", "Mul"},
                 PrepareArithmetic<Op::kMul>, MulVersion, ArithmeticGradient<Op::kMul>);
  return record;
}

}  // namespace litesmith
