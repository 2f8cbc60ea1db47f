#include <memory>

#include "ops/elementwise.h"
#include "ops/recurrent.h"
#include "ops/recurrent_gradient.h"

namespace litesmith {
namespace {

using reference::SvdfSizes;
using schema::SVDFOptionsT;

constexpr size_t kInput = 0, kFeature = 1, kTime = 2, kBias = 3, kState = 4;

absl::StatusOr<SvdfSizes> MakeSizes(const SVDFOptionsT& options,
                                    std::span<const TensorView> inputs) {
  const Shape &x = inputs[kInput].shape, &feature = inputs[kFeature].shape,
              &time = inputs[kTime].shape;
  if (x.size() != 2 || feature.size() != 2 || time.size() != 2 || x[1] != feature[1] ||
      time[0] != feature[0]) {
    return Invalid("input {}, feature weights {} and time weights {} do not fit", ShapeString(x),
                   ShapeString(feature), ShapeString(time));
  }
  if (options.rank <= 0 || feature[0] % options.rank != 0) {
    return Invalid("{} filters do not divide into a rank of {}", feature[0], options.rank);
  }
  SvdfSizes s;
  s.batches = static_cast<size_t>(x[0]);
  s.inputs = static_cast<size_t>(x[1]);
  s.filters = static_cast<size_t>(feature[0]);
  s.memory = static_cast<size_t>(time[1]);
  s.rank = static_cast<size_t>(options.rank);
  if (s.memory == 0) return Invalid("the time weights {} are empty", ShapeString(time));
  return s;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 5, 1));
  if (!args.has(kState)) return Invalid("the state is missing");
  LS_ASSIGN_OR_RETURN(const SvdfSizes s,
                      MakeSizes(args.node.GetOptions<SVDFOptionsT>(), args.inputs));
  outputs->assign(1, {static_cast<int32_t>(s.batches), static_cast<int32_t>(s.units())});
  return absl::OkStatus();
}

struct State {
  SvdfSizes sizes;
  reference::CellActivation activation = reference::CellActivation::kNone;
  bool asymmetric = false;
  float feature_scale = 1.0f;
  std::vector<float> time;  // hybrid: the time weights in float
  Multiplier feature_multiplier, out_multiplier;
  int32_t in_zero = 0, out_zero = 0;
};

// The newest activation of every filter is in place: time, bias, activation.
void FinishFloat(const State& s, const RunArgs& args, const float* time) {
  float* out = args.out<float>(0);
  reference::SvdfTime(s.sizes, VariableOf<float>(args, kState), time, args.in<float>(kBias), out);
  for (size_t i = 0; i < s.sizes.batches * s.sizes.units(); ++i) {
    out[i] = reference::Activate(s.activation, out[i]);
  }
}

// Puts the features, [batch][filter], at the end of each filter's memory.
template <typename T>
void AppendFeatures(const SvdfSizes& s, const T* features, T* state) {
  for (size_t i = 0; i < s.batches * s.filters; ++i) {
    state[i * s.memory + s.memory - 1] = features[i];
  }
}

Kernel FloatKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.scratch_bytes = s->sizes.batches * s->sizes.filters * sizeof(float);
  kernel.run = [s](const RunArgs& args) {
    const SvdfSizes& n = s->sizes;
    auto* features = reinterpret_cast<float*>(args.scratch);
    reference::ShiftSvdfState(n, VariableOf<float>(args, kState));
    std::fill_n(features, n.batches * n.filters, 0.0f);
    reference::MultiplyAccumulate(args.in<float>(kInput), args.in<float>(kFeature), n.batches,
                                  n.inputs, n.filters, features);
    AppendFeatures(n, features, VariableOf<float>(args, kState));
    FinishFloat(*s, args, args.in<float>(kTime));
    return absl::OkStatus();
  };
  return kernel;
}

Kernel HybridKernel(std::shared_ptr<const State> s) {
  const SvdfSizes& sizes = s->sizes;
  ScratchCutter count(nullptr);
  count.Take<float>(sizes.batches * sizes.filters);
  count.TakeRows(sizes.batches, sizes.inputs);
  Kernel kernel;
  kernel.scratch_bytes = count.bytes();
  kernel.run = [s](const RunArgs& args) {
    const SvdfSizes& n = s->sizes;
    ScratchCutter cut(args.scratch);
    auto* features = cut.Take<float>(n.batches * n.filters);
    const reference::QuantizedRows rows = cut.TakeRows(n.batches, n.inputs);
    reference::ShiftSvdfState(n, VariableOf<float>(args, kState));
    std::fill_n(features, n.batches * n.filters, 0.0f);
    rows.Quantize(args.in<float>(kInput), n.batches, n.inputs, s->asymmetric);
    reference::MultiplyAccumulate(rows, args.in<int8_t>(kFeature), s->feature_scale, n.batches,
                                  n.inputs, n.filters, features);
    AppendFeatures(n, features, VariableOf<float>(args, kState));
    FinishFloat(*s, args, s->time.data());
    return absl::OkStatus();
  };
  return kernel;
}

Kernel IntegerKernel(std::shared_ptr<const State> s) {
  const SvdfSizes& sizes = s->sizes;
  ScratchCutter count(nullptr);
  count.Take<int16_t>(sizes.batches * sizes.filters);
  count.Take<uint32_t>(sizes.batches * sizes.units());
  Kernel kernel;
  kernel.scratch_bytes = count.bytes();
  kernel.run = [s](const RunArgs& args) {
    const SvdfSizes& n = s->sizes;
    ScratchCutter cut(args.scratch);
    auto* features = cut.Take<int16_t>(n.batches * n.filters);
    auto* sums = cut.Take<uint32_t>(n.batches * n.units());
    reference::ShiftSvdfState(n, VariableOf<int16_t>(args, kState));
    const auto *x = args.in<int8_t>(kInput), *weights = args.in<int8_t>(kFeature);
    for (size_t i = 0; i < n.batches * n.filters; ++i) {
      uint32_t sum = 0;
      for (size_t c = 0; c < n.inputs; ++c) {
        const int32_t value = x[i / n.filters * n.inputs + c] - s->in_zero;
        sum += static_cast<uint32_t>(value * weights[i % n.filters * n.inputs + c]);
      }
      const int32_t scaled =
          MultiplyByQuantizedMultiplier(static_cast<int32_t>(sum), s->feature_multiplier);
      features[i] = static_cast<int16_t>(std::clamp(scaled, -32768, 32767));
    }
    AppendFeatures(n, features, VariableOf<int16_t>(args, kState));
    reference::SvdfTime(n, VariableOf<int16_t>(args, kState), args.in<int16_t>(kTime),
                        args.in<int32_t>(kBias), sums);
    for (size_t i = 0; i < n.batches * n.units(); ++i) {
      const int32_t scaled =
          MultiplyByQuantizedMultiplier(static_cast<int32_t>(sums[i]), s->out_multiplier);
      const int64_t shifted = int64_t{scaled} + s->out_zero;
      args.out<int8_t>(0)[i] = static_cast<int8_t>(std::clamp<int64_t>(shifted, -128, 127));
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareInteger(const PrepareArgs& args, State s) {
  if (args.in(kFeature).type != schema::TensorType_INT8 ||
      args.in(kTime).type != schema::TensorType_INT16 ||
      args.in(kState).type != schema::TensorType_INT16 ||
      args.out(0).type != schema::TensorType_INT8 ||
      (args.has(kBias) && args.in(kBias).type != schema::TensorType_INT32)) {
    return NoKernel(args);
  }
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(kInput), "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "the output"));
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kFeature), "the feature weights"));
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kTime), "the time weights"));
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kState), "the state"));
  // LiteRT has no other activation here, and leaves this one to the output's range.
  if (s.activation != reference::CellActivation::kRelu) {
    return Unsupported("int8 SVDF has a kernel with the activation RELU only");
  }
  // In float, as TFLite.
  s.feature_multiplier = QuantizeMultiplier(args.in(kInput).scale() * args.in(kFeature).scale() /
                                            args.in(kState).scale());
  s.out_multiplier =
      QuantizeMultiplier(args.in(kState).scale() * args.in(kTime).scale() / args.out(0).scale());
  s.in_zero = args.in(kInput).zero_point();
  s.out_zero = args.out(0).zero_point();
  return IntegerKernel(std::make_shared<const State>(std::move(s)));
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, State s) {
  const TensorType in = args.in(kInput).type, feature = args.in(kFeature).type;
  if (in == schema::TensorType_INT8) return PrepareInteger(args, std::move(s));
  if (in != schema::TensorType_FLOAT32 || args.out(0).type != in || args.in(kState).type != in ||
      (args.has(kBias) && args.in(kBias).type != in)) {
    return NoKernel(args);
  }
  if (feature == in && args.in(kTime).type == in) {
    return FloatKernel(std::make_shared<const State>(std::move(s)));
  }
  if (feature != schema::TensorType_INT8 || args.in(kTime).type != feature) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kFeature), "the feature weights"));
  LS_RETURN_IF_ERROR(CheckOneScale(args.in(kTime), "the time weights"));
  const TensorView& time = args.in(kTime);
  if (time.data == nullptr) return Unsupported("time weights that are not constant have no kernel");
  s.feature_scale = args.in(kFeature).scale();
  for (int64_t i = 0; i < time.elements(); ++i) {
    s.time.push_back(static_cast<float>(time.As<int8_t>()[i]) * time.scale());
  }
  return HybridKernel(std::make_shared<const State>(std::move(s)));
}

absl::StatusOr<Kernel> PrepareSvdf(const PrepareArgs& args) {
  const auto& options = args.node.GetOptions<SVDFOptionsT>();
  State s;
  LS_ASSIGN_OR_RETURN(s.sizes, MakeSizes(options, args.inputs));
  LS_ASSIGN_OR_RETURN(s.activation, CellActivationOf(options.fused_activation_function));
  s.asymmetric = options.asymmetric_quantize_inputs;
  const auto batches = static_cast<int32_t>(s.sizes.batches);
  LS_RETURN_IF_ERROR(CheckState(args.in(kState), "the state",
                                {batches, static_cast<int32_t>(s.sizes.memory * s.sizes.filters)}));
  if (args.has(kBias)) {
    LS_RETURN_IF_ERROR(
        CheckDims(args.in(kBias), "the bias", {static_cast<int32_t>(s.sizes.units())}));
  }
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, std::move(s)));
  kernel.name = KernelName(args);
  return kernel;
}

// From a memory of zeros: only the newest activation of every filter counts.
absl::Status SvdfGradient(const GradArgs& args) {
  const auto& options = args.node.GetOptions<SVDFOptionsT>();
  LS_ASSIGN_OR_RETURN(const SvdfSizes s, MakeSizes(options, args.inputs));
  LS_ASSIGN_OR_RETURN(const reference::CellActivation activation,
                      CellActivationOf(options.fused_activation_function));
  StartGradients(args);
  const auto *x = args.inputs[kInput].As<float>(), *feature = args.inputs[kFeature].As<float>();
  const auto *time = args.inputs[kTime].As<float>(), *y = args.outputs[0].As<float>();
  float *dx = args.in_grads[kInput], *d_feature = args.in_grads[kFeature];
  float *d_time = args.in_grads[kTime], *d_bias = args.in_grads[kBias];
  for (size_t b = 0; b < s.batches; ++b) {
    const float* row = x + b * s.inputs;
    for (size_t f = 0; f < s.filters; ++f) {
      const size_t unit = b * s.units() + f / s.rank, newest = f * s.memory + s.memory - 1;
      const float g = args.out_grads[0][unit] * Slope(activation, y[unit]);
      if (d_bias != nullptr && f % s.rank == 0) d_bias[f / s.rank] += g;
      if (d_time != nullptr) {
        float activity = 0.0f;
        AddProduct(feature + f * s.inputs, row, 1, s.inputs, &activity);
        d_time[newest] += g * activity;
      }
      const float share = g * time[newest];
      if (d_feature != nullptr) AddOuter(&share, row, 1, s.inputs, d_feature + f * s.inputs);
      if (dx != nullptr) {
        AddTransposedProduct(feature + f * s.inputs, &share, 1, s.inputs, dx + b * s.inputs);
      }
    }
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  if (args.in(kInput) == schema::TensorType_INT8) return 3;
  if (args.in(kFeature) != schema::TensorType_INT8) return 1;
  return args.node.GetOptions<SVDFOptionsT>().asymmetric_quantize_inputs ? 4 : 2;
}

}  // namespace

const OpRecord& SvdfOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_SVDF;
    r.infer_shapes = Infer;
    r.prepare = PrepareSvdf;
    r.gradient = SvdfGradient;
    r.version = Version;
    r.stateful = true;
    r.quant.dynamic = true;
    r.quant.int8 = true;  // by quantize/svdf_plan.cc, beyond what the rule says
    r.quant.inputs = {{Role::kActivation, -1},
                      {Role::kWeight, -1},
                      {Role::kWeight, -1},
                      {Role::kBias, -1},
                      {Role::kIndex, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
