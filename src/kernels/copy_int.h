#ifndef LITESMITH_KERNELS_COPY_INT_H_
#define LITESMITH_KERNELS_COPY_INT_H_

// Copies of activations into what the integer product reads (kernels/gemm_int.h), by vectors.

#include <cstddef>
#include <cstdint>

namespace litesmith {

// out[i] = in[i], wider. In is int8_t or uint8_t.
template <typename In>
void WidenInt(const In* in, size_t count, int16_t* out);

// out[i] = in[i] + 128, unsigned.
void FlipInt8(const int8_t* in, size_t count, uint8_t* out);

int64_t CopyIntTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_COPY_INT_H_
