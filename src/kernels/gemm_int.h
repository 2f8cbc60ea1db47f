#ifndef LITESMITH_KERNELS_GEMM_INT_H_
#define LITESMITH_KERNELS_GEMM_INT_H_

// The integer matrix product for inference: int8, uint8, 16x8 and hybrid. Weights are packed once;
// micro-kernels (kernels.def) sum groups of four 8-bit or two 16-bit products; zero points and bias
// are folded into where the sums start; the output stage (int_stage.h) is vectorised. The sums are
// exact modulo 2^32, or exact in 64 bits where the stage asks for it, so every instruction set
// gives the bits of kernels/reference. The product allocates nothing.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "base/threads.h"
#include "kernels/aligned.h"
#include "kernels/int_stage.h"
#include "kernels/int_tile.h"
#include "kernels/isa.h"

namespace litesmith {

struct IntKernel {
  DotIsa isa = DotIsa::kNone;
  const char* name = "";
  IntTileFunction bytes = nullptr;  // null: 8-bit operands are widened
  IntTileFunction pairs = nullptr;  // null: Highway's
  bool signed_left = false;         // IntTile::flip makes signed bytes
};
// Those of this build that the CPU has, best first; the last one is Highway's, always there.
std::span<const IntKernel> IntKernels();

// Weights [columns][taps * run], packed for one kernel.
struct IntWeights {
  const IntKernel* kernel = nullptr;
  bool bytes = false;  // the left operand is 8-bit numbers, else int16
  size_t columns = 0, taps = 1, run = 0;
  size_t groups = 0;  // of each tap
  AlignedVector<std::byte> panels;
  std::vector<int32_t> sums;      // of the weights of every column, in whole panels
  std::vector<int64_t> absolute;  // sums of the absolute weights of every column
  int64_t largest = 0;            // the largest of these
  bool no_lowest = true;          // no weight is -128

  // REQUIRES: |weights + offset| < 2^15; offset is 0 for `bytes`. W is int8_t or uint8_t. A kernel
  // without 8-bit functions takes 16-bit operands only.
  template <typename W>
  static IntWeights Pack(const IntKernel& kernel, bool bytes, const W* weights, size_t columns,
                         size_t taps, size_t run, int32_t offset);
  size_t element_size() const { return bytes ? 1 : 2; }
  size_t panel_bytes() const { return taps * groups * 4 * kIntPanel; }
};

// Where A's elements are; as GemmLeft (kernels/gemm_f32.h), in bytes. Groups of 4 bytes are read:
// where run * element_size is no multiple of 4, the buffer holds up to 3 bytes more than the last
// tap needs (they have no effect).
struct IntLeft {
  const void* data = nullptr;
  size_t width = std::numeric_limits<size_t>::max();
  size_t height = 1;
  ptrdiff_t step = 0, row_stride = 0, image_stride = 0;
  const ptrdiff_t* taps = nullptr;  // null: one tap at 0
  // 8-bit operands: 0x80808080 where they are signed, else 0.
  uint32_t flip = 0;
};
inline constexpr uint32_t kSignedFlip = 0x80808080u;

// A times B. `init` has a number per column in whole panels, where the 32-bit sums start. With
// wide_sums (stage kWide or kDouble) the sums are exact 64-bit ones, without init; REQUIRES then
// 16-bit operands.
void GemmInt(size_t m, const IntLeft& a, const IntWeights& b, const int32_t* init, bool wide_sums,
             const IntStage& stage, ThreadPool* threads);

int64_t GemmIntTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GEMM_INT_H_
