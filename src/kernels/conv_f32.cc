#include "kernels/conv_f32.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <optional>

#include "kernels/gemm_f32.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

// Positions that one pass should have at least, so that small images share register tiles.
constexpr size_t kPassPositions = 256;
// Floats to copy that are worth a thread.
constexpr size_t kLeastCopied = 8192;

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

namespace {

// `width` positions of row `y` of an image from column `x` on, zeros outside.
void CopyRow(const ConvGeometry& g, const float* image, int64_t y, int64_t x, size_t width,
             float* to) {
  const size_t row = width * g.in_c, in_row = static_cast<size_t>(g.in_w) * g.in_c;
  if (y < 0 || y >= g.in_h) {
    std::fill(to, to + row, 0.0f);
    return;
  }
  // Elements [skip, skip + inner) of the input land at `before`.
  const auto before = std::min(row, static_cast<size_t>(std::max<int64_t>(-x, 0)) * g.in_c);
  const auto skip = std::min(in_row, static_cast<size_t>(std::max<int64_t>(x, 0)) * g.in_c);
  const size_t inner = std::min(in_row - skip, row - before);
  const float* source = image + static_cast<size_t>(y) * in_row + skip;
  std::fill(to, to + before, 0.0f);
  std::copy(source, source + inner, to + before);
  std::fill(to + before + inner, to + row, 0.0f);
}

}  // namespace

const float* PadInto(const ConvGeometry& g, const PaddedImages& images, const float* input,
                     size_t first, size_t count, float* padded, ThreadPool* threads) {
  const size_t image = static_cast<size_t>(g.in_h) * g.in_w * g.in_c;
  const float* from = input + first * image;
  if (!images.copied) return from;
  const auto body = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto y = static_cast<int64_t>(i % images.height) - g.pad_h;
      CopyRow(g, from + i / images.height * image, y, -int64_t{g.pad_w}, images.width,
              padded + i * images.width * g.in_c);
    }
  };
  const size_t row = images.width * g.in_c;
  ParallelFor(threads, count * images.height, kLeastCopied / row + 1, std::cref(body));
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

namespace {

// Output positions [y, y_end) x [x, x_end) of an image.
struct Region {
  int64_t y, y_end, x, x_end;
  bool empty() const { return y >= y_end || x >= x_end; }
};

// What the windows of a region reach over.
struct Reach {
  int64_t y, x;  // the first row and column; may be outside the image
  size_t height, width;
};
Reach ReachOf(const ConvGeometry& g, const Region& r) {
  const auto extent = [](int64_t count, int64_t stride, int64_t filter, int64_t dilation) {
    return static_cast<size_t>((count - 1) * stride + (filter - 1) * dilation + 1);
  };
  return {r.y * g.stride_h - g.pad_h, r.x * g.stride_w - g.pad_w,
          extent(r.y_end - r.y, g.stride_h, g.filter_h, g.dilation_h),
          extent(r.x_end - r.x, g.stride_w, g.filter_w, g.dilation_w)};
}

// An image in the region whose windows are all inside it, which is read where it is, and the four
// beside it, which are copied.
struct Regions {
  Region inner;
  Region borders[4];
};

// Below this many bytes of a padded image, copying it costs less than products in four more parts
// (70 KB lost 7 %, 113 KB gained nothing, 600 KB gained 13 %).
constexpr size_t kLeastImageBytes = size_t{256} << 10;

std::optional<Regions> SplitImage(const ConvGeometry& g, const PaddedImages& images) {
  if (!images.copied || images.height * images.width * g.in_c * sizeof(float) < kLeastImageBytes) {
    return std::nullopt;
  }
  const auto inside = [](int64_t in, int64_t out, int64_t stride, int64_t reach, int64_t pad,
                         int64_t* begin, int64_t* end) {
    *begin = std::min(out, (std::max<int64_t>(pad, 0) + stride - 1) / stride);
    *end = in + pad < reach ? *begin : std::clamp((in + pad - reach) / stride + 1, *begin, out);
  };
  Region r;
  inside(g.in_h, g.out_h, g.stride_h, int64_t{g.filter_h - 1} * g.dilation_h + 1, g.pad_h, &r.y,
         &r.y_end);
  inside(g.in_w, g.out_w, g.stride_w, int64_t{g.filter_w - 1} * g.dilation_w + 1, g.pad_w, &r.x,
         &r.x_end);
  const int64_t positions = (r.y_end - r.y) * (r.x_end - r.x);
  // Borders are slower than the copy that they save.
  if (positions * 4 < int64_t{g.out_h} * g.out_w * 3) return std::nullopt;
  return Regions{r,
                 {{0, r.y, 0, g.out_w},
                  {r.y_end, g.out_h, 0, g.out_w},
                  {r.y, r.y_end, 0, r.x},
                  {r.y, r.y_end, r.x_end, g.out_w}}};
}

size_t PaddedFloats(const ConvGeometry& g, const PaddedImages& images) {
  const std::optional<Regions> regions = SplitImage(g, images);
  if (!regions.has_value()) return images.floats() * g.in_c;
  size_t most = 0;
  for (const Region& r : regions->borders) {
    if (r.empty()) continue;
    const Reach reach = ReachOf(g, r);
    most = std::max(most, reach.height * reach.width * g.in_c);
  }
  return most;
}

// The products of one pass: every group of filters.
void RunGroups(const ConvGeometry& g, size_t rows, GemmLeft a, GemmResult c, const float* packed,
               const float* bias, ThreadPool* threads) {
  const Groups groups = GroupsOf(g);
  const float* from = a.data;
  float* to = c.data;
  for (size_t i = 0; i < groups.count; ++i) {
    a.data = from + i * g.filter_c;
    c.data = to + i * groups.filters;
    c.bias = bias == nullptr ? nullptr : bias + i * groups.filters;
    const GemmRight b =
        GemmRight::Packed(packed + i * PackedFloats(groups.depth, groups.filters), groups.depth);
    GemmF32(rows, groups.filters, a, b, c, threads);
  }
}

// One region of an image; `padded` is where its windows are copied to, or null where they are all
// inside.
void RunRegion(const ConvGeometry& g, const Region& r, const float* image, const float* packed,
               const ConvF32Output& out, float* image_out, ptrdiff_t* taps, float* padded,
               ThreadPool* threads) {
  const Reach reach = ReachOf(g, r);
  GemmLeft a;
  size_t width = static_cast<size_t>(g.in_w);
  a.data = image + (reach.y * g.in_w + reach.x) * g.in_c;
  if (padded != nullptr) {
    width = reach.width;
    for (size_t y = 0; y < reach.height; ++y) {
      CopyRow(g, image, reach.y + static_cast<int64_t>(y), reach.x, width,
              padded + y * width * g.in_c);
    }
    a.data = padded;
  }
  a.run = FillTaps(g, width, taps);
  a.taps = taps;
  a.num_taps = TapCount(g);
  const auto rows = static_cast<size_t>(r.y_end - r.y),
             columns = static_cast<size_t>(r.x_end - r.x);
  const ptrdiff_t right = static_cast<ptrdiff_t>(g.stride_w) * g.in_c;
  const ptrdiff_t down =
      static_cast<ptrdiff_t>(g.stride_h) * static_cast<ptrdiff_t>(width) * g.in_c;
  const size_t out_right = static_cast<size_t>(g.out_c), out_down = out_right * g.out_w;
  // Tiles lie along the longer side.
  const bool wide = columns >= rows;
  a.width = wide ? columns : rows;
  a.height = wide ? rows : columns;
  a.step = wide ? right : down;
  a.row_stride = wide ? down : right;
  GemmResult c;
  c.data = image_out + static_cast<size_t>(r.y) * out_down + static_cast<size_t>(r.x) * out_right;
  c.stride = wide ? out_right : out_down;
  c.row_stride = wide ? out_down : out_right;
  c.accumulate = out.accumulate;
  c.low = out.low;
  c.high = out.high;
  RunGroups(g, rows * columns, a, c, packed, out.bias, threads);
}

}  // namespace

size_t ConvF32ScratchBytes(const ConvGeometry& g) {
  return TapCount(g) * sizeof(ptrdiff_t) + PaddedFloats(g, PadImages(g)) * sizeof(float);
}

void ConvF32(const ConvGeometry& g, const float* input, const float* packed,
             const ConvF32Output& out, void* scratch, ThreadPool* threads) {
  const PaddedImages images = PadImages(g);
  auto* taps = static_cast<ptrdiff_t*>(scratch);
  auto* padded = reinterpret_cast<float*>(taps + TapCount(g));
  if (const std::optional<Regions> regions = SplitImage(g, images)) {
    const size_t in = static_cast<size_t>(g.in_h) * g.in_w * g.in_c;
    const size_t results = static_cast<size_t>(g.out_h) * g.out_w * g.out_c;
    for (size_t i = 0; i < static_cast<size_t>(g.batches); ++i) {
      const float* image = input + i * in;
      float* to = out.data + i * results;
      RunRegion(g, regions->inner, image, packed, out, to, taps, nullptr, threads);
      for (const Region& r : regions->borders) {
        if (!r.empty()) RunRegion(g, r, image, packed, out, to, taps, padded, threads);
      }
    }
    return;
  }
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
    a.data = from;
    GemmResult c;
    c.data = out.data + first * positions * g.out_c;
    c.stride = static_cast<size_t>(g.out_c);
    c.accumulate = out.accumulate;
    c.low = out.low;
    c.high = out.high;
    RunGroups(g, count * positions, a, c, packed, out.bias, threads);
  }
}

}  // namespace litesmith
