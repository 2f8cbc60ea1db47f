#ifndef LITESMITH_OPS_RECURRENT_GRADIENT_H_
#define LITESMITH_OPS_RECURRENT_GRADIENT_H_

// What the gradients of SVDF, the sequence RNN and the LSTMs share. Matrices are [rows][columns].

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "kernels/reference/recurrent.h"
#include "ops/op.h"

namespace litesmith {

// Zeros in every gradient that is to be written rather than added to.
inline void StartGradients(const GradArgs& args) {
  for (size_t i = 0; i < args.inputs.size(); ++i) {
    if (args.in_grads[i] == nullptr || !args.first[i]) continue;
    std::fill_n(args.in_grads[i], args.inputs[i].elements(), 0.0f);
  }
}

// y[r] += sum over c of matrix[r][c] * x[c].
inline void AddProduct(const float* matrix, const float* x, size_t rows, size_t columns, float* y) {
  for (size_t r = 0; r < rows; ++r) {
    float sum = 0.0f;
    for (size_t c = 0; c < columns; ++c) sum += matrix[r * columns + c] * x[c];
    y[r] += sum;
  }
}

// y[c] += sum over r of matrix[r][c] * x[r].
inline void AddTransposedProduct(const float* matrix, const float* x, size_t rows, size_t columns,
                                 float* y) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) y[c] += matrix[r * columns + c] * x[r];
  }
}

// matrix[r][c] += a[r] * b[c].
inline void AddOuter(const float* a, const float* b, size_t rows, size_t columns, float* matrix) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) matrix[r * columns + c] += a[r] * b[c];
  }
}

// to[i] += x[i]; `to` may be null.
inline void AddTo(const float* x, size_t count, float* to) {
  if (to == nullptr) return;
  for (size_t i = 0; i < count; ++i) to[i] += x[i];
}

// The functions themselves, not the kernels' approximations of them.
inline float Activated(reference::CellActivation activation, float x) {
  switch (activation) {
    case reference::CellActivation::kTanh:
      return std::tanh(x);
    case reference::CellActivation::kSigmoid:
      return 1.0f / (1.0f + std::exp(-x));
    default:
      return reference::Activate(activation, x);
  }
}

// The derivative where the result is y.
inline float Slope(reference::CellActivation activation, float y) {
  switch (activation) {
    case reference::CellActivation::kNone:
      return 1.0f;
    case reference::CellActivation::kRelu:
      return y > 0.0f ? 1.0f : 0.0f;
    case reference::CellActivation::kReluN1To1:
      return std::abs(y) < 1.0f ? 1.0f : 0.0f;
    case reference::CellActivation::kRelu6:
      return y > 0.0f && y < 6.0f ? 1.0f : 0.0f;
    case reference::CellActivation::kTanh:
      return 1.0f - y * y;
    case reference::CellActivation::kSigmoid:
      return y * (1.0f - y);
  }
  return 1.0f;
}

}  // namespace litesmith

#endif  // LITESMITH_OPS_RECURRENT_GRADIENT_H_
