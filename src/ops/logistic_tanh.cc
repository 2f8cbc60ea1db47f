// LOGISTIC and TANH.

#include <cmath>

#include "kernels/reference/lookup.h"
#include "kernels/reference/sigmoid_int16.h"
#include "kernels/table_int16.h"
#include "ops/elementwise.h"
#include "ops/function_kernel.h"
#include "ops/gradient.h"
#include "ops/half_kernel.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

float Tanh(float x) { return std::tanh(x); }
// The tables are filled without the float kernel's thresholds.
float LogisticForTable(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// A power of two to a thousandth of the exponent, as TFLite tests it.
bool IsPowerOfTwo(float x, int* exponent) {
  const float log2 = std::log(x) * (1.0f / std::log(2.0f));
  const float rounded = std::round(log2);
  *exponent = static_cast<int>(rounded);
  return std::abs(log2 - rounded) < 1e-3f;
}

// From units of the input to positions in the table, which stands for [0, 10.7) in 2^17 steps.
absl::StatusOr<reference::SigmoidScale> TableScale(float in_scale, bool tanh) {
  int exponent = 0;
  const bool power = IsPowerOfTwo(in_scale, &exponent);
  const int left = 12 + exponent;
  if (power && (left == 0 || (tanh && left == 1))) return reference::SigmoidScale{3 << left, 0};
  double multiplier = double{in_scale} * 4096.0 * 3.0;
  if (multiplier >= 0x1.0p31) return Invalid("the input scale {} is too large", in_scale);
  reference::SigmoidScale out;
  while (multiplier <= 32767.0 / 2.0 && out.shift <= 30) {
    ++out.shift;
    multiplier *= 2.0;
  }
  out.multiplier = static_cast<int32_t>(multiplier);
  return out;
}

absl::StatusOr<Kernel> PrepareInt16(const PrepareArgs& args, bool tanh) {
  if (args.out(0).scale() != 1.0f / 32768.0f) {
    return Invalid("the output '{}' needs the scale 1/32768, it has {}",
                   Printable(args.out(0).name), args.out(0).scale());
  }
  LS_ASSIGN_OR_RETURN(const reference::SigmoidScale scale, TableScale(args.in(0).scale(), tanh));
  if (args.mode == KernelMode::kBest) {
    return UnaryRowKernel<int16_t, int16_t>(
        args, [scale, tanh](const int16_t* in, size_t count, int16_t* out) {
          SigmoidRow16(tanh, in, count, scale, out);
        });
  }
  if (tanh) {
    return UnaryKernel<int16_t, int16_t>(
        args, [scale](int16_t x) { return reference::TanhInt16(x, scale); });
  }
  return UnaryKernel<int16_t, int16_t>(
      args, [scale](int16_t x) { return reference::LogisticInt16(x, scale); });
}

absl::StatusOr<Kernel> PrepareActivation(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareActivation);
  const bool tanh = args.node.op == schema::BuiltinOperator_TANH;
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type != out.type) return NoKernel(args);
  if (in.type == schema::TensorType_FLOAT32) {
    if (args.mode == KernelMode::kBest) {
      return FunctionKernel(args, tanh ? RowFunction::kTanh : RowFunction::kLogistic);
    }
    if (tanh) return UnaryKernel<float, float>(args, Tanh);
    return UnaryKernel<float, float>(args, reference::Logistic);
  }
  const bool narrow = in.type == schema::TensorType_INT8 || in.type == schema::TensorType_UINT8;
  if (!narrow && in.type != schema::TensorType_INT16) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckActivationQuant(in, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(out, "the output"));
  if (!narrow) return PrepareInt16(args, tanh);
  if (!tanh && out.scale() != 1.0f / 256.0f) {
    return Invalid("the output '{}' needs the scale 1/256, it has {}", Printable(out.name),
                   out.scale());
  }
  const auto function = tanh ? Tanh : LogisticForTable;
  const IntRange range = IntegerRange(out.type);
  return TableKernel(args, [&](int32_t x) {
    return reference::Lookup8(x, in.scale(), in.zero_point(), out.scale(), out.zero_point(),
                              range.low, range.high, function);
  });
}

absl::Status LogisticGradient(const GradArgs& args) {
  return UnaryGradient(args, [](float, float y) { return y * (1.0f - y); });
}
absl::Status TanhGradient(const GradArgs& args) {
  return UnaryGradient(args, [](float, float y) { return 1.0f - y * y; });
}

int Version(const VersionArgs& args) {
  // Version 3 names int16 too, but TFLite's converter writes 2.
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, FixedQuant int8_fixed) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = UnaryShape;
  record.prepare = PrepareActivation;
  record.version = Version;
  record.quant.int8 = record.quant.int16x8 = true;
  record.quant.output = OutputRule::kFixed;
  record.quant.int8_fixed = int8_fixed;
  record.quant.int16_fixed = {1.0f / 32768.0f, 0};
  return record;
}

}  // namespace

const OpRecord& LogisticOp() {
  static const OpRecord record =
      WithGradient(MakeRecord(schema::BuiltinOperator_LOGISTIC, {"sigmoid", "Sigmoid", "Sigmoid"},
                              {1.0f / 256.0f, -128}),
                   LogisticGradient);
  return record;
}

const OpRecord& TanhOp() {
  static const OpRecord record = WithGradient(
      MakeRecord(schema::BuiltinOperator_TANH, {"tanh", "Tanh", "Tanh"}, {1.0f / 128.0f, 0}),
      TanhGradient);
  return record;
}

}  // namespace litesmith
