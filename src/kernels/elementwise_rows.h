#ifndef LITESMITH_KERNELS_ELEMENTWISE_ROWS_H_
#define LITESMITH_KERNELS_ELEMENTWISE_ROWS_H_

// Rows of elementwise operators in vectors: ADD, SUB and MUL (float and quantized), QUANTIZE and
// DEQUANTIZE. The bits of kernels/reference/arithmetic.h and kernels/reference/quantize.h, the sign
// of a zero excepted on Arm. `out` may be an operand's row of the same element size.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "kernels/reference/arithmetic.h"

namespace litesmith {

enum class RowOp : uint8_t { kAdd, kSub, kMul };

// Two rows of `count` elements; an operand whose step is 0 is one element for all.
struct RowSteps {
  bool a_moves = true, b_moves = true;
  size_t count = 0;
};

void FloatRow(RowOp op, const float* a, const float* b, const RowSteps& steps, float low,
              float high, float* out);

// What the vector code computes: multipliers of at most 1, right shifts, nothing that could
// overflow 32 bits.
struct SumRow {
  reference::QuantizedSum f;

  // None where it would not be exact for every element of type T: then the loop of the reference
  // serves.
  template <typename T>
  static std::optional<SumRow> Make(const reference::QuantizedSum& f);
  // T: int8_t, uint8_t, int16_t.
  template <typename T>
  void Run(const T* a, const T* b, const RowSteps& steps, T* out) const;
};

struct ProductRow {
  reference::QuantizedProduct f;

  template <typename T>
  static std::optional<ProductRow> Make(const reference::QuantizedProduct& f);
  template <typename T>
  void Run(const T* a, const T* b, const RowSteps& steps, T* out) const;
};

// To and from int8_t, uint8_t, int16_t, for one scale and zero point.
template <typename T>
void QuantizeRow(const float* in, size_t count, float scale, int32_t zero_point, T* out);
template <typename T>
void DequantizeRow(const T* in, size_t count, float scale, int32_t zero_point, float* out);

// The instruction sets of elementwise_rows.cc, for tests.
int64_t ElementwiseRowTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_ELEMENTWISE_ROWS_H_
