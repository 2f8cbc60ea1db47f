#include "kernels/gradient/optimizer_f32.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gradient/optimizer_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith::gradient {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename Step>
HWY_INLINE void ForEach(size_t begin, size_t end, const Step& step) {
  const hn::ScalableTag<float> d;
  size_t i = begin;
  for (; i + hn::Lanes(d) <= end; i += hn::Lanes(d)) step(d, i);
  for (; i < end; ++i) step(hn::CappedTag<float, 1>(), i);
}

struct SumElement {
  const float* const* parts;
  size_t num_parts;
  float* out;
  template <typename D>
  HWY_ATTR HWY_INLINE void operator()(D d, size_t i) const {
    auto sum = hn::LoadU(d, parts[0] + i);
    for (size_t p = 1; p < num_parts; ++p) sum = hn::Add(sum, hn::LoadU(d, parts[p] + i));
    hn::StoreU(sum, d, out + i);
  }
};
void SumLoop(const float* const* parts, size_t num_parts, size_t begin, size_t end, float* out) {
  ForEach(begin, end, SumElement{parts, num_parts, out});
}

struct AdamElement {
  AdamStep s;
  const float* g;
  float *w, *m, *v;
  template <typename D>
  HWY_ATTR HWY_INLINE void operator()(D d, size_t i) const {
    const auto weight = hn::LoadU(d, w + i);
    auto gradient = hn::Mul(hn::LoadU(d, g + i), hn::Set(d, s.gradient_factor));
    gradient = hn::Add(gradient, hn::Mul(weight, hn::Set(d, s.decay)));
    auto first = hn::LoadU(d, m + i), second = hn::LoadU(d, v + i);
    first = hn::Add(first, hn::Mul(hn::Sub(gradient, first), hn::Set(d, s.one_minus_beta1)));
    second = hn::Add(second, hn::Mul(hn::Sub(hn::Mul(gradient, gradient), second),
                                     hn::Set(d, s.one_minus_beta2)));
    const auto change = hn::Div(hn::Mul(first, hn::Set(d, s.rate)),
                                hn::Add(hn::Sqrt(second), hn::Set(d, s.epsilon)));
    hn::StoreU(first, d, m + i);
    hn::StoreU(second, d, v + i);
    hn::StoreU(hn::Sub(hn::Mul(weight, hn::Set(d, s.shrink)), change), d, w + i);
  }
};
void AdamLoop(const AdamStep& step, const float* g, size_t count, float* w, float* m, float* v) {
  ForEach(0, count, AdamElement{step, g, w, m, v});
}

struct SgdElement {
  SgdStep s;
  const float* g;
  float *w, *velocity;
  template <typename D>
  HWY_ATTR HWY_INLINE void operator()(D d, size_t i) const {
    const auto weight = hn::LoadU(d, w + i);
    auto gradient = hn::Mul(hn::LoadU(d, g + i), hn::Set(d, s.gradient_factor));
    gradient = hn::Add(gradient, hn::Mul(weight, hn::Set(d, s.decay)));
    const auto push = hn::Mul(gradient, hn::Set(d, s.rate)), momentum = hn::Set(d, s.momentum);
    const auto moved = hn::Sub(hn::Mul(hn::LoadU(d, velocity + i), momentum), push);
    hn::StoreU(moved, d, velocity + i);
    const auto change = s.nesterov ? hn::Sub(hn::Mul(moved, momentum), push) : moved;
    hn::StoreU(hn::Add(weight, change), d, w + i);
  }
};
void SgdLoop(const SgdStep& step, const float* g, size_t count, float* w, float* velocity) {
  ForEach(0, count, SgdElement{step, g, w, velocity});
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith::gradient
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith::gradient {
namespace {

HWY_EXPORT(SumLoop);
HWY_EXPORT(AdamLoop);
HWY_EXPORT(SgdLoop);

}  // namespace

void SumParts(const float* const* parts, size_t num_parts, size_t begin, size_t end, float* out) {
  HWY_DYNAMIC_DISPATCH(SumLoop)(parts, num_parts, begin, end, out);
}
void Adam(const AdamStep& step, const float* g, size_t count, float* w, float* m, float* v) {
  HWY_DYNAMIC_DISPATCH(AdamLoop)(step, g, count, w, m, v);
}
void Sgd(const SgdStep& step, const float* g, size_t count, float* w, float* velocity) {
  HWY_DYNAMIC_DISPATCH(SgdLoop)(step, g, count, w, velocity);
}

}  // namespace litesmith::gradient
#endif  // HWY_ONCE
