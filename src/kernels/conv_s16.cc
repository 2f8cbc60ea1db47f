#include "kernels/conv_s16.h"

#include <algorithm>
#include <functional>

#include "kernels/conv_f32.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using reference::ConvOffsets;

// Filter columns that are neighbours in the input: one tap per filter row then.
bool WholeRows(const ConvGeometry& g) {
  return (g.dilation_w == 1 || g.filter_w == 1) && g.filter_c == g.in_c;
}
size_t TapCount(const ConvGeometry& g) {
  return size_t(g.filter_h) * (WholeRows(g) ? 1 : g.filter_w);
}
size_t Run(const ConvGeometry& g) { return size_t(g.filter_c) * (WholeRows(g) ? g.filter_w : 1); }
size_t TapBytes(const ConvGeometry& g) { return (TapCount(g) * sizeof(ptrdiff_t) + 63) / 64 * 64; }

// Rows [begin, end) of the padded images.
template <typename In>
void WidenRows(const ConvGeometry& g, const PaddedImages& images, const ConvOffsets& offsets,
               const In* input, size_t first_image, size_t begin, size_t end, int16_t* padded) {
  const size_t row = images.width * g.in_c, in_row = size_t(g.in_w) * g.in_c;
  const size_t before = size_t(g.pad_w) * g.in_c;
  const size_t inner = std::min(in_row, row - before);
  for (size_t i = begin; i < end; ++i) {
    int16_t* to = padded + i * row;
    const size_t image = first_image + i / images.height;
    const ptrdiff_t y = static_cast<ptrdiff_t>(i % images.height) - g.pad_h;
    if (y < 0 || y >= g.in_h) {
      std::fill_n(to, row, int16_t{0});
      continue;
    }
    const int32_t offset =
        offsets.per_image_input == nullptr ? offsets.input : offsets.per_image_input[image];
    std::fill_n(to, before, int16_t{0});
    WidenS16(input + (image * g.in_h + size_t(y)) * in_row, inner, offset, to + before);
    std::fill_n(to + before + inner, row - before - inner, int16_t{0});
  }
}

}  // namespace

template <typename In>
void WidenS16(const In* in, size_t count, int32_t offset, int16_t* out) {
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<int16_t>(in[i] + offset);
}
template void WidenS16(const int8_t*, size_t, int32_t, int16_t*);
template void WidenS16(const uint8_t*, size_t, int32_t, int16_t*);
template void WidenS16(const int16_t*, size_t, int32_t, int16_t*);

size_t PackedConvS16(const ConvGeometry& g) {
  const size_t groups = g.in_c / g.filter_c;
  return groups * PackedS16(TapCount(g), Run(g), g.out_c / groups);
}

template <typename W>
void PackConvS16(const ConvGeometry& g, const W* weights, int32_t offset, int16_t* packed) {
  const size_t groups = g.in_c / g.filter_c, filters = g.out_c / groups;
  for (size_t i = 0; i < groups; ++i) {
    PackS16(weights, TapCount(g), Run(g), filters, offset, packed);
    weights += filters * TapCount(g) * Run(g);
    packed += PackedS16(TapCount(g), Run(g), filters);
  }
}
template void PackConvS16(const ConvGeometry&, const int8_t*, int32_t, int16_t*);
template void PackConvS16(const ConvGeometry&, const uint8_t*, int32_t, int16_t*);

size_t ConvS16ScratchBytes(const ConvGeometry& g) {
  const PaddedImages images = PadImages(g);
  // One number more than there are: the product reads pairs.
  return TapBytes(g) +
         (images.per_pass * images.height * images.width * g.in_c + 1) * sizeof(int16_t);
}

template <typename In>
void ConvS16(const ConvGeometry& g, const ConvOffsets& offsets, const In* input,
             const int16_t* packed, const S16Result& out, std::byte* scratch, ThreadPool* threads) {
  const PaddedImages images = PadImages(g);
  auto* taps = reinterpret_cast<ptrdiff_t*>(scratch);
  auto* padded = reinterpret_cast<int16_t*>(scratch + TapBytes(g));
  const int32_t columns = WholeRows(g) ? 1 : g.filter_w;
  for (int32_t y = 0; y < g.filter_h; ++y) {
    for (int32_t x = 0; x < columns; ++x) {
      taps[y * columns + x] = static_cast<ptrdiff_t>(
          (size_t(y) * g.dilation_h * images.width + size_t(x) * g.dilation_w) * g.in_c);
    }
  }
  const size_t groups = g.in_c / g.filter_c, filters = g.out_c / groups;
  const size_t positions = size_t(g.out_h) * g.out_w;
  const size_t packed_group = PackedS16(TapCount(g), Run(g), filters);
  for (size_t first = 0; first < size_t(g.batches); first += images.per_pass) {
    const size_t count = std::min(images.per_pass, size_t(g.batches) - first);
    const size_t rows = count * images.height;
    padded[rows * images.width * g.in_c] = 0;
    const auto body = [&](size_t begin, size_t end) {
      WidenRows(g, images, offsets, input, first, begin, end, padded);
    };
    ParallelFor(threads, rows, 64, std::cref(body));
    for (size_t i = 0; i < groups; ++i) {
      GemmS16Left a;
      a.data = padded + i * g.filter_c;
      a.width = g.out_w;
      a.height = g.out_h;
      a.step = static_cast<ptrdiff_t>(g.stride_w) * g.in_c;
      a.row_stride = static_cast<ptrdiff_t>(g.stride_h * images.width * g.in_c);
      a.image_stride = static_cast<ptrdiff_t>(images.height * images.width * g.in_c);
      a.taps = taps;
      a.num_taps = TapCount(g);
      a.run = Run(g);
      S16Result result = out;
      result.first_row = first * positions;
      result.first_column = i * filters;
      GemmS16(count * positions, filters, a, packed + i * packed_group, result, threads);
    }
  }
}
template void ConvS16(const ConvGeometry&, const ConvOffsets&, const int8_t*, const int16_t*,
                      const S16Result&, std::byte*, ThreadPool*);
template void ConvS16(const ConvGeometry&, const ConvOffsets&, const uint8_t*, const int16_t*,
                      const S16Result&, std::byte*, ThreadPool*);
template void ConvS16(const ConvGeometry&, const ConvOffsets&, const int16_t*, const int16_t*,
                      const S16Result&, std::byte*, ThreadPool*);

}  // namespace litesmith
