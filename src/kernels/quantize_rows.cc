#include "kernels/quantize_rows.h"

#include <algorithm>
#include <cmath>

#include "kernels/reference/dynamic_range.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;

struct Range {
  float low, high;
  bool finite;
};

// The least and the greatest of `start` and the values.
Range FindRange(const float* values, size_t count, float start) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  auto low = hn::Set(d, start), high = low, odd = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::LoadU(d, values + i);
    low = hn::Min(low, x);
    high = hn::Max(high, x);
    // Zero, or NaN for what is infinite or no number.
    odd = hn::Add(odd, hn::Sub(x, x));
  }
  Range r{hn::GetLane(hn::MinOfLanes(d, low)), hn::GetLane(hn::MaxOfLanes(d, high)), true};
  r.finite = hn::GetLane(hn::SumOfLanes(d, odd)) == 0.0f;
  for (; i < count; ++i) {
    r.low = std::min(r.low, values[i]);
    r.high = std::max(r.high, values[i]);
    r.finite = r.finite && std::isfinite(values[i]);
  }
  return r;
}

// clamp(round(x * inverse) + zero, low, 127), ties away from zero: the largest number below 0.5 is
// added with the product's sign and the fraction dropped. REQUIRES: |x * inverse| < 2^22.
void Scale(const float* values, size_t count, float inverse, int32_t zero, int32_t low,
           int8_t* quantized) {
  const D d;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<int8_t, D> d8;
  const size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, inverse), half = hn::Set(d, 0.49999997f);
  const auto add = hn::Set(di, zero), least = hn::Set(di, low), most = hn::Set(di, 127);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::Mul(hn::LoadU(d, values + i), factor);
    const auto q = hn::Add(hn::ConvertTo(di, hn::Add(x, hn::CopySignToAbs(half, x))), add);
    hn::StoreU(hn::DemoteTo(d8, hn::Min(hn::Max(q, least), most)), d8, quantized + i);
  }
  for (; i < count; ++i) {
    const int32_t q = RoundToInt32(std::round(values[i] * inverse)) + zero;
    quantized[i] = static_cast<int8_t>(std::clamp(q, low, 127));
  }
}

float Symmetric(const float* values, size_t count, int8_t* quantized) {
  if (count == 0) return reference::QuantizeSymmetric(values, count, quantized);
  const Range r = FindRange(values, count, values[0]);
  const float range = std::max(std::abs(r.low), std::abs(r.high));
  const float inverse = 127.0f / range;
  // Tiny ranges have no finite inverse.
  if (!r.finite || range == 0.0f || !std::isfinite(inverse)) {
    return reference::QuantizeSymmetric(values, count, quantized);
  }
  Scale(values, count, inverse, 0, -127, quantized);
  return range / 127.0f;
}

float Asymmetric(const float* values, size_t count, int8_t* quantized, int32_t* zero_point) {
  const Range r = FindRange(values, count, 0.0f);
  reference::AsymmetricScale s;
  if (!r.finite || r.low == r.high ||
      !std::isfinite((s = reference::ChooseAsymmetric(r.low, r.high)).inverse)) {
    return reference::QuantizeAsymmetric(values, count, quantized, zero_point);
  }
  *zero_point = s.zero_point;
  Scale(values, count, s.inverse, s.zero_point, -128, quantized);
  return s.scale;
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Symmetric);
HWY_EXPORT(Asymmetric);

}  // namespace

float QuantizeRowSymmetric(const float* values, size_t count, int8_t* quantized) {
  return HWY_DYNAMIC_DISPATCH(Symmetric)(values, count, quantized);
}
float QuantizeRowAsymmetric(const float* values, size_t count, int8_t* quantized,
                            int32_t* zero_point) {
  return HWY_DYNAMIC_DISPATCH(Asymmetric)(values, count, quantized, zero_point);
}
int64_t QuantizeRowsTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
