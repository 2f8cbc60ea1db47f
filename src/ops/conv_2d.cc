#include <algorithm>
#include <memory>

#include "kernels/aligned.h"
#include "kernels/conv_f32.h"
#include "kernels/depthwise.h"
#include "kernels/gray_conv_f32.h"
#include "kernels/quantize_rows.h"
#include "kernels/reference/conv.h"
#include "kernels/reference/dynamic_range.h"
#include "kernels/reference/stage.h"
#include "kernels/winograd_f32.h"
#include "ops/conv_2d_support.h"
#include "ops/fast_depthwise.h"
#include "ops/fast_integer.h"
#include "ops/int_product.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using reference::ConvOffsets;

// CONV_2D and DEPTHWISE_CONV_2D differ in geometry, in the loop and in the rounding order of the
// hybrid scales.
enum class Kind { kFull, kDepthwise };

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 3, 1));
  LS_ASSIGN_OR_RETURN(const ConvGeometry g,
                      Conv2DGeometry(args.node, args.in(0).shape, args.in(1).shape));
  Shape out = {g.batches, g.out_h, g.out_w, g.out_c};
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

// What a prepared node keeps: geometry, offsets, multipliers, unpacked weights.
struct State {
  Kind kind = Kind::kFull;
  ConvGeometry g;
  ConvOffsets offsets;
  FloatRange range = {0, 0};
  IntRange limits = {0, 0};
  int32_t out_zero = 0;
  std::vector<Multiplier> multipliers;
  std::vector<float> channel_scales;  // hybrid; empty: in the row scales
  float weight_scale = 1.0f;          // hybrid with one scale
  std::vector<int8_t> unpacked;
  std::optional<FastConv> fast;       // kBest, depthwise, integer sums
  std::optional<IntProduct> product;  // kBest, CONV_2D, integer sums

  const int8_t* weights(const RunArgs& args) const {
    return unpacked.empty() ? args.in<int8_t>(1) : unpacked.data();
  }
};

// All output rows, shared among the threads.
template <typename Acc, typename In, typename Weight, typename Stage>
void RunRows(const State& s, const ConvOffsets& offsets, const In* input, const Weight* weights,
             const Stage& stage, ThreadPool* threads) {
  if constexpr (!std::is_floating_point_v<Acc>) {
    if (s.fast.has_value()) {
      RunFastDepthwise<Acc>(*s.fast, s.g, offsets, input, stage, threads);
      return;
    }
  }
  const auto body = [&](size_t begin, size_t end) {
    if (s.kind == Kind::kFull) {
      reference::Convolve<Acc>(s.g, offsets, input, weights, begin, end, stage);
    } else {
      reference::ConvolveDepthwise<Acc>(s.g, offsets, input, weights, begin, end, stage);
    }
  };
  ParallelFor(threads, size_t(s.g.batches) * s.g.out_h, 1, std::cref(body));
}

Kernel FloatKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::FloatStage stage{args.in<float>(2), s->range.low, s->range.high,
                                      args.out<float>(0)};
    RunRows<float>(*s, s->offsets, args.in<float>(0), args.in<float>(1), stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// The GEMM. Constant weights are packed here, others at every run.
Kernel PackedFloatKernel(std::shared_ptr<const State> s, const float* weights) {
  auto packed = std::make_shared<AlignedVector<float>>();
  if (weights != nullptr) {
    packed->resize(PackedConvFloats(s->g));
    PackConvF32(s->g, weights, packed->data());
  }
  const size_t conv_bytes = (ConvF32ScratchBytes(s->g) + 63) / 64 * 64;
  Kernel kernel;
  kernel.scratch_bytes =
      conv_bytes + (weights != nullptr ? 0 : PackedConvFloats(s->g) * sizeof(float));
  kernel.run = [s, packed, conv_bytes](const RunArgs& args) {
    const float* panels = packed->data();
    if (packed->empty()) {
      auto* here = reinterpret_cast<float*>(args.scratch + conv_bytes);
      PackConvF32(s->g, args.in<float>(1), here);
      panels = here;
    }
    const ConvF32Output out{args.out<float>(0), args.in<float>(2), s->range.low, s->range.high,
                            false};
    ConvF32(s->g, args.in<float>(0), panels, out, args.scratch, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// 3x3 filters through fewer products.
Kernel WinogradKernel(std::shared_ptr<const State> s, const float* weights) {
  auto packed = std::make_shared<AlignedVector<float>>();
  packed->resize(WinogradF32PackedFloats(s->g));
  PackWinogradF32(s->g, weights, packed->data());
  Kernel kernel;
  kernel.scratch_bytes = WinogradF32ScratchBytes(s->g);
  kernel.run = [s, packed](const RunArgs& args) {
    const ConvF32Output out{args.out<float>(0), args.in<float>(2), s->range.low, s->range.high,
                            false};
    WinogradF32(s->g, args.in<float>(0), packed->data(), out, args.scratch, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// One channel to eight.
Kernel GrayKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.scratch_bytes = GrayConvF32ScratchBytes(s->g);
  kernel.run = [s](const RunArgs& args) {
    const ConvF32Output out{args.out<float>(0), args.in<float>(2), s->range.low, s->range.high,
                            false};
    GrayConvF32(s->g, args.in<float>(0), args.in<float>(1), out, args.scratch);
    return absl::OkStatus();
  };
  return kernel;
}

// WinogradKernel for weights that are known at run time only.
Kernel WinogradKernelAnew(std::shared_ptr<const State> s) {
  const size_t own = (WinogradF32ScratchBytes(s->g) + 63) / 64 * 64;
  const size_t packed_bytes = WinogradF32PackedFloats(s->g) * sizeof(float);
  const size_t taps_bytes = size_t{9} * s->g.in_c * s->g.out_c * sizeof(float);
  Kernel kernel;
  kernel.scratch_bytes = own + packed_bytes + taps_bytes;
  kernel.run = [s, own, packed_bytes](const RunArgs& args) {
    auto* packed = reinterpret_cast<float*>(args.scratch + own);
    auto* taps = reinterpret_cast<float*>(args.scratch + own + packed_bytes);
    PackWinogradF32Anew(s->g, args.in<float>(1), taps, packed);
    const ConvF32Output out{args.out<float>(0), args.in<float>(2), s->range.low, s->range.high,
                            false};
    WinogradF32(s->g, args.in<float>(0), packed, out, args.scratch, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// The fast depthwise kernel, where the mode asks for it and the weights are known.
void AddFast(const PrepareArgs& args, bool wide, State* s) {
  const TensorView& weights = args.in(1);
  if (args.mode != KernelMode::kBest || weights.data == nullptr || s->kind == Kind::kFull) return;
  if (weights.type == schema::TensorType_UINT8) {
    s->fast = MakeFastDepthwise(s->g, weights.As<uint8_t>(), s->offsets.weight, wide);
  } else {
    const int8_t* values = s->unpacked.empty() ? weights.As<int8_t>() : s->unpacked.data();
    s->fast = MakeFastDepthwise(s->g, values, 0, wide);
  }
  if (s->fast.has_value() && !wide) {
    s->fast->channels = MakeS16Channels(s->multipliers, s->g.out_c, args, 2);
  }
}

// The packed weights of the fast CONV_2D, under the same conditions.
std::optional<IntProduct> PackProduct(const PrepareArgs& args, const State& s) {
  const TensorView& weights = args.in(1);
  if (args.mode != KernelMode::kBest || weights.data == nullptr || s.kind != Kind::kFull ||
      !ConvF32Fits(s.g)) {
    return std::nullopt;
  }
  const TensorType in = args.in(0).type;
  const bool bytes = UseBytes(in, weights.type, s.offsets.weight);
  size_t element = in == schema::TensorType_INT16 ? 2 : 1;
  if (in == schema::TensorType_FLOAT32 && bytes) element = sizeof(float);
  IntProduct p;
  if (weights.type == schema::TensorType_UINT8) {
    p.conv = IntConv::Prepare(s.g, IntKernels()[0], bytes, element, weights.As<uint8_t>(),
                              s.offsets.weight);
  } else {
    const int8_t* values = s.unpacked.empty() ? weights.As<int8_t>() : s.unpacked.data();
    p.conv = IntConv::Prepare(s.g, IntKernels()[0], bytes, element, values, 0);
  }
  return p;
}

void AddProduct(const PrepareArgs& args, bool wide, State* s) {
  std::optional<IntProduct> p = PackProduct(args, *s);
  if (!p.has_value()) return;
  IntProductArgs what;
  what.input = args.in(0).type;
  what.input_zero = -s->offsets.input;
  what.output_zero = s->out_zero;
  what.low = s->limits.low;
  what.high = s->limits.high;
  what.multipliers = &s->multipliers;
  what.narrow = !wide;
  if (FinishInteger(args, what, s->g.out_c, &*p)) s->product = std::move(p);
}

template <typename In>
Kernel ProductKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.scratch_bytes = s->product->conv.scratch_bytes;
  kernel.run = [s](const RunArgs& args) {
    const IntProduct& p = *s->product;
    const int32_t zero = -s->offsets.input;
    ConvInt<In>(s->g, p.conv, {args.in<In>(0), &zero, false},
                p.init.empty() ? nullptr : p.init.data(), p.wide_sums,
                p.StageTo(args.out<In>(0), s->g.out_c), args.scratch, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

template <typename Acc, typename In, typename Weight, typename Bias>
Kernel IntegerKernel(std::shared_ptr<const State> s) {
  if (s->product.has_value()) return ProductKernel<In>(s);
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::FixedPointStage<Bias, In> stage{
        {args.in<Bias>(2), s->out_zero, s->limits.low, s->limits.high, args.out<In>(0)},
        s->multipliers.data(),
        1};
    const Weight* weights = nullptr;
    if constexpr (std::is_same_v<Weight, int8_t>) {
      weights = s->weights(args);
    } else {
      weights = args.in<Weight>(1);
    }
    RunRows<Acc>(*s, s->offsets, args.in<In>(0), weights, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// The ranges of all images; false where one of them has none that vectors can use.
bool FindQuantizers(const State& s, const float* input, size_t image_size, RowQuantizer* quantizers,
                    int32_t* zeros, float* scales, ThreadPool* threads) {
  const bool symmetric = s.channel_scales.empty();
  for (size_t i = 0; i < static_cast<size_t>(s.g.batches); ++i, input += image_size) {
    const RowQuantizer q = symmetric ? FindSymmetric(input, image_size, threads)
                                     : FindAsymmetric(input, image_size, threads);
    if (q.plain) return false;
    quantizers[i] = q;
    zeros[i] = q.zero_point;
    scales[i] = symmetric ? q.scale * s.weight_scale : q.scale;
  }
  return true;
}

// Float activations, integer weights: each image is quantized as a whole, symmetric where the whole
// filter has one scale (CONV_2D without groups), else asymmetric. Scratch: zero points, scales,
// quantizers, quantized input.
Kernel HybridKernel(std::shared_ptr<const State> s) {
  const size_t images = s->g.batches;
  const size_t image_size = size_t(s->g.in_h) * s->g.in_w * s->g.in_c;
  Kernel kernel;
  const size_t of_image = sizeof(int32_t) + sizeof(float) + sizeof(RowQuantizer);
  const size_t head = (images * of_image + 63) / 64 * 64;
  const size_t own = head + (images * image_size + 63) / 64 * 64;
  kernel.scratch_bytes = own + (s->product.has_value() ? s->product->conv.scratch_bytes : 0);
  kernel.run = [s, images, image_size, head, own](const RunArgs& args) {
    auto* zeros = reinterpret_cast<int32_t*>(args.scratch);
    auto* scales = reinterpret_cast<float*>(zeros + images);
    auto* quantizers = reinterpret_cast<RowQuantizer*>(scales + images);
    auto* quantized = reinterpret_cast<int8_t*>(args.scratch + head);
    const auto* input = args.in<float>(0);
    const bool symmetric = s->channel_scales.empty();
    // Straight into the product's copy of the images; short rows are slower one by one.
    constexpr size_t kLeastRow = 16;
    const bool direct =
        s->product.has_value() && s->product->weights().bytes &&
        size_t(s->g.in_w) * s->g.in_c >= kLeastRow &&
        FindQuantizers(*s, input, image_size, quantizers, zeros, scales, args.threads);
    for (size_t i = 0; !direct && i < images; ++i) {
      const float* from = input + i * image_size;
      int8_t* to = quantized + i * image_size;
      int32_t zero = 0;
      scales[i] = symmetric
                      ? QuantizeRowSymmetric(from, image_size, to, args.threads) * s->weight_scale
                      : QuantizeRowAsymmetric(from, image_size, to, &zero, args.threads);
      zeros[i] = zero;
    }
    if (s->product.has_value()) {
      const IntProduct& p = *s->product;
      IntStage stage = p.StageTo(args.out<float>(0), s->g.out_c);
      stage.row_scale = scales;
      stage.row_zero = symmetric ? nullptr : zeros;
      stage.positions = size_t(s->g.out_h) * s->g.out_w;
      std::byte* scratch = args.scratch + own;
      if (direct) {
        ConvInt<float>(s->g, p.conv, {input, zeros, true, quantizers}, p.init.data(), false, stage,
                       scratch, args.threads);
      } else {
        ConvInt<int8_t>(s->g, p.conv, {quantized, zeros, true}, p.init.data(), false, stage,
                        scratch, args.threads);
      }
      return absl::OkStatus();
    }
    for (size_t i = 0; i < images; ++i) zeros[i] = -zeros[i];
    ConvOffsets offsets;
    offsets.per_image_input = zeros;
    const reference::HybridStage stage{args.in<float>(2),
                                       scales,
                                       symmetric ? nullptr : s->channel_scales.data(),
                                       1,
                                       s->kind == Kind::kFull,
                                       s->range.low,
                                       s->range.high,
                                       args.out<float>(0)};
    RunRows<uint32_t>(*s, offsets, quantized, s->weights(args), stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

absl::Status PrepareHybrid(const PrepareArgs& args, State* s) {
  const TensorView& weights = args.in(1);
  LS_RETURN_IF_ERROR(CheckWeightQuant(weights, s->g.out_c, true));
  LS_RETURN_IF_ERROR(CheckBias(args, 2, s->g.out_c, {schema::TensorType_FLOAT32}));
  const std::vector<float>& scales = weights.quant->scale;
  const bool one_scale =
      std::all_of(scales.begin(), scales.end(), [&](float scale) { return scale == scales[0]; });
  s->weight_scale = scales[0];
  if (s->kind == Kind::kDepthwise || !one_scale || s->g.filter_c != s->g.in_c) {
    s->channel_scales = scales;
    s->channel_scales.resize(s->g.out_c, scales[0]);
  }
  return absl::OkStatus();
}

// Quantized activations; `wide` says 64-bit sums.
absl::Status PrepareInteger(const PrepareArgs& args, bool wide, State* s) {
  const TensorView& input = args.in(0);
  const TensorView& weights = args.in(1);
  const bool per_tensor = input.type == schema::TensorType_UINT8;
  LS_RETURN_IF_ERROR(CheckActivationQuant(input, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "the output"));
  LS_RETURN_IF_ERROR(CheckWeightQuant(weights, per_tensor ? 1 : s->g.out_c, !per_tensor));
  std::vector<double> factors = ChannelFactors(input, weights, args.out(0), s->g.out_c);
  if (per_tensor) {
    std::fill(factors.begin(), factors.end(), TensorFactor(input, weights, args.out(0)));
    s->offsets.weight = -weights.zero_point();
  }
  LS_ASSIGN_OR_RETURN(s->multipliers, QuantizeFactors(factors, wide));
  s->offsets.input = -input.zero_point();
  s->out_zero = args.out(0).zero_point();
  AddFast(args, wide, s);
  AddProduct(args, wide, s);
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareInt16(const PrepareArgs& args, State* s) {
  LS_RETURN_IF_ERROR(
      CheckBias(args, 2, s->g.out_c, {schema::TensorType_INT32, schema::TensorType_INT64}));
  bool narrow = args.has(2) && args.in(2).type == schema::TensorType_INT32;
  if (s->kind == Kind::kFull) {
    const auto& options = args.node.GetOptions<schema::Conv2DOptionsT>();
    LS_ASSIGN_OR_RETURN(narrow, AccumulatesIn32Bits(args, 2, options.quantized_bias_type));
  } else if (narrow) {
    return Unsupported("16-bit activations need a bias of type INT64");
  }
  LS_RETURN_IF_ERROR(PrepareInteger(args, !narrow, s));
  auto state = std::make_shared<const State>(std::move(*s));
  if (narrow) return IntegerKernel<uint32_t, int16_t, int8_t, int32_t>(state);
  return IntegerKernel<uint64_t, int16_t, int8_t, int64_t>(state);
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, State s) {
  const TensorType in = args.in(0).type;
  const TensorType weights = args.in(1).type;
  if (args.out(0).type != in) return NoKernel(args);
  if (in == schema::TensorType_FLOAT32 && weights == schema::TensorType_FLOAT32) {
    LS_RETURN_IF_ERROR(CheckBias(args, 2, s.g.out_c, {schema::TensorType_FLOAT32}));
    auto state = std::make_shared<const State>(std::move(s));
    if (args.mode == KernelMode::kBest && state->kind == Kind::kFull && ConvF32Fits(state->g)) {
      if (args.in(1).data != nullptr && WinogradF32Fits(state->g)) {
        return WinogradKernel(state, args.in(1).As<float>());
      }
      if (args.in(1).data == nullptr && GrayConvF32Fits(state->g)) return GrayKernel(state);
      if (args.in(1).data == nullptr && WinogradF32FitsAnew(state->g)) {
        return WinogradKernelAnew(state);
      }
      return PackedFloatKernel(state, args.in(1).As<float>());
    }
    return FloatKernel(state);
  }
  if (in == schema::TensorType_UINT8 && weights == schema::TensorType_UINT8) {
    LS_RETURN_IF_ERROR(CheckBias(args, 2, s.g.out_c, {schema::TensorType_INT32}));
    LS_RETURN_IF_ERROR(PrepareInteger(args, false, &s));
    return IntegerKernel<uint32_t, uint8_t, uint8_t, int32_t>(
        std::make_shared<const State>(std::move(s)));
  }
  if (weights != schema::TensorType_INT8 && weights != schema::TensorType_INT4) {
    return NoKernel(args);
  }
  if (weights == schema::TensorType_INT4) {
    LS_ASSIGN_OR_RETURN(s.unpacked, UnpackWeights(args.in(1)));
  }
  if (in == schema::TensorType_FLOAT32) {
    LS_RETURN_IF_ERROR(PrepareHybrid(args, &s));
    AddFast(args, false, &s);
    if (std::optional<IntProduct> p = PackProduct(args, s);
        p.has_value() &&
        FinishHybrid(args, s.channel_scales, true, s.range.low, s.range.high, s.g.out_c, &*p)) {
      s.product = std::move(p);
    }
    return HybridKernel(std::make_shared<const State>(std::move(s)));
  }
  if (in == schema::TensorType_INT8) {
    LS_RETURN_IF_ERROR(CheckBias(args, 2, s.g.out_c, {schema::TensorType_INT32}));
    LS_RETURN_IF_ERROR(PrepareInteger(args, false, &s));
    return IntegerKernel<uint32_t, int8_t, int8_t, int32_t>(
        std::make_shared<const State>(std::move(s)));
  }
  if (in == schema::TensorType_INT16) return PrepareInt16(args, &s);
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareConv(const PrepareArgs& args) {
  State s;
  const bool depthwise = args.node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D;
  s.kind = depthwise ? Kind::kDepthwise : Kind::kFull;
  LS_ASSIGN_OR_RETURN(s.g, Conv2DGeometry(args.node, args.in(0).shape, args.in(1).shape));
  const schema::ActivationFunctionType activation = Conv2DActivation(args.node);
  LS_ASSIGN_OR_RETURN(s.range, ActivationRange(activation));
  if (args.out(0).type != schema::TensorType_FLOAT32) {
    LS_ASSIGN_OR_RETURN(s.limits, QuantizedActivationRange(activation, args.out(0)));
  }
  const ConvGeometry g = s.g;
  const FloatRange range = s.range;
  const IntRange limits = s.limits;
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, std::move(s)));
  if (depthwise) LS_RETURN_IF_ERROR(UseFastDepthwise(args, g, range, limits, &kernel));
  kernel.name = MatrixKernelName(args, 0, 1, depthwise ? "depthwise_conv_2d" : "conv_2d");
  return kernel;
}

int ConvVersion(const VersionArgs& args) {
  const auto& options = args.node.GetOptions<schema::Conv2DOptionsT>();
  const bool int16 = args.in(0) == schema::TensorType_INT16;
  // A 64-bit bias is what int16 activations had before there was a choice.
  if (int16 && options.quantized_bias_type == schema::TensorType_INT32) return 8;
  // Also beside float activations: older runtimes do not know the type.
  if (args.in(1) == schema::TensorType_INT4) return 7;
  const bool shaped =
      args.inputs.size() > 1 && args.inputs[0].rank() == 4 && args.inputs[1].rank() == 4;
  if (shaped && args.inputs[0].shape[3] != args.inputs[1].shape[3]) return 6;
  if (int16 || args.in(0) == schema::TensorType_INT8) return 3;
  if (args.in(0) == schema::TensorType_FLOAT32 && args.in(1) == schema::TensorType_INT8) {
    return args.inputs[1].quant->per_channel() ? 5 : 2;
  }
  return 1;
}

int DepthwiseVersion(const VersionArgs& args) {
  const auto& options = args.node.GetOptions<schema::DepthwiseConv2DOptionsT>();
  if (args.in(0) == schema::TensorType_INT16) return 3;
  if (args.in(0) == schema::TensorType_FLOAT32 && args.in(1) == schema::TensorType_INT8) {
    return args.inputs[1].quant->per_channel() ? 6 : 4;
  }
  if (args.in(0) == schema::TensorType_INT8) return args.in(1) == schema::TensorType_INT4 ? 7 : 3;
  return options.dilation_h_factor != 1 || options.dilation_w_factor != 1 ? 2 : 1;
}

OpRecord MakeRecord(schema::BuiltinOperator op, int weight_axis) {
  OpRecord record;
  record.op = op;
  record.infer_shapes = Infer;
  record.prepare = PrepareConv;
  record.gradient = Conv2DGradient;
  record.quant.int8 = record.quant.int16x8 = record.quant.dynamic = true;
  record.quant.inputs = {{Role::kActivation, -1}, {Role::kWeight, weight_axis}, {Role::kBias, -1}};
  return record;
}

}  // namespace

const OpRecord& Conv2DOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_CONV_2D, 0);
    r.names = {"Conv2D", "Conv2D", "Conv"};
    r.version = ConvVersion;
    return r;
  }();
  return record;
}

const OpRecord& DepthwiseConv2DOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_DEPTHWISE_CONV_2D, 3);
    r.names = {"DepthwiseConv2D", "DepthwiseConv2dNative", "Conv"};
    r.version = DepthwiseVersion;
    return r;
  }();
  return record;
}

}  // namespace litesmith
