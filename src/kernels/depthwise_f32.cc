#include "kernels/depthwise_f32.h"

#include <algorithm>
#include <functional>

#include "kernels/depthwise_taps.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using reference::ConvGeometry;

// Vectors of channels that are computed together: with 32 registers, two filters of 9 taps fit.
#if HWY_TARGET == HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr size_t kVectors = 2;
#else
constexpr size_t kVectors = 1;
#endif

// A filter, a bias, and the steps from position to position.
struct Filter {
  const float* weights;  // tap after tap
  size_t tap_step;       // weights between taps
  size_t taps;
  const float* bias;  // may be null
  size_t in_step, out_step;
  float low, high;
};

// Channels [c, c + kV vectors) of `count` positions. kTaps: 0 is any number. Everything that the
// loop reads is copied first: its stores might be to any float.
template <size_t kTaps, size_t kV, class D>
HWY_NOINLINE void Block(D d, const Filter& f, const float* const* taps, size_t c, size_t count,
                        float* out) {
  using V = hn::Vec<D>;
  const size_t lanes = hn::Lanes(d), in_step = f.in_step, out_step = f.out_step;
  const float low = f.low, high = f.high;
  constexpr size_t kHeld = kTaps == 0 ? 1 : kTaps;
  V w[kHeld][kV], bias[kV];
  const float* p[kHeld];
#pragma GCC unroll 16
  for (size_t v = 0; v < kV; ++v) {
    bias[v] = f.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, f.bias + c + v * lanes);
  }
  if constexpr (kTaps != 0) {
#pragma GCC unroll 16
    for (size_t t = 0; t < kTaps; ++t) {
      p[t] = taps[t] + c;
#pragma GCC unroll 16
      for (size_t v = 0; v < kV; ++v) {
        w[t][v] = hn::LoadU(d, f.weights + t * f.tap_step + c + v * lanes);
      }
    }
  }
  float* to = out + c;
  for (size_t i = 0, at = 0; i < count; ++i, at += in_step, to += out_step) {
    V sum[kV];
#pragma GCC unroll 16
    for (size_t v = 0; v < kV; ++v) sum[v] = bias[v];
    if constexpr (kTaps != 0) {
#pragma GCC unroll 16
      for (size_t t = 0; t < kTaps; ++t) {
#pragma GCC unroll 16
        for (size_t v = 0; v < kV; ++v) {
          sum[v] = hn::MulAdd(hn::LoadU(d, p[t] + at + v * lanes), w[t][v], sum[v]);
        }
      }
    } else {
      for (size_t t = 0; t < f.taps; ++t) {
        const float *from = taps[t] + c + at, *by = f.weights + t * f.tap_step + c;
#pragma GCC unroll 16
        for (size_t v = 0; v < kV; ++v) {
          sum[v] = hn::MulAdd(hn::LoadU(d, from + v * lanes), hn::LoadU(d, by + v * lanes), sum[v]);
        }
      }
    }
#pragma GCC unroll 16
    for (size_t v = 0; v < kV; ++v) hn::StoreU(Clamp(d, sum[v], low, high), d, to + v * lanes);
  }
}

using Job = DepthwiseF32Job;

// Few channels in vectors of whole positions, where the steps allow it.
template <size_t kTaps>
class FlatFilter {
 public:
  explicit FlatFilter(const Job& job) {
    const ConvGeometry& g = *job.g;
    const hn::ScalableTag<float> d;
    const size_t lanes = hn::Lanes(d), channels = g.out_c;
    const size_t taps = size_t(g.filter_h) * g.filter_w;
    if (kTaps == 0 || g.stride_w != 1 || channels >= lanes || lanes % channels != 0) return;
    for (size_t t = 0; t < taps; ++t) {
      for (size_t i = 0; i < lanes; ++i) {
        weights_[t * lanes + i] = job.weights[t * channels + i % channels];
      }
    }
    for (size_t i = 0; i < lanes && job.out.bias != nullptr; ++i) {
      bias_[i] = job.out.bias[i % channels];
    }
    filter_ = {weights_, lanes, taps,        job.out.bias == nullptr ? nullptr : bias_,
               lanes,    lanes, job.out.low, job.out.high};
    channels_ = channels;
  }

  // False where it is not possible.
  HWY_INLINE bool Run(const float* const* taps, size_t count, float* out) const {
    const hn::ScalableTag<float> d;
    const size_t lanes = hn::Lanes(d), elements = count * channels_;
    if (channels_ == 0 || elements < lanes) return false;
    Block<kTaps, 1>(d, filter_, taps, 0, elements / lanes, out);
    if (elements % lanes != 0) {  // the last vector overlaps
      const float* last[kMaxDepthwiseTaps];
      for (size_t t = 0; t < filter_.taps; ++t) last[t] = taps[t] + elements - lanes;
      Block<kTaps, 1>(d, filter_, last, 0, 1, out + elements - lanes);
    }
    return true;
  }

 private:
  static constexpr size_t kFloats = HWY_MAX_BYTES / sizeof(float);
  HWY_ALIGN float weights_[(kTaps == 0 ? 1 : kTaps) * kFloats];
  HWY_ALIGN float bias_[kFloats];
  Filter filter_ = {};
  size_t channels_ = 0;
};

// All channels of a run of positions.
template <size_t kTaps, class D>
HWY_INLINE void Positions(D d, const Filter& f, const float* const* taps, size_t channels,
                          size_t count, float* out) {
  const size_t lanes = hn::Lanes(d);
  size_t c = 0;
  for (; c + kVectors * lanes <= channels; c += kVectors * lanes) {
    Block<kTaps, kVectors>(d, f, taps, c, count, out);
  }
  for (; c < channels; c += lanes) {  // the last one overlaps
    Block<kTaps, 1>(d, f, taps, std::min(c, channels - lanes), count, out);
  }
}

template <size_t kTaps, size_t kLanes>
void RowsOf(const Job& job, size_t begin, size_t end) {
  const hn::CappedTag<float, kLanes> d;
  const ConvGeometry& g = *job.g;
  const InnerColumns inner(g);
  const size_t channels = g.out_c;
  const Filter filter = {job.weights,
                         channels,
                         size_t(g.filter_h) * g.filter_w,
                         job.out.bias,
                         channels * size_t(g.stride_w),
                         channels,
                         job.out.low,
                         job.out.high};
  const FlatFilter<kTaps> flat(job);
  for (size_t row = begin; row < end; ++row) {
    const float* image = job.input + row / g.out_h * g.in_h * g.in_w * channels;
    const auto positions = [&](const float* const* taps, int32_t x, size_t count) HWY_ATTR {
      float* out = job.out.data + (row * g.out_w + x) * channels;
      if (!flat.Run(taps, count, out)) Positions<kTaps>(d, filter, taps, channels, count, out);
    };
    ForTapRuns(g, inner, image, job.pad, static_cast<int32_t>(row % g.out_h), positions);
  }
}

template <size_t kTaps>
void RowsOfTaps(const Job& job, size_t begin, size_t end) {
  [[maybe_unused]] const size_t channels = job.g->out_c;
#if HWY_TARGET != HWY_SCALAR
#if HWY_MAX_BYTES >= 64
  if (channels >= 16) return RowsOf<kTaps, 16>(job, begin, end);
#endif
#if HWY_MAX_BYTES >= 32
  if (channels >= 8) return RowsOf<kTaps, 8>(job, begin, end);
#endif
  if (channels >= 4) return RowsOf<kTaps, 4>(job, begin, end);
#endif
  return RowsOf<kTaps, 1>(job, begin, end);
}

#if HWY_TARGET != HWY_SCALAR

// Bands: square filters of 3 or 5 over several output rows at a time, which share the input rows
// between them; a filter of 9 taps stays in registers for the whole width.

struct BandFilter {
  const float* weights;  // tap after tap
  size_t tap_step;       // weights between taps
  const float* bias;     // may be null
};

// `count` steps along a row, each of one output column (or of two, side by side). Taps left of
// column 0 or right of column `limit` - 1 of the input are outside.
struct BandColumns {
  size_t first, count;       // output columns and steps
  size_t in_step, out_step;  // floats
  int32_t in_columns;        // of the input, a step
  uint32_t limit;
};

// A vector of channels from `c` on, of kRows output rows. A sum takes its taps column by column, so
// that an input is loaded once for all rows.
template <size_t kSide, size_t kStride, size_t kRows, class D>
HWY_NOINLINE void BandChannels(D d, const Job& job, const BandFilter& f, const BandColumns& columns,
                               const float* const* input_rows, size_t c, float* out) {
  using V = hn::Vec<D>;
  constexpr size_t kInputs = (kRows - 1) * kStride + kSide;
  // Everything that the loop reads is copied first: its stores might be to any float.
  const BandColumns steps = columns;
  const float* rows[kInputs];
#pragma GCC unroll 16
  for (size_t i = 0; i < kInputs; ++i) rows[i] = input_rows[i] + c;
  const float* weights = f.weights + c;
  const size_t tap_step = f.tap_step;
  V held[kSide == 3 ? 9 : 1];
  if constexpr (kSide == 3) {
#pragma GCC unroll 16
    for (size_t t = 0; t < 9; ++t) held[t] = hn::LoadU(d, weights + t * tap_step);
  }
  const V bias = f.bias == nullptr ? hn::Zero(d) : hn::LoadU(d, f.bias + c);
  const float low = job.out.low, high = job.out.high;
  const auto dilation = static_cast<uint32_t>(job.g->dilation_w);
  const size_t channels = static_cast<size_t>(job.g->in_c), tap_x = channels * dilation;
  const size_t out_row = channels * static_cast<size_t>(job.g->out_w);
  int32_t in_x = static_cast<int32_t>(steps.first) * job.g->stride_w - job.g->pad_w;
  auto at = static_cast<ptrdiff_t>(in_x) * static_cast<ptrdiff_t>(channels);
  float* to = out + c + steps.first * channels;
  for (size_t i = 0; i < steps.count; ++i) {
    V sum[kRows];
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) sum[r] = bias;
#pragma GCC unroll 16
    for (uint32_t x = 0; x < kSide; ++x) {
      if (static_cast<uint32_t>(in_x) + x * dilation >= steps.limit) continue;
      V w[kSide];
#pragma GCC unroll 16
      for (size_t y = 0; y < kSide; ++y) {
        if constexpr (kSide == 3) {
          w[y] = held[y * 3 + x];
        } else {
          w[y] = hn::LoadU(d, weights + (y * kSide + x) * tap_step);
        }
      }
      const ptrdiff_t from = at + static_cast<ptrdiff_t>(x * tap_x);
#pragma GCC unroll 16
      for (size_t y = 0; y < kInputs; ++y) {
        const V v = hn::LoadU(d, rows[y] + from);
#pragma GCC unroll 16
        for (size_t r = 0; r < kRows; ++r) {
          if (y < r * kStride || y - r * kStride >= kSide) continue;
          sum[r] = hn::MulAdd(v, w[y - r * kStride], sum[r]);
        }
      }
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < kRows; ++r) hn::StoreU(Clamp(d, sum[r], low, high), d, to + r * out_row);
    in_x += steps.in_columns;
    at += static_cast<ptrdiff_t>(steps.in_step);
    to += steps.out_step;
  }
}

// All rows by bands.
template <size_t kSide, size_t kStride, class D>
class Bands {
 public:
  explicit Bands(const Job& job) : job_(job), channels_(job.g->out_c) {
    const ConvGeometry& g = *job.g;
    filter_ = {job.weights, channels_, job.out.bias};
    all_ = {0,          static_cast<size_t>(g.out_w), channels_ * g.stride_w, channels_,
            g.stride_w, static_cast<uint32_t>(g.in_w)};
    const InnerColumns inner(g);
    if (g.stride_w == 1 && channels_ * 2 == hn::Lanes(hn::ScalableTag<float>()) &&
        inner.end - inner.begin >= 2) {
      MakePairs(inner.begin, inner.end);
    }
  }

  void Run(size_t begin, size_t end) const {
    while (begin < end) {
      const size_t y = begin % job_.g->out_h;
      const size_t left = std::min(end - begin, job_.g->out_h - y);
      if (kMost > 2 && left >= kMost) {
        begin += Group<kMost>(begin, y);
      } else if (left >= 2) {
        begin += Group<2>(begin, y);
      } else {
        begin += Group<1>(begin, y);
      }
    }
  }

 private:
  // Output rows at a time, by what the pointers to their input rows take of the registers.
  static constexpr size_t kMost = kStride == 1 ? 4 : 2;
  static constexpr size_t kFloats = HWY_MAX_BYTES / sizeof(float);

  // Half a vector of channels: two positions at a time where no tap is outside.
  void MakePairs(size_t begin, size_t end) {
    for (size_t i = 0; i < 2 * channels_; ++i) {
      for (size_t t = 0; t < kSide * kSide; ++t) {
        weights_[t * 2 * channels_ + i] = job_.weights[t * channels_ + i % channels_];
      }
      bias_[i] = job_.out.bias == nullptr ? 0.0f : job_.out.bias[i % channels_];
    }
    pairs_ = true;
    pair_filter_ = {weights_, 2 * channels_, bias_};
    two_ = {begin, (end - begin) / 2, 2 * channels_, 2 * channels_, 2, UINT32_MAX};
    odd_ = two_;  // the last one, with its neighbour
    odd_.first = end - 2;
    odd_.count = (end - begin) % 2;
    right_ = all_;
    right_.first = end;
    right_.count = all_.count - end;
    all_.count = begin;
  }

  template <size_t kRows>
  size_t Group(size_t row, size_t y) const {
    constexpr size_t kInputs = (kRows - 1) * kStride + kSide;
    const ConvGeometry& g = *job_.g;
    const float* image = job_.input + row / g.out_h * g.in_h * g.in_w * channels_;
    const float* rows[kInputs];
    for (size_t i = 0; i < kInputs; ++i) {
      const int64_t in_y = static_cast<int64_t>(y * kStride + i) - g.pad_h;
      rows[i] = in_y >= 0 && in_y < g.in_h ? image + in_y * g.in_w * channels_ : job_.pad;
    }
    float* out = job_.out.data + row * g.out_w * channels_;
    const D d;
    const size_t lanes = hn::Lanes(d);
    if (pairs_) {
      const hn::ScalableTag<float> whole;
      BandChannels<kSide, kStride, kRows>(whole, job_, pair_filter_, two_, rows, 0, out);
      BandChannels<kSide, kStride, kRows>(whole, job_, pair_filter_, odd_, rows, 0, out);
      BandChannels<kSide, kStride, kRows>(d, job_, filter_, right_, rows, 0, out);
    }
    for (size_t c = 0; c < channels_; c += lanes) {  // the last one overlaps
      BandChannels<kSide, kStride, kRows>(d, job_, filter_, all_, rows,
                                          std::min(c, channels_ - lanes), out);
    }
    return kRows;
  }

  const Job& job_;
  size_t channels_;
  BandFilter filter_, pair_filter_ = {};
  BandColumns all_ = {}, two_ = {}, odd_ = {}, right_ = {};
  bool pairs_ = false;
  HWY_ALIGN float weights_[kSide * kSide * kFloats];
  HWY_ALIGN float bias_[kFloats];
};

// False where bands do not serve: other filters, very few channels.
template <size_t kSide, size_t kStride>
bool RunBands(const Job& job, size_t begin, size_t end) {
  const ConvGeometry& g = *job.g;
  if (g.filter_h != int32_t{kSide} || g.filter_w != int32_t{kSide} || g.dilation_h != 1 ||
      g.stride_h != int32_t{kStride}) {
    return false;
  }
  const hn::ScalableTag<float> d;
  const hn::Half<decltype(d)> half;
  const auto channels = static_cast<size_t>(g.out_c);
  if (channels >= hn::Lanes(d)) {
    Bands<kSide, kStride, decltype(d)>(job).Run(begin, end);
  } else if (channels >= hn::Lanes(half)) {
    Bands<kSide, kStride, decltype(half)>(job).Run(begin, end);
  } else {
    return false;
  }
  return true;
}

#endif  // HWY_TARGET != HWY_SCALAR

// Output rows [begin, end) of batches * out_h.
void Rows(const Job& job, size_t begin, size_t end) {
#if HWY_TARGET != HWY_SCALAR
  if (RunBands<3, 1>(job, begin, end) || RunBands<3, 2>(job, begin, end) ||
      RunBands<5, 1>(job, begin, end) || RunBands<5, 2>(job, begin, end)) {
    return;
  }
#endif
  if (job.g->filter_h * job.g->filter_w == 9) return RowsOfTaps<9>(job, begin, end);
  return RowsOfTaps<0>(job, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Rows);

size_t Rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t PadBytes(const reference::ConvGeometry& g) {
  return Rounded(size_t(g.in_w) * g.out_c * sizeof(float));
}

}  // namespace

bool DepthwiseF32Fits(const reference::ConvGeometry& g) {
  return size_t(g.filter_h) * g.filter_w <= kMaxDepthwiseTaps && g.filter_h > 0 && g.filter_w > 0;
}

size_t DepthwiseF32ScratchBytes(const reference::ConvGeometry& g) {
  size_t bytes = PadBytes(g);
  if (g.in_c != g.out_c) {
    bytes += Rounded(size_t(g.batches) * g.in_h * g.in_w * g.out_c * sizeof(float));
  }
  return bytes;
}

void DepthwiseF32(const reference::ConvGeometry& g, const float* input, const float* weights,
                  const DepthwiseF32Output& out, std::byte* scratch, ThreadPool* threads) {
  auto* pad = reinterpret_cast<float*>(scratch);
  std::fill_n(pad, size_t(g.in_w) * g.out_c, 0.0f);
  reference::ConvGeometry same = g;
  same.in_c = g.out_c;
  if (g.in_c != g.out_c) {
    auto* wide = reinterpret_cast<float*>(scratch + PadBytes(g));
    RepeatChannels(g, input, wide);
    input = wide;
  }
  const DepthwiseF32Job job{&same, input, pad, weights, out};
  const auto rows = HWY_DYNAMIC_DISPATCH(Rows);
  const auto body = [&](size_t begin, size_t end) { rows(job, begin, end); };
  const size_t work = size_t(g.out_w) * g.out_c * g.filter_h * g.filter_w;
  const size_t grain = std::max<size_t>(1, (size_t{1} << 16) / std::max<size_t>(1, work));
  ParallelFor(threads, size_t(g.batches) * g.out_h, grain, std::cref(body));
}

int64_t DepthwiseF32Targets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
