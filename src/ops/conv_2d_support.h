#ifndef LITESMITH_OPS_CONV_2D_SUPPORT_H_
#define LITESMITH_OPS_CONV_2D_SUPPORT_H_

// What the kernels and the gradient of CONV_2D and DEPTHWISE_CONV_2D both need.

#include "kernels/reference/conv.h"
#include "ops/op.h"

namespace litesmith {

// The geometry of a node of either operator; INVALID_ARGUMENT where the shapes do not fit each
// other.
absl::StatusOr<reference::ConvGeometry> Conv2DGeometry(const Node& node, const Shape& input,
                                                       const Shape& filter);

// The activation fused into a node of either operator.
schema::ActivationFunctionType Conv2DActivation(const Node& node);

// Gradient of both: dx, dw (as the filter lies) and db.
absl::Status Conv2DGradient(const GradArgs& args);

}  // namespace litesmith

#endif  // LITESMITH_OPS_CONV_2D_SUPPORT_H_
