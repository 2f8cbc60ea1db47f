#ifndef LITESMITH_OPS_OP_SUPPORT_H_
#define LITESMITH_OPS_OP_SUPPORT_H_

// Checks and small rules that many operator records share. The one place for them.

#include <initializer_list>

#include "ops/op.h"

namespace litesmith {

// Between `least` and `most` inputs, the first `least` of them present, and exactly `outputs` outputs.
// Call first in shape inference; prepare may then index freely.
absl::Status CheckOperands(const ShapeArgs& args, size_t least, size_t most, size_t outputs);

// `tensor` has one of the types; `what` is "input 1", "output".
absl::Status CheckType(const TensorView& tensor, const char* what,
                       std::initializer_list<TensorType> types);

// "there is no kernel for FLOAT32, INT8 -> INT8": for prepare, when no case matched.
absl::Status NoKernel(const PrepareArgs& args);

// Per-tensor quantization with a usable scale: finite and > 0; zero point within the type, and 0 for
// INT16. Call on every activation an integer kernel reads.
absl::Status CheckActivationQuant(const TensorView& tensor, const char* what);

// The output of broadcasting two shapes against each other (NumPy's rule).
absl::StatusOr<Shape> BroadcastShapes(const Shape& a, const Shape& b);

// `axis` counted from the end when negative, checked against [0, rank).
absl::StatusOr<int> ResolveAxis(int64_t axis, int rank);

// The element count of `shape`, as an error when it overflows or a dimension is negative.
absl::Status CheckShape(const Shape& shape);

// Range of values after a fused activation. Float: limits; integer: in units of the output.
struct FloatRange {
  float low, high;
};
struct IntRange {
  int32_t low, high;
};
// NONE, RELU, RELU6, RELU_N1_TO_1; others (TANH, SIGN_BIT) are an error, as in TFLite.
absl::StatusOr<FloatRange> ActivationRange(schema::ActivationFunctionType activation);
absl::StatusOr<IntRange> QuantizedActivationRange(schema::ActivationFunctionType activation,
                                                  const TensorView& output);

// Padding of one dimension as TFLite computes it.
struct WindowPadding {
  int32_t output = 0;  // output size, > 0
  int32_t before = 0;
  int32_t after = 0;
};
absl::StatusOr<WindowPadding> ComputePadding(schema::Padding padding, int32_t input, int32_t window,
                                             int32_t stride, int32_t dilation);

// "f32", "qs8", "qs16", "qu8", "f16", "s32", "s64", "b8": a type's tag in kernel names.
const char* TypeTag(const TensorView& tensor);

}  // namespace litesmith

#endif  // LITESMITH_OPS_OP_SUPPORT_H_
