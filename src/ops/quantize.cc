// QUANTIZE (float to integers, integers to integers of another scale) and DEQUANTIZE.

#include "kernels/reference/quantize.h"

#include <memory>
#include <vector>

#include "base/half.h"
#include "ops/elementwise.h"

namespace litesmith {
namespace {

// How many elements lie between two neighbours along `axis`, and how many channels that axis has.
struct Channels {
  int64_t inner = 1;
  int64_t count = 1;
};

// Parameters per channel; one channel for the whole tensor when they are per tensor.
struct ChannelParams {
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
  Channels at;
};

absl::StatusOr<ChannelParams> GetChannelParams(const TensorView& tensor, const char* what) {
  const QuantParams& quant = *tensor.quant;
  ChannelParams params;
  if (!quant.per_channel()) {
    LS_RETURN_IF_ERROR(CheckActivationQuant(tensor, what));
    params.scale = {tensor.scale()};
    params.zero_point = {tensor.zero_point()};
    params.at.inner = std::max<int64_t>(1, tensor.elements());
    return params;
  }
  LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(quant.axis, tensor.rank()));
  if (static_cast<int64_t>(quant.scale.size()) != tensor.shape[axis]) {
    return Invalid("{} '{}' has {} scales for a dimension of {}", what, Printable(tensor.name),
                   quant.scale.size(), tensor.shape[axis]);
  }
  if (quant.zero_point.size() > 1 && quant.zero_point.size() != quant.scale.size()) {
    return Invalid("{} '{}' has {} zero points for {} scales", what, Printable(tensor.name),
                   quant.zero_point.size(), quant.scale.size());
  }
  const IntRange range = IntegerRange(tensor.type);
  for (size_t i = 0; i < quant.scale.size(); ++i) {
    const int64_t zero =
        quant.zero_point.empty() ? 0 : quant.zero_point[quant.zero_point.size() == 1 ? 0 : i];
    if (!(quant.scale[i] > 0.0f) || !std::isfinite(quant.scale[i]) || zero < range.low ||
        zero > range.high) {
      return Invalid("{} '{}' has the scale {} and zero point {} in channel {}", what,
                     Printable(tensor.name), quant.scale[i], zero, i);
    }
    params.scale.push_back(quant.scale[i]);
    params.zero_point.push_back(static_cast<int32_t>(zero));
  }
  for (int d = axis + 1; d < tensor.rank(); ++d) params.at.inner *= tensor.shape[d];
  params.at.count = tensor.shape[axis];
  return params;
}

// body(channel, begin, end) for each stretch of elements of one channel.
template <typename Body>
void ForEachChannel(const Channels& at, int64_t elements, const Body& body) {
  size_t channel = 0;
  for (int64_t begin = 0; begin < elements; begin += at.inner) {
    body(channel, begin, begin + at.inner);
    channel = channel + 1 == static_cast<size_t>(at.count) ? 0 : channel + 1;
  }
}

Kernel NamedKernel(const PrepareArgs& args) {
  Kernel kernel;
  kernel.name = KernelName(args);
  return kernel;
}

template <typename Out>
absl::StatusOr<Kernel> QuantizeTo(const PrepareArgs& args) {
  const IntRange range = IntegerRange(args.out(0).type);
  LS_ASSIGN_OR_RETURN(ChannelParams params, GetChannelParams(args.out(0), "output"));
  if (params.scale.size() == 1) {
    const float scale = params.scale[0];
    const int32_t zero = params.zero_point[0];
    if (args.mode == KernelMode::kBest) {
      return UnaryRowKernel<float, Out>(args,
                                        [scale, zero](const float* in, size_t count, Out* out) {
                                          QuantizeRow(in, count, scale, zero, out);
                                        });
    }
    return UnaryKernel<float, Out>(args, [scale, zero, range](float x) {
      return static_cast<Out>(reference::QuantizeFloat(x, scale, zero, range.low, range.high));
    });
  }
  Kernel kernel = NamedKernel(args);
  const int64_t elements = args.in(0).elements();
  auto shared = std::make_shared<const ChannelParams>(std::move(params));
  kernel.run = [shared, elements, range](const RunArgs& run) {
    const float* in = run.in<float>(0);
    Out* out = run.out<Out>(0);
    ForEachChannel(shared->at, elements, [&](size_t c, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        out[i] = static_cast<Out>(reference::QuantizeFloat(
            in[i], shared->scale[c], shared->zero_point[c], range.low, range.high));
      }
    });
    return absl::OkStatus();
  };
  return kernel;
}

// To 4 bits, two values to a byte, the first in the low bits.
absl::StatusOr<Kernel> QuantizeToNibbles(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "output"));
  const IntRange range = IntegerRange(args.out(0).type);
  const float scale = args.out(0).scale();
  const int32_t zero = args.out(0).zero_point();
  const int64_t elements = args.in(0).elements();
  Kernel kernel = NamedKernel(args);
  kernel.run = [=](const RunArgs& run) {
    const float* in = run.in<float>(0);
    auto* out = run.out<uint8_t>(0);
    for (int64_t i = 0; i < elements; ++i) {
      const int32_t q = reference::QuantizeFloat(in[i], scale, zero, range.low, range.high) & 15;
      out[i / 2] = static_cast<uint8_t>(i % 2 == 0 ? q : out[i / 2] | (q << 4));
    }
    return absl::OkStatus();
  };
  return kernel;
}

template <typename In>
absl::StatusOr<Kernel> RequantizeFrom(const PrepareArgs& args, const reference::Requantize& f) {
  switch (args.out(0).type) {
    case schema::TensorType_INT8:
    case schema::TensorType_UINT8:
      return UnaryKernel<In, uint8_t>(args, [f](In x) { return static_cast<uint8_t>(f(x)); });
    case schema::TensorType_INT16:
      return UnaryKernel<In, int16_t>(args, [f](In x) { return static_cast<int16_t>(f(x)); });
    case schema::TensorType_INT32:
      return UnaryKernel<In, int32_t>(args, [f](In x) { return f(x); });
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareRequantize(const PrepareArgs& args) {
  const TensorView &in = args.in(0), &out = args.out(0);
  LS_RETURN_IF_ERROR(CheckActivationQuant(in, "input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(out, "output"));
  const IntRange range = IntegerRange(out.type);
  reference::Requantize f;
  f.in_zero_point = in.zero_point();
  f.out_zero_point = out.zero_point();
  f.multiplier =
      QuantizeMultiplier(static_cast<double>(in.scale()) / static_cast<double>(out.scale()));
  f.low = range.low;
  f.high = range.high;
  switch (in.type) {
    case schema::TensorType_INT8:
    case schema::TensorType_UINT8:
      return QuantizedUnaryKernel(args, f);
    case schema::TensorType_INT16:
      return RequantizeFrom<int16_t>(args, f);
    case schema::TensorType_INT32:
      return RequantizeFrom<int32_t>(args, f);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareQuantize(const PrepareArgs& args) {
  if (args.in(0).type != schema::TensorType_FLOAT32) return PrepareRequantize(args);
  switch (args.out(0).type) {
    case schema::TensorType_INT8:
      return QuantizeTo<int8_t>(args);
    case schema::TensorType_UINT8:
      return QuantizeTo<uint8_t>(args);
    case schema::TensorType_INT16:
      return QuantizeTo<int16_t>(args);
    case schema::TensorType_INT4:
    case schema::TensorType_UINT4:
      return QuantizeToNibbles(args);
    default:
      return NoKernel(args);
  }
}

// `load(data, i)` gives element i as int32.
template <typename In, typename Load>
absl::StatusOr<Kernel> DequantizeFrom(const PrepareArgs& args, const Load& load) {
  LS_ASSIGN_OR_RETURN(ChannelParams params, GetChannelParams(args.in(0), "input"));
  if constexpr (std::is_same_v<In, int8_t> || std::is_same_v<In, int16_t>) {
    if (args.mode == KernelMode::kBest && params.scale.size() == 1) {
      return UnaryRowKernel<In, float>(args, [scale = params.scale[0], zero = params.zero_point[0]](
                                                 const In* in, size_t count, float* out) {
        DequantizeRow(in, count, scale, zero, out);
      });
    }
  }
  Kernel kernel = NamedKernel(args);
  const int64_t elements = args.in(0).elements();
  auto shared = std::make_shared<const ChannelParams>(std::move(params));
  kernel.run = [shared, elements, load](const RunArgs& run) {
    const In* in = run.in<In>(0);
    auto* out = run.out<float>(0);
    ForEachChannel(shared->at, elements, [&](size_t c, int64_t begin, int64_t end) {
      const float scale = shared->scale[c];
      const int32_t zero = shared->zero_point[c];
      for (int64_t i = begin; i < end; ++i)
        out[i] = reference::Dequantize(load(in, i), scale, zero);
    });
    return absl::OkStatus();
  };
  return kernel;
}

template <typename In>
absl::StatusOr<Kernel> DequantizeDense(const PrepareArgs& args) {
  return DequantizeFrom<In>(args, [](const In* data, int64_t i) { return int32_t{data[i]}; });
}

absl::StatusOr<Kernel> DequantizePacked(const PrepareArgs& args, int bits, bool is_signed) {
  return DequantizeFrom<uint8_t>(args, [bits, is_signed](const uint8_t* data, int64_t i) {
    return reference::PackedElement(data, i, bits, is_signed);
  });
}

absl::StatusOr<Kernel> PrepareDequantize(const PrepareArgs& args) {
  if (args.out(0).type != schema::TensorType_FLOAT32) return NoKernel(args);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT16:
      return UnaryKernel<uint16_t, float>(args, [](uint16_t x) { return HalfToFloat(x); });
    case schema::TensorType_INT8:
      return DequantizeDense<int8_t>(args);
    case schema::TensorType_UINT8:
      return DequantizeDense<uint8_t>(args);
    case schema::TensorType_INT16:
      return DequantizeDense<int16_t>(args);
    case schema::TensorType_INT4:
      return DequantizePacked(args, 4, true);
    case schema::TensorType_UINT4:
      return DequantizePacked(args, 4, false);
    case schema::TensorType_INT2:
      return DequantizePacked(args, 2, true);
    default:
      return NoKernel(args);
  }
}

int QuantizeVersion(const VersionArgs& args) {
  const TensorType in = args.in(0), out = args.out(0);
  if (in == schema::TensorType_UINT4 || out == schema::TensorType_UINT4) return 5;
  if (in == schema::TensorType_INT4 || out == schema::TensorType_INT4) return 4;
  if (!args.outputs.empty() && args.outputs[0].quant->per_channel()) return 3;
  // float to int16 has version 1 in the converter's files.
  return in != schema::TensorType_FLOAT32 && out == schema::TensorType_INT16 ? 2 : 1;
}

int DequantizeVersion(const VersionArgs& args) {
  switch (args.in(0)) {
    case schema::TensorType_UINT4:
      return 8;
    case schema::TensorType_INT2:
      return 7;
    case schema::TensorType_INT4:
      return 6;
    case schema::TensorType_FLOAT16:
      return 3;
    case schema::TensorType_INT16:
      return 2;
    case schema::TensorType_INT8:
      return args.inputs[0].quant->per_channel() ? 5 : 2;
    default:
      return 1;
  }
}

}  // namespace

const OpRecord& QuantizeOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_QUANTIZE;
    r.names = {"", "", "QuantizeLinear"};
    r.infer_shapes = UnaryShape;
    r.prepare = PrepareQuantize;
    r.version = QuantizeVersion;
    return r;
  }();
  return record;
}

const OpRecord& DequantizeOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_DEQUANTIZE;
    r.names = {"", "", "DequantizeLinear"};
    r.infer_shapes = UnaryShape;
    r.prepare = PrepareDequantize;
    r.version = DequantizeVersion;
    return r;
  }();
  return record;
}

}  // namespace litesmith
