#ifndef LITESMITH_KERNELS_INT_STAGE_H_
#define LITESMITH_KERNELS_INT_STAGE_H_

// What becomes of the sums of an integer matrix product: the output stages of
// kernels/reference/stage.h by vectors, with their bits.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/fixed_line.h"

namespace litesmith {

struct IntStage {
  enum class Kind : uint8_t {
    kFixed,   // MultiplyByQuantizedMultiplier on 32-bit sums (double rounding)
    kWide,    // the same on 64-bit sums (a 16-bit multiplier, one rounding)
    kDouble,  // the product with a real factor, rounded once: LiteRT's FULLY_CONNECTED
    kFloat,   // hybrid: back to float
  };
  enum class Out : uint8_t { kInt8, kUint8, kInt16, kFloat };

  Kind kind = Kind::kFixed;
  Out type = Out::kInt8;
  void* out = nullptr;  // element (m, n) at m * stride + n
  size_t stride = 0;

  // All but kFloat.
  int32_t zero_point = 0, low = 0, high = 0;
  // Arrays per column. Those that vectors read have whole panels (kernels/int_tile.h).
  const int32_t* multiplier = nullptr;   // kFixed, kWide (there as kernels of 32 bits have it)
  const int32_t* left_shift = nullptr;   // kFixed: in [0, 31]
  const int32_t* right_shift = nullptr;  // kFixed: in [0, 31]; kWide: 15 - shift, in [8, 63)
  const double* factor = nullptr;        // kDouble
  // Added to 64-bit sums. Those of 32 bits have their bias already.
  const int64_t* wide_bias = nullptr;
  // kFixed: no left shift, every right shift in [1, 22], sums within 30 bits, zero_point within 8
  // (16 for kInt16). kDouble: every factor below 1. kWide: every right shift in
  // [17, 32] or the multiplier 0.
  bool bounded = false;
  // kFixed to 8 bits: lines instead, where there are any; arrays as above. May be null.
  const FixedLines* lines = nullptr;

  // kFloat: value = sum * scales + bias, clamped.
  const float* column_scale = nullptr;  // null: in row_scale
  const float* row_scale = nullptr;
  const int32_t* row_zero = nullptr;  // sums less row_zero[row] * column_sum[n]; may be null
  const int32_t* column_sum = nullptr;
  const float* bias = nullptr;  // may be null
  bool columns_first = false;   // the column's scale meets the sum before the row's
  float float_low = 0.0f, float_high = 0.0f;
  size_t positions = 1;  // rows m that share a row scale (the positions of an image)

  // Added to m and n: the product is a part of a larger one.
  size_t first_row = 0, first_column = 0;
};

// Rows [m, m + rows) by columns [n, n + columns) of sums[r * kIntTileColumns + c], n a multiple of
// kIntPanel within a group.
void RunIntStage(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                 const int32_t* sums);
// The same for 64-bit sums: kWide and kDouble.
void RunIntStage(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                 const int64_t* sums);

int64_t IntStageTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_INT_STAGE_H_
