// Loops and clamps of float vectors. Included once per instruction set.

#if defined(LITESMITH_KERNELS_FLOAT_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LITESMITH_KERNELS_FLOAT_VECTORS_INL_H_
#undef LITESMITH_KERNELS_FLOAT_VECTORS_INL_H_
#else
#define LITESMITH_KERNELS_FLOAT_VECTORS_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

// Runs step(tag, i) over [0, count), whole vectors first, then single elements.
template <typename Step>
HWY_INLINE void ForEach(size_t count, const Step& step) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) step(d, i);
  for (; i < count; ++i) step(hn::CappedTag<float, 1>(), i);
}

// The exact quotient. NEON of 32 bits has no division: Highway's is an approximation there.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Divide(D d, hwy::HWY_NAMESPACE::Vec<D> a,
                                             hwy::HWY_NAMESPACE::Vec<D> b) {
  namespace hn = hwy::HWY_NAMESPACE;
#if defined(__arm__)
  HWY_ALIGN float x[hn::MaxLanes(D())], y[hn::MaxLanes(D())];
  hn::Store(a, d, x);
  hn::Store(b, d, y);
  for (size_t i = 0; i < hn::Lanes(d); ++i) x[i] /= y[i];
  return hn::Load(d, x);
#else
  static_cast<void>(d);
  return hn::Div(a, b);
#endif
}

// max, then min; NaN passes.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> Clamp(D d, hwy::HWY_NAMESPACE::Vec<D> x, float low,
                                            float high) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  // The second operand is what remains of a NaN.
  return hn::Min(hn::Set(d, high), hn::Max(hn::Set(d, low), x));
#else
  const auto least = hn::Set(d, low), most = hn::Set(d, high);
  x = hn::IfThenElse(hn::Lt(x, least), least, x);
  return hn::IfThenElse(hn::Gt(x, most), most, x);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
