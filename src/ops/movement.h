#ifndef LITESMITH_OPS_MOVEMENT_H_
#define LITESMITH_OPS_MOVEMENT_H_

// What the operators share that only move data: reading their shape and index inputs, and making
// copy plans.

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/reference/copy.h"
#include "ops/elementwise.h"
#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// The integers of a small tensor (bool, int8, uint8, int16, int32, int64) whose value is known, at
// most 1,024.
absl::StatusOr<std::vector<int64_t>> ReadIntegers(const TensorView& tensor);

// Input i as integers; NeedsValue(i) while its value is not known.
template <typename Args>
absl::StatusOr<std::vector<int64_t>> IntegerInput(const Args& args, size_t i) {
  if (!args.has(i)) return Invalid("input {} is missing", i);
  if (args.in(i).data == nullptr && args.in(i).elements() != 0) return NeedsValue(i);
  return ReadIntegers(args.in(i));
}

// The same for an input of one element.
template <typename Args>
absl::StatusOr<int64_t> IntegerScalarInput(const Args& args, size_t i) {
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, IntegerInput(args, i));
  if (values.size() != 1)
    return Invalid("input {} has {} elements, one is needed", i, values.size());
  return values[0];
}

// A dimension of a shape; an error where it is negative or beyond int32.
absl::StatusOr<int32_t> CheckedDimension(int64_t size);

// Elements between neighbours along each dimension of a dense tensor.
std::vector<int64_t> DenseStrides(const Shape& shape);

// Product of the dimensions [begin, end).
int64_t Elements(const Shape& shape, int begin, int end);

// A box of `size` elements, strides and offsets in elements of `element` bytes; the last dimension
// is the innermost. REQUIRES: the three spans are equally long.
absl::StatusOr<reference::CopyPlan> MakeCopy(size_t element, std::span<const int64_t> size,
                                             std::span<const int64_t> from_stride,
                                             std::span<const int64_t> to_stride,
                                             int64_t from_offset = 0, int64_t to_offset = 0);

// Bytes of an element of input `i`; an error for types without whole bytes (packed, strings).
absl::StatusOr<size_t> ElementBytes(const PrepareArgs& args, size_t i = 0);

// Inputs from `first` on and all outputs have one type.
absl::Status CheckOneType(const PrepareArgs& args, size_t first = 0);

// A kernel of one copy from input `input` to output 0.
Kernel CopyKernel(const PrepareArgs& args, const reference::CopyPlan& plan, size_t input = 0);

// Output 0 has the bytes of input 0: for reshapes.
absl::StatusOr<Kernel> SameBytesKernel(const PrepareArgs& args);

// A record of a data movement operator: quantized in all recipes, output with its input's scale,
// and the gradient of elements moved in a way that the shapes and constants fix.
OpRecord MovementRecord(schema::BuiltinOperator op, ForeignNames names, InferShapes infer_shapes,
                        Prepare prepare, VersionRule version, std::vector<InputRule> inputs);

}  // namespace litesmith

#endif  // LITESMITH_OPS_MOVEMENT_H_
