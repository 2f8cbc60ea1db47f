#ifndef LITESMITH_KERNELS_GEMM_S16_H_
#define LITESMITH_KERNELS_GEMM_S16_H_

// The integer matrix product: sums of products of 16-bit numbers, which hold 8-bit operands with
// their zero points taken off. One kernel for int8, uint8, 16x8 and hybrid; the sums are exact
// modulo 2^32 (or exact in 64 bits), so every instruction set gives the bits of kernels/reference.
// Written once in Highway: pairs of k are multiplied and added by one instruction. Nothing here
// allocates.

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/threads.h"

namespace litesmith {

// Where A's elements are; as GemmLeft (kernels/gemm_f32.h), with taps of `run` neighbouring
// elements. Elements are read in pairs: with an odd run, one element behind each tap is read (and
// has no effect), so the buffer holds one more element than the last tap needs.
struct GemmS16Left {
  const int16_t* data = nullptr;
  size_t width = std::numeric_limits<size_t>::max();
  size_t height = 1;
  ptrdiff_t step = 0, row_stride = 0, image_stride = 0;
  const ptrdiff_t* taps = nullptr;  // null: one tap at 0
  size_t num_taps = 1;
  size_t run = 0;

  static GemmS16Left RowMajor(const int16_t* a, size_t k, size_t stride) {
    GemmS16Left left;
    left.data = a;
    left.step = static_cast<ptrdiff_t>(stride);
    left.run = k;
    return left;
  }
};

// Columns of a panel of packed weights.
inline constexpr size_t kGemmS16Panel = 16;
inline size_t PaddedColumns(size_t n) {
  return (n + kGemmS16Panel - 1) / kGemmS16Panel * kGemmS16Panel;
}

// Numbers that packed weights of n columns take, and packing them from [n][num_taps * run] with
// `offset` added. W is int8_t or uint8_t.
size_t PackedS16(size_t num_taps, size_t run, size_t n);
template <typename W>
void PackS16(const W* weights, size_t num_taps, size_t run, size_t n, int32_t offset,
             int16_t* packed);

// Requantization in fixed point, vectorised: base/fixed_point.h's MultiplyByQuantizedMultiplier on
// int32. The arrays have PaddedColumns(n) entries; shifts are in [0, 31].
struct S16FixedPoint {
  const int32_t* bias = nullptr;
  const int32_t* multiplier = nullptr;
  const int32_t* left_shift = nullptr;
  const int32_t* right_shift = nullptr;
  int32_t zero_point = 0, low = 0, high = 0;
  enum class Type : uint8_t { kInt8, kUint8, kInt16 } type = Type::kInt8;
  void* out = nullptr;  // element (m, n) at m * stride + n
  size_t stride = 0;
};

// What becomes of the sums: exactly one of the three.
struct S16Result {
  const S16FixedPoint* fixed_point = nullptr;
  // Called with `count` sums of row m from column n on, by any thread.
  void (*rows)(const void* context, size_t m, size_t n, const int32_t* sums,
               size_t count) = nullptr;
  void (*wide_rows)(const void* context, size_t m, size_t n, const int64_t* sums,
                    size_t count) = nullptr;
  const void* context = nullptr;
  // Added to m and n wherever they are used above: the product is a part of a larger one.
  size_t first_row = 0, first_column = 0;
};

// REQUIRES for wide_rows: B is within [-255, 255].
void GemmS16(size_t m, size_t n, const GemmS16Left& a, const int16_t* packed, const S16Result& out,
             ThreadPool* threads);

// The instruction sets that gemm_s16.cc was compiled for (a mask of Highway's target bits), for
// tests.
int64_t GemmS16Targets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GEMM_S16_H_
