#include "kernels/reference/softmax.h"

#include <array>
#include <cmath>
#include <memory>

#include "kernels/activation_f32.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/half_kernel.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(UnaryShape(args, outputs));
  if (args.in(0).shape.empty()) return Invalid("the input needs at least 1 dimension");
  return absl::OkStatus();
}

// row(in, out) for every row of the last dimension.
template <typename In, typename Out, typename Row>
Kernel RowKernel(const PrepareArgs& args, const Row& row) {
  const size_t depth = args.in(0).shape.back();
  const size_t rows = depth == 0 ? 0 : static_cast<size_t>(args.in(0).elements()) / depth;
  Kernel kernel;
  kernel.run = [row, depth, rows](const RunArgs& run) {
    const auto body = [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) {
        row(run.in<In>(0) + r * depth, depth, run.out<Out>(0) + r * depth);
      }
    };
    ParallelFor(run.threads, rows, std::max<size_t>(1, 4096 / std::max<size_t>(1, depth)),
                std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<reference::SoftmaxScale> Scale8(double beta, double in_scale) {
  // As a multiplier of 5.26 numbers, at most what 32 bits hold: above, only the maximum matters.
  const double factor = std::min(beta * in_scale * (1 << 26), 0x1.0p31 - 1.0);
  if (!(factor > 1.0)) {
    return Invalid("beta {} times the input scale {} is too small for the fixed-point kernel", beta,
                   in_scale);
  }
  reference::SoftmaxScale out;
  out.scale = QuantizeMultiplier(factor);
  out.diff_min = -static_cast<int32_t>(
      std::floor(31.0 * (1 << 26) / static_cast<double>(int64_t{1} << out.scale.shift)));
  return out;
}

// The exponentials of all differences to the maximum, and their terms of the sum; `count` of them
// count, the others are 0.
struct Exponentials8 {
  std::array<int32_t, 256> value, term;
  int32_t count = 0;

  explicit Exponentials8(const reference::SoftmaxScale& scale) : value{}, term{} {
    for (; count < 256 && -count >= scale.diff_min; ++count) {
      const int32_t e = reference::SoftmaxExp(-count, scale);
      value[count] = e;
      term[count] = RoundingDivideByPowerOfTwo(e, reference::kSoftmaxSumBits);
    }
  }

  // reference::SoftmaxRow with the same numbers in the same order.
  template <typename In, typename Out>
  void Row(const In* in, size_t depth, Out* out) const {
    In most = std::numeric_limits<In>::min();
    for (size_t c = 0; c < depth; ++c) most = std::max(most, in[c]);
    int32_t sum = 0;
    for (size_t c = 0; c < depth; ++c) sum = reference::FixedAdd(sum, term[most - in[c]]);
    const reference::FixedReciprocal factor =
        reference::Reciprocal(sum, reference::kSoftmaxSumBits);
    const auto output = [&](int32_t diff) {
      return diff < count ? reference::SoftmaxOutput<Out>(value[diff], factor)
                          : std::numeric_limits<Out>::min();
    };
    if (depth < 256) {
      for (size_t c = 0; c < depth; ++c) out[c] = output(most - in[c]);
      return;
    }
    std::array<Out, 256> outputs;
    for (int32_t diff = 0; diff < 256; ++diff) outputs[diff] = output(diff);
    for (size_t c = 0; c < depth; ++c) out[c] = outputs[most - in[c]];
  }
};

template <typename In, typename Out>
absl::StatusOr<Kernel> Softmax8(const PrepareArgs& args, float beta) {
  LS_ASSIGN_OR_RETURN(const reference::SoftmaxScale scale, Scale8(beta, args.in(0).scale()));
  if (args.mode == KernelMode::kBest) {
    return RowKernel<In, Out>(
        args, [table = std::make_shared<const Exponentials8>(scale)](
                  const In* in, size_t depth, Out* out) { table->Row(in, depth, out); });
  }
  return RowKernel<In, Out>(args, [scale](const In* in, size_t depth, Out* out) {
    reference::SoftmaxRow(in, depth, scale, out);
  });
}

struct Tables16 {
  std::array<int16_t, reference::kTable16Size> exp, reciprocal;
  Multiplier scale;
};

absl::StatusOr<Kernel> Softmax16(const PrepareArgs& args, float beta) {
  if (args.in(0).shape.back() > 65536) {
    return Unsupported("rows of {} have no 16-bit kernel, 65536 is the most",
                       args.in(0).shape.back());
  }
  const double factor = double{args.in(0).scale() * beta} / (10.0 / 65535.0);
  if (!(factor >= 0.0)) return Invalid("beta is {}", beta);
  auto tables = std::make_shared<Tables16>();
  tables->scale = QuantizeMultiplier(factor);
  constexpr double kRange = 65535.0;
  reference::FillTable16<double>(
      10.0 / kRange, 32767, 2.0 / kRange, 0, [](double x) { return std::exp(x); },
      tables->exp.data());
  reference::FillTable16<double>(
      1.0 / kRange, -32768, 2.0 / kRange, 0, [](double x) { return 1.0 / (1.0 + x); },
      tables->reciprocal.data());
  return RowKernel<int16_t, int16_t>(
      args, [tables = std::shared_ptr<const Tables16>(std::move(tables))](
                const int16_t* in, size_t depth, int16_t* out) {
        reference::SoftmaxRow(in, depth, tables->scale, tables->exp.data(),
                              tables->reciprocal.data(), out);
      });
}

// What LOG_SOFTMAX reads, besides the scale: its inverse, to tell which differences still fit.
template <typename T>
absl::StatusOr<Kernel> LogSoftmax8(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "the output"));
  if (args.out(0).scale() != 16.0f / 256.0f ||
      args.out(0).zero_point() != std::numeric_limits<T>::max()) {
    return Invalid("the output '{}' needs the scale 1/16 and the zero point {}",
                   Printable(args.out(0).name), std::numeric_limits<T>::max());
  }
  LS_ASSIGN_OR_RETURN(const reference::SoftmaxScale scale, Scale8(1.0, args.in(0).scale()));
  const double reverse_factor = static_cast<double>(int64_t{1} << (31 - scale.scale.shift)) /
                                static_cast<double>(scale.scale.multiplier);
  const Multiplier reverse = QuantizeMultiplier(reverse_factor);
  if (reverse.shift > 0) {
    return Invalid("the input scale {} is too small for the fixed-point kernel",
                   args.in(0).scale());
  }
  return RowKernel<T, T>(args, [scale, reverse](const T* in, size_t depth, T* out) {
    reference::LogSoftmaxRow(in, depth, scale, reverse, out);
  });
}

absl::StatusOr<Kernel> LogSoftmaxByType(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      return RowKernel<float, float>(args, [](const float* in, size_t depth, float* out) {
        reference::LogSoftmaxRow(in, depth, out);
      });
    case schema::TensorType_INT8:
      return LogSoftmax8<int8_t>(args);
    case schema::TensorType_UINT8:
      return LogSoftmax8<uint8_t>(args);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareLogSoftmax(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(Kernel kernel, LogSoftmaxByType(args));
  kernel.name = KernelName(args);
  return kernel;
}

// dx = dy - exp(y) * sum(dy), row by row.
absl::Status LogSoftmaxGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const size_t depth = args.outputs[0].shape.back();
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  const auto* y = args.outputs[0].As<float>();
  const float* dy = args.out_grads[0];
  for (size_t row = 0; row < count; row += depth) {
    float sum = 0.0f;
    for (size_t c = row; c < row + depth; ++c) sum += dy[c];
    for (size_t c = row; c < row + depth; ++c) {
      const float g = dy[c] - std::exp(y[c]) * sum;
      dx[c] = args.first[0] ? g : dx[c] + g;
    }
  }
  return absl::OkStatus();
}

int LogSoftmaxVersion(const VersionArgs& args) {
  return args.in(0) == schema::TensorType_INT8 ? 2 : 1;
}

// TFLite fixes the output's quantization.
absl::Status CheckOutputQuant(const TensorView& output) {
  LS_RETURN_IF_ERROR(CheckActivationQuant(output, "the output"));
  const bool wide = output.type == schema::TensorType_INT16;
  const float scale = wide ? 1.0f / 32768.0f : 1.0f / 256.0f;
  const int32_t zero = output.type == schema::TensorType_INT8 ? -128 : 0;
  if (output.zero_point() != zero || std::abs(output.scale() - scale) > 0.001f * scale) {
    return Invalid("the output '{}' needs the scale {} and the zero point {}",
                   Printable(output.name), scale, zero);
  }
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args) {
  if (IsHalf(args)) return HalfKernel(args, PrepareByType);
  const float beta = args.node.GetOptions<schema::SoftmaxOptionsT>().beta;
  if (!std::isfinite(beta)) return Invalid("beta is {}", beta);
  const TensorType in = args.in(0).type;
  const TensorType out = args.out(0).type;
  if (in == schema::TensorType_FLOAT32 && out == in) {
    if (args.mode == KernelMode::kBest) {
      return RowKernel<float, float>(args, [beta](const float* from, size_t depth, float* to) {
        SoftmaxRowF32(from, depth, beta, to);
      });
    }
    return RowKernel<float, float>(args, [beta](const float* from, size_t depth, float* to) {
      reference::SoftmaxRow(from, depth, beta, to);
    });
  }
  if (in != schema::TensorType_INT8 && in != schema::TensorType_UINT8 &&
      in != schema::TensorType_INT16) {
    return NoKernel(args);
  }
  if (out != in && out != schema::TensorType_INT16) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "the input"));
  if (in == out) LS_RETURN_IF_ERROR(CheckOutputQuant(args.out(0)));
  if (in == schema::TensorType_INT16) return Softmax16(args, beta);
  if (in == schema::TensorType_INT8) {
    return out == in ? Softmax8<int8_t, int8_t>(args, beta) : Softmax8<int8_t, int16_t>(args, beta);
  }
  return out == in ? Softmax8<uint8_t, uint8_t>(args, beta)
                   : Softmax8<uint8_t, int16_t>(args, beta);
}

absl::StatusOr<Kernel> PrepareSoftmax(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args));
  kernel.name = KernelName(args);
  if (args.in(0).type == args.out(0).type && args.in(0).type == schema::TensorType_FLOAT32) {
    kernel.in_place_input = 0;
  }
  return kernel;
}

// dx = beta * y * (dy - sum(dy * y)), row by row.
absl::Status SoftmaxGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const float beta = args.node.GetOptions<schema::SoftmaxOptionsT>().beta;
  const size_t depth = args.outputs[0].shape.back();
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  const auto* y = args.outputs[0].As<float>();
  const float* dy = args.out_grads[0];
  for (size_t row = 0; row < count; row += depth) {
    float sum = 0.0f;
    for (size_t c = row; c < row + depth; ++c) sum += dy[c] * y[c];
    for (size_t c = row; c < row + depth; ++c) {
      const float g = beta * y[c] * (dy[c] - sum);
      dx[c] = args.first[0] ? g : dx[c] + g;
    }
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  // Version 3 names int16 too, but TFLite's converter writes 2.
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}

}  // namespace

const OpRecord& SoftmaxOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_SOFTMAX;
    r.names = {"Softmax", "Softmax", "Softmax"};
    r.infer_shapes = Infer;
    r.prepare = PrepareSoftmax;
    r.gradient = SoftmaxGradient;
    r.version = Version;
    r.quant.int8 = r.quant.int16x8 = true;
    r.quant.output = OutputRule::kFixed;
    r.quant.int8_fixed = {1.0f / 256.0f, -128};
    r.quant.int16_fixed = {1.0f / 32768.0f, 0};
    return r;
  }();
  return record;
}

const OpRecord& LogSoftmaxOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_LOG_SOFTMAX;
    r.names = {"log_softmax", "LogSoftmax", "LogSoftmax"};
    r.infer_shapes = Infer;
    r.prepare = PrepareLogSoftmax;
    r.gradient = LogSoftmaxGradient;
    r.version = LogSoftmaxVersion;
    r.quant.int8 = true;
    r.quant.output = OutputRule::kFixed;
    r.quant.int8_fixed = {16.0f / 256.0f, 127};
    return r;
  }();
  return record;
}

}  // namespace litesmith
