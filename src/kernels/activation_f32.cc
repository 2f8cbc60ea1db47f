#include "kernels/activation_f32.h"

#include <algorithm>
#include <limits>
#include <numbers>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation_f32.cc"
// The order matters.
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "hwy/contrib/math/math-inl.h"
#include "kernels/float_vectors-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// What Highway's functions are given for x; the callers put NaNs back. Emulated vectors convert
// them to integers by a cast, which C++ leaves open.
template <class V>
HWY_INLINE V Number(V x) {
#if HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SCALAR
  return hn::IfThenElseZero(hn::Eq(x, x), x);
#else
  return x;
#endif
}

// 1 / (1 + e^-x) without an exponential that overflows; e^x below -9, as LiteRT's kernels.
struct LogisticStep {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V one = hn::Set(d, 1.0f);
    const V e = hn::Exp(d, hn::Neg(hn::Abs(x)));
    const V over = hn::Add(one, e);
    const V least = hn::IfThenElse(hn::Lt(x, hn::Set(d, -9.0f)), e, hn::Div(e, over));
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), least, hn::Div(one, over));
  }
};

struct TanhStep {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    // Beyond, the result is 1 in float, and the exponential of Highway's formula may overflow.
    const V most = hn::Set(d, 10.0f);
    return hn::Tanh(d, hn::Min(hn::Max(x, hn::Neg(most)), most));
  }
};

// x/2 * erfc(-x/sqrt(2)), by Abramowitz and Stegun 7.1.26.
struct GeluStep {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V one = hn::Set(d, 1.0f);
    const V z = hn::Mul(hn::Abs(x), hn::Set(d, static_cast<float>(std::numbers::sqrt2 / 2.0)));
    const V t = hn::Div(one, hn::MulAdd(z, hn::Set(d, 0.3275911f), one));
    V p = hn::MulAdd(t, hn::Set(d, 1.061405429f), hn::Set(d, -1.453152027f));
    p = hn::MulAdd(t, p, hn::Set(d, 1.421413741f));
    p = hn::MulAdd(t, p, hn::Set(d, -0.284496736f));
    p = hn::MulAdd(t, p, hn::Set(d, 0.254829592f));
    const V tail = hn::Mul(hn::Mul(p, t), hn::Exp(d, hn::Neg(hn::Mul(z, z))));  // erfc(z)
    const V twice = hn::Sub(hn::Set(d, 2.0f), tail);
    const V share = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, twice);
    return hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), share);
  }
};

struct GeluApproximateStep {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    constexpr auto kRoot = static_cast<float>(std::numbers::inv_sqrtpi * std::numbers::sqrt2);
    const V cube = hn::Mul(hn::Mul(hn::Mul(hn::Set(d, 0.044715f), x), x), x);
    const V inner = TanhStep()(d, hn::Mul(hn::Set(d, kRoot), hn::Add(x, cube)));
    return hn::Mul(hn::Mul(hn::Set(d, 0.5f), x), hn::Add(hn::Set(d, 1.0f), inner));
  }
};

struct HardSwishStep {
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V six = hn::Set(d, 6.0f);
    const V gate = hn::Min(six, hn::Max(hn::Zero(d), hn::Add(x, hn::Set(d, 3.0f))));
    return hn::Div(hn::Mul(x, gate), six);
  }
};

template <class Function>
struct ApplyStep {
  const float* in;
  float* out;
  template <class D>
  HWY_ATTR HWY_INLINE void operator()(D d, size_t i) const {
    const auto x = hn::LoadU(d, in + i);
    const auto y = Function()(d, Number(x));
    hn::StoreU(hn::IfThenElse(hn::Eq(x, x), y, x), d, out + i);
  }
};

template <class Function>
void Apply(const float* in, size_t count, float* out) {
  ForEach(count, ApplyStep<Function>{in, out});
}

void Functions(RowFunction function, const float* in, size_t count, float* out) {
  switch (function) {
    case RowFunction::kLogistic:
      return Apply<LogisticStep>(in, count, out);
    case RowFunction::kTanh:
      return Apply<TanhStep>(in, count, out);
    case RowFunction::kGelu:
      return Apply<GeluStep>(in, count, out);
    case RowFunction::kGeluApproximate:
      return Apply<GeluApproximateStep>(in, count, out);
    case RowFunction::kHardSwish:
      return Apply<HardSwishStep>(in, count, out);
  }
}

void Softmax(const float* in, size_t depth, float beta, float* out) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d), whole = depth / lanes * lanes;
  float most = std::numeric_limits<float>::lowest();
  if (whole != 0) {
    auto m = hn::LoadU(d, in);
    for (size_t i = lanes; i < whole; i += lanes) m = hn::Max(m, hn::LoadU(d, in + i));
    most = hn::GetLane(hn::MaxOfLanes(d, m));
  }
  for (size_t i = whole; i < depth; ++i) most = std::max(most, in[i]);
  float sum = 0.0f;
  auto sums = hn::Zero(d);
  for (size_t i = 0; i < whole; i += lanes) {
    const auto x = hn::Mul(hn::Sub(hn::LoadU(d, in + i), hn::Set(d, most)), hn::Set(d, beta));
    const auto e = hn::IfThenElse(hn::Eq(x, x), hn::Exp(d, Number(x)), x);
    sums = hn::Add(sums, e);
    hn::StoreU(e, d, out + i);
  }
  if (whole != 0) sum = hn::GetLane(hn::SumOfLanes(d, sums));
  const hn::CappedTag<float, 1> one;
  for (size_t i = whole; i < depth; ++i) {
    const auto x = hn::Set(one, (in[i] - most) * beta);
    const auto e = hn::IfThenElse(hn::Eq(x, x), hn::Exp(one, Number(x)), x);
    out[i] = hn::GetLane(e);
    sum += out[i];
  }
  for (size_t i = 0; i < whole; i += lanes) {
    hn::StoreU(hn::Div(hn::LoadU(d, out + i), hn::Set(d, sum)), d, out + i);
  }
  for (size_t i = whole; i < depth; ++i) out[i] = out[i] / sum;
}

// One output position: the four inputs around it, and how far it is from the first.
struct MixStep {
  const float *low_low, *high_low, *low_high, *high_high;
  float y, x;
  float* out;
  template <class D>
  HWY_ATTR HWY_INLINE void operator()(D d, size_t c) const {
    const auto near_y = hn::Set(d, 1 - y), far_y = hn::Set(d, y);
    const auto near_x = hn::Set(d, 1 - x), far_x = hn::Set(d, x);
    auto sum = hn::Mul(hn::Mul(hn::LoadU(d, low_low + c), near_y), near_x);
    sum = hn::Add(sum, hn::Mul(hn::Mul(hn::LoadU(d, high_low + c), far_y), near_x));
    sum = hn::Add(sum, hn::Mul(hn::Mul(hn::LoadU(d, low_high + c), near_y), far_x));
    sum = hn::Add(sum, hn::Mul(hn::Mul(hn::LoadU(d, high_high + c), far_y), far_x));
    hn::StoreU(sum, d, out + c);
  }
};

void Bilinear(const reference::ResizeGeometry& g, const reference::Between* columns,
              const float* input, size_t begin, size_t end, float* output) {
  const auto channels = static_cast<size_t>(g.channels);
  const size_t row_size = static_cast<size_t>(g.in_w) * channels;
  for (size_t row = begin; row < end; ++row) {
    const reference::Between y(static_cast<int32_t>(row % g.out_h), g.in_h, g.out_h, g);
    const float* image = input + row / g.out_h * g.in_h * row_size;
    const float *low = image + y.low * row_size, *high = image + y.high * row_size;
    float* out = output + row * g.out_w * channels;
    for (size_t i = 0; i < static_cast<size_t>(g.out_w); ++i) {
      const reference::Between& x = columns[i];
      const size_t left = x.low * channels, right = x.high * channels;
      ForEach(channels, MixStep{low + left, high + left, low + right, high + right, y.offset,
                                x.offset, out + i * channels});
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Functions);
HWY_EXPORT(Softmax);
HWY_EXPORT(Bilinear);

}  // namespace

void FunctionRow(RowFunction function, const float* in, size_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(Functions)(function, in, count, out);
}

void SoftmaxRowF32(const float* in, size_t depth, float beta, float* out) {
  HWY_DYNAMIC_DISPATCH(Softmax)(in, depth, beta, out);
}

void ResizeBilinearF32(const reference::ResizeGeometry& g, const reference::Between* columns,
                       const float* input, size_t begin, size_t end, float* output) {
  HWY_DYNAMIC_DISPATCH(Bilinear)(g, columns, input, begin, end, output);
}

int64_t ActivationTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
