#ifndef LITESMITH_KERNELS_DEPTHWISE_BYTES_H_
#define LITESMITH_KERNELS_DEPTHWISE_BYTES_H_

// 3x3 depthwise convolutions of int8 on AVX-512 VNNI: nine taps as three groups of four bytes
// (vpdpbusd), 64 channels at a time. Rows of the image are copied, as unsigned bytes and with their
// border, into a ring that stays in the first-level cache; so every row of the output is one run of
// bytes without borders, and of few channels several positions fill a vector.

#include <cstddef>
#include <cstdint>

#include "kernels/depthwise_s16.h"

namespace litesmith {

inline constexpr size_t kByteLanes = 64;
inline constexpr size_t kByteTaps = 9;
// Numbers of a packed block: bias and sum of weights; multipliers, the same moved to even lanes,
// shifts and what rounds, or scale, rest and addend of lines (kernels/fixed_line.h); then three
// groups of weights. Each array has four vectors of 16 lanes; lane l of vector v is channel 16 * (l
// / 4) + 4 * v + l % 4 of the block.
inline constexpr size_t kByteBlockWords = (6 + 3) * kByteLanes;

// One block at some rows of the output: vectors at first, first + step, ... of every row.
struct ByteBand {
  const int32_t* block = nullptr;
  LineKind kind = LineKind::kNone;
  bool positive = false;                 // of the lines
  const uint8_t* const* rows = nullptr;  // of the ring: three for each of the output
  size_t num_rows = 0, out_row = 0;      // elements of an output row
  size_t columns[3] = {};                // where the filter's columns begin
  size_t first = 0, step = 0, count = 0;
  uint64_t mask = ~uint64_t{0};  // the lanes stored
  uint64_t last_mask = 0;        // of one vector more; 0: none
  int32_t offset = 0;            // of the input: minus its zero point
  // Exactly one output.
  int8_t* bytes = nullptr;
  int8_t low = 0, high = 0;
  int16_t zero_point = 0;
  float* floats = nullptr;
  const float* scales = nullptr;  // of the 64 channels, in order
  const float* bias = nullptr;
  float float_low = 0, float_high = 0;
};

// Adds the packed blocks of this kernel where it can serve.
void PackDepthwiseBytes(const DepthwiseS16Spec& spec, DepthwiseS16Packed* packed);
// Output rows [begin, end) of batches * out_h. REQUIRES: packed for it.
void DepthwiseByteRows(const DepthwiseS16Packed& packed, const int8_t* input,
                       const DepthwiseS16Run& run, size_t begin, size_t end);

// The rest REQUIRES HasDotIsa(DotIsa::kAvx512Vnni).
void DepthwiseByteBand(const ByteBand& band);
// `count` chunks of `size` bytes, chunk i from in + i * in_step to out + i * size, with the top bit
// changed. Writes up to 63 bytes more.
void FlipChunks(const int8_t* in, size_t in_step, size_t size, size_t count, uint8_t* out);
// Whether this build has it.
bool DepthwiseBytesBuilt();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_DEPTHWISE_BYTES_H_
