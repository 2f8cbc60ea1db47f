// RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1 and LEAKY_RELU.

#include <cmath>
#include <limits>

#include "kernels/reference/rectifier.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"

namespace litesmith {
namespace {

bool IsQuantizedType(TensorType type) {
  return type == schema::TensorType_INT8 || type == schema::TensorType_UINT8 ||
         type == schema::TensorType_INT16;
}

absl::Status CheckUnaryQuant(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "input"));
  return CheckActivationQuant(args.out(0), "output");
}

absl::StatusOr<Kernel> PrepareRelu(const PrepareArgs& args, float low, float high) {
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type == schema::TensorType_FLOAT32 && out.type == schema::TensorType_FLOAT32) {
    return UnaryKernel<float, float>(
        args, [low, high](float x) { return reference::Clamp(x, low, high); });
  }
  if (!IsQuantizedType(in.type)) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckUnaryQuant(args));
  const IntRange type = IntegerRange(out.type);
  reference::QuantizedRelu f;
  f.in_zero_point = in.zero_point();
  f.out_zero_point = out.zero_point();
  f.multiplier = QuantizeMultiplier(in.scale() / out.scale());  // in float, as TFLite
  f.low = std::max(type.low, QuantizedBound(low, out));
  f.high = std::isinf(high) ? type.high : std::min(type.high, QuantizedBound(high, out));
  return QuantizedUnaryKernel(args, f);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

absl::StatusOr<Kernel> PrepareRelu0(const PrepareArgs& args) {
  return PrepareRelu(args, 0.0f, kInfinity);
}
absl::StatusOr<Kernel> PrepareRelu6(const PrepareArgs& args) {
  return PrepareRelu(args, 0.0f, 6.0f);
}
absl::StatusOr<Kernel> PrepareReluN1To1(const PrepareArgs& args) {
  return PrepareRelu(args, -1.0f, 1.0f);
}
absl::StatusOr<Kernel> PrepareRelu0To1(const PrepareArgs& args) {
  return PrepareRelu(args, 0.0f, 1.0f);
}

absl::StatusOr<Kernel> PrepareLeakyRelu(const PrepareArgs& args) {
  const float alpha = args.node.GetOptions<schema::LeakyReluOptionsT>().alpha;
  if (!std::isfinite(alpha)) return Invalid("alpha is {}, which is not a number", alpha);
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type == schema::TensorType_FLOAT32 && out.type == schema::TensorType_FLOAT32) {
    return UnaryKernel<float, float>(args, [alpha](float x) { return x > 0.0f ? x : x * alpha; });
  }
  if (!IsQuantizedType(in.type)) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckUnaryQuant(args));
  const IntRange type = IntegerRange(out.type);
  reference::QuantizedLeakyRelu f;
  f.in_zero_point = in.zero_point();
  f.out_zero_point = out.zero_point();
  f.identity = QuantizeMultiplier(in.scale() / out.scale());  // both in float, as TFLite
  const float factor = in.scale() * alpha / out.scale();
  f.alpha = QuantizeMultiplier(std::abs(factor));
  f.alpha_is_negative = factor < 0.0f;
  f.low = type.low;
  f.high = type.high;
  return QuantizedUnaryKernel(args, f);
}

// 1 strictly between the bounds, as TensorFlow has it.
absl::Status ReluGradient(const GradArgs& args) {
  return UnaryGradient(args, [](float x, float) { return x > 0.0f ? 1.0f : 0.0f; });
}
absl::Status Relu6Gradient(const GradArgs& args) {
  return UnaryGradient(args, [](float x, float) { return x > 0.0f && x < 6.0f ? 1.0f : 0.0f; });
}
absl::Status ReluN1To1Gradient(const GradArgs& args) {
  return UnaryGradient(args, [](float x, float) { return x > -1.0f && x < 1.0f ? 1.0f : 0.0f; });
}
absl::Status Relu0To1Gradient(const GradArgs& args) {
  return UnaryGradient(args, [](float x, float) { return x > 0.0f && x < 1.0f ? 1.0f : 0.0f; });
}
absl::Status LeakyReluGradient(const GradArgs& args) {
  const float alpha = args.node.GetOptions<schema::LeakyReluOptionsT>().alpha;
  return UnaryGradient(args, [alpha](float x, float) { return x > 0.0f ? 1.0f : alpha; });
}

int LeakyReluVersion(const VersionArgs& args) {
  return args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}
int ReluVersion(const VersionArgs& args) {
  return args.in(0) == schema::TensorType_UINT8 ? 2 : VersionTwoWhenQuantized(args);
}
int VersionOne(const VersionArgs&) { return 1; }

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, Prepare prepare,
                    VersionRule version, bool int16x8, Gradient gradient) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = UnaryShape;
  record.prepare = prepare;
  record.gradient = gradient;
  record.version = version;
  record.quant.int8 = true;
  record.quant.int16x8 = int16x8;
  return record;
}

}  // namespace

const OpRecord& ReluOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_RELU, {"ReLU", "Relu", "Relu"},
                                            PrepareRelu0, ReluVersion, true, ReluGradient);
  return record;
}

const OpRecord& Relu6Op() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_RELU6, {"relu6", "Relu6", ""}, PrepareRelu6,
                 VersionTwoWhenQuantized, true, Relu6Gradient);
  return record;
}

const OpRecord& ReluN1To1Op() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_RELU_N1_TO_1, {},
                                            PrepareReluN1To1, VersionOne, false, ReluN1To1Gradient);
  return record;
}

const OpRecord& Relu0To1Op() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_RELU_0_TO_1, {},
                                            PrepareRelu0To1, VersionOne, false, Relu0To1Gradient);
  return record;
}

const OpRecord& LeakyReluOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_LEAKY_RELU, {"LeakyReLU", "LeakyRelu", "LeakyRelu"},
                 PrepareLeakyRelu, LeakyReluVersion, true, LeakyReluGradient);
  return record;
}

}  // namespace litesmith
