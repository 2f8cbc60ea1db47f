#include "kernels/depthwise_bytes.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "kernels/isa.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

// Of the ring and its row of padding, on the stack.
constexpr size_t kRingBytes = 96 * 1024;
// What of it one band of rows should use: the rest of the first-level cache is for the output and
// the weights.
constexpr size_t kBandBytes = 20 * 1024;
constexpr size_t kMaxBandRows = 32;
constexpr size_t kBandVectors = 48;
// Blocks after which channels and vectors meet again.
constexpr size_t kMaxPeriod = 9;

// The channel of lane `lane` (0 to 63) of a block's arrays.
size_t ChannelOf(size_t lane) {
  const size_t vector = lane / 16, l = lane % 16;
  return 16 * (l / 4) + 4 * vector + l % 4;
}

// Blocks of a row: with a period the channels of consecutive positions fill the vectors, else each
// position has vectors of its own.
size_t Period(size_t channels) {
  const size_t period = channels / std::gcd(channels, kByteLanes);
  return channels % kByteLanes == 0 || period <= kMaxPeriod ? period : 0;
}
size_t Blocks(size_t channels) {
  const size_t period = Period(channels);
  return period != 0 ? period : (channels + kByteLanes - 1) / kByteLanes;
}
// The channel of element i of block b.
size_t ChannelIn(size_t b, size_t i, size_t channels) {
  const size_t c = b * kByteLanes + i;
  return Period(channels) != 0 ? c % channels : std::min(c, channels - 1);
}

// How a row lies in the ring: with a stride of 2 even columns before odd ones, so that the columns
// that a tap reads are neighbours.
struct Layout {
  size_t channels, columns;    // with the border
  size_t plane = 0;            // where the odd columns begin
  size_t pitch = 0, span;      // bytes of a row; rows of a window
  size_t band = 1, slots = 0;  // output rows of a band; rows in the ring

  explicit Layout(const ConvGeometry& g)
      : channels(static_cast<size_t>(g.in_c)),
        columns(size_t(g.out_w - 1) * g.stride_w + 2 * size_t(g.dilation_w) + 1),
        span(2 * size_t(g.dilation_h) + 1) {
    const bool two = g.stride_w == 2;
    if (two) plane = (columns + 1) / 2 * channels;
    // Vectors reach beyond the last column.
    pitch = (columns * channels + 2 * kByteLanes + 63) / 64 * 64;
    const auto rows = [&](size_t bytes) {
      const size_t fit = bytes / pitch;
      return fit > span ? (fit - span) / static_cast<size_t>(g.stride_h) + 1 : 1;
    };
    // A block's parameters should serve for some vectors.
    const size_t vectors = size_t(g.out_w) * channels / (kByteLanes * Blocks(channels)) + 1;
    band = std::max(rows(kBandBytes), std::min(rows(kRingBytes - pitch), kBandVectors / vectors));
    band = std::min({band, kMaxBandRows, size_t(g.out_h)});
    slots = span + (band - 1) * size_t(g.stride_h);
  }
  size_t Column(size_t i, const ConvGeometry& g) const {
    if (plane == 0) return i * g.dilation_w * channels;
    return i == 1 ? plane : i / 2 * channels;
  }
};

bool Serves(const DepthwiseS16Spec& spec, const ConvGeometry& g) {
  if (!spec.int8_input || !spec.dot_products || spec.stage == DepthwiseStage::kWide) return false;
  if (!DepthwiseBytesBuilt() || !HasDotIsa(DotIsa::kAvx512Vnni)) return false;
  if (g.filter_h != 3 || g.filter_w != 3 || g.stride_h < 1 || g.stride_w < 1) return false;
  if (g.stride_w > 2 || (g.stride_w == 2 && g.dilation_w != 1) || g.stride_h > 8) return false;
  if (g.out_w < 1 || g.out_h < 1 || g.dilation_h > 64) return false;
  const Layout l(g);
  return (l.slots + 1) * l.pitch <= kRingBytes;
}

std::vector<FixedLine> LinesOf(const DepthwiseS16Spec& s) {
  std::vector<FixedLine> out(static_cast<size_t>(s.g.out_c));
  if (s.stage != DepthwiseStage::kFixedPoint) return out;
  LineSpec spec;
  spec.most = std::max(s.high - s.zero_point, s.zero_point - s.low);
  spec.positive = s.low >= s.zero_point;
  for (size_t c = 0; c < out.size() && spec.most <= 255; ++c) {
    spec.multiplier = s.multipliers[c];
    spec.middle = s.bias == nullptr ? 0 : s.bias[c];
    spec.reach = 0;
    for (size_t t = 0; t < kByteTaps; ++t) {
      spec.reach += int64_t{s.input_range} * std::abs(s.weights[t * s.g.out_c + c]);
    }
    out[c] = FitLine(spec);
  }
  return out;
}

LineKind PackBlock(const DepthwiseS16Spec& s, const std::vector<FixedLine>& lines, size_t b,
                   int32_t* to) {
  const auto channels = static_cast<size_t>(s.g.out_c);
  LineKind kind = LineKind::kOne;
  for (size_t i = 0; i < kByteLanes; ++i) {
    const LineKind own = lines[ChannelIn(b, i, channels)].kind;
    if (own == LineKind::kNone || kind == LineKind::kNone) {
      kind = LineKind::kNone;
    } else {
      kind = std::max(kind, own);
    }
  }
  int32_t *bias = to, *sum = bias + kByteLanes, *params = sum + kByteLanes;
  int32_t* weights = params + 4 * kByteLanes;
  auto* floats = reinterpret_cast<float*>(params);
  for (size_t i = 0; i < kByteLanes; ++i) {
    const size_t c = ChannelIn(b, ChannelOf(i), channels);
    bias[i] = s.bias == nullptr ? 0 : static_cast<int32_t>(s.bias[c]);
    for (size_t t = 0; t < kByteTaps; ++t) sum[i] += s.weights[t * channels + c];
    if (kind != LineKind::kNone) {
      floats[i] = lines[c].scale;
      floats[kByteLanes + i] = lines[c].rest;
      floats[2 * kByteLanes + i] = lines[c].add;
    } else if (s.stage == DepthwiseStage::kFixedPoint) {
      const int32_t shift = -s.multipliers[c].shift;
      params[i] = s.multipliers[c].multiplier;
      if (i % 2 == 1) params[kByteLanes + i - 1] = params[i];
      params[2 * kByteLanes + i] = shift;
      params[3 * kByteLanes + i] = int32_t{1} << (shift - 1);
    }
    for (size_t t = 0; t < kByteTaps; ++t) {
      auto* group = reinterpret_cast<int8_t*>(weights + t / 4 * kByteLanes + i);
      group[t % 4] = static_cast<int8_t>(s.weights[t * channels + c]);
    }
  }
  return kind;
}

// One row of the image, with its border, in the ring.
void CopyRow(const ConvGeometry& g, const Layout& l, const int8_t* row, uint8_t pad, uint8_t* to) {
  const size_t c = l.channels, step = static_cast<size_t>(g.stride_w);
  for (size_t phase = 0; phase < step; ++phase) {
    // Columns phase, phase + step, ... of the bordered row.
    const size_t count = (l.columns - phase + step - 1) / step;
    const auto inside = [&](int64_t limit) {  // the first of them at or beyond the image's `limit`
      const int64_t from = limit + g.pad_w - static_cast<int64_t>(phase);
      const int64_t at = (from + static_cast<int64_t>(step) - 1) / static_cast<int64_t>(step);
      return static_cast<size_t>(std::clamp<int64_t>(from <= 0 ? 0 : at, 0, int64_t(count)));
    };
    const size_t begin = inside(0), end = std::max(begin, inside(g.in_w));
    uint8_t* out = to + phase * l.plane;
    std::memset(out, pad, begin * c);
    const int64_t first = static_cast<int64_t>(begin * step + phase) - g.pad_w;
    if (end > begin) {
      const int8_t* from = row + first * static_cast<int64_t>(c);
      if (step == 1) {
        FlipChunks(from, 0, (end - begin) * c, 1, out + begin * c);
      } else {
        FlipChunks(from, step * c, c, end - begin, out + begin * c);
      }
    }
    std::memset(out + end * c, pad, (count - end) * c);
  }
}

// The rows of the ring that windows of output rows [y, y + count) read; copies what is new.
struct Ring {
  const ConvGeometry& g;
  const Layout& l;
  const int8_t* image;
  uint8_t pad;
  uint8_t* slots;  // and after them the row of padding
  int64_t next;    // the first row that was not copied

  void Find(size_t y, size_t count, const uint8_t** rows) {
    const int64_t top = int64_t(y) * g.stride_h - g.pad_h;
    const int64_t end = top + int64_t(count - 1) * g.stride_h + int64_t(l.span);
    for (int64_t i = std::max({next, top, int64_t{0}}); i < std::min<int64_t>(end, g.in_h); ++i) {
      CopyRow(g, l, image + i * g.in_w * g.in_c, pad, Slot(i));
    }
    next = std::max(next, end);
    for (size_t r = 0; r < count; ++r) {
      for (int64_t f = 0; f < 3; ++f) {
        const int64_t i = top + int64_t(r) * g.stride_h + f * g.dilation_h;
        *rows++ = i >= 0 && i < g.in_h ? Slot(i) : slots + l.slots * l.pitch;
      }
    }
  }
  uint8_t* Slot(int64_t i) const { return slots + static_cast<size_t>(i) % l.slots * l.pitch; }
};

// All blocks of a band whose rows are known.
void RunBlocks(const DepthwiseS16Packed& p, const Layout& l, const DepthwiseS16Run& run,
               ByteBand band) {
  const size_t channels = l.channels, blocks = Blocks(channels), period = Period(channels);
  const auto* words = reinterpret_cast<const int32_t*>(p.byte_blocks.data());
  const size_t row = size_t(p.g.out_w) * channels;
  float scales[kByteLanes], bias[kByteLanes] = {};
  for (size_t b = 0; b < blocks; ++b) {
    band.block = words + b * kByteBlockWords;
    band.kind = p.byte_kinds[b];
    band.first = b * kByteLanes;
    band.step = period != 0 ? period * kByteLanes : channels;
    band.last_mask = 0;
    if (period != 0) {
      const size_t whole = row / kByteLanes, rest = row % kByteLanes;
      band.count = whole > b ? (whole - b - 1) / period + 1 : 0;
      if (rest != 0 && whole % period == b) band.last_mask = (uint64_t{1} << rest) - 1;
    } else {
      const size_t lanes = std::min(kByteLanes, channels - band.first);
      band.count = static_cast<size_t>(p.g.out_w);
      if (lanes < kByteLanes) band.mask = (uint64_t{1} << lanes) - 1;
    }
    if (p.stage == DepthwiseStage::kFloat) {
      for (size_t i = 0; i < kByteLanes; ++i) {
        const size_t c = ChannelIn(b, i, channels);
        scales[i] = run.channel_scales[c] * *run.image_scales;
        if (run.bias != nullptr) bias[i] = run.bias[c];
      }
      band.scales = scales;
      band.bias = run.bias == nullptr ? nullptr : bias;
    }
    DepthwiseByteBand(band);
  }
}

}  // namespace

void PackDepthwiseBytes(const DepthwiseS16Spec& spec, DepthwiseS16Packed* packed) {
  if (!Serves(spec, packed->g)) return;
  const size_t blocks = Blocks(static_cast<size_t>(spec.g.out_c));
  packed->byte_blocks.assign(blocks * kByteBlockWords / 16, PackedLine{});
  auto* words = reinterpret_cast<int32_t*>(packed->byte_blocks.data());
  const std::vector<FixedLine> lines = LinesOf(spec);
  for (size_t b = 0; b < blocks; ++b) {
    packed->byte_kinds.push_back(PackBlock(spec, lines, b, words + b * kByteBlockWords));
  }
}

void DepthwiseByteRows(const DepthwiseS16Packed& packed, const int8_t* input,
                       const DepthwiseS16Run& run, size_t begin, size_t end) {
  alignas(64) uint8_t slots[kRingBytes];
  const uint8_t* rows[3 * kMaxBandRows];
  const ConvGeometry& g = packed.g;
  const Layout l(g);
  const size_t height = static_cast<size_t>(g.out_h), row = size_t(g.out_w) * l.channels;
  DepthwiseS16Run here = run;
  ByteBand band;
  band.rows = rows;
  band.out_row = row;
  band.positive = run.low >= run.zero_point;
  for (size_t i = 0; i < 3; ++i) band.columns[i] = l.Column(i, g);
  band.low = static_cast<int8_t>(run.low);
  band.high = static_cast<int8_t>(run.high);
  band.zero_point = static_cast<int16_t>(run.zero_point);
  band.float_low = run.float_low;
  band.float_high = run.float_high;
  while (begin < end) {
    const size_t image = begin / height, stop = std::min(end, (image + 1) * height);
    band.offset = run.image_offsets != nullptr ? run.image_offsets[image] : run.input_offset;
    if (run.image_scales != nullptr) here.image_scales = run.image_scales + image;
    const auto pad = static_cast<uint8_t>(-band.offset + 128);
    std::memset(slots + l.slots * l.pitch, pad, l.pitch);
    Ring ring{g, l, input + image * g.in_h * g.in_w * l.channels, pad, slots, INT64_MIN};
    for (; begin < stop; begin += band.num_rows) {
      band.num_rows = std::min(l.band, stop - begin);
      ring.Find(begin % height, band.num_rows, rows);
      if (packed.stage == DepthwiseStage::kFloat) {
        band.floats = static_cast<float*>(run.out) + begin * row;
      } else {
        band.bytes = static_cast<int8_t*>(run.out) + begin * row;
      }
      RunBlocks(packed, l, here, band);
    }
  }
}

}  // namespace litesmith
