#include "kernels/reference/conv_3d.h"

#include <memory>

#include "kernels/reference/stage.h"
#include "ops/gradient.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using reference::Conv3DGeometry;
using schema::Conv3DOptionsT;

absl::StatusOr<Conv3DGeometry> MakeGeometry(const Conv3DOptionsT& options, const Shape& input,
                                            const Shape& filter) {
  if (input.size() != 5 || filter.size() != 5) {
    return Invalid("input and filter need 5 dimensions, they have {} and {}", input.size(),
                   filter.size());
  }
  if (input[4] != filter[3] || filter[3] <= 0 || filter[4] <= 0) {
    return Invalid("a filter of shape {} does not fit an input of shape {}", ShapeString(filter),
                   ShapeString(input));
  }
  const int32_t strides[3] = {options.stride_d, options.stride_h, options.stride_w};
  const int32_t dilations[3] = {options.dilation_d_factor, options.dilation_h_factor,
                                options.dilation_w_factor};
  Conv3DGeometry g;
  for (int i = 0; i < 3; ++i) {
    LS_ASSIGN_OR_RETURN(const WindowPadding padding,
                        ComputePadding(options.padding, input[static_cast<size_t>(i) + 1],
                                       filter[static_cast<size_t>(i)], strides[i], dilations[i]));
    g.in[i] = input[static_cast<size_t>(i) + 1];
    g.filter[i] = filter[static_cast<size_t>(i)];
    g.out[i] = padding.output;
    g.pad[i] = padding.before;
    g.stride[i] = strides[i];
    g.dilation[i] = dilations[i];
  }
  g.batches = input[0];
  g.in_c = filter[3];
  g.out_c = filter[4];
  return g;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 3, 1));
  LS_ASSIGN_OR_RETURN(const Conv3DGeometry g, MakeGeometry(args.node.GetOptions<Conv3DOptionsT>(),
                                                           args.in(0).shape, args.in(1).shape));
  Shape out = {g.batches, g.out[0], g.out[1], g.out[2], g.out_c};
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareConv3D(const PrepareArgs& args) {
  const auto& options = args.node.GetOptions<Conv3DOptionsT>();
  LS_ASSIGN_OR_RETURN(const Conv3DGeometry g,
                      MakeGeometry(options, args.in(0).shape, args.in(1).shape));
  LS_ASSIGN_OR_RETURN(const FloatRange range, ActivationRange(options.fused_activation_function));
  for (const TensorType type : {args.in(0).type, args.in(1).type, args.out(0).type}) {
    if (type != schema::TensorType_FLOAT32) return NoKernel(args);
  }
  LS_RETURN_IF_ERROR(CheckBias(args, 2, g.out_c, {schema::TensorType_FLOAT32}));
  Kernel kernel;
  kernel.name = MatrixKernelName(args, 0, 1, "conv_3d");
  kernel.run = [g, range](const RunArgs& run) {
    const reference::FloatStage stage{run.in<float>(2), range.low, range.high, run.out<float>(0)};
    const auto body = [&](size_t begin, size_t end) {
      reference::Convolve3D(g, run.in<float>(0), run.in<float>(1), begin, end, stage);
    };
    ParallelFor(run.threads, size_t(g.batches) * g.out[0] * g.out[1], 1, std::cref(body));
    return absl::OkStatus();
  };
  return kernel;
}

// What an output took from an input by a weight goes back to both.
struct Conv3DGradients {
  const float *x, *weights;
  float *dx, *dw;  // null: not wanted

  // One output of `image` whose window begins at `start`, with the gradients of its channels.
  void Add(const Conv3DGeometry& g, int64_t image, const int64_t (&start)[3],
           const float* dy) const {
    int64_t tap = 0;
    for (int32_t fz = 0; fz < g.filter[0]; ++fz) {
      const int64_t z = start[0] + int64_t{fz} * g.dilation[0];
      for (int32_t fy = 0; fy < g.filter[1]; ++fy) {
        const int64_t y = start[1] + int64_t{fy} * g.dilation[1];
        for (int32_t fx = 0; fx < g.filter[2]; ++fx, ++tap) {
          const int64_t column = start[2] + int64_t{fx} * g.dilation[2];
          const bool inside =
              z >= 0 && z < g.in[0] && y >= 0 && y < g.in[1] && column >= 0 && column < g.in[2];
          if (!inside) continue;
          const int64_t at = (((image * g.in[0] + z) * g.in[1] + y) * g.in[2] + column) * g.in_c;
          AddTap(g, at, tap * g.in_c * g.out_c, dy);
        }
      }
    }
  }

 private:
  void AddTap(const Conv3DGeometry& g, int64_t at, int64_t weight, const float* dy) const {
    for (int32_t c = 0; c < g.in_c; ++c, weight += g.out_c) {
      float sum = 0.0f;
      for (int32_t o = 0; o < g.out_c; ++o) {
        sum += dy[o] * weights[weight + o];
        if (dw != nullptr) dw[weight + o] += dy[o] * x[at + c];
      }
      if (dx != nullptr) dx[at + c] += sum;
    }
  }
};

absl::Status Conv3DGradient(const GradArgs& args) {
  const auto& options = args.node.GetOptions<Conv3DOptionsT>();
  LS_ASSIGN_OR_RETURN(const Conv3DGeometry g,
                      MakeGeometry(options, args.inputs[0].shape, args.inputs[1].shape));
  const auto elements = static_cast<size_t>(args.outputs[0].elements());
  auto* masked = reinterpret_cast<float*>(GradScratch(args, elements * sizeof(float)));
  LS_ASSIGN_OR_RETURN(const float* dy,
                      BeforeActivation(args, options.fused_activation_function, masked));
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (args.in_grads[i] == nullptr || !args.first[i]) continue;
    std::fill_n(args.in_grads[i], args.inputs[i].elements(), 0.0f);
  }
  const Conv3DGradients back{args.inputs[0].As<float>(), args.inputs[1].As<float>(),
                             args.in_grads[0], args.in_grads[1]};
  float* bias = args.in_grads.size() > 2 ? args.in_grads[2] : nullptr;
  int64_t at[4] = {};  // image, depth, row, column
  for (size_t i = 0; i < elements; i += static_cast<size_t>(g.out_c)) {
    for (int32_t o = 0; bias != nullptr && o < g.out_c; ++o) bias[o] += dy[i + size_t(o)];
    const int64_t start[3] = {at[1] * g.stride[0] - g.pad[0], at[2] * g.stride[1] - g.pad[1],
                              at[3] * g.stride[2] - g.pad[2]};
    back.Add(g, at[0], start, dy + i);
    for (int d = 3; d > 0; --d) {
      if (++at[d] < g.out[d - 1]) break;
      at[d] = 0;
      if (d == 1) ++at[0];
    }
  }
  return absl::OkStatus();
}

int Version(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& Conv3DOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CONV_3D;
    r.names = {"Conv3D", "Conv3D", "Conv"};
    r.infer_shapes = Infer;
    r.prepare = PrepareConv3D;
    r.gradient = Conv3DGradient;
    r.version = Version;
    r.quant.inputs = {{Role::kActivation, -1}, {Role::kWeight, 4}, {Role::kBias, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
