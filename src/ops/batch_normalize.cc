#include "ops/batch_normalize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/gradient/batch_norm_f32.h"
#include "kernels/gradient/elementwise_f32.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 4, 4, 3));
  const Shape& x = args.in(0).shape;
  if (x.empty()) return Invalid("the input is a scalar");
  const Shape channels = {x.back()};
  if (args.in(1).shape != channels || args.in(2).shape != channels ||
      args.in(3).elements() != kBatchNormalizeSettings) {
    return Invalid("gamma and beta need one value for each of the {} channels", x.back());
  }
  *outputs = {x, channels, channels};
  return absl::OkStatus();
}

struct Settings {
  FloatRange range;
  bool measures = false;
};

absl::StatusOr<Settings> ReadSettings(const TensorView& view) {
  if (view.data == nullptr || view.type != schema::TensorType_INT32) {
    return Invalid("the settings are no constant integers");
  }
  const auto* values = view.As<int32_t>();
  if (values[kBatchNormalizeActivation] < schema::ActivationFunctionType_MIN ||
      values[kBatchNormalizeActivation] > schema::ActivationFunctionType_MAX) {
    return Invalid("the activation {} does not exist", values[kBatchNormalizeActivation]);
  }
  Settings out;
  LS_ASSIGN_OR_RETURN(out.range, ActivationRange(static_cast<schema::ActivationFunctionType>(
                                     values[kBatchNormalizeActivation])));
  out.measures = values[kBatchNormalizeMeasures] != 0;
  return out;
}

// y = x * scale + offset.
void FindScales(const float* gamma, const float* beta, const float* mean, const float* variance,
                size_t channels, float* scale, float* offset) {
  for (size_t c = 0; c < channels; ++c) {
    scale[c] = gamma[c] / std::sqrt(variance[c] + gradient::kBatchNormEpsilon);
    offset[c] = beta[c] - mean[c] * scale[c];
  }
}

absl::StatusOr<Kernel> PrepareNormalize(const PrepareArgs& args) {
  for (size_t i = 0; i < 3; ++i) {
    if (args.in(i).type != schema::TensorType_FLOAT32 ||
        args.out(i).type != schema::TensorType_FLOAT32) {
      return NoKernel(args);
    }
  }
  LS_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(args.in(3)));
  const auto channels = static_cast<size_t>(args.in(0).shape.back());
  const size_t rows = channels == 0 ? 0 : static_cast<size_t>(args.in(0).elements()) / channels;
  if (rows == 0) return Invalid("the input is empty");
  Kernel kernel;
  kernel.name = "f32-f32-batch_normalize";
  kernel.scratch_bytes = 2 * channels * sizeof(float);
  kernel.run = [settings, channels, rows](const RunArgs& run) {
    const auto* x = run.in<float>(0);
    auto *mean = run.out<float>(1), *variance = run.out<float>(2);
    gradient::ChannelStatistics(x, rows, channels, mean, variance);
    auto* scale = reinterpret_cast<float*>(run.scratch);
    float* offset = scale + channels;
    FindScales(run.in<float>(1), run.in<float>(2), mean, variance, channels, scale, offset);
    if (settings.measures) {
      std::fill_n(scale, channels, 1.0f);
      std::fill_n(offset, channels, 0.0f);
    }
    gradient::ScaleChannels(x, rows, channels, scale, offset, settings.range.low,
                            settings.range.high, run.out<float>(0));
    return absl::OkStatus();
  };
  return kernel;
}

// Ioffe and Szegedy 2015, section 3, the chain rule through mean and variance.
absl::Status BatchNormalizeGradient(const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(args.inputs[3]));
  if (settings.measures) return Unsupported("a measuring batch normalization has no gradient");
  const auto channels = static_cast<size_t>(args.inputs[0].shape.back());
  const size_t rows = static_cast<size_t>(args.inputs[0].elements()) / channels;
  const auto* x = args.inputs[0].As<float>();
  const auto *mean = args.outputs[1].As<float>(), *variance = args.outputs[2].As<float>();
  auto* sum = reinterpret_cast<float*>(GradScratch(args, 7 * channels * sizeof(float)));
  float *product = sum + channels, *a = product + channels, *b = a + channels, *c = b + channels;
  float *scale = c + channels, *offset = scale + channels;
  FindScales(args.inputs[1].As<float>(), args.inputs[2].As<float>(), mean, variance, channels,
             scale, offset);
  const gradient::BatchNormForward forward{mean, scale, offset, settings.range.low,
                                           settings.range.high};
  gradient::BatchNormSums(forward, x, args.out_grads[0], rows, channels, sum, product);
  const float share = 1.0f / static_cast<float>(rows);
  for (size_t i = 0; i < channels; ++i) {
    const float inverse = 1.0f / std::sqrt(variance[i] + gradient::kBatchNormEpsilon);
    a[i] = args.inputs[1].As<float>()[i] * inverse;
    b[i] = a[i] * sum[i] * share;
    c[i] = a[i] * product[i] * share * inverse * inverse;
    product[i] *= inverse;
  }
  if (args.in_grads[1] != nullptr) {
    gradient::AddOrCopy(product, channels, !args.first[1], args.in_grads[1]);
  }
  if (args.in_grads[2] != nullptr) {
    gradient::AddOrCopy(sum, channels, !args.first[2], args.in_grads[2]);
  }
  if (args.in_grads[0] != nullptr) {
    gradient::BatchNormInput(forward, {a, b, c, !args.first[0]}, x, args.out_grads[0], rows,
                             channels, args.in_grads[0]);
  }
  return absl::OkStatus();
}

}  // namespace

const OpRecord& BatchNormalizeOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CUSTOM;
    r.custom_code = kBatchNormalizeCode;
    r.infer_shapes = Infer;
    r.prepare = PrepareNormalize;
    r.gradient = BatchNormalizeGradient;
    r.quant.inputs = {
        {Role::kActivation, -1}, {Role::kWeight, -1}, {Role::kBias, -1}, {Role::kIndex, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
