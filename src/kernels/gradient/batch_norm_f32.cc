#include "kernels/gradient/batch_norm_f32.h"

#include <algorithm>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gradient/batch_norm_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith::gradient {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

// Rows after which a sum is put aside, so that long sums lose no digits.
constexpr size_t kBlock = 256;

// Calls step(tag, c) for the channels: whole vectors, then single ones.
template <typename Step>
HWY_INLINE void ForChannels(size_t channels, const Step& step) {
  const D d;
  size_t c = 0;
  for (; c + hn::Lanes(d) <= channels; c += hn::Lanes(d)) step(d, c);
  for (; c < channels; ++c) step(One(), c);
}

struct StatisticsStep {
  const float* x;
  size_t rows, channels;
  float *mean, *variance;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t c) const {
    // Sums of differences from an estimate of the mean: the variance loses no digits then.
    const size_t few = HWY_MIN(rows, size_t{64});
    auto estimate = hn::Zero(d);
    for (size_t r = 0; r < few; ++r) {
      estimate = hn::Add(estimate, hn::LoadU(d, x + r * (rows / few) * channels + c));
    }
    estimate = hn::Mul(estimate, hn::Set(d, 1.0f / static_cast<float>(few)));
    auto sum = hn::Zero(d), squares = hn::Zero(d);
    for (size_t r = 0; r < rows; r += kBlock) {
      auto s = hn::Zero(d), q = hn::Zero(d);
      for (size_t i = r; i < HWY_MIN(rows, r + kBlock); ++i) {
        const auto v = hn::Sub(hn::LoadU(d, x + i * channels + c), estimate);
        s = hn::Add(s, v);
        q = hn::MulAdd(v, v, q);
      }
      sum = hn::Add(sum, s);
      squares = hn::Add(squares, q);
    }
    const auto share = hn::Set(d, 1.0f / static_cast<float>(rows));
    const auto off = hn::Mul(sum, share);
    hn::StoreU(hn::Add(estimate, off), d, mean + c);
    const auto v = hn::Sub(hn::Mul(squares, share), hn::Mul(off, off));
    hn::StoreU(hn::Max(v, hn::Zero(d)), d, variance + c);
  }
};
void StatisticsLoop(const float* x, size_t rows, size_t channels, float* mean, float* variance) {
  ForChannels(channels, StatisticsStep{x, rows, channels, mean, variance});
}

struct ScaleStep {
  const float* x;
  size_t rows, channels;
  const float *scale, *offset;
  float low, high;
  float* y;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t c) const {
    const auto a = hn::LoadU(d, scale + c), b = hn::LoadU(d, offset + c);
    const auto lo = hn::Set(d, low), hi = hn::Set(d, high);
    for (size_t i = c; i < rows * channels; i += channels) {
      const auto v = hn::MulAdd(hn::LoadU(d, x + i), a, b);
      hn::StoreU(hn::Min(hn::Max(v, lo), hi), d, y + i);
    }
  }
};
void ScaleLoop(const float* x, size_t rows, size_t channels, const float* scale,
               const float* offset, float low, float high, float* y) {
  ForChannels(channels, ScaleStep{x, rows, channels, scale, offset, low, high, y});
}

template <typename Tag>
HWY_INLINE hn::Vec<Tag> Through(Tag d, const float* y, const float* dy, float low, float high) {
  const auto v = hn::LoadU(d, y);
  const auto inside = hn::And(hn::Gt(v, hn::Set(d, low)), hn::Lt(v, hn::Set(d, high)));
  return hn::IfThenElseZero(inside, hn::LoadU(d, dy));
}

struct SumsStep {
  const float *x, *y, *dy;
  size_t rows, channels;
  const float* mean;
  float low, high;
  float *sum, *product;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t c) const {
    const auto m = hn::LoadU(d, mean + c);
    auto total = hn::Zero(d), products = hn::Zero(d);
    for (size_t r = 0; r < rows; r += kBlock) {
      auto s = hn::Zero(d), p = hn::Zero(d);
      for (size_t i = r; i < HWY_MIN(rows, r + kBlock); ++i) {
        const size_t at = i * channels + c;
        const auto g = Through(d, y + at, dy + at, low, high);
        s = hn::Add(s, g);
        p = hn::MulAdd(g, hn::Sub(hn::LoadU(d, x + at), m), p);
      }
      total = hn::Add(total, s);
      products = hn::Add(products, p);
    }
    hn::StoreU(total, d, sum + c);
    hn::StoreU(products, d, product + c);
  }
};
void SumsLoop(const float* x, const float* y, const float* dy, size_t rows, size_t channels,
              const float* mean, float low, float high, float* sum, float* product) {
  ForChannels(channels, SumsStep{x, y, dy, rows, channels, mean, low, high, sum, product});
}

struct InputStep {
  const BatchNormBack& back;
  const float *x, *y, *dy;
  size_t rows, channels;
  float* dx;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t c) const {
    const auto fa = hn::LoadU(d, back.a + c), fb = hn::LoadU(d, back.b + c);
    const auto fc = hn::LoadU(d, back.c + c), m = hn::LoadU(d, back.mean + c);
    for (size_t i = c; i < rows * channels; i += channels) {
      const auto g = Through(d, y + i, dy + i, back.low, back.high);
      const auto far = hn::Sub(hn::LoadU(d, x + i), m);
      auto v = hn::NegMulAdd(far, fc, hn::MulSub(g, fa, fb));
      if (back.accumulate) v = hn::Add(v, hn::LoadU(d, dx + i));
      hn::StoreU(v, d, dx + i);
    }
  }
};
void InputLoop(const BatchNormBack& back, const float* x, const float* y, const float* dy,
               size_t rows, size_t channels, float* dx) {
  ForChannels(channels, InputStep{back, x, y, dy, rows, channels, dx});
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith::gradient
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith::gradient {
namespace {

HWY_EXPORT(StatisticsLoop);
HWY_EXPORT(ScaleLoop);
HWY_EXPORT(SumsLoop);
HWY_EXPORT(InputLoop);

}  // namespace

void ChannelStatistics(const float* x, size_t rows, size_t channels, float* mean, float* variance) {
  HWY_DYNAMIC_DISPATCH(StatisticsLoop)(x, rows, channels, mean, variance);
}

void ScaleChannels(const float* x, size_t rows, size_t channels, const float* scale,
                   const float* offset, float low, float high, float* y) {
  HWY_DYNAMIC_DISPATCH(ScaleLoop)(x, rows, channels, scale, offset, low, high, y);
}

void BatchNormSums(const float* x, const float* y, const float* dy, size_t rows, size_t channels,
                   const float* mean, float low, float high, float* sum, float* product) {
  HWY_DYNAMIC_DISPATCH(SumsLoop)(x, y, dy, rows, channels, mean, low, high, sum, product);
}

void BatchNormInput(const BatchNormBack& back, const float* x, const float* y, const float* dy,
                    size_t rows, size_t channels, float* dx) {
  HWY_DYNAMIC_DISPATCH(InputLoop)(back, x, y, dy, rows, channels, dx);
}

}  // namespace litesmith::gradient
#endif  // HWY_ONCE
