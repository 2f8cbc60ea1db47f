#include "kernels/conv_pixels.h"

#include <algorithm>
#include <cstring>

#include "kernels/isa.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

// One byte of a filter.
struct Place {
  uint32_t row, at;
};

// The output in lane `lane`: such that results are in order once the lanes of 128 bits are
// transposed (conv_pixels_avx512vnni.cc), cells of 16 bytes or of 8 for each output.
size_t PixelOf(size_t lane, bool half_cell) {
  const size_t i = lane / 4, j = lane % 4;
  return half_cell ? j / 2 * 8 + 2 * i + j % 2 : 4 * j + i;
}

// The filter's bytes in groups: whole ones of each row, then what rows leave over.
std::vector<std::vector<Place>> GroupBytes(const ConvGeometry& g, size_t element) {
  const auto run = static_cast<uint32_t>(size_t(g.filter_w) * g.filter_c * element);
  std::vector<std::vector<Place>> groups;
  std::vector<Place> rest;
  for (uint32_t row = 0; row < static_cast<uint32_t>(g.filter_h); ++row) {
    for (uint32_t at = 0; at < run; ++at) {
      if (at / 4 == run / 4) {
        rest.push_back({row, at});
      } else {
        if (at % 4 == 0) groups.emplace_back();
        groups.back().push_back({row, at});
      }
    }
  }
  for (size_t i = 0; i < rest.size(); i += 4) {
    groups.emplace_back(rest.begin() + static_cast<ptrdiff_t>(i),
                        rest.begin() + static_cast<ptrdiff_t>(std::min(i + 4, rest.size())));
  }
  return groups;
}

// Adds the shuffles that make a group of 16 outputs `step` bytes apart.
void AddShuffles(const std::vector<Place>& group, size_t step, bool half_cell, PixelWeights* out) {
  struct Byte {
    uint32_t row, from;
    size_t to;
  };
  std::vector<Byte> bytes;
  for (size_t lane = 0; lane < kPixels; ++lane) {
    for (size_t i = 0; i < group.size(); ++i) {
      const size_t from = PixelOf(lane, half_cell) * step + group[i].at;
      bytes.push_back({group[i].row, static_cast<uint32_t>(from), 4 * lane + i});
    }
  }
  std::sort(bytes.begin(), bytes.end(), [](const Byte& a, const Byte& b) {
    return a.row != b.row ? a.row < b.row : a.from < b.from;
  });
  uint8_t count = 0;
  for (const Byte& b : bytes) {
    PixelShuffle* last = count == 0 ? nullptr : &out->shuffles.back();
    if (last == nullptr || last->row != b.row || b.from - last->offset >= 128) {
      last = &out->shuffles.emplace_back();
      last->row = b.row;
      last->offset = b.from;
      ++count;
    }
    last->mask |= uint64_t{1} << b.to;
    last->from[b.to] = static_cast<uint8_t>(b.from - last->offset);
  }
  out->counts.push_back(count);
}

}  // namespace

template <typename W>
PixelWeights PackPixels(const ConvGeometry& g, bool bytes, const W* weights, int32_t offset) {
  PixelWeights out;
  const size_t element = bytes ? 1 : 2, columns = static_cast<size_t>(g.out_c);
  const size_t run = size_t(g.filter_w) * g.filter_c;
  if (!PixelsBuilt() || !HasDotIsa(DotIsa::kAvx512Bytes) || g.in_c > 4 || g.stride_w > 4)
    return out;
  if (size_t(g.out_w) < kPixels || columns == 0 || columns > kMaxPixelColumns) return out;
  if (g.filter_h > 16 || run > 64 || columns % 8 != 0) return out;
  // With 32 columns of bytes the product of 8 x 32 sums is as fast.
  if (bytes && columns != 8 && columns != 16) return out;
  const std::vector<std::vector<Place>> groups = GroupBytes(g, element);
  if (groups.empty() || groups.size() > kMaxPixelGroups) return out;
  const bool half_cell = bytes && columns == 8;
  for (const std::vector<Place>& group : groups) {
    AddShuffles(group, static_cast<size_t>(g.stride_w) * g.in_c * element, half_cell, &out);
  }
  if (out.shuffles.size() > kMaxPixelShuffles) return {};
  out.groups = groups.size();
  out.columns = columns;
  out.weights.resize(columns * out.groups * 4);
  std::byte* to = out.weights.data();
  for (size_t n = 0; n < columns; n += 8) {
    for (const std::vector<Place>& group : groups) {
      for (size_t i = 0; i < 8; ++i, to += 4) {
        const W* filter = weights + (n + i) * g.filter_h * run;
        for (size_t b = 0; b < group.size(); b += element) {
          const auto w =
              static_cast<int16_t>(filter[group[b].row * run + group[b].at / element] + offset);
          std::memcpy(to + b, &w, element);  // the low byte first
        }
      }
    }
  }
  return out;
}
template PixelWeights PackPixels(const ConvGeometry&, bool, const int8_t*, int32_t);
template PixelWeights PackPixels(const ConvGeometry&, bool, const uint8_t*, int32_t);

bool FindPixelStage(const PixelWeights& weights, bool bytes, const IntStage& s, PixelStage* out) {
  const size_t columns = weights.columns;
  out->zero_point = static_cast<int16_t>(s.zero_point);
  out->low = static_cast<int16_t>(s.low);
  out->high = static_cast<int16_t>(s.high);
  if (bytes) {
    if (s.kind != IntStage::Kind::kFixed || s.type != IntStage::Out::kInt8 || s.lines == nullptr)
      return false;
    for (size_t n = 0; n < columns; ++n) {
      const LineKind kind = s.lines->kind[n];
      if (kind == LineKind::kNone) return false;
      out->two = out->two || kind == LineKind::kTwo;
    }
    out->scale = s.lines->scale.data();
    out->rest = s.lines->rest.data();
    out->add = s.lines->add.data();
    out->positive = s.zero_point == -128 && s.low == -128;
    return true;
  }
  if (s.kind != IntStage::Kind::kWide || s.type != IntStage::Out::kInt16) return false;
  if (s.wide_bias != nullptr || s.zero_point != 0) return false;
  for (size_t n = 0; n < columns; ++n) {
    const int32_t total = s.right_shift[n];
    if (total < 17) return false;
    // base/fixed_point.h's 16-bit multiplier, moved up by what is shifted back.
    const int32_t full = s.multiplier[n];
    const int32_t reduced = full < 0x7fff0000 ? (full + (1 << 15)) >> 16 : 0x7fff;
    const int32_t up = std::max(33 - total, 0);
    out->multiplier[n] = reduced << up;
    out->shift[n] = total + up - 32;
  }
  return true;
}

}  // namespace litesmith
