#include "kernels/gradient/elementwise_f32.h"
#include "kernels/pool_f32.h"
#include "kernels/pool_rows.h"
#include "kernels/reference/pool.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

absl::StatusOr<ConvGeometry> PoolGeometry(const schema::Pool2DOptionsT& options,
                                          const Shape& input) {
  if (input.size() != 4) return Invalid("the input needs 4 dimensions, it has {}", input.size());
  LS_ASSIGN_OR_RETURN(
      const WindowPadding rows,
      ComputePadding(options.padding, input[1], options.filter_height, options.stride_h, 1));
  LS_ASSIGN_OR_RETURN(
      const WindowPadding columns,
      ComputePadding(options.padding, input[2], options.filter_width, options.stride_w, 1));
  ConvGeometry g;
  g.batches = input[0];
  g.in_h = input[1];
  g.in_w = input[2];
  g.in_c = g.out_c = input[3];
  g.filter_h = options.filter_height;
  g.filter_w = options.filter_width;
  g.stride_h = options.stride_h;
  g.stride_w = options.stride_w;
  g.out_h = rows.output;
  g.out_w = columns.output;
  g.pad_h = rows.before;
  g.pad_w = columns.before;
  return g;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  LS_ASSIGN_OR_RETURN(
      const ConvGeometry g,
      PoolGeometry(args.node.GetOptions<schema::Pool2DOptionsT>(), args.in(0).shape));
  Shape out = {g.batches, g.out_h, g.out_w, g.out_c};
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

template <typename T, typename Pool>
Kernel PoolKernel(const ConvGeometry& g, const Pool& pool) {
  Kernel kernel;
  kernel.run = [g, pool](const RunArgs& args) {
    const auto body = [&](size_t begin, size_t end) {
      reference::PoolRows(g, args.in<T>(0), args.out<T>(0), begin, end, pool);
    };
    ParallelFor(args.threads, size_t(g.batches) * g.out_h, 1, std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T, typename Limit>
Kernel MaxOrAverage(bool average, const ConvGeometry& g, Limit low, Limit high) {
  if (average) return PoolKernel<T>(g, reference::AveragePool<T, Limit>{low, high});
  return PoolKernel<T>(g, reference::MaxPool<T, Limit>{low, high});
}

Kernel VectorMaxPool(const ConvGeometry& g, FloatRange range) {
  Kernel kernel;
  kernel.run = [g, range](const RunArgs& args) {
    const auto body = [&](size_t begin, size_t end) {
      MaxPoolF32(g, args.in<float>(0), range.low, range.high, args.out<float>(0), begin, end);
    };
    ParallelFor(args.threads, size_t(g.batches) * g.out_h, 1, std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

// rows(input, output, begin, end) for the output rows, shared among the threads.
template <typename T, typename Rows>
Kernel RowsKernel(const ConvGeometry& g, const Rows& rows) {
  const size_t work = size_t(g.out_w) * g.in_c * g.filter_h * g.filter_w;
  const size_t grain = std::max<size_t>(1, kElementGrain / std::max<size_t>(1, work));
  Kernel kernel;
  kernel.run = [g, rows, grain](const RunArgs& args) {
    const auto body = [&](size_t begin, size_t end) {
      rows(args.in<T>(0), args.out<T>(0), begin, end);
    };
    ParallelFor(args.threads, size_t(g.batches) * g.out_h, grain, std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T, typename Limit>
Kernel AverageRows(const ConvGeometry& g, Limit low, Limit high) {
  return RowsKernel<T>(g, [g, low, high](const T* in, T* out, size_t begin, size_t end) {
    AveragePool(g, in, low, high, out, begin, end);
  });
}

template <typename T>
Kernel IntegerPool(const PrepareArgs& args, bool average, const ConvGeometry& g, IntRange range) {
  const bool best = args.mode == KernelMode::kBest;
  if (average && best && AveragePoolFits(g, sizeof(T))) {
    return AverageRows<T>(g, range.low, range.high);
  }
  if (!average && best) {
    return RowsKernel<T>(g, [g, range](const T* in, T* out, size_t begin, size_t end) {
      MaxPoolInteger(g, in, range.low, range.high, out, begin, end);
    });
  }
  return MaxOrAverage<T>(average, g, range.low, range.high);
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, const ConvGeometry& g) {
  const bool average = args.node.op == schema::BuiltinOperator_AVERAGE_POOL_2D;
  const auto activation = args.node.GetOptions<schema::Pool2DOptionsT>().fused_activation_function;
  const TensorType type = args.in(0).type;
  if (args.out(0).type != type) return NoKernel(args);
  if (type == schema::TensorType_FLOAT32) {
    LS_ASSIGN_OR_RETURN(const FloatRange range, ActivationRange(activation));
    if (args.mode == KernelMode::kBest) {
      return average ? AverageRows<float>(g, range.low, range.high) : VectorMaxPool(g, range);
    }
    return MaxOrAverage<float>(average, g, range.low, range.high);
  }
  if (type != schema::TensorType_INT8 && type != schema::TensorType_UINT8 &&
      type != schema::TensorType_INT16) {
    return NoKernel(args);
  }
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.in(0), "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(args.out(0), "the output"));
  LS_ASSIGN_OR_RETURN(const IntRange range, QuantizedActivationRange(activation, args.out(0)));
  if (type == schema::TensorType_INT8) return IntegerPool<int8_t>(args, average, g, range);
  if (type == schema::TensorType_UINT8) return IntegerPool<uint8_t>(args, average, g, range);
  return IntegerPool<int16_t>(args, average, g, range);
}

absl::StatusOr<Kernel> PreparePool(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(
      const ConvGeometry g,
      PoolGeometry(args.node.GetOptions<schema::Pool2DOptionsT>(), args.in(0).shape));
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, g));
  kernel.name = KernelName(args);
  return kernel;
}

// dx gets dy / count at every position of a window, count being the positions inside the image.
void SpreadAverage(const ConvGeometry& g, const float* dy, float* dx) {
  const size_t channels = g.in_c;
  for (size_t row = 0; row < size_t(g.batches) * g.out_h; ++row) {
    float* image = dx + row / g.out_h * g.in_h * g.in_w * channels;
    const reference::WindowPart ys(int64_t(row % g.out_h) * g.stride_h - g.pad_h, g.filter_h,
                                   g.in_h);
    for (int32_t out_x = 0; out_x < g.out_w; ++out_x) {
      const reference::WindowPart xs(int64_t(out_x) * g.stride_w - g.pad_w, g.filter_w, g.in_w);
      const float share = 1.0f / static_cast<float>((ys.end - ys.begin) * (xs.end - xs.begin));
      const float* from = dy + (row * g.out_w + out_x) * channels;
      for (int64_t y = ys.begin; y < ys.end; ++y) {
        for (int64_t x = xs.begin; x < xs.end; ++x) {
          gradient::ScaleTo(from, share, channels, true, image + (y * g.in_w + x) * channels);
        }
      }
    }
  }
}

absl::Status PoolGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const auto& options = args.node.GetOptions<schema::Pool2DOptionsT>();
  LS_ASSIGN_OR_RETURN(const ConvGeometry g, PoolGeometry(options, args.inputs[0].shape));
  const auto count = static_cast<size_t>(args.outputs[0].elements());
  auto* masked = reinterpret_cast<float*>(GradScratch(args, count * sizeof(float)));
  LS_ASSIGN_OR_RETURN(const float* dy,
                      BeforeActivation(args, options.fused_activation_function, masked));
  if (args.node.op == schema::BuiltinOperator_MAX_POOL_2D) {
    gradient::MaxPool(g, args.inputs[0].As<float>(), args.outputs[0].As<float>(), dy,
                      !args.first[0], dx);
    return absl::OkStatus();
  }
  if (args.first[0]) std::fill_n(dx, args.inputs[0].elements(), 0.0f);
  SpreadAverage(g, dy, dx);
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  // Version 3 names int16 too, but TFLite's converter writes 2.
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = Infer;
  record.prepare = PreparePool;
  record.gradient = PoolGradient;
  record.version = Version;
  record.quant.int8 = record.quant.int16x8 = true;
  record.quant.output = OutputRule::kSameAsInput;
  return record;
}

}  // namespace

const OpRecord& MaxPool2DOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_MAX_POOL_2D, {"MaxPooling2D", "MaxPool", "MaxPool"});
  return record;
}

const OpRecord& AveragePool2DOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_AVERAGE_POOL_2D,
                                            {"AveragePooling2D", "AvgPool", "AveragePool"});
  return record;
}

}  // namespace litesmith
