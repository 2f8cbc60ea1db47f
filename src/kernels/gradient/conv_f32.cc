#include "kernels/gradient/conv_f32.h"

#include <algorithm>
#include <limits>

#include "kernels/conv_f32.h"
#include "kernels/gemm_f32.h"
#include "kernels/gradient/elementwise_f32.h"

namespace litesmith::gradient {
namespace {

using reference::ConvGeometry;

struct Groups {
  size_t count, filters, depth;
};
Groups GroupsOf(const ConvGeometry& g) {
  const auto count = static_cast<size_t>(g.in_c / g.filter_c);
  return {count, static_cast<size_t>(g.out_c) / count,
          static_cast<size_t>(g.filter_h) * g.filter_w * g.filter_c};
}

// The convolution that takes dy to dx where every stride is 1: filters turned round, channels
// exchanged.
ConvGeometry Turned(const ConvGeometry& g) {
  ConvGeometry t = g;
  t.in_h = g.out_h;
  t.in_w = g.out_w;
  t.in_c = g.out_c;
  t.filter_c = g.out_c / (g.in_c / g.filter_c);
  t.out_h = g.in_h;
  t.out_w = g.in_w;
  t.out_c = g.in_c;
  t.pad_h = (g.filter_h - 1) * g.dilation_h - g.pad_h;
  t.pad_w = (g.filter_w - 1) * g.dilation_w - g.pad_w;
  return t;
}
bool UsesTurned(const ConvGeometry& g) {
  return g.stride_h == 1 && g.stride_w == 1 && ConvF32Fits(Turned(g));
}

// Packed panels of the turned filters: row (y, x, filter), column input channel.
void PackTurned(const ConvGeometry& g, const Groups& groups, const float* weights, float* packed) {
  const auto channels = static_cast<size_t>(g.filter_c);
  const size_t taps = static_cast<size_t>(g.filter_h) * g.filter_w;
  for (size_t begin = 0; begin < channels; begin += kGemmPanel) {
    const size_t columns = std::min(kGemmPanel, channels - begin);
    for (size_t tap = 0; tap < taps; ++tap) {
      for (size_t o = 0; o < groups.filters; ++o) {
        const float* from = weights + o * groups.depth + (taps - 1 - tap) * channels + begin;
        std::fill(std::copy(from, from + columns, packed), packed + kGemmPanel, 0.0f);
        packed += kGemmPanel;
      }
    }
  }
}

// Adds a row of patches (one output position) to the places of dx it came from.
void AddPatch(const ConvGeometry& g, const float* patch, int64_t y0, int64_t x0, float* image) {
  const auto channels = static_cast<size_t>(g.filter_c);
  const size_t row = static_cast<size_t>(g.filter_w) * channels;
  // Taps beside each other lie so in the image, too.
  const bool joined = g.dilation_w == 1 && g.filter_c == g.in_c;
  const auto first = static_cast<size_t>(std::clamp<int64_t>(-x0, 0, g.filter_w));
  const auto last = static_cast<size_t>(
      std::clamp<int64_t>(g.in_w - x0, static_cast<int64_t>(first), g.filter_w));
  for (int32_t fy = 0; fy < g.filter_h; ++fy, patch += row) {
    const int64_t y = y0 + int64_t{fy} * g.dilation_h;
    if (y < 0 || y >= g.in_h) continue;
    float* to = image + y * g.in_w * g.in_c;
    if (joined && first == last) continue;
    if (joined) {
      AddOrCopy(patch + first * channels, (last - first) * channels, true,
                to + (x0 + static_cast<int64_t>(first)) * g.in_c);
      continue;
    }
    for (int32_t fx = 0; fx < g.filter_w; ++fx) {
      const int64_t x = x0 + int64_t{fx} * g.dilation_w;
      if (x < 0 || x >= g.in_w) continue;
      AddOrCopy(patch + static_cast<size_t>(fx) * channels, channels, true, to + x * g.in_c);
    }
  }
}

// Output rows whose patches are in memory at a time: some 64 KB of them.
size_t PatchRows(const ConvGeometry& g, const Groups& groups) {
  const size_t row = static_cast<size_t>(g.out_w) * groups.depth;
  return std::clamp<size_t>((1 << 14) / std::max<size_t>(row, 1), 1, static_cast<size_t>(g.out_h));
}

void ConvInputByPatches(const ConvGeometry& g, const float* weights, const float* dy, float* dx,
                        float* patches, ThreadPool* threads) {
  const Groups groups = GroupsOf(g);
  const size_t step = PatchRows(g, groups);
  const auto out_w = static_cast<size_t>(g.out_w), out_h = static_cast<size_t>(g.out_h);
  for (size_t image = 0; image < static_cast<size_t>(g.batches); ++image) {
    float* to = dx + image * g.in_h * g.in_w * g.in_c;
    for (size_t group = 0; group < groups.count; ++group) {
      for (size_t row = 0; row < out_h; row += step) {
        const size_t rows = std::min(step, out_h - row);
        GemmResult c;
        c.data = patches;
        c.stride = groups.depth;
        GemmF32(rows * out_w, groups.depth,
                GemmLeft::RowMajor(
                    dy + (image * out_h + row) * out_w * g.out_c + group * groups.filters,
                    groups.filters, static_cast<size_t>(g.out_c)),
                GemmRight::RowMajor(weights + group * groups.filters * groups.depth, groups.depth),
                c, threads);
        for (size_t i = 0; i < rows * out_w; ++i) {
          AddPatch(g, patches + i * groups.depth, int64_t(row + i / out_w) * g.stride_h - g.pad_h,
                   int64_t(i % out_w) * g.stride_w - g.pad_w, to + group * g.filter_c);
        }
      }
    }
  }
}

size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

size_t ConvWeightsScratchBytes(const ConvGeometry& g) {
  const PaddedImages images = PadImages(g);
  return RoundUp(images.per_pass * g.out_h * sizeof(ptrdiff_t)) +
         RoundUp(images.floats() * g.in_c * sizeof(float)) +
         GroupsOf(g).depth * g.out_c * sizeof(float);
}

void ConvWeights(const ConvGeometry& g, const float* x, const float* dy, bool accumulate, float* dw,
                 void* scratch, ThreadPool* threads) {
  const Groups groups = GroupsOf(g);
  const PaddedImages images = PadImages(g);
  const auto in_c = static_cast<size_t>(g.in_c), out_c = static_cast<size_t>(g.out_c);
  auto* bytes = static_cast<std::byte*>(scratch);
  auto* rows = reinterpret_cast<ptrdiff_t*>(bytes);
  bytes += RoundUp(images.per_pass * g.out_h * sizeof(ptrdiff_t));
  auto* padded = reinterpret_cast<float*>(bytes);
  bytes += RoundUp(images.floats() * g.in_c * sizeof(float));
  auto* sums = reinterpret_cast<float*>(bytes);  // [depth][out_c]
  const auto row_stride = static_cast<ptrdiff_t>(images.width * in_c);
  const auto batches = static_cast<size_t>(g.batches), out_h = static_cast<size_t>(g.out_h);
  // Rows of A are the elements of a patch; its depth walks along the output rows.
  GemmLeft a;
  a.width = static_cast<size_t>(g.filter_c);
  a.height = static_cast<size_t>(g.filter_w);
  a.step = 1;
  a.row_stride = static_cast<ptrdiff_t>(g.dilation_w) * g.in_c;
  a.image_stride = row_stride * g.dilation_h;
  a.taps = rows;
  a.run = static_cast<size_t>(g.out_w);
  a.k_step = static_cast<ptrdiff_t>(g.stride_w) * g.in_c;
  for (size_t first = 0; first < batches; first += images.per_pass) {
    const size_t count = std::min(images.per_pass, batches - first);
    const float* from = PadInto(g, images, x, first, count, padded, threads);
    a.num_taps = count * out_h;
    for (size_t t = 0; t < a.num_taps; ++t) {
      rows[t] =
          static_cast<ptrdiff_t>(t / out_h * images.height + t % out_h * g.stride_h) * row_stride;
    }
    for (size_t group = 0; group < groups.count; ++group) {
      a.data = from + group * g.filter_c;
      GemmResult c;
      c.data = sums + group * groups.filters;
      c.stride = out_c;
      c.accumulate = first > 0;
      const float* b = dy + first * out_h * g.out_w * out_c + group * groups.filters;
      GemmF32(groups.depth, groups.filters, a, GemmRight::RowMajor(b, out_c), c, threads);
    }
  }
  for (size_t o = 0; o < out_c; ++o) {
    float* to = dw + o * groups.depth;
    for (size_t k = 0; k < groups.depth; ++k) {
      to[k] = accumulate ? to[k] + sums[k * out_c + o] : sums[k * out_c + o];
    }
  }
}

size_t ConvInputScratchBytes(const ConvGeometry& g) {
  const Groups groups = GroupsOf(g);
  if (!UsesTurned(g)) {
    return PatchRows(g, groups) * g.out_w * groups.depth * sizeof(float);
  }
  const ConvGeometry turned = Turned(g);
  return RoundUp(ConvF32ScratchBytes(turned)) + PackedConvFloats(turned) * sizeof(float);
}

void ConvInput(const ConvGeometry& g, const float* weights, const float* dy, bool accumulate,
               float* dx, void* scratch, ThreadPool* threads) {
  if (!UsesTurned(g)) {
    if (!accumulate) {
      std::fill(dx, dx + static_cast<size_t>(g.batches) * g.in_h * g.in_w * g.in_c, 0.0f);
    }
    ConvInputByPatches(g, weights, dy, dx, static_cast<float*>(scratch), threads);
    return;
  }
  const ConvGeometry turned = Turned(g);
  const Groups groups = GroupsOf(g);
  auto* packed = reinterpret_cast<float*>(static_cast<std::byte*>(scratch) +
                                          RoundUp(ConvF32ScratchBytes(turned)));
  const size_t panels =
      PackedFloats(groups.filters * g.filter_h * g.filter_w, static_cast<size_t>(g.filter_c));
  for (size_t i = 0; i < groups.count; ++i) {
    PackTurned(g, groups, weights + i * groups.filters * groups.depth, packed + i * panels);
  }
  ConvF32Output out;
  out.data = dx;
  out.low = -std::numeric_limits<float>::infinity();
  out.high = std::numeric_limits<float>::infinity();
  out.accumulate = accumulate;
  ConvF32(turned, dy, packed, out, scratch, threads);
}

void Depthwise(const ConvGeometry& g, const float* x, const float* weights, const float* dy,
               bool accumulate_dx, float* dx, bool accumulate_dw, float* dw) {
  const auto in_c = static_cast<size_t>(g.in_c), out_c = static_cast<size_t>(g.out_c);
  const size_t multiplier = out_c / in_c;
  const size_t image_size = static_cast<size_t>(g.in_h) * g.in_w * in_c;
  const size_t filter_size = static_cast<size_t>(g.filter_h) * g.filter_w * out_c;
  if (dx != nullptr && !accumulate_dx) std::fill(dx, dx + image_size * g.batches, 0.0f);
  if (dw != nullptr && !accumulate_dw) std::fill(dw, dw + filter_size, 0.0f);
  for (size_t position = 0; position < static_cast<size_t>(g.batches) * g.out_h * g.out_w;
       ++position) {
    const size_t image = position / (static_cast<size_t>(g.out_h) * g.out_w);
    const int64_t y0 = int64_t(position / g.out_w % g.out_h) * g.stride_h - g.pad_h;
    const int64_t x0 = int64_t(position % g.out_w) * g.stride_w - g.pad_w;
    const float* dy_here = dy + position * out_c;
    for (int32_t fy = 0; fy < g.filter_h; ++fy) {
      const int64_t in_y = y0 + int64_t{fy} * g.dilation_h;
      if (in_y < 0 || in_y >= g.in_h) continue;
      for (int32_t fx = 0; fx < g.filter_w; ++fx) {
        const int64_t in_x = x0 + int64_t{fx} * g.dilation_w;
        if (in_x < 0 || in_x >= g.in_w) continue;
        const size_t at = image * image_size +
                          (static_cast<size_t>(in_y) * g.in_w + static_cast<size_t>(in_x)) * in_c;
        const size_t tap = (static_cast<size_t>(fy) * g.filter_w + static_cast<size_t>(fx)) * out_c;
        if (multiplier == 1) {
          if (dx != nullptr) MultiplyTo(dy_here, weights + tap, in_c, true, dx + at);
          if (dw != nullptr) MultiplyTo(dy_here, x + at, in_c, true, dw + tap);
          continue;
        }
        for (size_t o = 0; o < out_c; ++o) {
          if (dx != nullptr) dx[at + o / multiplier] += dy_here[o] * weights[tap + o];
          if (dw != nullptr) dw[tap + o] += dy_here[o] * x[at + o / multiplier];
        }
      }
    }
  }
}

}  // namespace litesmith::gradient
