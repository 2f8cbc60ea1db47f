#include <algorithm>

#include "kernels/conv_f32.h"
#include "kernels/gradient/conv_f32.h"
#include "kernels/gradient/elementwise_f32.h"
#include "kernels/gradient/winograd_f32.h"
#include "kernels/gray_conv_f32.h"
#include "ops/conv_2d_support.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {

using reference::ConvGeometry;

namespace {

// Filters and bias of a layer that nothing before it is trained for, without a pass for the
// activation.
absl::Status GrayGradient(const GradArgs& args, const ConvGeometry& g) {
  LS_ASSIGN_OR_RETURN(const FloatRange range, ActivationRange(Conv2DActivation(args.node)));
  gradient::GrayConvGradient what{};
  what.x = args.inputs[0].As<float>();
  what.y = args.outputs[0].As<float>();
  what.dy = args.out_grads[0];
  what.low = range.low;
  what.high = range.high;
  what.accumulate_dw = !args.first[1];
  what.dw = args.in_grads[1];
  if (args.in_grads.size() > 2) {
    what.accumulate_db = !args.first[2];
    what.db = args.in_grads[2];
  }
  gradient::GrayConv(g, what, GradScratch(args, GrayConvF32ScratchBytes(g)));
  return absl::OkStatus();
}

}  // namespace

absl::Status Conv2DGradient(const GradArgs& args) {
  LS_ASSIGN_OR_RETURN(const ConvGeometry g,
                      Conv2DGeometry(args.node, args.inputs[0].shape, args.inputs[1].shape));
  const bool depthwise = args.node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D;
  if (!depthwise && !ConvF32Fits(g))
    return Unsupported("a dilation of {} has no gradient", g.dilation_h);
  float *dx = args.in_grads[0], *dw = args.in_grads[1];
  if (!depthwise && dx == nullptr && dw != nullptr && GrayConvF32Fits(g)) {
    return GrayGradient(args, g);
  }
  const size_t rows = size_t(g.batches) * g.out_h * g.out_w;
  const size_t masked_bytes = (rows * g.out_c * sizeof(float) + 63) / 64 * 64;
  size_t work_bytes = 0;
  const bool winograd = !depthwise && gradient::WinogradFits(g);
  if (winograd) {
    work_bytes = gradient::WinogradScratchBytes(g);
  } else if (!depthwise && dx != nullptr) {
    work_bytes = gradient::ConvInputScratchBytes(g);
  }
  if (!winograd && !depthwise && dw != nullptr) {
    work_bytes = std::max(work_bytes, gradient::ConvWeightsScratchBytes(g));
  }
  std::byte* scratch = GradScratch(args, masked_bytes + work_bytes);
  LS_ASSIGN_OR_RETURN(const float* dy, BeforeActivation(args, Conv2DActivation(args.node),
                                                        reinterpret_cast<float*>(scratch)));
  if (args.in_grads.size() > 2 && args.in_grads[2] != nullptr) {
    gradient::ColumnSums(dy, rows, g.out_c, !args.first[2], args.in_grads[2]);
  }
  const auto* x = args.inputs[0].As<float>();
  const auto* weights = args.inputs[1].As<float>();
  std::byte* work = scratch + masked_bytes;
  if (depthwise) {
    gradient::Depthwise(g, x, weights, dy, !args.first[0], dx, !args.first[1], dw);
    return absl::OkStatus();
  }
  if (winograd) {
    gradient::WinogradConv(g, x, weights, dy, !args.first[0], dx, !args.first[1], dw, work);
    return absl::OkStatus();
  }
  if (dw != nullptr) gradient::ConvWeights(g, x, dy, !args.first[1], dw, work, args.threads);
  if (dx != nullptr) gradient::ConvInput(g, weights, dy, !args.first[0], dx, work, args.threads);
  return absl::OkStatus();
}

}  // namespace litesmith
