#ifndef LITESMITH_OPS_FAST_TRANSPOSE_CONV_H_
#define LITESMITH_OPS_FAST_TRANSPOSE_CONV_H_

// TRANSPOSE_CONV (KernelMode::kBest) by convolutions: output positions that are a stride apart see
// the same taps of the filter, so each such phase is a convolution of stride 1 with these taps in
// reverse, written where its positions are.

#include <optional>

#include "kernels/reference/conv.h"
#include "ops/int_product.h"
#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// Of the operator's operands.
struct TransposeConvOperands {
  size_t weights = 1, input = 2, bias = 3;
};

// `g` as kernels/reference/transpose_conv.h has it. Nothing where the weights are not constant or
// the shapes do not suit.
std::optional<Kernel> FastTransposeConvF32(const PrepareArgs& args,
                                           const reference::ConvGeometry& g,
                                           const TransposeConvOperands& operands, FloatRange range);
// int8, uint8 and int16 inputs. `what` as FinishInteger takes it.
std::optional<Kernel> FastTransposeConvInt(const PrepareArgs& args,
                                           const reference::ConvGeometry& g,
                                           const TransposeConvOperands& operands,
                                           const IntProductArgs& what, int32_t weight_offset);

}  // namespace litesmith

#endif  // LITESMITH_OPS_FAST_TRANSPOSE_CONV_H_
