#ifndef LITESMITH_KERNELS_INT_TILE_H_
#define LITESMITH_KERNELS_INT_TILE_H_

// What a micro-kernel of the integer matrix product (kernels/gemm_int.h) is given. Included by
// files with compile flags of their own: no functions here.

#include <cstddef>
#include <cstdint>

namespace litesmith {

// Columns of a panel of packed weights, and of the sums of one call.
inline constexpr size_t kIntPanel = 16;
inline constexpr size_t kIntTilePanels = 2;
inline constexpr size_t kIntTileColumns = kIntPanel * kIntTilePanels;
inline constexpr size_t kIntLineRows = 8;

// What AVX-512 VNNI makes of the sums of 8-bit products at once: int8 by lines
// (kernels/fixed_line.h), arrays from the first column on.
struct IntTileLines {
  const float *scale, *rest, *add;
  bool two, positive;  // LineKind::kTwo; zero_point and low are -128
  int16_t zero_point;
  int8_t low, high;
  int8_t* out;  // of the first row
  size_t stride;
  size_t columns;  // a multiple of 4
};

// Or floats: sum * scale (* row_scale, where `twice`) + bias, clamped; whole panels of scales and
// biases.
struct IntTileFloats {
  const float *scale, *bias;  // bias may be null
  bool twice;
  float row_scale, low, high;
  float* out;  // of the first row
  size_t stride, columns;
};

// Or of 16-bit products: int16 by one rounding, IntStage's kWide without a zero point.
struct IntTileWides {
  const int32_t *multiplier, *right_shift;  // IntStage's, from the first column on
  bool bounded;                             // IntStage's
  int16_t low, high;
  int16_t* out;  // of the first row
  size_t stride, columns;
};

// sums[r][c] = init[c] + the products of row r with column c, modulo 2^32. Operands come in groups
// of 4 bytes: four 8-bit numbers or two 16-bit ones. Group g of tap t of row r lies at rows[r] +
// taps[t] + offset + 4 * g; the panels hold kIntPanel groups side by side for each group of k, in
// the same order, aligned to 64.
struct IntTile {
  const std::byte* const* rows;
  size_t num_rows;
  // Bit i: rows[kIntLineRows * i] and the next 7 are `step` apart. With `lines`, `floats` or
  // `wides` only the first of them is in `rows`.
  uint32_t spaced = 0;
  ptrdiff_t step = 0;
  const std::byte* panels[kIntTilePanels];
  size_t num_panels;
  const ptrdiff_t* taps;  // null: one tap at 0
  size_t num_taps, groups;
  ptrdiff_t offset;
  // 8-bit kernels take the left operand as unsigned (IntKernel::signed_left: signed) after an
  // exclusive or with this.
  uint32_t flip;
  bool no_lowest = false;  // IntWeights'
  const int32_t* init;     // num_panels * kIntPanel of them
  int32_t* sums;           // kIntTileColumns per row, aligned to 64
  // One of them instead of `sums`, where not null; whole blocks of kIntLineRows rows then.
  const IntTileLines* lines = nullptr;
  const IntTileFloats* floats = nullptr;
  const IntTileWides* wides = nullptr;
};

using IntTileFunction = void (*)(const IntTile&);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_INT_TILE_H_
