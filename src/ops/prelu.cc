#include "kernels/reference/stage.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(BinaryShape(args, outputs));
  if (outputs->front() != args.in(0).shape) {
    return Invalid("alpha of shape {} does not broadcast to an input of {}",
                   ShapeString(args.in(1).shape), ShapeString(args.in(0).shape));
  }
  return absl::OkStatus();
}

struct QuantizedPrelu {
  int32_t in_zero = 0, alpha_zero = 0, out_zero = 0;
  int32_t low = 0, high = 0;
  Multiplier positive, negative;

  template <typename T, typename A>
  T operator()(T x, A alpha) const {
    const int32_t value = int32_t{x} - in_zero;
    const int32_t scaled =
        value >= 0 ? MultiplyByQuantizedMultiplier(value, positive)
                   : MultiplyByQuantizedMultiplier(value * (int32_t{alpha} - alpha_zero), negative);
    return static_cast<T>(std::clamp(reference::WrappingAdd(scaled, out_zero), low, high));
  }
};

template <typename T, typename A, typename F>
absl::StatusOr<Kernel> BroadcastKernel(const PrepareArgs& args, const F& f) {
  LS_ASSIGN_OR_RETURN(const reference::LoopNest<2> nest, BinaryNest(args));
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [nest, f](const RunArgs& run) {
    reference::BroadcastBinary(nest, 0, nest.units(), run.in<T>(0), run.in<A>(1), run.out<T>(0), f);
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareQuantized(const PrepareArgs& args) {
  const TensorView &in = args.in(0), &alpha = args.in(1), &out = args.out(0);
  LS_RETURN_IF_ERROR(CheckActivationQuant(in, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(alpha, "alpha"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(out, "the output"));
  QuantizedPrelu f;
  f.in_zero = in.zero_point();
  f.alpha_zero = alpha.zero_point();
  f.out_zero = out.zero_point();
  const IntRange range = IntegerRange(out.type);
  f.low = range.low;
  f.high = range.high;
  // Both in float, as TFLite.
  f.positive = QuantizeMultiplier(in.scale() / out.scale());
  f.negative = QuantizeMultiplier(in.scale() * alpha.scale() / out.scale());
  const TensorType type = in.type;
  if (type == schema::TensorType_INT8 && alpha.type == type) {
    return BroadcastKernel<int8_t, int8_t>(args, f);
  }
  if (type == schema::TensorType_UINT8 && alpha.type == type) {
    return BroadcastKernel<uint8_t, uint8_t>(args, f);
  }
  if (type == schema::TensorType_INT16 && alpha.type == schema::TensorType_INT8) {
    return BroadcastKernel<int16_t, int8_t>(args, f);
  }
  return NoKernel(args);
}

absl::StatusOr<Kernel> PreparePrelu(const PrepareArgs& args) {
  const TensorType type = args.in(0).type;
  if (args.out(0).type != type) return NoKernel(args);
  if (type == schema::TensorType_FLOAT32 && args.in(1).type == type) {
    return BroadcastKernel<float, float>(
        args, [](float x, float alpha) { return x >= 0.0f ? x : x * alpha; });
  }
  if (type != schema::TensorType_INT8 && type != schema::TensorType_UINT8 &&
      type != schema::TensorType_INT16) {
    return NoKernel(args);
  }
  return PrepareQuantized(args);
}

absl::Status PreluGradient(const GradArgs& args) {
  return BroadcastGradient(
      args, args.out_grads[0], [](float x, float alpha) { return x >= 0.0f ? 1.0f : alpha; },
      [](float x, float) { return x >= 0.0f ? 0.0f : x; });
}

int Version(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& PreluOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_PRELU;
    r.names = {"PReLU", "", "PRelu"};
    r.infer_shapes = Infer;
    r.prepare = PreparePrelu;
    r.gradient = PreluGradient;
    r.version = Version;
    r.quant.int8 = true;  // LiteRT has no int16 kernel
    r.quant.inputs = {{Role::kActivation, -1}, {Role::kWeight, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
