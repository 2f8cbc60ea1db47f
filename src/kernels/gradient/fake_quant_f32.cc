#include "kernels/gradient/fake_quant_f32.h"

#include <algorithm>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gradient/fake_quant_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith::gradient {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using litesmith::HWY_NAMESPACE::ForEach;

using D = hn::ScalableTag<float>;
using One = hn::CappedTag<float, 1>;

// v rounded half away from zero; exact for every float, because what is added is the float just
// below a half: v plus a half itself would round up where v is just below one. REQUIRES: |v| <
// 2^31.
template <typename Tag, typename V>
HWY_INLINE V RoundAway(Tag d, V v) {
  return hn::Trunc(hn::Add(v, hn::CopySignToAbs(hn::Set(d, 0x1.fffffep-2f), v)));
}

// Clamping first keeps the rounded numbers small and changes no result: the limits are integers.
template <typename Tag, typename V>
HWY_INLINE V Rounded(Tag d, V units, float low, float high) {
  return RoundAway(d, hn::Min(hn::Max(units, hn::Set(d, low)), hn::Set(d, high)));
}

struct QuantStep {
  FakeQuant q;
  const float* x;
  float* y;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    const auto units = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, q.inverse));
    hn::StoreU(hn::Mul(Rounded(d, units, q.low, q.high), hn::Set(d, q.scale)), d, y + i);
  }
};

// Averages of up to some hundred integers are at least 2 * kNudge apart from a half, or halves.
constexpr float kNudge = 1e-3f;

struct AverageStep {
  FakeQuant q;
  const float* x;
  float* y;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    const auto zero = hn::Set(d, q.zero);
    const auto units = hn::Mul(hn::LoadU(d, x + i), hn::Set(d, q.inverse));
    const auto inside = hn::Min(hn::Max(units, hn::Set(d, q.low)), hn::Set(d, q.high));
    const auto integer = hn::Add(inside, zero);
    const auto nudged = hn::Add(integer, hn::CopySignToAbs(hn::Set(d, kNudge), integer));
    const auto rounded = hn::Sub(RoundAway(d, nudged), zero);
    hn::StoreU(hn::Mul(rounded, hn::Set(d, q.scale)), d, y + i);
  }
};

void QuantLoop(const FakeQuant& q, const float* x, size_t count, float* y) {
  if (q.average) {
    ForEach(count, AverageStep{q, x, y});
  } else {
    ForEach(count, QuantStep{q, x, y});
  }
}

// What one vector adds to the gradient of the scale; stores dx where it is wanted.
template <typename Tag, typename V>
HWY_INLINE V BackStep(Tag d, V units, V dy, float low, float high, bool accumulate, float* dx) {
  const auto clamped = hn::Min(hn::Max(units, hn::Set(d, low)), hn::Set(d, high));
  const auto rounded = RoundAway(d, clamped);
  const auto inside = hn::Eq(clamped, units);
  if (dx != nullptr) {
    auto through = hn::IfThenElseZero(inside, dy);
    if (accumulate) through = hn::Add(through, hn::LoadU(d, dx));
    hn::StoreU(through, d, dx);
  }
  return hn::Mul(dy, hn::Sub(rounded, hn::IfThenElseZero(inside, units)));
}

float BackLoop(const FakeQuant& quant, const float* x, const float* dy, size_t count,
               bool accumulate, float* dx) {
  const D d;
  const FakeQuant q = quant;  // which dx cannot overlap
  const auto inverse = hn::Set(d, q.inverse);
  const size_t lanes = hn::Lanes(d);
  const auto part = [&](size_t i) HWY_ATTR {
    return BackStep(d, hn::Mul(hn::LoadU(d, x + i), inverse), hn::LoadU(d, dy + i), q.low, q.high,
                    accumulate, dx == nullptr ? dx : dx + i);
  };
  // Two sums, because one waits for every addition.
  auto even = hn::Zero(d), odd = hn::Zero(d);
  size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    even = hn::Add(even, part(i));
    odd = hn::Add(odd, part(i + lanes));
  }
  for (; i + lanes <= count; i += lanes) even = hn::Add(even, part(i));
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < count; ++i) {
    const One one;
    const auto units = hn::Mul(hn::LoadU(one, x + i), hn::Set(one, q.inverse));
    total += hn::GetLane(BackStep(one, units, hn::LoadU(one, dy + i), q.low, q.high, accumulate,
                                  dx == nullptr ? dx : dx + i));
  }
  return total;
}

void StraightLoop(const FakeQuant& q, const float* x, const float* dy, size_t count,
                  bool accumulate, float* dx, float* least, float* most) {
  const D d;
  const auto inverse = hn::Set(d, q.inverse);
  const auto lowest = hn::Set(d, q.low), highest = hn::Set(d, q.high);
  auto below = hn::Set(d, *least), above = hn::Set(d, *most);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    const auto units = hn::Mul(v, inverse);
    below = hn::Min(below, v);
    above = hn::Max(above, v);
    const auto inside = hn::And(hn::Ge(units, lowest), hn::Le(units, highest));
    auto through = hn::IfThenElseZero(inside, hn::LoadU(d, dy + i));
    if (accumulate) through = hn::Add(through, hn::LoadU(d, dx + i));
    hn::StoreU(through, d, dx + i);
  }
  *least = hn::GetLane(hn::MinOfLanes(d, below));
  *most = hn::GetLane(hn::MaxOfLanes(d, above));
  for (; i < count; ++i) {
    const float units = x[i] * q.inverse;
    const float through = units >= q.low && units <= q.high ? dy[i] : 0.0f;
    dx[i] = accumulate ? dx[i] + through : through;
    *least = x[i] < *least ? x[i] : *least;
    *most = x[i] > *most ? x[i] : *most;
  }
}

struct ColumnStep {
  const float *scales, *inverses, *x;
  float low, high;
  float* y;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    const auto units = hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, inverses + i));
    hn::StoreU(hn::Mul(Rounded(d, units, low, high), hn::LoadU(d, scales + i)), d, y + i);
  }
};
void ColumnsLoop(const float* scales, const float* inverses, float low, float high, const float* x,
                 size_t rows, size_t columns, float* y) {
  for (size_t row = 0; row < rows; ++row) {
    ForEach(columns, ColumnStep{scales, inverses, x + row * columns, low, high, y + row * columns});
  }
}

struct ColumnBackStep {
  const float *inverses, *x, *dy;
  float low, high;
  bool accumulate;
  float *dx, *sums;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    const auto units = hn::Mul(hn::LoadU(d, x + i), hn::LoadU(d, inverses + i));
    const auto part = BackStep(d, units, hn::LoadU(d, dy + i), low, high, accumulate,
                               dx == nullptr ? dx : dx + i);
    if (sums != nullptr) hn::StoreU(hn::Add(hn::LoadU(d, sums + i), part), d, sums + i);
  }
};
void ColumnsBackLoop(const float* inverses, float low, float high, const float* x, const float* dy,
                     size_t rows, size_t columns, bool accumulate, float* dx, float* sums) {
  for (size_t row = 0; row < rows; ++row) {
    const size_t at = row * columns;
    ForEach(columns, ColumnBackStep{inverses, x + at, dy + at, low, high, accumulate,
                                    dx == nullptr ? dx : dx + at, sums});
  }
}

void ExtendLoop(const float* x, size_t count, float* low, float* high) {
  const D d;
  auto least = hn::Set(d, *low), most = hn::Set(d, *high);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    const auto v = hn::LoadU(d, x + i);
    least = hn::Min(least, v);
    most = hn::Max(most, v);
  }
  *low = hn::GetLane(hn::MinOfLanes(d, least));
  *high = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; i < count; ++i) {
    *low = x[i] < *low ? x[i] : *low;
    *high = x[i] > *high ? x[i] : *high;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith::gradient
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith::gradient {
namespace {

HWY_EXPORT(QuantLoop);
HWY_EXPORT(BackLoop);
HWY_EXPORT(StraightLoop);
HWY_EXPORT(ColumnsLoop);
HWY_EXPORT(ColumnsBackLoop);
HWY_EXPORT(ExtendLoop);

}  // namespace

void FakeQuantize(const FakeQuant& quant, const float* x, size_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(QuantLoop)(quant, x, count, y);
}

float FakeQuantizeGradient(const FakeQuant& quant, const float* x, const float* dy, size_t count,
                           bool accumulate, float* dx) {
  return HWY_DYNAMIC_DISPATCH(BackLoop)(quant, x, dy, count, accumulate, dx);
}

void FakeQuantizeStraight(const FakeQuant& quant, const float* x, const float* dy, size_t count,
                          bool accumulate, float* dx, float* least, float* most) {
  HWY_DYNAMIC_DISPATCH(StraightLoop)(quant, x, dy, count, accumulate, dx, least, most);
}

void FakeQuantizeColumns(const float* scales, const float* inverses, float low, float high,
                         const float* x, size_t rows, size_t columns, float* y) {
  HWY_DYNAMIC_DISPATCH(ColumnsLoop)(scales, inverses, low, high, x, rows, columns, y);
}

void FakeQuantizeColumnsGradient(const float* inverses, float low, float high, const float* x,
                                 const float* dy, size_t rows, size_t columns, bool accumulate,
                                 float* dx, float* sums) {
  HWY_DYNAMIC_DISPATCH(ColumnsBackLoop)
  (inverses, low, high, x, dy, rows, columns, accumulate, dx, sums);
}

void Extend(const float* x, size_t count, float* low, float* high) {
  HWY_DYNAMIC_DISPATCH(ExtendLoop)(x, count, low, high);
}

int64_t FakeQuantTargets() { return HWY_TARGETS; }

}  // namespace litesmith::gradient
#endif  // HWY_ONCE
