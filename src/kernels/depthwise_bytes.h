#ifndef LITESMITH_KERNELS_DEPTHWISE_BYTES_H_
#define LITESMITH_KERNELS_DEPTHWISE_BYTES_H_

// The micro-kernel of depthwise convolutions of int8 on AVX-512 VNNI: 64 channels, nine taps as
// three groups of four bytes (vpdpbusd). kernels/depthwise_s16.cc walks and packs for it.

#include <cstddef>
#include <cstdint>

#include "kernels/depthwise_s16.h"

namespace litesmith {

inline constexpr size_t kByteLanes = 64;
inline constexpr size_t kByteTaps = 9;
// Numbers of a packed block: bias and sum of weights, multipliers, the same moved to even lanes,
// shifts, what rounds, then three groups of weights. Each array has four vectors of 16 lanes; lane
// l of vector v is channel 16 * (l / 4) + 4 * v + l % 4.
inline constexpr size_t kByteBlockWords = (6 + 3) * kByteLanes;

struct ByteRun {
  const int32_t* block;
  const int8_t* const* taps;  // kByteTaps
  size_t c = 0;               // added to every tap and to the output
  size_t count = 0, in_step = 0, out_step = 0;
  int32_t offset = 0;  // of the input: minus its zero point
  // Exactly one output.
  int8_t* bytes = nullptr;
  int8_t low = 0, high = 0;
  int16_t zero_point = 0;
  float* floats = nullptr;
  const float* scales = nullptr;  // of the 64 channels
  const float* bias = nullptr;    // may be null
  float image_scale = 0, float_low = 0, float_high = 0;
};

// Adds the packed blocks of this kernel where it can serve.
void PackDepthwiseBytes(const DepthwiseS16Spec& spec, DepthwiseS16Packed* packed);
// A run of positions, all channels; false where they are too few for a vector. REQUIRES: packed for
// it.
bool DepthwiseBytes(const DepthwiseS16Packed& packed, const int8_t* const* taps, size_t count,
                    int32_t offset, const DepthwiseS16Run& run, size_t at);

// REQUIRES: HasDotIsa(DotIsa::kAvx512Vnni).
void DepthwiseByteRun(const ByteRun& run);
// Whether this build has it.
bool DepthwiseByteRunBuilt();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DEPTHWISE_BYTES_H_
