#include "kernels/reference/conv_3d.h"

#include <memory>

#include "kernels/reference/stage.h"
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

int Version(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& Conv3DOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CONV_3D;
    r.names = {"Conv3D", "Conv3D", "Conv"};
    r.infer_shapes = Infer;
    r.prepare = PrepareConv3D;
    r.version = Version;
    r.quant.inputs = {{Role::kActivation, -1}, {Role::kWeight, 4}, {Role::kBias, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
