// Fixed-point requantization of int32 sums and their store, the bits of base/fixed_point.h's
// MultiplyByQuantizedMultiplier. Included once per instruction set.

#if defined(LITESMITH_KERNELS_REQUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LITESMITH_KERNELS_REQUANTIZE_INL_H_
#undef LITESMITH_KERNELS_REQUANTIZE_INL_H_
#else
#define LITESMITH_KERNELS_REQUANTIZE_INL_H_
#endif

#include <algorithm>

#include "base/fixed_point.h"
#include "hwy/highway.h"
#include "kernels/gemm_s16.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR  // which has no neighbouring lanes

namespace hn = hwy::HWY_NAMESPACE;

// round(a * b / 2^31), ties upward: for b >= 0 what gemmlowp's nudged, truncating division gives.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V RoundingHighMul(D d, V a, V b) {
  const hn::RepartitionToWide<D> d64;
  const hn::RebindToUnsigned<decltype(d64)> du64;
  const auto half = hn::Set(du64, uint64_t{1} << 30);
  const auto even = hn::Add(hn::BitCast(du64, hn::MulEven(a, b)), half);
  const auto odd = hn::Add(hn::BitCast(du64, hn::MulEven(hn::DupOdd(a), hn::DupOdd(b))), half);
  // Bits 31 to 62 of each product: moved down for the even lanes, one up for the odd ones.
  return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<1>(odd)),
                     hn::BitCast(d, hn::ShiftRight<31>(even)));
}

// floor(a * b / 2^31).
template <class D, class V = hn::Vec<D>>
HWY_INLINE V FlooringHighMul(D d, V a, V b) {
  const hn::RebindToUnsigned<hn::RepartitionToWide<D>> du64;
  const auto even = hn::BitCast(du64, hn::MulEven(a, b));
  const auto odd = hn::BitCast(du64, hn::MulEven(hn::DupOdd(a), hn::DupOdd(b)));
  return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<1>(odd)),
                     hn::BitCast(d, hn::ShiftRight<31>(even)));
}

// REQUIRES: multiplier >= 0, shifts in [0, 31].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Requantize(D d, V x, V multiplier, V left_shift, V right_shift) {
  const V high = RoundingHighMul(d, hn::Shl(x, left_shift), multiplier);
  const V one = hn::Set(d, 1);
  const V mask = hn::Sub(hn::Shl(one, right_shift), one);
  const V remainder = hn::And(high, mask);
  const V negative = hn::IfThenElseZero(hn::Lt(high, hn::Zero(d)), one);
  const V threshold = hn::Add(hn::ShiftRight<1>(mask), negative);
  const V up = hn::IfThenElseZero(hn::Gt(remainder, threshold), one);
  return hn::Add(hn::Shr(high, right_shift), up);
}

using D32 = hn::CappedTag<int32_t, kGemmS16Panel>;
using V32 = hn::Vec<D32>;

#endif  // HWY_SCALAR

#if HWY_TARGET == HWY_SCALAR

template <typename Out>
void StoreRow(const S16FixedPoint& f, size_t at, size_t n, const int32_t* sums, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint32_t x = static_cast<uint32_t>(sums[i]);
    if (f.bias != nullptr) x += static_cast<uint32_t>(f.bias[n + i]);
    const int shift = f.left_shift[n + i] - f.right_shift[n + i];
    const int32_t scaled =
        MultiplyByQuantizedMultiplier(static_cast<int32_t>(x), f.multiplier[n + i], shift);
    const auto shifted =
        static_cast<int32_t>(static_cast<uint32_t>(scaled) + static_cast<uint32_t>(f.zero_point));
    static_cast<Out*>(f.out)[at + i] = static_cast<Out>(std::clamp(shifted, f.low, f.high));
  }
}

#else

template <typename Out>
HWY_INLINE void Store(V32 v, Out* out, size_t count) {
  const D32 d;
  if (count == hn::Lanes(d)) {
    const hn::Rebind<Out, D32> d_out;
    hn::StoreU(hn::DemoteTo(d_out, v), d_out, out);
    return;
  }
  HWY_ALIGN int32_t lanes[kGemmS16Panel];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<Out>(lanes[i]);
}

template <typename Out>
void StoreRow(const S16FixedPoint& f, size_t at, size_t n, const int32_t* sums, size_t count) {
  const D32 d;
  const size_t lanes = hn::Lanes(d);
  const auto zero = hn::Set(d, f.zero_point), low = hn::Set(d, f.low), high = hn::Set(d, f.high);
  for (size_t i = 0; i < count; i += lanes) {
    V32 x = hn::LoadU(d, sums + i);
    if (f.bias != nullptr) x = hn::Add(x, hn::LoadU(d, f.bias + n + i));
    x = Requantize(d, x, hn::LoadU(d, f.multiplier + n + i), hn::LoadU(d, f.left_shift + n + i),
                   hn::LoadU(d, f.right_shift + n + i));
    x = hn::Min(hn::Max(hn::Add(x, zero), low), high);
    Store(x, static_cast<Out*>(f.out) + at + i, std::min(lanes, count - i));
  }
}

#endif  // HWY_SCALAR

// One row of sums, requantized and stored.
inline void StoreFixedPoint(const S16FixedPoint& f, size_t m, size_t n, const int32_t* sums,
                            size_t count) {
  const size_t at = m * f.stride + n;
  switch (f.type) {
    case S16FixedPoint::Type::kInt8:
      return StoreRow<int8_t>(f, at, n, sums, count);
    case S16FixedPoint::Type::kUint8:
      return StoreRow<uint8_t>(f, at, n, sums, count);
    case S16FixedPoint::Type::kInt16:
      return StoreRow<int16_t>(f, at, n, sums, count);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
