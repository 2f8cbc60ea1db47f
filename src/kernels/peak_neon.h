#ifndef LITESMITH_KERNELS_PEAK_NEON_H_
#define LITESMITH_KERNELS_PEAK_NEON_H_

// The loops of kernels/peak.h for products of bytes on ARM: `rounds` of them, returning the
// multiply-adds and changing *result. Call only what kernels/isa.h finds on this CPU.

#include <cstddef>
#include <cstdint>

namespace litesmith {

double NeonByteLoop(size_t rounds, int32_t* result);
double NeonDotLoop(size_t rounds, int32_t* result);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_PEAK_NEON_H_
