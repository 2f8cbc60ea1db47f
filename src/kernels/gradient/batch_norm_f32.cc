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

// Calls step.Run<n>(tag, c) for all channels: n vectors of them from c on, then single ones. Rows
// are read as they lie in memory, as far as there are registers.
template <typename Step>
HWY_INLINE void ForChannels(size_t channels, const Step& step) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  size_t c = 0;
  for (; c + 4 * lanes <= channels; c += 4 * lanes) step.template Run<4>(d, c);
  for (; c + 2 * lanes <= channels; c += 2 * lanes) step.template Run<2>(d, c);
  for (; c + lanes <= channels; c += lanes) step.template Run<1>(d, c);
  for (; c < channels; ++c) step.template Run<1>(One(), c);
}

struct StatisticsStep {
  const float* x;
  size_t rows, channels;
  float *mean, *variance;

  // Sums of differences from an estimate of the mean: the variance loses no digits then.
  template <typename Tag>
  HWY_ATTR HWY_INLINE hn::Vec<Tag> Estimate(Tag d, size_t c) const {
    const size_t few = HWY_MIN(rows, size_t{64});
    auto estimate = hn::Zero(d);
    for (size_t r = 0; r < few; ++r) {
      estimate = hn::Add(estimate, hn::LoadU(d, x + r * (rows / few) * channels + c));
    }
    return hn::Mul(estimate, hn::Set(d, 1.0f / static_cast<float>(few)));
  }

  template <size_t kN, typename Tag>
  HWY_ATTR void Run(Tag d, size_t c) const {
    using V = hn::Vec<Tag>;
    const size_t lanes = hn::Lanes(d);
    V estimate[kN], sum[kN], squares[kN];
#pragma GCC unroll 4
    for (size_t n = 0; n < kN; ++n) {
      estimate[n] = Estimate(d, c + n * lanes);
      sum[n] = squares[n] = hn::Zero(d);
    }
    for (size_t r = 0; r < rows; r += kBlock) {
      // Of even and odd rows, because one sum waits for every addition.
      V s[2][kN], q[2][kN];
#pragma GCC unroll 4
      for (size_t n = 0; n < kN; ++n) s[0][n] = s[1][n] = q[0][n] = q[1][n] = hn::Zero(d);
      const size_t end = HWY_MIN(rows, r + kBlock);
      size_t i = r;
      const auto add = [&](size_t row, size_t k) HWY_ATTR {
#pragma GCC unroll 4
        for (size_t n = 0; n < kN; ++n) {
          const V v = hn::Sub(hn::LoadU(d, x + row * channels + c + n * lanes), estimate[n]);
          s[k][n] = hn::Add(s[k][n], v);
          q[k][n] = hn::MulAdd(v, v, q[k][n]);
        }
      };
      for (; i + 2 <= end; i += 2) {
        add(i, 0);
        add(i + 1, 1);
      }
      if (i < end) add(i, 0);
#pragma GCC unroll 4
      for (size_t n = 0; n < kN; ++n) {
        sum[n] = hn::Add(sum[n], hn::Add(s[0][n], s[1][n]));
        squares[n] = hn::Add(squares[n], hn::Add(q[0][n], q[1][n]));
      }
    }
    const V share = hn::Set(d, 1.0f / static_cast<float>(rows));
#pragma GCC unroll 4
    for (size_t n = 0; n < kN; ++n) {
      const V off = hn::Mul(sum[n], share);
      hn::StoreU(hn::Add(estimate[n], off), d, mean + c + n * lanes);
      const V v = hn::Sub(hn::Mul(squares[n], share), hn::Mul(off, off));
      hn::StoreU(hn::Max(v, hn::Zero(d)), d, variance + c + n * lanes);
    }
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
  template <size_t kN, typename Tag>
  HWY_ATTR void Run(Tag d, size_t c) const {
    using V = hn::Vec<Tag>;
    const size_t lanes = hn::Lanes(d);
    V a[kN], b[kN];
#pragma GCC unroll 4
    for (size_t n = 0; n < kN; ++n) {
      a[n] = hn::LoadU(d, scale + c + n * lanes);
      b[n] = hn::LoadU(d, offset + c + n * lanes);
    }
    const V lo = hn::Set(d, low), hi = hn::Set(d, high);
    const float* from = x;
    float* to = y;
    for (size_t i = c; i < rows * channels; i += channels) {
#pragma GCC unroll 4
      for (size_t n = 0; n < kN; ++n) {
        const V v = hn::MulAdd(hn::LoadU(d, from + i + n * lanes), a[n], b[n]);
        hn::StoreU(hn::Min(hn::Max(v, lo), hi), d, to + i + n * lanes);
      }
    }
  }
};
void ScaleLoop(const float* x, size_t rows, size_t channels, const float* scale,
               const float* offset, float low, float high, float* y) {
  ForChannels(channels, ScaleStep{x, rows, channels, scale, offset, low, high, y});
}

// dy where the clamp let the result pass, which is computed anew from x: that takes less time than
// reading it.
template <typename Tag>
HWY_INLINE hn::Vec<Tag> Through(Tag d, hn::Vec<Tag> x, hn::Vec<Tag> scale, hn::Vec<Tag> offset,
                                const float* dy, hn::Vec<Tag> low, hn::Vec<Tag> high) {
  const auto v = hn::MulAdd(x, scale, offset);
  return hn::IfThenElseZero(hn::And(hn::Gt(v, low), hn::Lt(v, high)), hn::LoadU(d, dy));
}

struct SumsStep {
  const float *x, *dy;
  size_t rows, channels;
  const BatchNormForward& forward;
  float *sum, *product;
  template <size_t kN, typename Tag>
  HWY_ATTR void Run(Tag d, size_t c) const {
    using V = hn::Vec<Tag>;
    const size_t lanes = hn::Lanes(d);
    const V lo = hn::Set(d, forward.low), hi = hn::Set(d, forward.high);
    V m[kN], scale[kN], offset[kN], total[kN], products[kN];
#pragma GCC unroll 4
    for (size_t n = 0; n < kN; ++n) {
      m[n] = hn::LoadU(d, forward.mean + c + n * lanes);
      scale[n] = hn::LoadU(d, forward.scale + c + n * lanes);
      offset[n] = hn::LoadU(d, forward.offset + c + n * lanes);
      total[n] = products[n] = hn::Zero(d);
    }
    for (size_t r = 0; r < rows; r += kBlock) {
      V s[kN], p[kN];
#pragma GCC unroll 4
      for (size_t n = 0; n < kN; ++n) s[n] = p[n] = hn::Zero(d);
      for (size_t i = r; i < HWY_MIN(rows, r + kBlock); ++i) {
#pragma GCC unroll 4
        for (size_t n = 0; n < kN; ++n) {
          const size_t at = i * channels + c + n * lanes;
          const V v = hn::LoadU(d, x + at);
          const V g = Through(d, v, scale[n], offset[n], dy + at, lo, hi);
          s[n] = hn::Add(s[n], g);
          p[n] = hn::MulAdd(g, hn::Sub(v, m[n]), p[n]);
        }
      }
#pragma GCC unroll 4
      for (size_t n = 0; n < kN; ++n) {
        total[n] = hn::Add(total[n], s[n]);
        products[n] = hn::Add(products[n], p[n]);
      }
    }
#pragma GCC unroll 4
    for (size_t n = 0; n < kN; ++n) {
      hn::StoreU(total[n], d, sum + c + n * lanes);
      hn::StoreU(products[n], d, product + c + n * lanes);
    }
  }
};
void SumsLoop(const BatchNormForward& forward, const float* x, const float* dy, size_t rows,
              size_t channels, float* sum, float* product) {
  ForChannels(channels, SumsStep{x, dy, rows, channels, forward, sum, product});
}

struct InputStep {
  const BatchNormForward& forward;
  const BatchNormBack& back;
  const float *x, *dy;
  size_t rows, channels;
  float* dx;
  template <size_t kN, typename Tag>
  HWY_ATTR void Run(Tag d, size_t c) const {
    using V = hn::Vec<Tag>;
    const size_t lanes = hn::Lanes(d);
    const V lo = hn::Set(d, forward.low), hi = hn::Set(d, forward.high);
    const bool accumulate = back.accumulate;
    V fa[kN], fb[kN], fc[kN], m[kN], scale[kN], offset[kN];
#pragma GCC unroll 4
    for (size_t n = 0; n < kN; ++n) {
      fa[n] = hn::LoadU(d, back.a + c + n * lanes);
      fb[n] = hn::LoadU(d, back.b + c + n * lanes);
      fc[n] = hn::LoadU(d, back.c + c + n * lanes);
      m[n] = hn::LoadU(d, forward.mean + c + n * lanes);
      scale[n] = hn::LoadU(d, forward.scale + c + n * lanes);
      offset[n] = hn::LoadU(d, forward.offset + c + n * lanes);
    }
    const float *from = x, *gradients = dy;
    float* to = dx;
    for (size_t i = c; i < rows * channels; i += channels) {
#pragma GCC unroll 4
      for (size_t n = 0; n < kN; ++n) {
        const size_t at = i + n * lanes;
        const V value = hn::LoadU(d, from + at);
        const V g = Through(d, value, scale[n], offset[n], gradients + at, lo, hi);
        const V far = hn::Sub(value, m[n]);
        V v = hn::NegMulAdd(far, fc[n], hn::MulSub(g, fa[n], fb[n]));
        if (accumulate) v = hn::Add(v, hn::LoadU(d, to + at));
        hn::StoreU(v, d, to + at);
      }
    }
  }
};
void InputLoop(const BatchNormForward& forward, const BatchNormBack& back, const float* x,
               const float* dy, size_t rows, size_t channels, float* dx) {
  ForChannels(channels, InputStep{forward, back, x, dy, rows, channels, dx});
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

void BatchNormSums(const BatchNormForward& forward, const float* x, const float* dy, size_t rows,
                   size_t channels, float* sum, float* product) {
  HWY_DYNAMIC_DISPATCH(SumsLoop)(forward, x, dy, rows, channels, sum, product);
}

void BatchNormInput(const BatchNormForward& forward, const BatchNormBack& back, const float* x,
                    const float* dy, size_t rows, size_t channels, float* dx) {
  HWY_DYNAMIC_DISPATCH(InputLoop)(forward, back, x, dy, rows, channels, dx);
}

}  // namespace litesmith::gradient
#endif  // HWY_ONCE
