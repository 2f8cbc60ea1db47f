#include "ops/conv_2d_support.h"

#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {

using reference::ConvGeometry;

namespace {

template <typename Options>
absl::StatusOr<ConvGeometry> FullGeometry(const Options& options, const Shape& input,
                                          const Shape& filter) {
  if (input.size() != 4 || filter.size() != 4) {
    return Invalid("input and filter need 4 dimensions, they have {} and {}", input.size(),
                   filter.size());
  }
  LS_ASSIGN_OR_RETURN(ConvGeometry g, WindowGeometry(options, input, filter));
  g.filter_c = filter[3];
  g.out_c = filter[0];
  if (g.in_c <= 0 || g.filter_c <= 0 || g.out_c <= 0 || g.in_c % g.filter_c != 0 ||
      g.out_c % (g.in_c / g.filter_c) != 0) {
    return Invalid("a filter of shape {} does not fit an input of shape {}", ShapeString(filter),
                   ShapeString(input));
  }
  return g;
}

template <typename Options>
absl::StatusOr<ConvGeometry> DepthwiseGeometry(const Options& options, const Shape& input,
                                               const Shape& filter) {
  if (input.size() != 4 || filter.size() != 4) {
    return Invalid("input and filter need 4 dimensions, they have {} and {}", input.size(),
                   filter.size());
  }
  LS_ASSIGN_OR_RETURN(ConvGeometry g, WindowGeometry(options, input, filter));
  g.filter_c = 1;
  g.out_c = filter[3];
  if (g.in_c <= 0 || g.out_c <= 0 || filter[0] != 1 || g.out_c % g.in_c != 0) {
    return Invalid("a filter of shape {} does not fit an input of shape {}", ShapeString(filter),
                   ShapeString(input));
  }
  return g;
}

}  // namespace

absl::StatusOr<ConvGeometry> Conv2DGeometry(const Node& node, const Shape& input,
                                            const Shape& filter) {
  if (node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D) {
    return DepthwiseGeometry(node.GetOptions<schema::DepthwiseConv2DOptionsT>(), input, filter);
  }
  return FullGeometry(node.GetOptions<schema::Conv2DOptionsT>(), input, filter);
}

schema::ActivationFunctionType Conv2DActivation(const Node& node) {
  if (node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D) {
    return node.GetOptions<schema::DepthwiseConv2DOptionsT>().fused_activation_function;
  }
  return node.GetOptions<schema::Conv2DOptionsT>().fused_activation_function;
}

}  // namespace litesmith
