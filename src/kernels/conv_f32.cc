#include "kernels/conv_f32.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/gemm_f32.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

// Positions that one pass should have at least, so that small images share register tiles.
constexpr size_t kPassPositions = 256;

struct Groups {
  size_t count, filters, depth;
};
Groups GroupsOf(const ConvGeometry& g) {
  const size_t count = static_cast<size_t>(g.in_c / g.filter_c);
  return {count, static_cast<size_t>(g.out_c) / count,
          static_cast<size_t>(g.filter_h) * g.filter_w * g.filter_c};
}

// A filter's rows are runs of neighbouring floats where nothing lies between its columns.
bool WholeRows(const ConvGeometry& g) {
  return (g.dilation_w == 1 || g.filter_w == 1) && g.filter_c == g.in_c;
}
size_t TapCount(const ConvGeometry& g) {
  return static_cast<size_t>(g.filter_h) * (WholeRows(g) ? 1 : g.filter_w);
}
size_t FillTaps(const ConvGeometry& g, size_t width, ptrdiff_t* taps) {
  const bool rows = WholeRows(g);
  for (int32_t y = 0; y < g.filter_h; ++y) {
    for (int32_t x = 0; x < (rows ? 1 : g.filter_w); ++x) {
      *taps++ = (static_cast<ptrdiff_t>(y) * g.dilation_h * static_cast<ptrdiff_t>(width) +
                 static_cast<ptrdiff_t>(x) * g.dilation_w) *
                g.in_c;
    }
  }
  return static_cast<size_t>(g.filter_c) * (rows ? g.filter_w : 1);
}

}  // namespace

size_t PackedConvFloats(const ConvGeometry& g) {
  const Groups groups = GroupsOf(g);
  return groups.count * PackedFloats(groups.depth, groups.filters);
}

void PackConvF32(const ConvGeometry& g, const float* weights, float* packed) {
  const Groups groups = GroupsOf(g);
  for (size_t i = 0; i < groups.count; ++i) {
    PackTransposed(weights, groups.depth, groups.filters, groups.depth, packed);
    weights += groups.depth * groups.filters;
    packed += PackedFloats(groups.depth, groups.filters);
  }
}

PaddedImages PadImages(const ConvGeometry& g) {
  PaddedImages images;
  // What the windows reach over, from the first to the last.
  const int64_t height =
      int64_t{g.out_h - 1} * g.stride_h + int64_t{g.filter_h - 1} * g.dilation_h + 1;
  const int64_t width =
      int64_t{g.out_w - 1} * g.stride_w + int64_t{g.filter_w - 1} * g.dilation_w + 1;
  images.copied = g.pad_h != 0 || g.pad_w != 0 || height > g.in_h || width > g.in_w;
  images.height = static_cast<size_t>(images.copied ? height : g.in_h);
  images.width = static_cast<size_t>(images.copied ? width : g.in_w);
  const auto batches = static_cast<size_t>(g.batches);
  images.per_pass = batches;
  if (images.copied) {
    const size_t positions = static_cast<size_t>(g.out_h) * g.out_w;
    images.per_pass = std::min(batches, (kPassPositions + positions - 1) / positions);
  }
  return images;
}

const float* PadInto(const ConvGeometry& g, const PaddedImages& images, const float* input,
                     size_t first, size_t count, float* padded, ThreadPool* threads) {
  const size_t in_row = static_cast<size_t>(g.in_w) * g.in_c;
  const float* from = input + first * g.in_h * in_row;
  if (!images.copied) return from;
  const size_t row = images.width * g.in_c;
  const auto left = static_cast<ptrdiff_t>(g.pad_w) * g.in_c;
  // Columns [skip, skip + inner) of the input land at `before` in the padded row.
  const auto before = static_cast<size_t>(std::max<ptrdiff_t>(left, 0));
  const auto skip = static_cast<size_t>(std::max<ptrdiff_t>(-left, 0));
  const size_t inner = before >= row || skip >= in_row ? 0 : std::min(in_row - skip, row - before);
  const auto body = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      float* to = padded + i * row;
      const ptrdiff_t y = static_cast<ptrdiff_t>(i % images.height) - g.pad_h;
      if (y < 0 || y >= g.in_h) {
        std::fill(to, to + row, 0.0f);
        continue;
      }
      const float* source =
          from + (i / images.height * g.in_h + static_cast<size_t>(y)) * in_row + skip;
      std::fill(to, to + std::min(before, row), 0.0f);
      std::copy(source, source + inner, to + before);
      std::fill(to + std::min(before + inner, row), to + row, 0.0f);
    }
  };
  ParallelFor(threads, count * images.height, 64, std::cref(body));
  return padded;
}

bool ConvF32Fits(const ConvGeometry& g) {
  const double height =
      double{g.filter_h - 1.0} * g.dilation_h + double{g.out_h - 1.0} * g.stride_h + 1.0;
  const double width =
      double{g.filter_w - 1.0} * g.dilation_w + double{g.out_w - 1.0} * g.stride_w + 1.0;
  const double input = double{1.0} * g.in_h * g.in_w * g.in_c;
  const double positions = double{1.0} * g.out_h * g.out_w;
  const double images = std::max(1.0, kPassPositions / positions + 1.0);
  return height * width * g.in_c * images <= std::max(4.0 * input * images, 0x1p24);
}

size_t ConvF32ScratchBytes(const ConvGeometry& g) {
  return TapCount(g) * sizeof(ptrdiff_t) + PadImages(g).floats() * g.in_c * sizeof(float);
}

void ConvF32(const ConvGeometry& g, const float* input, const float* packed,
             const ConvF32Output& out, void* scratch, ThreadPool* threads) {
  const Groups groups = GroupsOf(g);
  const PaddedImages images = PadImages(g);
  auto* taps = static_cast<ptrdiff_t*>(scratch);
  auto* padded = reinterpret_cast<float*>(taps + TapCount(g));
  GemmLeft a;
  a.run = FillTaps(g, images.width, taps);
  a.taps = taps;
  a.num_taps = TapCount(g);
  a.width = static_cast<size_t>(g.out_w);
  a.height = static_cast<size_t>(g.out_h);
  a.step = static_cast<ptrdiff_t>(g.stride_w) * g.in_c;
  a.row_stride = static_cast<ptrdiff_t>(images.width) * g.in_c * g.stride_h;
  a.image_stride = static_cast<ptrdiff_t>(images.height * images.width) * g.in_c;
  const size_t positions = a.width * a.height;
  // Where nothing lies between the rows (pointwise filters), all positions are one row.
  const auto width = static_cast<ptrdiff_t>(a.width), height = static_cast<ptrdiff_t>(a.height);
  if (a.row_stride == width * a.step && a.image_stride == height * a.row_stride) {
    a.width = std::numeric_limits<size_t>::max();
    a.height = 1;
  }
  if (a.num_taps == 1) a.taps = nullptr;
  const auto batches = static_cast<size_t>(g.batches);
  for (size_t first = 0; first < batches; first += images.per_pass) {
    const size_t count = std::min(images.per_pass, batches - first);
    const float* from = PadInto(g, images, input, first, count, padded, threads);
    for (size_t i = 0; i < groups.count; ++i) {
      a.data = from + i * g.filter_c;
      GemmResult c;
      c.data = out.data + first * positions * g.out_c + i * groups.filters;
      c.stride = static_cast<size_t>(g.out_c);
      c.bias = out.bias == nullptr ? nullptr : out.bias + i * groups.filters;
      c.accumulate = out.accumulate;
      c.low = out.low;
      c.high = out.high;
      const GemmRight b =
          GemmRight::Packed(packed + i * PackedFloats(groups.depth, groups.filters), groups.depth);
      GemmF32(count * positions, groups.filters, a, b, c, threads);
    }
  }
}

}  // namespace litesmith
