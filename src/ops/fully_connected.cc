#include "kernels/reference/fully_connected.h"

#include <memory>

#include "kernels/aligned.h"
#include "kernels/dot_rows.h"
#include "kernels/gemm_f32.h"
#include "kernels/gradient/elementwise_f32.h"
#include "kernels/quantize_rows.h"
#include "kernels/reference/stage.h"
#include "ops/gradient.h"
#include "ops/int_product.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using schema::FullyConnectedOptionsT;

// Input and weights as matrices: rows x depth and units x depth.
struct Sizes {
  size_t rows = 0;
  int32_t depth = 0, units = 0;
};

absl::StatusOr<Sizes> MatrixSizes(const FullyConnectedOptionsT& options, const Shape& input,
                                  const Shape& weights) {
  if (weights.size() != 2)
    return Invalid("the weights need 2 dimensions, they have {}", weights.size());
  if (input.empty()) return Invalid("the input needs at least 1 dimension");
  Sizes s;
  s.units = weights[0];
  s.depth = weights[1];
  const int64_t elements = NumElements(input);
  if (s.depth > 0 && elements % s.depth == 0) {
    s.rows = static_cast<size_t>(elements / s.depth);
  } else if (s.depth == 0 && input.back() == 0) {
    s.rows = static_cast<size_t>(NumElements(Shape(input.begin(), input.end() - 1)));
  } else {
    return Invalid("an input of shape {} does not divide into rows of {}", ShapeString(input),
                   s.depth);
  }
  if (options.keep_num_dims && input.back() != s.depth) {
    return Invalid("keep_num_dims needs a last dimension of {}, the input is {}", s.depth,
                   ShapeString(input));
  }
  return s;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  const auto& options = args.node.GetOptions<FullyConnectedOptionsT>();
  if (options.weights_format != schema::FullyConnectedOptionsWeightsFormat_DEFAULT) {
    return Unsupported("shuffled weights have no kernel");
  }
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 3, 1));
  const Shape& input = args.in(0).shape;
  LS_ASSIGN_OR_RETURN(const Sizes s, MatrixSizes(options, input, args.in(1).shape));
  if (s.rows > INT32_MAX) return Invalid("the input has {} rows", s.rows);
  Shape out = {static_cast<int32_t>(s.rows), s.units};
  if (options.keep_num_dims) {
    out = input;
    out.back() = s.units;
  }
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

struct State {
  Sizes sizes;
  int32_t in_offset = 0, weight_offset = 0, out_zero = 0;
  FloatRange range = {0, 0};
  IntRange limits = {0, 0};
  bool fixed_point = false;
  int32_t channel_stride = 0;  // of the factors or multipliers: 0 when one serves all units
  std::vector<double> factors;
  std::vector<Multiplier> multipliers;
  std::vector<float> channel_scales;  // hybrid; empty: in the row scales
  float weight_scale = 1.0f;
  bool asymmetric = false;
  std::vector<int8_t> unpacked;
  std::optional<IntProduct> product;  // kBest, integer sums

  template <typename Weight>
  const Weight* weights(const RunArgs& args) const {
    if constexpr (std::is_same_v<Weight, int8_t>) {
      if (!unpacked.empty()) return unpacked.data();
    }
    return args.in<Weight>(1);
  }
};

// All rows, shared among the threads.
template <typename Acc, typename In, typename Weight, typename Stage>
void RunRows(const State& s, const In* input, const Weight* weights, const int32_t* row_offsets,
             const Stage& stage, ThreadPool* threads) {
  const auto body = [&](size_t begin, size_t end) {
    reference::MultiplyRows<Acc>(input, weights, s.sizes.depth, s.sizes.units, s.in_offset,
                                 s.weight_offset, row_offsets, begin, end, stage);
  };
  ParallelFor(threads, s.sizes.rows, 1, std::cref(body));
}

// The packed weights of the fast integer kernel, where the mode asks for it and they are known.
std::optional<IntProduct> PackProduct(const PrepareArgs& args, const State& s) {
  const TensorView& weights = args.in(1);
  const bool uint8 = weights.type == schema::TensorType_UINT8;
  if (args.mode != KernelMode::kBest || weights.data == nullptr ||
      (!uint8 && weights.type != schema::TensorType_INT8 && !IsPacked(weights.type))) {
    return std::nullopt;
  }
  const TensorType in = args.in(0).type;
  const size_t depth = s.sizes.depth, units = s.sizes.units;
  const IntKernel& kernel = IntKernels()[0];
  const bool bytes = UseBytes(in, weights.type, s.weight_offset);
  IntProduct p;
  if (uint8) {
    p.conv.groups.push_back(
        IntWeights::Pack(kernel, bytes, weights.As<uint8_t>(), units, 1, depth, s.weight_offset));
  } else {
    const int8_t* values = s.unpacked.empty() ? weights.As<int8_t>() : s.unpacked.data();
    p.conv.groups.push_back(
        IntWeights::Pack(kernel, bytes, values, units, 1, depth, s.weight_offset));
  }
  p.conv.scratch_bytes =
      ProductScratchBytes(p.weights(), s.sizes.rows, in == schema::TensorType_INT16 ? 2 : 1);
  return p;
}

void AddProduct(const PrepareArgs& args, bool wide, State* s) {
  std::optional<IntProduct> p = PackProduct(args, *s);
  if (!p.has_value()) return;
  IntProductArgs what;
  what.input = args.in(0).type;
  what.input_zero = -s->in_offset;
  what.output_zero = s->out_zero;
  what.low = s->limits.low;
  what.high = s->limits.high;
  what.multipliers = s->fixed_point ? &s->multipliers : nullptr;
  what.factors = &s->factors;
  what.narrow = !wide;
  if (FinishInteger(args, what, s->sizes.units, &*p)) s->product = std::move(p);
}

template <typename In>
Kernel ProductKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.scratch_bytes = s->product->conv.scratch_bytes;
  kernel.run = [s](const RunArgs& args) {
    RunProduct(*s->product, s->sizes.rows, args.in<In>(0),
               s->product->StageTo(args.out<In>(0), s->sizes.units), args.scratch, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

Kernel FloatKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::FloatStage stage{args.in<float>(2), s->range.low, s->range.high,
                                      args.out<float>(0)};
    RunRows<float>(*s, args.in<float>(0), args.in<float>(1), nullptr, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// Few rows by weights that are not known before: packing them would take longer than the product.
constexpr int64_t kFewRows = 16;
Kernel DotRowsKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    DotRowsF32(args.in<float>(0), s->sizes.rows, args.in<float>(1),
               static_cast<size_t>(s->sizes.units), static_cast<size_t>(s->sizes.depth),
               {args.out<float>(0), args.in<float>(2), s->range.low, s->range.high});
    return absl::OkStatus();
  };
  return kernel;
}

// The GEMM. Constant weights are packed here, others at every run.
Kernel PackedFloatKernel(std::shared_ptr<const State> s, const float* weights) {
  const auto depth = static_cast<size_t>(s->sizes.depth);
  const auto units = static_cast<size_t>(s->sizes.units);
  auto packed = std::make_shared<AlignedVector<float>>();
  if (weights != nullptr) {
    packed->resize(PackedFloats(depth, units));
    PackTransposed(weights, depth, units, depth, packed->data());
  }
  Kernel kernel;
  kernel.scratch_bytes = weights != nullptr ? 0 : PackedFloats(depth, units) * sizeof(float);
  kernel.run = [s, packed, depth, units](const RunArgs& args) {
    const float* panels = packed->data();
    if (packed->empty()) {
      auto* here = reinterpret_cast<float*>(args.scratch);
      PackTransposed(args.in<float>(1), depth, units, depth, here);
      panels = here;
    }
    const GemmResult out{args.out<float>(0), units,        args.in<float>(2), false,
                         s->range.low,       s->range.high};
    GemmF32(s->sizes.rows, units, GemmLeft::RowMajor(args.in<float>(0), depth, depth),
            GemmRight::Packed(panels, depth), out, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

template <typename Acc, typename In, typename Weight, typename Bias>
Kernel IntegerKernel(std::shared_ptr<const State> s) {
  if (s->product.has_value()) return ProductKernel<In>(s);
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::IntegerOutput<Bias, In> output{args.in<Bias>(2), s->out_zero, s->limits.low,
                                                    s->limits.high, args.out<In>(0)};
    const Weight* weights = s->weights<Weight>(args);
    if (s->fixed_point) {
      const reference::FixedPointStage<Bias, In> stage{output, s->multipliers.data(),
                                                       s->channel_stride};
      RunRows<Acc>(*s, args.in<In>(0), weights, nullptr, stage, args.threads);
    } else {
      const reference::DoubleStage<Bias, In> stage{output, s->factors.data(), s->channel_stride};
      RunRows<Acc>(*s, args.in<In>(0), weights, nullptr, stage, args.threads);
    }
    return absl::OkStatus();
  };
  return kernel;
}

// Float activations, integer weights: every row is quantized by itself. Scratch: zero points,
// scales, quantized input.
Kernel HybridKernel(std::shared_ptr<const State> s) {
  const size_t rows = s->sizes.rows;
  const size_t depth = s->sizes.depth;
  Kernel kernel;
  const size_t own = (rows * (sizeof(int32_t) + sizeof(float) + depth) + 63) / 64 * 64;
  kernel.scratch_bytes = own + (s->product.has_value() ? s->product->conv.scratch_bytes : 0);
  kernel.run = [s, rows, depth, own](const RunArgs& args) {
    auto* zeros = reinterpret_cast<int32_t*>(args.scratch);
    auto* scales = reinterpret_cast<float*>(zeros + rows);
    auto* quantized = reinterpret_cast<int8_t*>(scales + rows);
    const float* input = args.in<float>(0);
    for (size_t r = 0; r < rows; ++r) {
      int32_t zero = 0;
      scales[r] =
          s->asymmetric
              ? QuantizeRowAsymmetric(input + r * depth, depth, quantized + r * depth, &zero)
              : QuantizeRowSymmetric(input + r * depth, depth, quantized + r * depth);
      zeros[r] = zero;
      if (s->channel_scales.empty()) scales[r] *= s->weight_scale;
    }
    if (s->product.has_value()) {
      IntStage stage = s->product->StageTo(args.out<float>(0), s->sizes.units);
      stage.row_scale = scales;
      stage.row_zero = s->asymmetric ? zeros : nullptr;
      RunProduct(*s->product, rows, quantized, stage, args.scratch + own, args.threads);
      return absl::OkStatus();
    }
    for (size_t r = 0; r < rows; ++r) zeros[r] = -zeros[r];
    const reference::HybridStage stage{
        args.in<float>(2),
        scales,
        s->channel_scales.empty() ? nullptr : s->channel_scales.data(),
        1,
        false,
        s->range.low,
        s->range.high,
        args.out<float>(0)};
    RunRows<uint32_t>(*s, quantized, s->weights<int8_t>(args), zeros, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

absl::Status PrepareInteger(const PrepareArgs& args, bool wide, State* s) {
  const TensorView& input = args.in(0);
  const TensorView& weights = args.in(1);
  const TensorView& output = args.out(0);
  LS_RETURN_IF_ERROR(CheckActivationQuant(input, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(output, "the output"));
  const bool per_channel = weights.quant->per_channel();
  const bool packed = IsPacked(weights.type);
  LS_RETURN_IF_ERROR(CheckWeightQuant(weights,
                                      weights.type == schema::TensorType_UINT8 ? 1 : s->sizes.units,
                                      per_channel || packed));
  s->in_offset = -input.zero_point();
  s->weight_offset = per_channel ? 0 : -weights.zero_point();
  s->out_zero = output.zero_point();
  s->channel_stride = per_channel ? 1 : 0;
  s->factors = ChannelFactors(input, weights, output, per_channel ? s->sizes.units : 1);
  if (s->fixed_point) {
    if (!per_channel) s->factors[0] = TensorFactor(input, weights, output);
    LS_ASSIGN_OR_RETURN(s->multipliers, QuantizeFactors(s->factors, wide));
  }
  AddProduct(args, wide, s);
  return absl::OkStatus();
}

absl::Status PrepareHybrid(const PrepareArgs& args, State* s) {
  const TensorView& weights = args.in(1);
  LS_RETURN_IF_ERROR(CheckWeightQuant(weights, s->sizes.units, true));
  LS_RETURN_IF_ERROR(CheckBias(args, 2, s->sizes.units, {schema::TensorType_FLOAT32}));
  s->asymmetric = args.node.GetOptions<FullyConnectedOptionsT>().asymmetric_quantize_inputs;
  s->weight_scale = weights.scale();
  if (weights.quant->per_channel()) s->channel_scales = weights.quant->scale;
  if (std::optional<IntProduct> p = PackProduct(args, *s);
      p.has_value() && FinishHybrid(args, s->channel_scales, false, s->range.low, s->range.high,
                                    s->sizes.units, &*p)) {
    s->product = std::move(p);
  }
  return absl::OkStatus();
}

template <typename Weight>
absl::StatusOr<Kernel> PrepareInt16(const PrepareArgs& args, State* s) {
  LS_RETURN_IF_ERROR(
      CheckBias(args, 2, s->sizes.units, {schema::TensorType_INT32, schema::TensorType_INT64}));
  const auto& options = args.node.GetOptions<FullyConnectedOptionsT>();
  LS_ASSIGN_OR_RETURN(const bool narrow, AccumulatesIn32Bits(args, 2, options.quantized_bias_type));
  // 16-bit weights always accumulate in 64 bits and requantize in fixed point.
  constexpr bool kWideWeights = std::is_same_v<Weight, int16_t>;
  if (kWideWeights) s->fixed_point = true;
  LS_RETURN_IF_ERROR(PrepareInteger(args, kWideWeights || !narrow, s));
  auto state = std::make_shared<const State>(std::move(*s));
  if (kWideWeights && narrow) return IntegerKernel<uint64_t, int16_t, Weight, int32_t>(state);
  if (narrow) return IntegerKernel<uint32_t, int16_t, Weight, int32_t>(state);
  return IntegerKernel<uint64_t, int16_t, Weight, int64_t>(state);
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, State s) {
  const TensorType in = args.in(0).type;
  const TensorType weights = args.in(1).type;
  if (args.out(0).type != in) return NoKernel(args);
  if (in == schema::TensorType_FLOAT32 && weights == schema::TensorType_FLOAT32) {
    LS_RETURN_IF_ERROR(CheckBias(args, 2, s.sizes.units, {schema::TensorType_FLOAT32}));
    auto state = std::make_shared<const State>(std::move(s));
    if (args.mode == KernelMode::kBest) {
      const auto* constant = args.in(1).As<float>();
      const bool few = constant == nullptr && static_cast<int64_t>(state->sizes.rows) <= kFewRows;
      return few ? DotRowsKernel(state) : PackedFloatKernel(state, constant);
    }
    return FloatKernel(state);
  }
  if (in == schema::TensorType_UINT8 && weights == schema::TensorType_UINT8) {
    LS_RETURN_IF_ERROR(CheckBias(args, 2, s.sizes.units, {schema::TensorType_INT32}));
    LS_RETURN_IF_ERROR(PrepareInteger(args, false, &s));
    return IntegerKernel<uint32_t, uint8_t, uint8_t, int32_t>(
        std::make_shared<const State>(std::move(s)));
  }
  if (in == schema::TensorType_INT16 && weights == schema::TensorType_INT16) {
    return PrepareInt16<int16_t>(args, &s);
  }
  if (weights != schema::TensorType_INT8 && !IsPacked(weights)) return NoKernel(args);
  if (IsPacked(weights)) {
    LS_ASSIGN_OR_RETURN(s.unpacked, UnpackWeights(args.in(1)));
  }
  if (in == schema::TensorType_FLOAT32) {
    LS_RETURN_IF_ERROR(PrepareHybrid(args, &s));
    return HybridKernel(std::make_shared<const State>(std::move(s)));
  }
  if (in == schema::TensorType_INT8) {
    LS_RETURN_IF_ERROR(CheckBias(args, 2, s.sizes.units, {schema::TensorType_INT32}));
    LS_RETURN_IF_ERROR(PrepareInteger(args, false, &s));
    return IntegerKernel<uint32_t, int8_t, int8_t, int32_t>(
        std::make_shared<const State>(std::move(s)));
  }
  if (in == schema::TensorType_INT16) return PrepareInt16<int8_t>(args, &s);
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareFullyConnected(const PrepareArgs& args) {
  const auto& options = args.node.GetOptions<FullyConnectedOptionsT>();
  State s;
  LS_ASSIGN_OR_RETURN(s.sizes, MatrixSizes(options, args.in(0).shape, args.in(1).shape));
  LS_ASSIGN_OR_RETURN(s.range, ActivationRange(options.fused_activation_function));
  if (args.out(0).type != schema::TensorType_FLOAT32) {
    LS_ASSIGN_OR_RETURN(s.limits,
                        QuantizedActivationRange(options.fused_activation_function, args.out(0)));
  }
  // LiteRT's kernel for sparse int8 weights (1x16) requantizes in fixed point, too.
  s.fixed_point = args.arithmetic == Arithmetic::kTflm || args.in(1).stored_sparse;
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, std::move(s)));
  kernel.name = MatrixKernelName(args, 0, 1, "fully_connected");
  return kernel;
}

absl::Status FullyConnectedGradient(const GradArgs& args) {
  const auto& options = args.node.GetOptions<FullyConnectedOptionsT>();
  LS_ASSIGN_OR_RETURN(const Sizes s,
                      MatrixSizes(options, args.inputs[0].shape, args.inputs[1].shape));
  const auto depth = static_cast<size_t>(s.depth), units = static_cast<size_t>(s.units);
  auto* masked = reinterpret_cast<float*>(GradScratch(args, s.rows * units * sizeof(float)));
  LS_ASSIGN_OR_RETURN(const float* dy,
                      BeforeActivation(args, options.fused_activation_function, masked));
  GemmResult to;
  to.stride = depth;
  if (args.in_grads[0] != nullptr) {
    to.data = args.in_grads[0];
    to.accumulate = !args.first[0];
    GemmF32(s.rows, depth, GemmLeft::RowMajor(dy, units, units),
            GemmRight::RowMajor(args.inputs[1].As<float>(), depth), to, args.threads);
  }
  if (args.in_grads[1] != nullptr) {
    to.data = args.in_grads[1];
    to.accumulate = !args.first[1];
    GemmF32(units, depth, GemmLeft::Transposed(dy, s.rows, units),
            GemmRight::RowMajor(args.inputs[0].As<float>(), depth), to, args.threads);
  }
  if (args.in_grads.size() > 2 && args.in_grads[2] != nullptr) {
    gradient::ColumnSums(dy, s.rows, units, !args.first[2], args.in_grads[2]);
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  const auto& options = args.node.GetOptions<FullyConnectedOptionsT>();
  const TensorType in = args.in(0);
  const TensorType weights = args.in(1);
  if (weights == schema::TensorType_INT2) return 14;
  if (in == schema::TensorType_INT16 && weights == schema::TensorType_INT4) return 13;
  const bool hybrid = in == schema::TensorType_FLOAT32 && weights == schema::TensorType_INT8;
  if (hybrid && args.inputs[1].quant->per_channel()) return 12;
  if (in == schema::TensorType_INT16 && weights == schema::TensorType_INT8 &&
      options.quantized_bias_type == schema::TensorType_INT32) {
    return 11;
  }
  // Also beside float activations: older runtimes do not know the type.
  if (weights == schema::TensorType_INT4) return 10;
  if (hybrid && options.asymmetric_quantize_inputs) return 9;
  if (in == schema::TensorType_INT16 && weights == schema::TensorType_INT16) return 7;
  if (args.inputs.size() == 2) return 6;
  if (options.keep_num_dims) return 5;
  if (in == schema::TensorType_INT8 || in == schema::TensorType_INT16) return 4;
  return hybrid ? 3 : 1;
}

}  // namespace

const OpRecord& FullyConnectedOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_FULLY_CONNECTED;
    r.names = {"Dense", "MatMul", "Gemm"};
    r.infer_shapes = Infer;
    r.prepare = PrepareFullyConnected;
    r.gradient = FullyConnectedGradient;
    r.version = Version;
    r.quant.int8 = r.quant.int16x8 = r.quant.dynamic = true;
    r.quant.inputs = {{Role::kActivation, -1}, {Role::kWeight, 0}, {Role::kBias, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
