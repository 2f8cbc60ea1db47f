#include "ops/fast_depthwise.h"

#include <memory>
#include <utility>

#include "kernels/depthwise_f32.h"
#include "kernels/depthwise_s16.h"
#include "kernels/quantize_rows.h"
#include "ops/matrix_support.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

size_t Rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

// What the integer kernels keep.
struct State {
  DepthwiseS16Packed packed;
  DepthwiseS16Run run;
  std::vector<float> channel_scales;
};

void UseFloat(const ConvGeometry& g, FloatRange range, Kernel* kernel) {
  kernel->scratch_bytes = DepthwiseF32ScratchBytes(g);
  kernel->run = [g, range](const RunArgs& args) {
    const DepthwiseF32Output out{args.in<float>(2), range.low, range.high, args.out<float>(0)};
    DepthwiseF32(g, args.in<float>(0), args.in<float>(1), out, args.scratch, args.threads);
    return absl::OkStatus();
  };
}

template <typename In>
void UseInteger(std::shared_ptr<const State> s, Kernel* kernel) {
  kernel->scratch_bytes = s->packed.ScratchBytes(sizeof(In));
  kernel->run = [s](const RunArgs& args) {
    DepthwiseS16Run run = s->run;
    run.out = args.out<In>(0);
    DepthwiseS16(s->packed, args.in<In>(0), run, args.scratch, args.threads);
    return absl::OkStatus();
  };
}

// Scratch: a zero point and a scale per image, the quantized input, the kernel's own.
void UseHybrid(std::shared_ptr<const State> s, Kernel* kernel) {
  const size_t images = s->packed.g.batches;
  const size_t image_size = size_t(s->packed.g.in_h) * s->packed.g.in_w * s->packed.in_channels;
  const size_t own = Rounded(images * (sizeof(int32_t) + sizeof(float) + image_size));
  kernel->scratch_bytes = own + s->packed.ScratchBytes(sizeof(int8_t));
  kernel->run = [s, images, image_size, own](const RunArgs& args) {
    auto* offsets = reinterpret_cast<int32_t*>(args.scratch);
    auto* scales = reinterpret_cast<float*>(offsets + images);
    auto* quantized = reinterpret_cast<int8_t*>(scales + images);
    for (size_t i = 0; i < images; ++i) {
      int32_t zero = 0;
      scales[i] = QuantizeRowAsymmetric(args.in<float>(0) + i * image_size, image_size,
                                        quantized + i * image_size, &zero, args.threads);
      offsets[i] = -zero;
    }
    DepthwiseS16Run run = s->run;
    run.image_offsets = offsets;
    run.image_scales = scales;
    run.channel_scales = s->channel_scales.data();
    run.bias = args.in<float>(2);
    run.out = args.out<float>(0);
    DepthwiseS16(s->packed, quantized, run, args.scratch + own, args.threads);
    return absl::OkStatus();
  };
}

// The bias as 64-bit numbers; false where it is not constant.
bool BiasOf(const PrepareArgs& args, std::vector<int64_t>* bias) {
  if (!args.has(2)) return true;
  const TensorView& view = args.in(2);
  if (view.data == nullptr) return false;
  const auto count = static_cast<size_t>(view.elements());
  if (view.type == schema::TensorType_INT32) {
    bias->assign(view.As<int32_t>(), view.As<int32_t>() + count);
    return true;
  }
  if (view.type != schema::TensorType_INT64) return false;
  bias->assign(view.As<int64_t>(), view.As<int64_t>() + count);
  return true;
}

// The weights with their zero point taken off.
absl::StatusOr<std::vector<int16_t>> WeightsOf(const TensorView& view) {
  const auto count = static_cast<size_t>(view.elements());
  std::vector<int16_t> out;
  if (view.type == schema::TensorType_UINT8) {
    const auto* values = view.As<uint8_t>();
    for (size_t i = 0; i < count; ++i) {
      out.push_back(static_cast<int16_t>(values[i] - view.zero_point()));
    }
  } else if (IsPacked(view.type)) {
    LS_ASSIGN_OR_RETURN(const std::vector<int8_t> values, UnpackWeights(view));
    out.assign(values.begin(), values.end());
  } else {
    out.assign(view.As<int8_t>(), view.As<int8_t>() + count);
  }
  return out;
}

}  // namespace

absl::Status UseFastDepthwise(const PrepareArgs& args, const ConvGeometry& g, FloatRange range,
                              IntRange limits, Kernel* kernel) {
  const TensorView &input = args.in(0), &weights = args.in(1), &output = args.out(0);
  if (args.mode != KernelMode::kBest) return absl::OkStatus();
  if (weights.type == schema::TensorType_FLOAT32) {
    if (DepthwiseF32Fits(g)) UseFloat(g, range, kernel);
    return absl::OkStatus();
  }
  if (weights.data == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(const std::vector<int16_t> values, WeightsOf(weights));
  DepthwiseS16Spec spec;
  spec.g = g;
  spec.weights = values.data();
  auto s = std::make_shared<State>();
  std::vector<int64_t> bias;
  std::vector<Multiplier> multipliers;
  if (input.type == schema::TensorType_FLOAT32) {
    spec.stage = DepthwiseStage::kFloat;
    s->channel_scales = weights.quant->scale;
    s->channel_scales.resize(static_cast<size_t>(g.out_c), weights.quant->scale[0]);
    s->run.float_low = range.low;
    s->run.float_high = range.high;
  } else {
    const bool wide = input.type == schema::TensorType_INT16;
    std::vector<double> factors = ChannelFactors(input, weights, output, g.out_c);
    if (input.type == schema::TensorType_UINT8) {
      std::fill(factors.begin(), factors.end(), TensorFactor(input, weights, output));
    }
    LS_ASSIGN_OR_RETURN(multipliers, QuantizeFactors(factors, wide));
    multipliers.resize(static_cast<size_t>(g.out_c), multipliers[0]);
    if (!BiasOf(args, &bias) || (wide && output.zero_point() != 0)) return absl::OkStatus();
    spec.stage = wide ? DepthwiseStage::kWide : DepthwiseStage::kFixedPoint;
    spec.multipliers = multipliers.data();
    spec.bias = bias.empty() ? nullptr : bias.data();
    spec.low = limits.low;
    spec.high = limits.high;
    spec.zero_point = output.zero_point();
    if (wide) spec.input_range = 32768 + std::abs(input.zero_point());
    s->run.input_offset = -input.zero_point();
    s->run.zero_point = output.zero_point();
    s->run.low = limits.low;
    s->run.high = limits.high;
  }
  // Quantized at run time, or int8 to begin with.
  spec.int8_input =
      input.type == schema::TensorType_FLOAT32 || input.type == schema::TensorType_INT8;
  s->packed = PackDepthwiseS16(spec);
  if (!s->packed.fits()) return absl::OkStatus();
  if (input.type == schema::TensorType_FLOAT32) {
    UseHybrid(std::move(s), kernel);
  } else if (input.type == schema::TensorType_INT16) {
    UseInteger<int16_t>(std::move(s), kernel);
  } else if (input.type == schema::TensorType_UINT8) {
    UseInteger<uint8_t>(std::move(s), kernel);
  } else {
    UseInteger<int8_t>(std::move(s), kernel);
  }
  return absl::OkStatus();
}

}  // namespace litesmith
