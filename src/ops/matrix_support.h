#ifndef LITESMITH_OPS_MATRIX_SUPPORT_H_
#define LITESMITH_OPS_MATRIX_SUPPORT_H_

// What the operators with weights share: checks of weights and bias, multipliers, 4-bit weights,
// the names of their kernels.

#include <string>
#include <vector>

#include "base/fixed_point.h"
#include "kernels/reference/conv.h"
#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// One scale, or one per output channel; all finite and positive. With `symmetric` all zero points
// are 0.
absl::Status CheckWeightQuant(const TensorView& weights, int32_t channels, bool symmetric);

// The bias, when present, has one value per channel and one of the types.
absl::Status CheckBias(const PrepareArgs& args, size_t input, int32_t channels,
                       std::initializer_list<TensorType> types);

// The option quantized_bias_type against the bias of an int16 kernel. Says whether the kernel
// accumulates in 32 bits.
absl::StatusOr<bool> AccumulatesIn32Bits(const PrepareArgs& args, size_t bias, TensorType option);

// input scale * weight scale / output scale of every channel, in double as LiteRT computes it.
std::vector<double> ChannelFactors(const TensorView& input, const TensorView& weights,
                                   const TensorView& output, int32_t channels);

// The factor of the older per-tensor kernels, whose product of scales is rounded to float.
double TensorFactor(const TensorView& input, const TensorView& weights, const TensorView& output);

// Fixed-point multipliers; an error when a kernel with 64-bit accumulators cannot take one.
absl::StatusOr<std::vector<Multiplier>> QuantizeFactors(const std::vector<double>& factors,
                                                        bool wide_accumulator);

// Packed 4- or 2-bit weights as int8. An error when they are not constant.
absl::StatusOr<std::vector<int8_t>> UnpackWeights(const TensorView& weights);
bool IsPacked(TensorType type);

// Shapes, strides, dilation and padding of CONV_2D and DEPTHWISE_CONV_2D, checked. OPTIONS is
// either's option table. Leaves filter_c and out_c to the caller.
template <typename Options>
absl::StatusOr<reference::ConvGeometry> WindowGeometry(const Options& options, const Shape& input,
                                                       const Shape& filter) {
  reference::ConvGeometry g;
  LS_ASSIGN_OR_RETURN(const WindowPadding rows,
                      ComputePadding(options.padding, input[1], filter[1], options.stride_h,
                                     options.dilation_h_factor));
  LS_ASSIGN_OR_RETURN(const WindowPadding columns,
                      ComputePadding(options.padding, input[2], filter[2], options.stride_w,
                                     options.dilation_w_factor));
  g.batches = input[0];
  g.in_h = input[1];
  g.in_w = input[2];
  g.in_c = input[3];
  g.filter_h = filter[1];
  g.filter_w = filter[2];
  g.out_h = rows.output;
  g.out_w = columns.output;
  g.stride_h = options.stride_h;
  g.stride_w = options.stride_w;
  g.dilation_h = options.dilation_h_factor;
  g.dilation_w = options.dilation_w_factor;
  g.pad_h = rows.before;
  g.pad_w = columns.before;
  return g;
}

// "qs8-qs8-qc8w-conv_2d".
std::string MatrixKernelName(const PrepareArgs& args, size_t input, size_t weights, const char* op);

}  // namespace litesmith

#endif  // LITESMITH_OPS_MATRIX_SUPPORT_H_
