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

// Output rows [begin, end) of batches * out_h.
void Rows(const Job& job, size_t begin, size_t end) {
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
