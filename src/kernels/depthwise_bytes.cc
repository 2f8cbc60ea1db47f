#include "kernels/depthwise_bytes.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/isa.h"

namespace litesmith {
namespace {

// The channel of lane `lane` (0 to 63) of a block's arrays.
size_t ChannelOf(size_t lane) {
  const size_t vector = lane / 16, l = lane % 16;
  return 16 * (l / 4) + 4 * vector + l % 4;
}

template <typename Channel>
void PackBlock(const DepthwiseS16Spec& s, const Channel& channel, int32_t* to) {
  int32_t *bias = to, *sum = bias + kByteLanes, *multiplier = sum + kByteLanes;
  int32_t *moved = multiplier + kByteLanes, *shift = moved + kByteLanes;
  int32_t *nudge = shift + kByteLanes, *weights = nudge + kByteLanes;
  for (size_t i = 0; i < kByteLanes; ++i) {
    const size_t c = channel(ChannelOf(i));
    bias[i] = s.bias == nullptr ? 0 : static_cast<int32_t>(s.bias[c]);
    for (size_t t = 0; t < kByteTaps; ++t) sum[i] += s.weights[t * s.g.out_c + c];
    if (s.stage == DepthwiseStage::kFixedPoint) {
      multiplier[i] = s.multipliers[c].multiplier;
      if (i % 2 == 1) moved[i - 1] = multiplier[i];
      shift[i] = -s.multipliers[c].shift;
      nudge[i] = int32_t{1} << (shift[i] - 1);
    }
    for (size_t group = 0; group < 3; ++group) {
      auto* bytes = reinterpret_cast<int8_t*>(weights + group * kByteLanes + i);
      for (size_t t = 4 * group; t < std::min(4 * group + 4, kByteTaps); ++t) {
        bytes[t % 4] = static_cast<int8_t>(s.weights[t * s.g.out_c + c]);
      }
    }
  }
}

size_t Blocks(size_t channels) { return (channels + kByteLanes - 1) / kByteLanes; }
size_t FirstChannel(size_t block, size_t channels) {
  return std::min(block * kByteLanes, channels - kByteLanes);  // the last one overlaps
}

}  // namespace

void PackDepthwiseBytes(const DepthwiseS16Spec& spec, DepthwiseS16Packed* packed) {
  const auto channels = static_cast<size_t>(spec.g.out_c);
  const bool flat = channels < kByteLanes;
  if (!spec.int8_input || !spec.dot_products || spec.stage == DepthwiseStage::kWide ||
      size_t(spec.g.filter_h) * spec.g.filter_w != kByteTaps || !DepthwiseByteRunBuilt() ||
      !HasDotIsa(DotIsa::kAvx512Vnni)) {
    return;
  }
  if (flat && (kByteLanes % channels != 0 || spec.g.stride_w != 1 ||
               spec.stage != DepthwiseStage::kFixedPoint)) {
    return;
  }
  const size_t blocks = flat ? 1 : Blocks(channels);
  packed->byte_blocks.assign(blocks * kByteBlockWords / 16, PackedLine{});
  auto* words = reinterpret_cast<int32_t*>(packed->byte_blocks.data());
  for (size_t b = 0; b < blocks; ++b) {
    PackBlock(
        spec, [&](size_t i) { return flat ? i % channels : FirstChannel(b, channels) + i; },
        words + b * kByteBlockWords);
  }
}

bool DepthwiseBytes(const DepthwiseS16Packed& packed, const int8_t* const* taps, size_t count,
                    int32_t offset, const DepthwiseS16Run& run, size_t at) {
  const auto channels = static_cast<size_t>(packed.g.out_c);
  const auto* words = reinterpret_cast<const int32_t*>(packed.byte_blocks.data());
  ByteRun r;
  r.block = words;
  r.taps = taps;
  r.offset = offset;
  if (packed.stage == DepthwiseStage::kFloat) {
    r.floats = static_cast<float*>(run.out) + at;
    r.image_scale = *run.image_scales;
    r.float_low = run.float_low;
    r.float_high = run.float_high;
  } else {
    r.bytes = static_cast<int8_t*>(run.out) + at;
    r.low = static_cast<int8_t>(run.low);
    r.high = static_cast<int8_t>(run.high);
    r.zero_point = static_cast<int16_t>(run.zero_point);
  }
  if (channels < kByteLanes) {
    const size_t elements = count * channels;
    if (elements < kByteLanes) return false;
    r.count = elements / kByteLanes;
    r.in_step = r.out_step = kByteLanes;
    DepthwiseByteRun(r);
    if (elements % kByteLanes != 0) {
      r.c = elements - kByteLanes;
      r.count = 1;
      DepthwiseByteRun(r);
    }
    return true;
  }
  r.count = count;
  r.in_step = channels * static_cast<size_t>(packed.g.stride_w);
  r.out_step = channels;
  for (size_t b = 0; b < Blocks(channels); ++b) {
    r.c = FirstChannel(b, channels);
    r.block = words + b * kByteBlockWords;
    if (run.channel_scales != nullptr) r.scales = run.channel_scales + r.c;
    r.bias = run.bias == nullptr ? nullptr : run.bias + r.c;
    DepthwiseByteRun(r);
  }
  return true;
}

}  // namespace litesmith
