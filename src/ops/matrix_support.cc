#include "ops/matrix_support.h"

#include <cmath>

#include "base/packed_int.h"

namespace litesmith {

absl::Status CheckWeightQuant(const TensorView& weights, int32_t channels, bool symmetric) {
  const QuantParams& quant = *weights.quant;
  if (quant.scale.empty() || (quant.scale.size() != 1 && quant.scale.size() != size_t(channels))) {
    return Invalid("the weights '{}' need 1 or {} scales, they have {}", Printable(weights.name),
                   channels, quant.scale.size());
  }
  for (float scale : quant.scale) {
    if (!(scale > 0.0f) || !std::isfinite(scale)) {
      return Invalid("the weights '{}' have the scale {}, which is not a positive number",
                     Printable(weights.name), scale);
    }
  }
  for (int64_t zero : quant.zero_point) {
    if (symmetric ? zero != 0 : zero < -128 || zero > 255) {
      return Invalid("the weights '{}' have the zero point {}, which has no kernel",
                     Printable(weights.name), zero);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBias(const PrepareArgs& args, size_t input, int32_t channels,
                       std::initializer_list<TensorType> types) {
  if (!args.has(input)) return absl::OkStatus();
  const TensorView& bias = args.in(input);
  LS_RETURN_IF_ERROR(CheckType(bias, "the bias", types));
  if (bias.elements() != channels) {
    return Invalid("the bias '{}' has {} values for {} channels", Printable(bias.name),
                   bias.elements(), channels);
  }
  for (int64_t zero : bias.quant->zero_point) {
    if (zero != 0)
      return Invalid("the bias '{}' has the zero point {}", Printable(bias.name), zero);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> AccumulatesIn32Bits(const PrepareArgs& args, size_t bias, TensorType option) {
  const bool given = option != schema::TensorType_FLOAT32;
  if (given && option != schema::TensorType_INT32 && option != schema::TensorType_INT64) {
    return Invalid("quantized_bias_type is {}, INT32 and INT64 are possible", TypeName(option));
  }
  if (!args.has(bias)) return option == schema::TensorType_INT32;
  const TensorType type = args.in(bias).type;
  if (given && type != option) {
    return Invalid("the bias has type {}, quantized_bias_type says {}", TypeName(type),
                   TypeName(option));
  }
  return type == schema::TensorType_INT32;
}

std::vector<double> ChannelFactors(const TensorView& input, const TensorView& weights,
                                   const TensorView& output, int32_t channels) {
  std::vector<double> factors(channels);
  const std::vector<float>& scales = weights.quant->scale;
  for (int32_t c = 0; c < channels; ++c) {
    factors[c] =
        double{input.scale()} * double{scales[scales.size() == 1 ? 0 : c]} / double{output.scale()};
  }
  return factors;
}

double TensorFactor(const TensorView& input, const TensorView& weights, const TensorView& output) {
  return double{input.scale() * weights.scale()} / double{output.scale()};
}

absl::StatusOr<std::vector<Multiplier>> QuantizeFactors(const std::vector<double>& factors,
                                                        bool wide_accumulator) {
  std::vector<Multiplier> multipliers;
  multipliers.reserve(factors.size());
  for (double factor : factors) {
    multipliers.push_back(QuantizeMultiplier(factor));
    if (wide_accumulator && multipliers.back().shift > 7) {
      return Invalid(
          "the scales ask for a factor of {}, 128 is the most that a kernel with 64-bit sums "
          "takes",
          factor);
    }
  }
  return multipliers;
}

bool IsPacked(TensorType type) {
  return type == schema::TensorType_INT4 || type == schema::TensorType_INT2;
}

absl::StatusOr<std::vector<int8_t>> UnpackWeights(const TensorView& weights) {
  if (weights.data == nullptr) {
    return Unsupported("the packed weights '{}' are not constant, which has no kernel",
                       Printable(weights.name));
  }
  std::vector<int8_t> out(static_cast<size_t>(weights.elements()));
  if (weights.type == schema::TensorType_INT4) {
    UnpackInt4(weights.data, out.size(), out.data());
  } else {
    UnpackInt2(weights.data, out.size(), out.data());
  }
  return out;
}

std::string MatrixKernelName(const PrepareArgs& args, size_t input, size_t weights,
                             const char* op) {
  const TensorView& x = args.in(input);
  const TensorView& w = args.in(weights);
  const bool hybrid = x.type == schema::TensorType_FLOAT32 && w.type != schema::TensorType_FLOAT32;
  std::string weight_tag = TypeTag(w);
  if (w.type == schema::TensorType_INT4) weight_tag = "qs4";
  if (w.type == schema::TensorType_INT2) weight_tag = "qs2";
  if (w.quant->per_channel() && weight_tag[0] == 'q') weight_tag[1] = 'c';
  return fmt::format("{}-{}-{}w-{}", hybrid ? "qd8" : TypeTag(x), TypeTag(args.out(0)), weight_tag,
                     op);
}

}  // namespace litesmith
