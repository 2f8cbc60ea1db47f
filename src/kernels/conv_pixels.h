#ifndef LITESMITH_KERNELS_CONV_PIXELS_H_
#define LITESMITH_KERNELS_CONV_PIXELS_H_

// CONV_2D of images with few channels (a network's first layer) on AVX-512 VNNI with byte
// permutations: a vector holds groups of 4 bytes of 16 neighbouring outputs, weights are broadcast.
// The product of kernels/gemm_int.h would broadcast each of these groups, and pad the few bytes of
// every filter row to whole groups; here bytes that rows leave over share groups.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/int_stage.h"
#include "kernels/reference/conv.h"

namespace litesmith {

inline constexpr size_t kPixels = 16;
inline constexpr size_t kMaxPixelGroups = 32;
inline constexpr size_t kMaxPixelColumns = 64;
// Most shuffles that still cost less than the products that they save.
inline constexpr size_t kMaxPixelShuffles = 96;
// What is read beyond the last byte that a filter needs.
inline constexpr size_t kPixelSlack = 128;

// Some bytes of a group of 16 outputs, out of 128 bytes.
struct PixelShuffle {
  uint64_t mask = 0;
  uint8_t from[64] = {};
  uint32_t row = 0, offset = 0;  // of the filter; bytes from the first output's patch on
};

// Weights packed for it: blocks of 8 columns, of each its groups one after the other.
struct PixelWeights {
  size_t columns = 0, groups = 0;  // no columns: not this kernel
  std::vector<uint8_t> counts;     // shuffles of every group
  std::vector<PixelShuffle> shuffles;
  AlignedVector<std::byte> weights;

  bool fits() const { return columns != 0; }
};

// Empty where the kernel cannot serve. `bytes`: int8 inputs and outputs, else int16. REQUIRES: one
// group of channels, filter columns that are neighbours in the input.
template <typename W>
PixelWeights PackPixels(const reference::ConvGeometry& g, bool bytes, const W* weights,
                        int32_t offset);

// The stage's constants as the kernel takes them.
struct PixelStage {
  // int8, by lines.
  const float *scale = nullptr, *rest = nullptr, *add = nullptr;
  bool two = false, positive = false;
  // int16: (x * multiplier >> 32) + 2^(shift - 1) >> shift.
  int32_t multiplier[kMaxPixelColumns], shift[kMaxPixelColumns];
  int16_t zero_point = 0, low = 0, high = 0;
};
// False where the stage needs another kernel. `bytes` as in PackPixels.
bool FindPixelStage(const PixelWeights& weights, bool bytes, const IntStage& stage,
                    PixelStage* out);

// Rows of the output, in plain pointers. REQUIRES: pixels >= kPixels, HasDotIsa(kAvx512Bytes).
struct PixelBand {
  const PixelShuffle* shuffles;
  const ptrdiff_t* offsets;  // of each of them, in bytes from an output's patch on
  const uint8_t* counts;
  size_t groups, columns;
  const std::byte* weights;
  const PixelStage* stage;
  const int32_t* init;
  const std::byte* image;      // the first patch: unsigned bytes, or int16
  ptrdiff_t row_stride, step;  // bytes from one patch to the next, down and to the right
  size_t rows, pixels;
  std::byte* out;  // of the first row; the others follow
};
void RunPixelsS8(const PixelBand& band);
void RunPixelsS16(const PixelBand& band);
// Whether this build has them.
bool PixelsBuilt();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_CONV_PIXELS_H_
