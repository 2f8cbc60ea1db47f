// L2_NORMALIZATION and LOCAL_RESPONSE_NORMALIZATION.

#include "kernels/reference/normalization.h"

#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

absl::Status InferL2(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(UnaryShape(args, outputs));
  if (args.in(0).shape.empty()) return Invalid("the input needs at least 1 dimension");
  return absl::OkStatus();
}

absl::Status InferLocal(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(UnaryShape(args, outputs));
  if (args.in(0).rank() != 4) return Invalid("the input needs 4 dimensions");
  return absl::OkStatus();
}

// row(in, depth, out) for every row of the last dimension.
template <typename T, typename Row>
Kernel RowKernel(const PrepareArgs& args, const Row& row) {
  const size_t depth = args.in(0).shape.back();
  const size_t rows = depth == 0 ? 0 : static_cast<size_t>(args.in(0).elements()) / depth;
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [row, depth, rows](const RunArgs& run) {
    for (size_t r = 0; r < rows; ++r) {
      row(run.in<T>(0) + r * depth, depth, run.out<T>(0) + r * depth);
    }
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T>
absl::StatusOr<Kernel> PrepareL2Quantized(const PrepareArgs& args) {
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "the output"));
  const int32_t zero = std::numeric_limits<T>::is_signed ? 0 : 128;
  if (args.out(0).scale() != 1.0f / 128.0f || args.out(0).zero_point() != zero) {
    return Invalid("the output '{}' needs the scale 1/128 and the zero point {}",
                   Printable(args.out(0).name), zero);
  }
  const int32_t in_zero = args.in(0).zero_point();
  return RowKernel<T>(args, [in_zero](const T* in, size_t depth, T* out) {
    reference::L2NormalizeRow(in, depth, in_zero, out);
  });
}

absl::StatusOr<Kernel> PrepareL2(const PrepareArgs& args) {
  if (args.node.GetOptions<schema::L2NormOptionsT>().fused_activation_function !=
      schema::ActivationFunctionType_NONE) {
    return Unsupported("a fused activation has no kernel");
  }
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      return RowKernel<float>(args, [](const float* in, size_t depth, float* out) {
        reference::L2NormalizeRow(in, depth, out);
      });
    case schema::TensorType_INT8:
      return PrepareL2Quantized<int8_t>(args);
    case schema::TensorType_UINT8:
      return PrepareL2Quantized<uint8_t>(args);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Kernel> PrepareLocal(const PrepareArgs& args) {
  if (args.in(0).type != schema::TensorType_FLOAT32 || args.out(0).type != args.in(0).type) {
    return NoKernel(args);
  }
  const auto& options = args.node.GetOptions<schema::LocalResponseNormalizationOptionsT>();
  const reference::LocalResponse p{options.radius, options.bias, options.alpha, options.beta};
  return RowKernel<float>(args, [p](const float* in, size_t depth, float* out) {
    reference::LocalResponseRow(in, static_cast<int64_t>(depth), p, out);
  });
}

// dx = (dy - y * sum(dy * y)) / norm, row by row; where the norm is held up, dy / norm.
absl::Status L2Gradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const size_t depth = args.outputs[0].shape.back();
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  const auto* x = args.inputs[0].As<float>();
  const auto* y = args.outputs[0].As<float>();
  const float* dy = args.out_grads[0];
  for (size_t row = 0; row < count; row += depth) {
    float squares = 0.0f, product = 0.0f;
    for (size_t c = row; c < row + depth; ++c) {
      squares += x[c] * x[c];
      product += dy[c] * y[c];
    }
    const float norm = std::max(std::sqrt(squares), 1e-6f);
    if (std::sqrt(squares) < 1e-6f) product = 0.0f;
    for (size_t c = row; c < row + depth; ++c) {
      const float g = (dy[c] - y[c] * product) / norm;
      dx[c] = args.first[0] ? g : dx[c] + g;
    }
  }
  return absl::OkStatus();
}

// With s the sum that a channel is divided by to the power beta: dx = dy * s^-beta, and for every
// channel whose sum this one is part of, -2 alpha beta * x * (its dy * its x * s^(-beta - 1)).
absl::Status LocalGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const auto& options = args.node.GetOptions<schema::LocalResponseNormalizationOptionsT>();
  const int64_t depth = args.outputs[0].shape.back(), radius = options.radius;
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  auto* shares = reinterpret_cast<float*>(GradScratch(args, size_t(depth) * sizeof(float)));
  if (args.first[0]) std::fill_n(dx, count, 0.0f);
  for (size_t row = 0; row < count; row += static_cast<size_t>(depth)) {
    const float* x = args.inputs[0].As<float>() + row;
    const float* dy = args.out_grads[0] + row;
    for (int64_t c = 0; c < depth; ++c) {
      float sum = 0.0f;
      for (int64_t i = std::max<int64_t>(0, c - radius); i < std::min(depth, c + radius); ++i) {
        sum += x[i] * x[i];
      }
      const float base = options.bias + options.alpha * sum;
      dx[row + size_t(c)] += dy[c] * std::pow(base, -options.beta);
      shares[c] = dy[c] * x[c] * std::pow(base, -options.beta - 1.0f);
    }
    // Channel c is in the sums of those from c - radius + 1 to c + radius.
    for (int64_t c = 0; c < depth; ++c) {
      float sum = 0.0f;
      const int64_t end = std::min(depth, c + radius + 1);
      for (int64_t i = std::max<int64_t>(0, c - radius + 1); i < end; ++i) sum += shares[i];
      dx[row + size_t(c)] -= 2.0f * options.alpha * options.beta * x[c] * sum;
    }
  }
  return absl::OkStatus();
}

int L2Version(const VersionArgs& args) { return args.out(0) == schema::TensorType_INT8 ? 2 : 1; }
int VersionOne(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& L2NormalizationOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_L2_NORMALIZATION;
    r.names = {"UnitNormalization", "L2Normalize", "LpNormalization"};
    r.infer_shapes = InferL2;
    r.prepare = PrepareL2;
    r.gradient = L2Gradient;
    r.version = L2Version;
    r.quant.int8 = true;
    r.quant.output = OutputRule::kFixed;
    r.quant.int8_fixed = {1.0f / 128.0f, 0};
    return r;
  }();
  return record;
}

const OpRecord& LocalResponseNormalizationOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION;
    r.names = {"", "LRN", "LRN"};
    r.infer_shapes = InferLocal;
    r.prepare = PrepareLocal;
    r.gradient = LocalGradient;
    r.version = VersionOne;
    return r;
  }();
  return record;
}

}  // namespace litesmith
