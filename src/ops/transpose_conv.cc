#include "kernels/reference/transpose_conv.h"

#include <memory>

#include "kernels/conv_f32.h"
#include "kernels/gradient/conv_f32.h"
#include "kernels/gradient/elementwise_f32.h"
#include "kernels/reference/dynamic_range.h"
#include "kernels/reference/stage.h"
#include "ops/fast_transpose_conv.h"
#include "ops/gradient.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using schema::TransposeConvOptionsT;

constexpr size_t kShape = 0, kWeights = 1, kInput = 2, kBias = 3;

// Padding is that of the convolution from the output's size to the input's.
absl::StatusOr<ConvGeometry> MakeGeometry(const TransposeConvOptionsT& options, const Shape& input,
                                          const Shape& filter, const Shape& output) {
  if (input.size() != 4 || filter.size() != 4 || output.size() != 4) {
    return Invalid("input, filter and output need 4 dimensions, they have {}, {} and {}",
                   input.size(), filter.size(), output.size());
  }
  LS_ASSIGN_OR_RETURN(const WindowPadding rows,
                      ComputePadding(options.padding, output[1], filter[1], options.stride_h, 1));
  LS_ASSIGN_OR_RETURN(const WindowPadding columns,
                      ComputePadding(options.padding, output[2], filter[2], options.stride_w, 1));
  if (rows.output != input[1] || columns.output != input[2] || input[0] != output[0] ||
      input[3] != filter[3] || output[3] != filter[0] || input[3] <= 0 || output[3] <= 0) {
    return Invalid("an input of {} and a filter of {} do not make an output of {}",
                   ShapeString(input), ShapeString(filter), ShapeString(output));
  }
  ConvGeometry g;
  g.batches = input[0];
  g.in_h = input[1];
  g.in_w = input[2];
  g.in_c = g.filter_c = input[3];
  g.filter_h = filter[1];
  g.filter_w = filter[2];
  g.out_h = output[1];
  g.out_w = output[2];
  g.out_c = output[3];
  g.stride_h = options.stride_h;
  g.stride_w = options.stride_w;
  g.pad_h = rows.before;
  g.pad_w = columns.before;
  return g;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 4, 1));
  const TensorView& shape = args.in(kShape);
  LS_RETURN_IF_ERROR(CheckType(shape, "the output shape", {schema::TensorType_INT32}));
  if (shape.rank() != 1 || shape.shape[0] != 4) return Invalid("the output shape needs 4 values");
  if (shape.data == nullptr) return NeedsValue(kShape);
  Shape out(shape.As<int32_t>(), shape.As<int32_t>() + 4);
  LS_RETURN_IF_ERROR(CheckShape(out));
  LS_RETURN_IF_ERROR(MakeGeometry(args.node.GetOptions<TransposeConvOptionsT>(),
                                  args.in(kInput).shape, args.in(kWeights).shape, out)
                         .status());
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

struct State {
  ConvGeometry g;
  int32_t in_offset = 0, weight_offset = 0, out_zero = 0;
  FloatRange range = {0, 0};
  IntRange limits = {0, 0};
  std::vector<Multiplier> multipliers;
  std::vector<float> channel_scales;  // hybrid
};

template <typename Acc, typename In, typename Weight, typename Add, typename Stage>
void RunRows(const State& s, const In* input, const Weight* weights, const Add& add,
             const Stage& stage, ThreadPool* threads) {
  const auto body = [&](size_t begin, size_t end) {
    reference::ConvolveTransposed<Acc>(s.g, input, weights, begin, end, add, stage);
  };
  ParallelFor(threads, size_t(s.g.batches) * s.g.out_h, 1, std::cref(body));
}

Kernel FloatKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::FloatStage stage{args.in<float>(kBias), s->range.low, s->range.high,
                                      args.out<float>(0)};
    const auto add = [](float acc, float x, float w, int32_t, int32_t) { return acc + x * w; };
    RunRows<float>(*s, args.in<float>(kInput), args.in<float>(kWeights), add, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

template <typename Acc, typename In, typename Weight, typename Bias>
Kernel IntegerKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::FixedPointStage<Bias, In> stage{
        {args.in<Bias>(kBias), s->out_zero, s->limits.low, s->limits.high, args.out<In>(0)},
        s->multipliers.data(),
        1};
    const auto add = [&](Acc acc, In x, Weight w, int32_t, int32_t) {
      return reference::MultiplyAdd<Acc>(acc, x + s->in_offset, w + s->weight_offset);
    };
    RunRows<Acc>(*s, args.in<In>(kInput), args.in<Weight>(kWeights), add, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// Every product is scaled to float before it is added, as LiteRT does. Each image is quantized as a
// whole. Scratch: zero points, scales, quantized input.
Kernel HybridKernel(std::shared_ptr<const State> s) {
  const size_t images = s->g.batches;
  const size_t image_size = size_t(s->g.in_h) * s->g.in_w * s->g.in_c;
  Kernel kernel;
  kernel.scratch_bytes = images * (sizeof(int32_t) + sizeof(float) + image_size);
  kernel.run = [s, images, image_size](const RunArgs& args) {
    auto* zeros = reinterpret_cast<int32_t*>(args.scratch);
    auto* scales = reinterpret_cast<float*>(zeros + images);
    auto* quantized = reinterpret_cast<int8_t*>(scales + images);
    for (size_t i = 0; i < images; ++i) {
      scales[i] = reference::QuantizeAsymmetric(args.in<float>(kInput) + i * image_size, image_size,
                                                quantized + i * image_size, &zeros[i]);
    }
    const auto add = [&](float acc, int8_t x, int8_t w, int32_t image, int32_t channel) {
      const auto product = static_cast<float>((x - zeros[image]) * w);
      return acc + product * s->channel_scales[channel] * scales[image];
    };
    const reference::FloatStage stage{args.in<float>(kBias), s->range.low, s->range.high,
                                      args.out<float>(0)};
    RunRows<float>(*s, quantized, args.in<int8_t>(kWeights), add, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

absl::Status PrepareInteger(const PrepareArgs& args, bool wide, State* s) {
  const TensorView &input = args.in(kInput), &weights = args.in(kWeights);
  const bool per_tensor = input.type == schema::TensorType_UINT8;
  LS_RETURN_IF_ERROR(CheckActivationQuant(input, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "the output"));
  LS_RETURN_IF_ERROR(CheckWeightQuant(weights, per_tensor ? 1 : s->g.out_c, !per_tensor));
  std::vector<double> factors = ChannelFactors(input, weights, args.out(0), s->g.out_c);
  if (per_tensor) {
    std::fill(factors.begin(), factors.end(), TensorFactor(input, weights, args.out(0)));
    s->weight_offset = -weights.zero_point();
  }
  LS_ASSIGN_OR_RETURN(s->multipliers, QuantizeFactors(factors, wide));
  s->in_offset = -input.zero_point();
  s->out_zero = args.out(0).zero_point();
  return absl::OkStatus();
}

// The packed kernel where there is one, else the plain loops.
template <typename Acc, typename In, typename Weight, typename Bias>
Kernel BestIntegerKernel(const PrepareArgs& args, State s) {
  IntProductArgs what;
  what.input = args.in(kInput).type;
  what.input_zero = -s.in_offset;
  what.output_zero = s.out_zero;
  what.low = s.limits.low;
  what.high = s.limits.high;
  what.multipliers = &s.multipliers;
  what.narrow = sizeof(Acc) == sizeof(uint32_t);
  what.bias = kBias;
  std::optional<Kernel> fast =
      FastTransposeConvInt(args, s.g, {kWeights, kInput, kBias}, what, s.weight_offset);
  if (fast.has_value()) return *std::move(fast);
  return IntegerKernel<Acc, In, Weight, Bias>(std::make_shared<const State>(std::move(s)));
}

absl::StatusOr<Kernel> PrepareInt16(const PrepareArgs& args, State* s) {
  LS_RETURN_IF_ERROR(
      CheckBias(args, kBias, s->g.out_c, {schema::TensorType_INT32, schema::TensorType_INT64}));
  const auto& options = args.node.GetOptions<TransposeConvOptionsT>();
  LS_ASSIGN_OR_RETURN(const bool narrow,
                      AccumulatesIn32Bits(args, kBias, options.quantized_bias_type));
  LS_RETURN_IF_ERROR(PrepareInteger(args, !narrow, s));
  if (narrow) {
    return BestIntegerKernel<uint32_t, int16_t, int8_t, int32_t>(args, std::move(*s));
  }
  return BestIntegerKernel<uint64_t, int16_t, int8_t, int64_t>(args, std::move(*s));
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, State s) {
  const TensorType in = args.in(kInput).type;
  const TensorType weights = args.in(kWeights).type;
  if (args.out(0).type != in) return NoKernel(args);
  if (in == schema::TensorType_FLOAT32) {
    LS_RETURN_IF_ERROR(CheckBias(args, kBias, s.g.out_c, {schema::TensorType_FLOAT32}));
    if (weights == schema::TensorType_FLOAT32) {
      std::optional<Kernel> fast =
          FastTransposeConvF32(args, s.g, {kWeights, kInput, kBias}, s.range);
      if (fast.has_value()) return *std::move(fast);
      return FloatKernel(std::make_shared<const State>(std::move(s)));
    }
    if (weights != schema::TensorType_INT8) return NoKernel(args);
    LS_RETURN_IF_ERROR(CheckWeightQuant(args.in(kWeights), s.g.out_c, true));
    s.channel_scales = args.in(kWeights).quant->scale;
    s.channel_scales.resize(s.g.out_c, args.in(kWeights).scale());
    return HybridKernel(std::make_shared<const State>(std::move(s)));
  }
  if (in == schema::TensorType_INT16 && weights == schema::TensorType_INT8) {
    return PrepareInt16(args, &s);
  }
  if (weights != in) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckBias(args, kBias, s.g.out_c, {schema::TensorType_INT32}));
  LS_RETURN_IF_ERROR(PrepareInteger(args, false, &s));
  if (in == schema::TensorType_INT8) {
    return BestIntegerKernel<uint32_t, int8_t, int8_t, int32_t>(args, std::move(s));
  }
  if (in == schema::TensorType_UINT8) {
    return BestIntegerKernel<uint32_t, uint8_t, uint8_t, int32_t>(args, std::move(s));
  }
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareTransposeConv(const PrepareArgs& args) {
  const auto& options = args.node.GetOptions<TransposeConvOptionsT>();
  State s;
  LS_ASSIGN_OR_RETURN(s.g, MakeGeometry(options, args.in(kInput).shape, args.in(kWeights).shape,
                                        args.out(0).shape));
  LS_ASSIGN_OR_RETURN(s.range, ActivationRange(options.fused_activation_function));
  if (args.out(0).type != schema::TensorType_FLOAT32) {
    LS_ASSIGN_OR_RETURN(s.limits,
                        QuantizedActivationRange(options.fused_activation_function, args.out(0)));
  }
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, std::move(s)));
  kernel.name = MatrixKernelName(args, kInput, kWeights, "transpose_conv");
  return kernel;
}

// The convolution that this operator is the transpose of: from the output to the input, its filters
// being the weights with the channels exchanged.
ConvGeometry Turned(const ConvGeometry& g) {
  ConvGeometry t = g;
  t.in_h = g.out_h;
  t.in_w = g.out_w;
  t.in_c = t.filter_c = g.out_c;
  t.out_h = g.in_h;
  t.out_w = g.in_w;
  t.out_c = g.in_c;
  return t;
}

// to[inner][taps][outer] (+)= from[outer][taps][inner].
void ExchangeChannels(const float* from, size_t outer, size_t taps, size_t inner, bool accumulate,
                      float* to) {
  for (size_t o = 0; o < outer; ++o) {
    for (size_t t = 0; t < taps; ++t) {
      for (size_t i = 0; i < inner; ++i) {
        float& place = to[(i * taps + t) * outer + o];
        const float value = from[(o * taps + t) * inner + i];
        place = accumulate ? place + value : value;
      }
    }
  }
}

absl::Status TransposeConvGradient(const GradArgs& args) {
  const auto& options = args.node.GetOptions<TransposeConvOptionsT>();
  LS_ASSIGN_OR_RETURN(const ConvGeometry g,
                      MakeGeometry(options, args.inputs[kInput].shape, args.inputs[kWeights].shape,
                                   args.outputs[0].shape));
  const ConvGeometry turned = Turned(g);
  if (!ConvF32Fits(turned)) return Unsupported("an output of this size has no gradient");
  const size_t taps = size_t(g.filter_h) * g.filter_w, in_c = g.in_c, out_c = g.out_c;
  const size_t positions = size_t(g.batches) * g.out_h * g.out_w;
  // Scratch: the gradient before the activation, exchanged weights, packed weights, the kernels'
  // own.
  const auto aligned = [](size_t floats) { return (floats + 15) / 16 * 16; };
  const size_t masked = aligned(positions * out_c), weights = aligned(taps * in_c * out_c);
  const size_t packed = aligned(PackedConvFloats(turned));
  const size_t work =
      std::max(ConvF32ScratchBytes(turned), gradient::ConvWeightsScratchBytes(turned));
  auto* scratch = reinterpret_cast<float*>(
      GradScratch(args, (masked + weights + packed) * sizeof(float) + work));
  float* exchanged = scratch + masked;
  float* panels = exchanged + weights;
  LS_ASSIGN_OR_RETURN(const float* dy,
                      BeforeActivation(args, options.fused_activation_function, scratch));
  if (args.in_grads.size() > kBias && args.in_grads[kBias] != nullptr) {
    gradient::ColumnSums(dy, positions, out_c, !args.first[kBias], args.in_grads[kBias]);
  }
  if (float* dx = args.in_grads[kInput]; dx != nullptr) {
    ExchangeChannels(args.inputs[kWeights].As<float>(), out_c, taps, in_c, false, exchanged);
    PackConvF32(turned, exchanged, panels);
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    ConvF32(turned, dy, panels, {dx, nullptr, -kInfinity, kInfinity, !args.first[kInput]},
            panels + packed, args.threads);
  }
  if (float* dw = args.in_grads[kWeights]; dw != nullptr) {
    gradient::ConvWeights(turned, dy, args.inputs[kInput].As<float>(), false, exchanged,
                          panels + packed, args.threads);
    ExchangeChannels(exchanged, in_c, taps, out_c, !args.first[kWeights], dw);
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  const auto& options = args.node.GetOptions<TransposeConvOptionsT>();
  if (args.in(kInput) == schema::TensorType_INT16 &&
      options.quantized_bias_type == schema::TensorType_INT32) {
    return 5;
  }
  if (options.fused_activation_function != schema::ActivationFunctionType_NONE) return 4;
  if (args.node.input(kBias) >= 0 || args.in(kInput) == schema::TensorType_INT16) return 3;
  return args.in(kWeights) == schema::TensorType_INT8 ? 2 : 1;
}

}  // namespace

const OpRecord& TransposeConvOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_TRANSPOSE_CONV;
    r.names = {"Conv2DTranspose", "Conv2DBackpropInput", "ConvTranspose"};
    r.infer_shapes = Infer;
    r.prepare = PrepareTransposeConv;
    r.gradient = TransposeConvGradient;
    r.version = Version;
    r.quant.int8 = r.quant.int16x8 = r.quant.dynamic = true;
    r.quant.inputs = {
        {Role::kIndex, -1}, {Role::kWeight, 0}, {Role::kActivation, -1}, {Role::kBias, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
