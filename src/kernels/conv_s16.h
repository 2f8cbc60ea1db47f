#ifndef LITESMITH_KERNELS_CONV_S16_H_
#define LITESMITH_KERNELS_CONV_S16_H_

// CONV_2D on integers through kernels/gemm_s16.h: the input is widened to 16 bits with its zero
// point taken off, so that padding is zeros; the sums are those of kernels/reference/conv.h bit for
// bit.

#include <cstddef>
#include <cstdint>

#include "base/threads.h"
#include "kernels/gemm_s16.h"
#include "kernels/reference/conv.h"

namespace litesmith {

// out[i] = in[i] + offset. In is int8_t, uint8_t or int16_t.
template <typename In>
void WidenS16(const In* in, size_t count, int32_t offset, int16_t* out);

size_t PackedConvS16(const reference::ConvGeometry& g);
// W is int8_t or uint8_t.
template <typename W>
void PackConvS16(const reference::ConvGeometry& g, const W* weights, int32_t offset,
                 int16_t* packed);

// REQUIRES of both: ConvF32Fits(g). The scratch memory is aligned to 64.
size_t ConvS16ScratchBytes(const reference::ConvGeometry& g);
// `out` sees rows = output positions of the whole batch and columns = output channels; per-channel
// arrays in it have out_c + kGemmS16Panel entries.
template <typename In>
void ConvS16(const reference::ConvGeometry& g, const reference::ConvOffsets& offsets,
             const In* input, const int16_t* packed, const S16Result& out, std::byte* scratch,
             ThreadPool* threads);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_CONV_S16_H_
