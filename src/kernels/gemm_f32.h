#ifndef LITESMITH_KERNELS_GEMM_F32_H_
#define LITESMITH_KERNELS_GEMM_F32_H_

// The one float matrix product of the tree: C[M,N] (+)= A[M,K] * B[K,N], for inference, calibration
// and training. Register tiles of rows by vectors in the manner of Goto and van de Geijn 2008
// ("Anatomy of High-Performance Matrix Multiplication"), written once in Highway.
//
// Every element of C is one chain of multiply-adds over k in rising order, whatever the tile, the
// block or the number of threads: the same bytes on one instruction set. (Eight chains at most
// where C has one row; with AVX-512 two, of even and of odd elements, for the columns of half a
// vector at the end of packed ones.) Pointers need the alignment of float only. Nothing here
// allocates.

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/threads.h"

namespace litesmith {

// Where A's elements are. Row m = (i * height + y) * width + x starts at
// data + i * image_stride + y * row_stride + x * step; its element k = t * run + r lies there
// + taps[t] + r * k_step. A plain matrix is one tap; a convolution's patches are read in place
// through the taps (no im2col copy).
struct GemmLeft {
  const float* data = nullptr;
  size_t width = std::numeric_limits<size_t>::max();
  size_t height = 1;
  ptrdiff_t step = 0, row_stride = 0, image_stride = 0;
  const ptrdiff_t* taps = nullptr;  // null: one tap at 0
  size_t num_taps = 1;
  size_t run = 0;
  ptrdiff_t k_step = 1;

  // A[m][k] at a[m * stride + k].
  static GemmLeft RowMajor(const float* a, size_t k, size_t stride) {
    GemmLeft left;
    left.data = a;
    left.step = static_cast<ptrdiff_t>(stride);
    left.run = k;
    return left;
  }
  // A[m][k] at a[k * stride + m]: the transpose of a row-major matrix.
  static GemmLeft Transposed(const float* a, size_t k, size_t stride) {
    GemmLeft left;
    left.data = a;
    left.step = 1;
    left.run = k;
    left.k_step = static_cast<ptrdiff_t>(stride);
    return left;
  }
  size_t depth() const { return num_taps * run; }
};

// B packed in panels of this many columns, the same on every instruction set.
inline constexpr size_t kGemmPanel = 16;

// Floats that a packed B of k rows and n columns takes.
inline size_t PackedFloats(size_t k, size_t n) {
  return (n + kGemmPanel - 1) / kGemmPanel * kGemmPanel * k;
}
// Packs B[k][n] from b[k * stride + n], or (transposed) from b[n * stride + k], as weights [out,
// in] are stored.
void PackRowMajor(const float* b, size_t k, size_t n, size_t stride, float* packed);
void PackTransposed(const float* b, size_t k, size_t n, size_t stride, float* packed);

struct GemmRight {
  const float* data = nullptr;
  size_t k_stride = 0;      // floats from row k to row k + 1
  size_t panel_stride = 0;  // floats from a panel of kGemmPanel columns to the next
  bool packed = false;      // the last panel is full

  static GemmRight Packed(const float* packed, size_t k) {
    return {packed, kGemmPanel, kGemmPanel * k, true};
  }
  // B[k][n] at b[k * stride + n], read where it is.
  static GemmRight RowMajor(const float* b, size_t stride) {
    return {b, stride, kGemmPanel, false};
  }
};

struct GemmResult {
  float* data = nullptr;  // C[m][n] at data[m * stride + n]
  size_t stride = 0;
  const float* bias = nullptr;  // [N], or null
  bool accumulate = false;      // add to C; REQUIRES: no bias
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
  // Where not 0, floats from C's row i * A's width to row (i + 1) * width: C is a part of an image.
  // REQUIRES then: A is one image (height is not used).
  size_t row_stride = 0;
};

// REQUIRES: C overlaps neither A nor B. K may be 0.
void GemmF32(size_t m, size_t n, const GemmLeft& a, const GemmRight& b, const GemmResult& c,
             ThreadPool* threads);

// The instruction sets that gemm_f32.cc was compiled for (a mask of Highway's target bits), for
// tests.
int64_t GemmTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GEMM_F32_H_
