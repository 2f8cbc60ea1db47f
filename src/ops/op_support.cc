#include "ops/op_support.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace litesmith {
namespace {

// Zero-point and value range of an integer type.
IntRange TypeRange(TensorType type) {
  switch (type) {
    case schema::TensorType_INT8: return {-128, 127};
    case schema::TensorType_UINT8: return {0, 255};
    case schema::TensorType_INT16: return {-32768, 32767};
    default: return {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  }
}

std::string TypeList(std::span<const TensorView> tensors) {
  std::string out;
  for (const TensorView& t : tensors) {
    if (!out.empty()) out += ", ";
    out += t.present ? TypeName(t.type) : "none";
  }
  return out;
}

}  // namespace

absl::Status CheckOperands(const ShapeArgs& args, size_t least, size_t most, size_t outputs) {
  if (args.inputs.size() < least || args.inputs.size() > most) {
    return Invalid("has {} inputs, {} to {} are possible", args.inputs.size(), least, most);
  }
  for (size_t i = 0; i < least; ++i) {
    if (!args.inputs[i].present) return Invalid("input {} is missing", i);
  }
  if (args.outputs.size() != outputs) {
    return Invalid("has {} outputs, {} are needed", args.outputs.size(), outputs);
  }
  return absl::OkStatus();
}

absl::Status CheckType(const TensorView& tensor, const char* what,
                       std::initializer_list<TensorType> types) {
  if (std::find(types.begin(), types.end(), tensor.type) != types.end()) return absl::OkStatus();
  return Unsupported("{} '{}' has type {}, which has no kernel here", what, Printable(tensor.name),
                     TypeName(tensor.type));
}

absl::Status NoKernel(const PrepareArgs& args) {
  return Unsupported("there is no kernel for {} -> {}", TypeList(args.inputs), TypeList(args.outputs));
}

absl::Status CheckActivationQuant(const TensorView& tensor, const char* what) {
  const QuantParams& quant = *tensor.quant;
  const IntRange range = TypeRange(tensor.type);
  if (quant.scale.size() != 1 || quant.zero_point.size() > 1) {
    return Invalid("{} '{}' needs one scale and one zero point, it has {} and {}", what,
                   Printable(tensor.name), quant.scale.size(), quant.zero_point.size());
  }
  if (!(quant.scale[0] > 0.0f) || !std::isfinite(quant.scale[0])) {
    return Invalid("{} '{}' has the scale {}, which is not a positive number", what,
                   Printable(tensor.name), quant.scale[0]);
  }
  const int64_t zero = quant.zero_point.empty() ? 0 : quant.zero_point[0];
  const bool symmetric = tensor.type == schema::TensorType_INT16;
  if (symmetric ? zero != 0 : zero < range.low || zero > range.high) {
    return Invalid("{} '{}' has the zero point {}, which {} does not allow", what,
                   Printable(tensor.name), zero, TypeName(tensor.type));
  }
  return absl::OkStatus();
}

absl::StatusOr<Shape> BroadcastShapes(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    const int32_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int32_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) {
      return Invalid("shapes {} and {} cannot be broadcast together", ShapeString(a), ShapeString(b));
    }
    out[out.size() - 1 - i] = x == 1 ? y : x;
  }
  return out;
}

absl::StatusOr<int> ResolveAxis(int64_t axis, int rank) {
  const int64_t resolved = axis < 0 ? axis + rank : axis;
  if (resolved < 0 || resolved >= rank) return Invalid("axis {} is not one of {} dimensions", axis, rank);
  return static_cast<int>(resolved);
}

absl::Status CheckShape(const Shape& shape) {
  return TensorBytes(schema::TensorType_FLOAT32, shape).status();
}

absl::StatusOr<FloatRange> ActivationRange(schema::ActivationFunctionType activation) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  switch (activation) {
    case schema::ActivationFunctionType_NONE: return FloatRange{-kInfinity, kInfinity};
    case schema::ActivationFunctionType_RELU: return FloatRange{0.0f, kInfinity};
    case schema::ActivationFunctionType_RELU6: return FloatRange{0.0f, 6.0f};
    case schema::ActivationFunctionType_RELU_N1_TO_1: return FloatRange{-1.0f, 1.0f};
    default:
      return Unsupported("the fused activation {} has no kernel",
                         schema::EnumNameActivationFunctionType(activation));
  }
}

absl::StatusOr<IntRange> QuantizedActivationRange(schema::ActivationFunctionType activation,
                                                  const TensorView& output) {
  LS_ASSIGN_OR_RETURN(const FloatRange real, ActivationRange(activation));
  IntRange range = TypeRange(output.type);
  // As TFLite: quantize in float, round half away from zero, clamp to the type.
  auto quantize = [&](float value) {
    const double q = static_cast<double>(output.zero_point()) +
                     static_cast<double>(std::round(value / output.scale()));
    return static_cast<int32_t>(
        std::clamp<double>(q, static_cast<double>(range.low), static_cast<double>(range.high)));
  };
  IntRange out = range;
  if (std::isfinite(real.low)) out.low = quantize(real.low);
  if (std::isfinite(real.high)) out.high = quantize(real.high);
  return out;
}

absl::StatusOr<WindowPadding> ComputePadding(schema::Padding padding, int32_t input, int32_t window,
                                             int32_t stride, int32_t dilation) {
  if (input <= 0 || window <= 0 || stride <= 0 || dilation <= 0) {
    return Invalid("input {}, window {}, stride {} and dilation {} must all be positive", input, window,
                   stride, dilation);
  }
  const int64_t effective = (int64_t{window} - 1) * dilation + 1;
  WindowPadding out;
  if (padding == schema::Padding_SAME) {
    out.output = static_cast<int32_t>((int64_t{input} + stride - 1) / stride);
    const int64_t total = std::max<int64_t>(0, (int64_t{out.output} - 1) * stride + effective - input);
    if (total > std::numeric_limits<int32_t>::max()) return Invalid("the padding overflows");
    out.before = static_cast<int32_t>(total / 2);
    out.after = static_cast<int32_t>(total - total / 2);
  } else if (padding == schema::Padding_VALID) {
    const int64_t size = (input - effective + stride) / stride;
    if (input < effective || size <= 0) {
      return Invalid("a window of {} does not fit an input of {}", effective, input);
    }
    out.output = static_cast<int32_t>(size);
  } else {
    return Invalid("padding {} is not known", static_cast<int>(padding));
  }
  return out;
}

const char* TypeTag(const TensorView& tensor) {
  const bool quantized = !tensor.quant->empty();
  switch (tensor.type) {
    case schema::TensorType_FLOAT32: return "f32";
    case schema::TensorType_FLOAT16: return "f16";
    case schema::TensorType_INT8: return quantized ? "qs8" : "s8";
    case schema::TensorType_UINT8: return quantized ? "qu8" : "u8";
    case schema::TensorType_INT16: return quantized ? "qs16" : "s16";
    case schema::TensorType_INT32: return "s32";
    case schema::TensorType_INT64: return "s64";
    case schema::TensorType_BOOL: return "b8";
    default: return "x";
  }
}

}  // namespace litesmith
