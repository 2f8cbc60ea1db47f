#ifndef LITESMITH_KERNELS_COPY_INT_H_
#define LITESMITH_KERNELS_COPY_INT_H_

// Copies of activations into what the integer product reads (kernels/gemm_int.h), by vectors.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace litesmith {

// out[i] = in[i], wider. In is int8_t or uint8_t.
template <typename In>
void WidenInt(const In* in, size_t count, int16_t* out);

// `count` rows: of each `before` bytes of border, the first `inner` of its own, and border up to
// `out_row`. A call for each row took as long as the row (ResNet8: 0.0317 -> 0.0313 ms).
struct BorderedRows {
  size_t count = 1, in_row = 0, inner = 0, before = 0, out_row = 0;
  uint8_t border = 0;
};
// With 128 added to the numbers, unsigned.
void FlipInt8(const BorderedRows& rows, const int8_t* in, uint8_t* out);

// std::fill_n, whose loop over int16 takes a number a cycle, by memset where it can: zero above
// all.
template <typename T>
void FillBorder(T* out, size_t count, T value) {
  uint8_t bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  if (std::all_of(bytes, bytes + sizeof(T), [&](uint8_t b) { return b == bytes[0]; })) {
    std::memset(out, bytes[0], count * sizeof(T));
  } else {
    std::fill_n(out, count, value);
  }
}

int64_t CopyIntTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_COPY_INT_H_
