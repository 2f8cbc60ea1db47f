#ifndef LITESMITH_KERNELS_POOL_ROWS_H_
#define LITESMITH_KERNELS_POOL_ROWS_H_

// MAX_POOL_2D of 8- and 16-bit values and AVERAGE_POOL_2D in vectors of channels: the bits of
// kernels/reference/pool.h. (MAX_POOL_2D in float: kernels/pool_f32.h.)

#include <cstddef>
#include <cstdint>

#include "kernels/reference/conv.h"

namespace litesmith {

// Whether integer averages over these windows are exact here: their sums fit a float's 24 bits.
bool AveragePoolFits(const reference::ConvGeometry& g, size_t element_bytes);

// Output rows [begin, end) of batches * out_h. T: int8_t, uint8_t, int16_t.
template <typename T>
void MaxPoolInteger(const reference::ConvGeometry& g, const T* input, int32_t low, int32_t high,
                    T* output, size_t begin, size_t end);

// T: float, or the above where AveragePoolFits.
template <typename T, typename Limit>
void AveragePool(const reference::ConvGeometry& g, const T* input, Limit low, Limit high, T* output,
                 size_t begin, size_t end);

// The instruction sets of pool_rows.cc, for tests.
int64_t PoolRowTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_POOL_ROWS_H_
