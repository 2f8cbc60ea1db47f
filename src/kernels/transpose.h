#ifndef LITESMITH_KERNELS_TRANSPOSE_H_
#define LITESMITH_KERNELS_TRANSPOSE_H_

#include <cstddef>
#include <cstdint>

namespace litesmith {

// A matrix of elements of 1, 2, 4 or 8 bytes. Steps in bytes.
struct TransposeMatrix {
  const std::byte* from = nullptr;  // element (r, c) at r * from_row + c * element
  ptrdiff_t from_row = 0;
  std::byte* to = nullptr;  // ... goes to c * to_row + r * element
  ptrdiff_t to_row = 0;
  size_t rows = 0, columns = 0;
};

// By squares of one vector's elements, which are turned in registers.
void Transpose(const TransposeMatrix& matrix, size_t element);

int64_t TransposeTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_TRANSPOSE_H_
