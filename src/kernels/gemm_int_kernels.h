#ifndef LITESMITH_KERNELS_GEMM_INT_KERNELS_H_
#define LITESMITH_KERNELS_GEMM_INT_KERNELS_H_

// The functions of kernels.def. Call only what kernels/isa.h finds on this CPU.

#include "kernels/int_tile.h"

namespace litesmith {

#define LITESMITH_INT_KERNEL(isa, bytes, pairs) \
  void bytes(const IntTile& tile);              \
  void pairs(const IntTile& tile);
#define LITESMITH_INT_BYTES_KERNEL(isa, bytes) void bytes(const IntTile& tile);
#include "kernels/kernels.def"
#undef LITESMITH_INT_KERNEL
#undef LITESMITH_INT_BYTES_KERNEL

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GEMM_INT_KERNELS_H_
