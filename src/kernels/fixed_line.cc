#include "kernels/fixed_line.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/fixed_line.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

// AVX-512 rounds every instruction as it is told; elsewhere a line would cost more than it saves.
#if HWY_TARGET == HWY_AVX3

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;

constexpr size_t kMost = 256;  // a multiple of the lanes

// Where the results 1, 2, ... begin.
struct Steps {
  alignas(64) double at[kMost];
  size_t count = 0;  // that sums within the bound reach
  bool clear = true;
};

struct Interval {
  double low, high;  // low <= add < high
};

// The result is at least k where x >= ((k * 2^right - half) * 2^31 - 2^30) / multiplier.
void FindSteps(double multiplier, int32_t right, double bound, size_t most, Steps* steps) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const double power = std::ldexp(1.0, right);
  const auto inverse = hn::Set(d, 0x1p31 / multiplier), unit = hn::Set(d, power);
  const auto half = hn::Set(d, (right > 0 ? power / 2 : 0.0) + 0.5);
  // Nearer to an integer the quotient is not known well enough, and equal to it a tie.
  const auto near = hn::Set(d, 0x1p-20), far = hn::Set(d, 1.0 - 0x1p-20);
  const auto last = hn::Set(d, bound);
  // No line needs sums that float cannot hold.
  const double limit = std::min(bound, 0x1p24);
  for (size_t k = 0; k < most; k += lanes) {
    const auto index = hn::Iota(d, static_cast<double>(k + 1));
    const auto x = hn::Mul(hn::Sub(hn::Mul(index, unit), half), inverse);
    const auto begin = hn::Ceil(x), above = hn::Sub(begin, x);
    const auto reached = hn::Le(begin, last);
    const auto unclear = hn::Or(hn::Lt(above, near), hn::Gt(above, far));
    const size_t in = std::min(hn::CountTrue(d, reached), most - k);
    if (!hn::AllFalse(d, hn::And(unclear, hn::FirstN(d, in)))) steps->clear = false;
    hn::StoreU(begin, d, steps->at + k);
    steps->count += in;
    if (in < lanes) break;
  }
  if (steps->count > 0 && steps->at[steps->count - 1] >= limit && bound >= 0x1p24) {
    steps->clear = false;
  }
}

// What `add` may be with this scale.
Interval FindAdd(const Steps& s, double scale, double bound, size_t most) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto by = hn::Set(d, scale);
  V low = hn::Zero(d), high = hn::Set(d, 1.0);
  for (size_t k = 0; k < s.count; k += lanes) {
    const auto in = hn::FirstN(d, std::min(lanes, s.count - k));
    const auto rest =
        hn::NegMulAdd(hn::LoadU(d, s.at + k), by, hn::Iota(d, static_cast<double>(k + 1)));
    low = hn::IfThenElse(in, hn::Max(low, rest), low);
    high = hn::IfThenElse(in, hn::Min(high, hn::Add(rest, by)), high);
  }
  Interval out{hn::GetLane(hn::MaxOfLanes(d, low)), hn::GetLane(hn::MinOfLanes(d, high))};
  if (s.count < most) {
    out.high = std::min(out.high, static_cast<double>(s.count + 1) - bound * scale);
  }
  return out;
}

void FitOne(const Steps& s, double factor, double bound, size_t most, float* scale, float* rest,
            float* add, LineKind* kind) {
  const auto nearest = static_cast<float>(factor);
  for (const float by : {nearest, std::nextafterf(nearest, 1.0f), std::nextafterf(nearest, 0.0f)}) {
    const Interval i = FindAdd(s, by, bound, most);
    const auto middle = static_cast<float>((i.low + i.high) / 2);
    if (!(i.low <= middle && middle < i.high)) continue;
    *scale = by;
    *add = middle;
    *kind = LineKind::kOne;
    return;
  }
  if (factor < 0x1p-22) return;  // a step must be more than the inner sum's rounding
  const auto lower = static_cast<float>(factor - nearest);
  const Interval i = FindAdd(s, double{nearest} + lower, bound, most);
  const auto middle = static_cast<float>((i.low + i.high) / 2);
  if (!(i.low + 0x1p-23 <= middle && middle < i.high - 0x1p-23)) return;
  *scale = nearest;
  *rest = lower;
  *add = middle;
  *kind = LineKind::kTwo;
}

FixedLine Fit(const LineSpec& spec) {
  FixedLine line;
  const Multiplier m = spec.multiplier;
  const int64_t low = spec.middle - spec.reach, high = spec.middle + spec.reach;
  const int64_t end = std::max(std::abs(low), std::abs(high));
  if (m.shift > 0 || end >= int64_t{1} << 31) return line;
  const auto at = [&](int64_t x) {
    const int32_t y = MultiplyByQuantizedMultiplier(static_cast<int32_t>(x), m);
    return std::clamp(y, spec.positive ? 0 : -256, 256);
  };
  if (at(low) == at(high)) {  // 0 above all, and what a dead channel gives
    line.add = static_cast<float>(std::abs(at(low))) + 0.5f;
    line.kind = LineKind::kOne;
    return line;
  }
  if (end >= int64_t{1} << 30) return line;
  const auto bound = static_cast<double>(end);
  const auto most = static_cast<size_t>(spec.most);
  Steps steps;
  FindSteps(m.multiplier, -m.shift, bound, most, &steps);
  if (!steps.clear) return line;
  FitOne(steps, std::ldexp(m.multiplier, m.shift - 31), bound, most, &line.scale, &line.rest,
         &line.add, &line.kind);
  return line;
}
bool Uses() { return true; }

#else

FixedLine Fit(const LineSpec& /*spec*/) { return {}; }
bool Uses() { return false; }

#endif  // HWY_AVX3

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Fit);
HWY_EXPORT(Uses);

}  // namespace

FixedLine FitLine(const LineSpec& spec) { return HWY_DYNAMIC_DISPATCH(Fit)(spec); }
bool UsesLines() { return HWY_DYNAMIC_DISPATCH(Uses)(); }

void FixedLines::Add(const FixedLine& line) {
  scale.push_back(line.scale);
  rest.push_back(line.rest);
  add.push_back(line.add);
  kind.push_back(line.kind);
}

int64_t FixedLineTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
