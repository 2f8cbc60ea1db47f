#include "kernels/table_int16.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/table_int16.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<int32_t, 16>;
using D16 = hn::Rebind<int16_t, D>;
using V = hn::Vec<D>;

#if HWY_TARGET != HWY_SCALAR

// Entries [index] (low half) and [index + 1] (high half) of a table of 16-bit numbers: one gather,
// since it loads 32 bits.
V Pairs(const void* table, V index) {
  const D d;
  return hn::GatherOffset(d, static_cast<const int32_t*>(table), hn::ShiftLeft<1>(index));
}

// The low half with its sign.
V SignedLow(V pairs) { return hn::ShiftRight<16>(hn::ShiftLeft<16>(pairs)); }
V UnsignedLow(V pairs) { return hn::And(pairs, hn::Set(D(), 0xffff)); }
V UnsignedHigh(V pairs) {
  const D d;
  const hn::RebindToUnsigned<D> du;
  return hn::BitCast(d, hn::ShiftRight<16>(hn::BitCast(du, pairs)));
}

// Whole vectors; how many numbers they were.
template <typename F>
size_t ForVectors(const int16_t* in, size_t count, int16_t* out, const F& f) {
  const D d;
  const D16 d16;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const V y = f(hn::PromoteTo(d, hn::LoadU(d16, in + i)));
    // Results are within 16 bits or wrap as the reference's do.
    hn::StoreU(hn::DemoteTo(d16, SignedLow(y)), d16, out + i);
  }
  return i;
}

#endif  // HWY_TARGET != HWY_SCALAR

void Lookup(const int16_t* in, size_t count, const int16_t* table, int16_t* out) {
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const D d;
  const V fraction = hn::Set(d, 0x7f), half = hn::Set(d, 64), middle = hn::Set(d, 256);
  i = ForVectors(in, count, out, [&](V x) HWY_ATTR {
    const V pairs = Pairs(table, hn::Add(hn::ShiftRight<7>(x), middle));
    const V base = SignedLow(pairs);
    // The difference wraps to 16 bits.
    const V slope = SignedLow(hn::Sub(hn::ShiftRight<16>(pairs), base));
    const V delta = hn::ShiftRight<7>(hn::Add(hn::Mul(slope, hn::And(x, fraction)), half));
    return hn::Add(base, delta);
  });
#endif
  for (; i < count; ++i) out[i] = reference::Lookup16(in[i], table);
}

#if HWY_TARGET != HWY_SCALAR

// reference::SigmoidScale.
struct Position {
  V multiplier, round;
  int shift;

  explicit Position(reference::SigmoidScale s)
      : multiplier(hn::Set(D(), s.multiplier)),
        round(hn::Set(D(), s.shift > 0 ? static_cast<int32_t>(1u << (s.shift - 1)) : 0)),
        shift(s.shift) {}
  V operator()(V x) const {
    return hn::ShiftRightSame(hn::Add(hn::Mul(x, multiplier), round), shift);
  }
};

// The table at |position| with kBits fractional bits, times 2^kBits; `end` from its end on.
template <int kBits>
V Interpolate(const uint16_t* table, V magnitude, int32_t end) {
  const D d;
  // A magnitude of 2^31 is negative here, but its index is not.
  const hn::RebindToUnsigned<D> du;
  const V index = hn::BitCast(d, hn::ShiftRight<kBits>(hn::BitCast(du, magnitude)));
  const V last = hn::Set(d, 254);
  const V pairs = Pairs(table, hn::Min(index, last));
  const V low = UnsignedLow(pairs), high = UnsignedHigh(pairs);
  const V rest = hn::And(magnitude, hn::Set(d, (1 << kBits) - 1));
  const V value = hn::Add(hn::ShiftLeft<kBits>(low), hn::Mul(rest, hn::Sub(high, low)));
  return hn::IfThenElse(hn::Gt(index, last), hn::Set(d, end), value);
}

#endif  // HWY_TARGET != HWY_SCALAR

void LogisticRow(const int16_t* in, size_t count, reference::SigmoidScale scale, int16_t* out) {
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const D d;
  const Position position(scale);
  const V half = hn::Set(d, 1 << 9), mirror = hn::Set(d, (1 << 25) + (1 << 9) - 1);
  i = ForVectors(in, count, out, [&](V x) HWY_ATTR {
    const V at = position(x);
    const V y = Interpolate<9>(reference::kSigmoidTable, hn::Abs(at), 0x7fff << 10);
    const V result = hn::IfThenElse(hn::Lt(at, hn::Zero(d)), hn::Sub(mirror, y), hn::Add(y, half));
    return hn::ShiftRight<10>(result);
  });
#endif
  for (; i < count; ++i) out[i] = reference::LogisticInt16(in[i], scale);
}

void TanhRow(const int16_t* in, size_t count, reference::SigmoidScale scale, int16_t* out) {
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const D d;
  const Position position(scale);
  const V one = hn::Set(d, (1 << 23) - (1 << 7)), mirror = hn::Set(d, (1 << 23) + (1 << 7) - 1);
  i = ForVectors(in, count, out, [&](V x) HWY_ATTR {
    const V at = position(x);
    const V y = Interpolate<8>(reference::kSigmoidTable, hn::Abs(at), 0xffff << 8);
    const V result = hn::IfThenElse(hn::Lt(at, hn::Zero(d)), hn::Sub(mirror, y), hn::Sub(y, one));
    return hn::ShiftRight<8>(result);
  });
#endif
  for (; i < count; ++i) out[i] = reference::TanhInt16(in[i], scale);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Lookup);
HWY_EXPORT(LogisticRow);
HWY_EXPORT(TanhRow);

}  // namespace

void LookupRow16(const int16_t* in, size_t count, const Table16& table, int16_t* out) {
  HWY_DYNAMIC_DISPATCH(Lookup)(in, count, table.data(), out);
}

void SigmoidRow16(bool tanh, const int16_t* in, size_t count, reference::SigmoidScale scale,
                  int16_t* out) {
  if (tanh) return HWY_DYNAMIC_DISPATCH(TanhRow)(in, count, scale, out);
  HWY_DYNAMIC_DISPATCH(LogisticRow)(in, count, scale, out);
}

int64_t TableInt16Targets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
