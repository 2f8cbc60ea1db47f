#ifndef LITESMITH_OPS_RECURRENT_H_
#define LITESMITH_OPS_RECURRENT_H_

// What SVDF, the sequence RNN and the sequence LSTM share.

#include <vector>

#include "kernels/reference/recurrent.h"
#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// NONE, RELU, RELU_N1_TO_1, RELU6 and TANH.
absl::StatusOr<reference::CellActivation> CellActivationOf(schema::ActivationFunctionType type);

// `tensor` has exactly this shape.
absl::Status CheckDims(const TensorView& tensor, const char* what, const Shape& shape);

// Input i, which is a variable tensor: its value stays from run to run.
template <typename T>
T* VariableOf(const RunArgs& args, size_t i) {
  return static_cast<T*>(const_cast<void*>(args.inputs[i]));
}

// The state is a variable tensor of this shape.
absl::Status CheckState(const TensorView& tensor, const char* what, const Shape& shape);

// One positive scale and, for int8, zero points 0.
absl::Status CheckOneScale(const TensorView& weights, const char* what);

// Cuts scratch memory into arrays, each aligned to 64. Used twice: without memory, to count; then
// to cut.
class ScratchCutter {
 public:
  explicit ScratchCutter(std::byte* memory) : memory_(memory) {}

  template <typename T>
  T* Take(size_t count) {
    std::byte* at = memory_ == nullptr ? nullptr : memory_ + bytes_;
    bytes_ += (count * sizeof(T) + 63) / 64 * 64;
    return reinterpret_cast<T*>(at);
  }
  reference::QuantizedRows TakeRows(size_t rows, size_t columns) {
    reference::QuantizedRows out;
    out.values = Take<int8_t>(rows * columns);
    out.scales = Take<float>(rows);
    out.zero_points = Take<int32_t>(rows);
    return out;
  }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* memory_;
  size_t bytes_ = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_OPS_RECURRENT_H_
