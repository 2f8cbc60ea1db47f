#include "kernels/conv_int.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <type_traits>

#include "kernels/conv_f32.h"
#include "kernels/copy_int.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

// Filter columns that are neighbours in the input: one tap per filter row then.
bool WholeRows(const ConvGeometry& g) {
  return (g.dilation_w == 1 || g.filter_w == 1) && g.filter_c == g.in_c;
}
size_t TapCount(const ConvGeometry& g) {
  return size_t(g.filter_h) * (WholeRows(g) ? 1 : g.filter_w);
}
size_t Run(const ConvGeometry& g) { return size_t(g.filter_c) * (WholeRows(g) ? g.filter_w : 1); }
// Numbers to copy that are worth a thread.
constexpr size_t kLeastCopied = 8192;
size_t TapBytes(const ConvGeometry& g) { return (TapCount(g) * sizeof(ptrdiff_t) + 63) / 64 * 64; }

// How the images lie that the product reads.
struct Layout {
  PaddedImages images;
  size_t element = 1;  // bytes of one number there
  bool copied = false;

  Layout(const ConvGeometry& g, size_t in_element, size_t element_size)
      : images(PadImages(g)), element(element_size) {
    copied = images.copied || in_element != element || Run(g) * element % 4 != 0;
    if (copied && !images.copied) images.per_pass = 1;
  }
  size_t row(const ConvGeometry& g) const { return images.width * g.in_c; }
  // A group of 4 bytes may begin with the last number.
  size_t bytes(const ConvGeometry& g) const {
    return copied ? images.per_pass * images.height * row(g) * element + 4 : 0;
  }
};

inline void CopyNumbers(const RowQuantizer* /*q*/, const int8_t* in, size_t count, uint8_t* out) {
  FlipInt8({1, 0, count, 0, count, 0}, in, out);
}
inline void CopyNumbers(const RowQuantizer* q, const float* in, size_t count, uint8_t* out) {
  QuantizeFlipped(*q, in, count, out);
}
template <typename In>
void CopyNumbers(const RowQuantizer* /*q*/, const In* in, size_t count, In* out) {
  std::memcpy(out, in, count * sizeof(In));
}
template <typename In>
void CopyNumbers(const RowQuantizer* /*q*/, const In* in, size_t count,
                 int16_t* out) requires(sizeof(In) == 1) {
  WidenInt(in, count, out);
}

// Rows [begin, end) of the padded images from first_image on; signed bytes become unsigned ones.
template <typename In, typename To>
void CopyRows(const ConvGeometry& g, const Layout& layout, const IntConvInput& input,
              size_t first_image, size_t begin, size_t end, To* padded) {
  const size_t row = layout.row(g), in_row = size_t(g.in_w) * g.in_c;
  const size_t before = std::min(row, size_t(std::max(g.pad_w, 0)) * g.in_c);
  const size_t inner = std::min(in_row, row - before);
  const auto* from = static_cast<const In*>(input.data);
  const bool sparse = g.filter_h == 1 && g.stride_h > 1;  // some rows are not read
  const bool whole = before == 0 && inner == row && row == in_row;
  for (size_t i = begin, count = 1; i < end; i += count) {
    count = 1;
    if (sparse && i % layout.images.height % static_cast<size_t>(g.stride_h) != 0) continue;
    To* to = padded + i * row;
    const size_t image = first_image + i / layout.images.height;
    int32_t border = input.zero_points[input.per_image ? image : 0];
    if (std::is_signed_v<In> && sizeof(To) == 1) border += 128;
    const RowQuantizer* q = input.quantizers == nullptr ? nullptr : input.quantizers + image;
    const auto zero = static_cast<To>(border);
    const ptrdiff_t y = static_cast<ptrdiff_t>(i % layout.images.height) - g.pad_h;
    if (y < 0 || y >= g.in_h) {
      FillBorder(to, row, zero);
      continue;
    }
    const In* source = from + (image * g.in_h + size_t(y)) * in_row;
    if (whole) {  // rows without a border lie one after the other
      const size_t bottom =
          std::min(size_t(g.in_h - y), layout.images.height - i % layout.images.height);
      count = sparse ? 1 : std::min(end - i, bottom);
      CopyNumbers(q, source, count * row, to);
      continue;
    }
    if constexpr (std::is_same_v<In, int8_t> && sizeof(To) == 1) {  // rows of one image at once
      count = sparse ? 1 : std::min(end - i, size_t(g.in_h - y));
      FlipInt8({count, in_row, inner, before, row, zero}, source, to);
      continue;
    }
    FillBorder(to, before, zero);
    CopyNumbers(q, source, inner, to + before);
    FillBorder(to + before + inner, row - before - inner, zero);
  }
}

// The output rows of `count` images.
void RunPixels(const ConvGeometry& g, const PixelWeights& w, const PixelStage& stage,
               const int32_t* init, const IntLeft& a, size_t count, size_t element, std::byte* out,
               ThreadPool* threads) {
  const size_t out_row = size_t(g.out_w) * w.columns * element, height = size_t(g.out_h);
  ptrdiff_t offsets[kMaxPixelShuffles];
  for (size_t i = 0; i < w.shuffles.size(); ++i) {
    offsets[i] = a.taps[w.shuffles[i].row] + static_cast<ptrdiff_t>(w.shuffles[i].offset);
  }
  const auto body = [&](size_t begin, size_t end) {
    PixelBand band;
    band.shuffles = w.shuffles.data();
    band.offsets = offsets;
    band.counts = w.counts.data();
    band.groups = w.groups;
    band.columns = w.columns;
    band.weights = w.weights.data();
    band.stage = &stage;
    band.init = init;
    band.row_stride = a.row_stride;
    band.step = a.step;
    band.pixels = size_t(g.out_w);
    for (; begin < end; begin += band.rows) {
      const size_t image = begin / height, y = begin % height;
      band.rows = std::min(end - begin, height - y);
      band.image = static_cast<const std::byte*>(a.data) +
                   static_cast<ptrdiff_t>(image) * a.image_stride +
                   static_cast<ptrdiff_t>(y) * a.row_stride;
      band.out = out + begin * out_row;
      element == 1 ? RunPixelsS8(band) : RunPixelsS16(band);
    }
  };
  const size_t work = size_t(g.out_w) * w.columns * w.groups;
  const size_t grain = std::max<size_t>(1, (size_t{1} << 16) / std::max<size_t>(1, work));
  ParallelFor(threads, count * height, grain, std::cref(body));
}

}  // namespace

template <typename W>
IntConv IntConv::Prepare(const ConvGeometry& g, const IntKernel& kernel, bool bytes, size_t element,
                         const W* weights, int32_t offset) {
  IntConv conv;
  const size_t groups = g.in_c / g.filter_c, filters = g.out_c / groups;
  const W* first = weights;
  for (size_t i = 0; i < groups; ++i) {
    conv.groups.push_back(
        IntWeights::Pack(kernel, bytes, weights, filters, TapCount(g), Run(g), offset));
    weights += filters * TapCount(g) * Run(g);
  }
  const Layout layout(g, element, bytes ? 1 : 2);
  conv.scratch_bytes = TapBytes(g) + layout.bytes(g);
  if (groups == 1 && WholeRows(g) && layout.copied && kernel.isa == DotIsa::kAvx512Vnni) {
    conv.pixels = PackPixels(g, bytes, first, offset);
    if (conv.pixels.fits()) conv.scratch_bytes += kPixelSlack;
  }
  return conv;
}
template IntConv IntConv::Prepare(const ConvGeometry&, const IntKernel&, bool, size_t,
                                  const int8_t*, int32_t);
template IntConv IntConv::Prepare(const ConvGeometry&, const IntKernel&, bool, size_t,
                                  const uint8_t*, int32_t);

template <typename In>
void ConvInt(const ConvGeometry& g, const IntConv& conv, const IntConvInput& input,
             const int32_t* init, bool wide_sums, const IntStage& stage, std::byte* scratch,
             ThreadPool* threads) {
  const bool bytes = conv.groups[0].bytes;
  const Layout layout(g, sizeof(In), conv.groups[0].element_size());
  const auto element = static_cast<ptrdiff_t>(layout.element);
  const auto row = static_cast<ptrdiff_t>(layout.row(g)) * element;
  auto* taps = reinterpret_cast<ptrdiff_t*>(scratch);
  std::byte* padded = scratch + TapBytes(g);
  const int32_t columns = WholeRows(g) ? 1 : g.filter_w;
  for (int32_t y = 0; y < g.filter_h; ++y) {
    for (int32_t x = 0; x < columns; ++x) {
      taps[y * columns + x] =
          ptrdiff_t{y} * g.dilation_h * row + ptrdiff_t{x} * g.dilation_w * g.in_c * element;
    }
  }
  IntLeft a;
  a.width = g.out_w;
  a.height = g.out_h;
  a.step = static_cast<ptrdiff_t>(g.stride_w) * g.in_c * element;
  a.row_stride = static_cast<ptrdiff_t>(g.stride_h) * row;
  a.image_stride = static_cast<ptrdiff_t>(layout.images.height) * row;
  a.taps = taps;
  PixelStage pixel_stage;
  const bool pixels = conv.pixels.fits() && init != nullptr && !wide_sums &&
                      stage.stride == conv.pixels.columns &&
                      FindPixelStage(conv.pixels, bytes, stage, &pixel_stage);
  // Positions that lie one after the other are one long row.
  if (pixels) {
    // Each row for itself.
  } else if (a.row_stride == static_cast<ptrdiff_t>(a.width) * a.step &&
             a.image_stride == static_cast<ptrdiff_t>(a.height) * a.row_stride) {
    a.width *= a.height * static_cast<size_t>(g.batches);
    a.height = 1;
  }
  // What is copied is unsigned already.
  a.flip = bytes && std::is_same_v<In, int8_t> && !layout.copied ? kSignedFlip : 0;
  const size_t positions = size_t(g.out_h) * g.out_w, filters = conv.groups[0].columns;
  const size_t init_size = conv.groups[0].sums.size();
  for (size_t first = 0; first < size_t(g.batches); first += layout.images.per_pass) {
    const size_t count = std::min(layout.images.per_pass, size_t(g.batches) - first);
    const auto* from =
        static_cast<const std::byte*>(input.data) + first * g.in_h * g.in_w * g.in_c * sizeof(In);
    if (layout.copied) {
      from = padded;
      const auto body = [&](size_t begin, size_t end) {
        if constexpr (sizeof(In) != 2) {
          if (bytes || std::is_same_v<In, float>) {
            CopyRows<In>(g, layout, input, first, begin, end, reinterpret_cast<uint8_t*>(padded));
            return;
          }
        }
        if constexpr (!std::is_same_v<In, float>) {
          CopyRows<In>(g, layout, input, first, begin, end, reinterpret_cast<int16_t*>(padded));
        }
      };
      const size_t rows = count * layout.images.height;
      std::memset(padded + rows * static_cast<size_t>(row), 0, 4);
      ParallelFor(threads, rows, kLeastCopied / layout.row(g) + 1, std::cref(body));
    }
    if (pixels) {
      a.data = from;
      RunPixels(
          g, conv.pixels, pixel_stage, init, a, count, layout.element,
          static_cast<std::byte*>(stage.out) + first * positions * stage.stride * layout.element,
          threads);
      continue;
    }
    for (size_t i = 0; i < conv.groups.size(); ++i) {
      a.data = from + i * g.filter_c * layout.element;
      IntStage part = stage;
      part.first_row = first * positions;
      part.first_column = i * filters;
      GemmInt(count * positions, a, conv.groups[i],
              init == nullptr ? nullptr : init + i * init_size, wide_sums, part, threads);
    }
  }
}
template void ConvInt<int8_t>(const ConvGeometry&, const IntConv&, const IntConvInput&,
                              const int32_t*, bool, const IntStage&, std::byte*, ThreadPool*);
template void ConvInt<uint8_t>(const ConvGeometry&, const IntConv&, const IntConvInput&,
                               const int32_t*, bool, const IntStage&, std::byte*, ThreadPool*);
template void ConvInt<float>(const ConvGeometry&, const IntConv&, const IntConvInput&,
                             const int32_t*, bool, const IntStage&, std::byte*, ThreadPool*);
template void ConvInt<int16_t>(const ConvGeometry&, const IntConv&, const IntConvInput&,
                               const int32_t*, bool, const IntStage&, std::byte*, ThreadPool*);

}  // namespace litesmith
