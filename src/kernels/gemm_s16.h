#ifndef LITESMITH_KERNELS_GEMM_S16_H_
#define LITESMITH_KERNELS_GEMM_S16_H_

// Output stages of the integer depthwise kernels (kernels/depthwise.h).

#include <cstddef>
#include <cstdint>

namespace litesmith {

// Per-channel arrays have whole groups of this many entries.
inline constexpr size_t kGemmS16Panel = 16;
inline size_t PaddedColumns(size_t n) {
  return (n + kGemmS16Panel - 1) / kGemmS16Panel * kGemmS16Panel;
}

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

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GEMM_S16_H_
