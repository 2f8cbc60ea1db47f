#ifndef LITESMITH_OPS_FAST_DEPTHWISE_H_
#define LITESMITH_OPS_FAST_DEPTHWISE_H_

#include "kernels/reference/conv.h"
#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// Replaces a prepared DEPTHWISE_CONV_2D kernel by the row kernels (kernels/depthwise_f32.h,
// kernels/depthwise_s16.h) where they can do it. REQUIRES: the node has passed the checks of the
// kernel that is there. The name stays.
absl::Status UseFastDepthwise(const PrepareArgs& args, const reference::ConvGeometry& g,
                              FloatRange range, IntRange limits, Kernel* kernel);

}  // namespace litesmith

#endif  // LITESMITH_OPS_FAST_DEPTHWISE_H_
