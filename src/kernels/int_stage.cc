#include "kernels/int_stage.h"

#include <algorithm>
#include <cstring>

#include "base/fixed_point.h"
#include "kernels/int_tile.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/int_stage.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// The part of the result that one call makes, and its place in the whole.
struct Part {
  const IntStage& s;
  size_t m, n, rows, columns;  // with first_row and first_column

  template <typename Out>
  Out* At(size_t r, size_t c) const {
    return static_cast<Out*>(s.out) + (m + r) * s.stride + n + c;
  }
};

// Any kind but kFloat, element by element. Sum is int32_t or int64_t.
template <typename Sum, typename Out>
void RunPlain(const Part& p, const Sum* sums) {
  const IntStage& s = p.s;
  for (size_t r = 0; r < p.rows; ++r) {
    for (size_t c = 0; c < p.columns; ++c) {
      const size_t n = p.n + c;
      auto sum = static_cast<uint64_t>(int64_t{sums[r * kIntTileColumns + c]});
      if (s.wide_bias != nullptr) sum += static_cast<uint64_t>(s.wide_bias[n]);
      const auto x = static_cast<int64_t>(sum);
      int32_t scaled = 0;
      if (s.kind == IntStage::Kind::kFixed) {
        scaled = MultiplyByQuantizedMultiplier(static_cast<int32_t>(x), s.multiplier[n],
                                               s.left_shift[n] - s.right_shift[n]);
      } else if (s.kind == IntStage::Kind::kWide) {
        scaled = MultiplyByQuantizedMultiplier(x, s.multiplier[n], 15 - s.right_shift[n]);
      } else {
        scaled = RoundToInt32(static_cast<double>(x) * s.factor[n]);
      }
      const auto shifted =
          static_cast<int32_t>(static_cast<uint32_t>(scaled) + static_cast<uint32_t>(s.zero_point));
      *p.At<Out>(r, c) = static_cast<Out>(std::clamp(shifted, s.low, s.high));
    }
  }
}

template <typename Sum>
void RunPlainOf(const Part& p, const Sum* sums) {
  switch (p.s.type) {
    case IntStage::Out::kInt8:
      return RunPlain<Sum, int8_t>(p, sums);
    case IntStage::Out::kUint8:
      return RunPlain<Sum, uint8_t>(p, sums);
    default:
      return RunPlain<Sum, int16_t>(p, sums);
  }
}

#if HWY_TARGET == HWY_SCALAR

void RunFloat(const Part& p, const int32_t* sums) {
  const IntStage& s = p.s;
  for (size_t r = 0; r < p.rows; ++r) {
    const size_t row = (p.m + r) / s.positions;
    const int32_t zero = s.row_zero == nullptr ? 0 : s.row_zero[row];
    for (size_t c = 0; c < p.columns; ++c) {
      const size_t n = p.n + c;
      auto x = static_cast<uint32_t>(sums[r * kIntTileColumns + c]);
      if (zero != 0) x -= static_cast<uint32_t>(zero) * static_cast<uint32_t>(s.column_sum[n]);
      auto value = static_cast<float>(static_cast<int32_t>(x));
      if (s.column_scale == nullptr) {
        value *= s.row_scale[row];
      } else if (s.columns_first) {
        value = value * s.column_scale[n] * s.row_scale[row];
      } else {
        value *= s.column_scale[n] * s.row_scale[row];
      }
      if (s.bias != nullptr) value += s.bias[n];
      *p.At<float>(r, c) = std::min(std::max(value, s.float_low), s.float_high);
    }
  }
}

void RunStage(const IntStage& s, size_t m, size_t n, size_t rows, size_t columns,
              const int32_t* sums) {
  const Part p{s, s.first_row + m, s.first_column + n, rows, columns};
  s.kind == IntStage::Kind::kFloat ? RunFloat(p, sums) : RunPlainOf(p, sums);
}

#else

using hwy::HWY_NAMESPACE::Lanes;
using D64 = hn::RepartitionToWide<D32>;
using V64 = hn::Vec<D64>;

// The first `count` numbers of a vector; T is the output's type.
template <typename T>
HWY_INLINE void StoreCount(hn::Vec<hn::Rebind<T, D32> > v, T* to, size_t count) {
  const hn::Rebind<T, D32> d;
  if (count == Lanes(d)) return hn::StoreU(v, d, to);
  HWY_ALIGN T lanes[kIntPanel];
  hn::Store(v, d, lanes);
  const T* from = lanes;
  for (size_t step : {size_t{8}, size_t{4}, size_t{2}, size_t{1}}) {
    if ((count & step) == 0) continue;
    std::memcpy(to, from, step * sizeof(T));
    to += step;
    from += step;
  }
}

// For each vector of columns prepares `Step(part, column)` and applies it to all rows, so that the
// columns' constants stay in registers.
template <typename Step, typename Out>
HWY_INLINE void ForRows(const Part& p, const int32_t* sums) {
  const D32 d;
  const auto low = hn::Set(d, p.s.low), high = hn::Set(d, p.s.high);
  for (size_t c = 0; c < p.columns; c += Lanes(d)) {
    const Step step(p.s, p.n + c);
    const size_t count = std::min(Lanes(d), p.columns - c);
    const int32_t* from = sums + c;
    Out* to = p.At<Out>(0, c);
    const hn::Rebind<Out, D32> d_out;
    for (size_t r = 0; r < p.rows; ++r, from += kIntTileColumns, to += p.s.stride) {
      const V32 x = hn::Min(hn::Max(step.Apply(hn::LoadU(d, from)), low), high);
      StoreCount<Out>(hn::DemoteTo(d_out, x), to, count);
    }
  }
}

// kFixed for any multiplier.
struct FixedStep {
  V32 multiplier, left, right, zero;

  HWY_INLINE FixedStep(const IntStage& s, size_t n)
      : multiplier(hn::LoadU(D32(), s.multiplier + n)),
        left(hn::LoadU(D32(), s.left_shift + n)),
        right(hn::LoadU(D32(), s.right_shift + n)),
        zero(hn::Set(D32(), s.zero_point)) {}
  HWY_INLINE V32 Apply(V32 x) const {
    return hn::Add(Requantize(D32(), x, multiplier, left, right), zero);
  }
};

// kFixed where IntStage::bounded holds. The second rounding, ties away from zero, is
// (high + 2^(right - 1) - (high < 0)) >> right; x < 0 may stand for high < 0, because high = 0
// gives 0 either way. The zero point joins the constant.
struct BoundedStep {
  V32 multiplier, odd_multiplier, right, half;

  HWY_INLINE BoundedStep(const IntStage& s, size_t n) {
    const D32 d;
    multiplier = hn::LoadU(d, s.multiplier + n);
    odd_multiplier = hn::DupOdd(multiplier);
    right = hn::LoadU(d, s.right_shift + n);
    const V32 one = hn::Set(d, 1);
    half = hn::Add(hn::Shl(one, hn::Sub(right, one)), hn::Shl(hn::Set(d, s.zero_point), right));
  }
  HWY_INLINE V32 Apply(V32 x) const {
    const D32 d;
    const hn::RepartitionToWide<D32> d64;
    const hn::RebindToUnsigned<D64> du64;
    const auto nudge = hn::Set(du64, uint64_t{1} << 30);
    const auto even = hn::Add(hn::BitCast(du64, hn::MulEven(x, multiplier)), nudge);
    const auto odd = hn::Add(hn::BitCast(du64, hn::MulEven(hn::DupOdd(x), odd_multiplier)), nudge);
    const V32 high = hn::OddEven(hn::BitCast(d, hn::ShiftLeft<1>(odd)),
                                 hn::BitCast(d, hn::ShiftRight<31>(even)));
    static_cast<void>(d64);
    return hn::Shr(hn::Add(high, hn::Add(half, hn::ShiftRight<31>(x))), right);
  }
};

// The two multiplications, additions and shifts of one rounding, on 64-bit lanes.
struct WideParts {
  V32 multiplier, odd_multiplier;
  V64 even_half, odd_half, even_shift, odd_shift;

  // Written out, because an implicit constructor lacks the target's attributes (GCC, AArch64).
  HWY_INLINE WideParts() {}
  HWY_INLINE V32 Apply(V32 x) const {
    const D32 d;
    const V64 even = hn::Shr(hn::Add(hn::MulEven(x, multiplier), even_half), even_shift);
    const V64 odd =
        hn::Shr(hn::Add(hn::MulEven(hn::DupOdd(x), odd_multiplier), odd_half), odd_shift);
    return hn::OddEven(hn::BitCast(d, hn::ShiftLeft<32>(odd)), hn::BitCast(d, even));
  }
};

// The even and odd lanes of unsigned 32-bit numbers, in 64 bits.
HWY_INLINE V64 EvenLanes(V32 v) {
  const D64 d;
  return hn::And(hn::BitCast(d, v), hn::Set(d, int64_t{0xffffffff}));
}
HWY_INLINE V64 OddLanes(V32 v) {
  const hn::RebindToUnsigned<D64> du;
  return hn::BitCast(D64(), hn::ShiftRight<32>(hn::BitCast(du, v)));
}

// kWide where the sums with their bias fit 32 bits.
struct WideStep {
  WideParts parts;
  V32 zero;

  HWY_INLINE WideStep(const IntStage& s, size_t n) : zero(hn::Set(D32(), s.zero_point)) {
    const D32 d;
    const D64 d64;
    const V32 full = hn::LoadU(d, s.multiplier + n);
    // base/fixed_point.h's reduction to 16 bits.
    const V32 limit = hn::Set(d, 0x7fff0000);
    const V32 rounded = hn::ShiftRight<16>(hn::Add(hn::Min(full, limit), hn::Set(d, 1 << 15)));
    parts.multiplier = hn::IfThenElse(hn::Lt(full, limit), rounded, hn::Set(d, 0x7fff));
    parts.odd_multiplier = hn::DupOdd(parts.multiplier);
    const V32 shift = hn::LoadU(d, s.right_shift + n);
    parts.even_shift = EvenLanes(shift);
    parts.odd_shift = OddLanes(shift);
    const V64 one = hn::Set(d64, 1);
    parts.even_half = hn::Shl(one, hn::Sub(parts.even_shift, one));
    parts.odd_half = hn::Shl(one, hn::Sub(parts.odd_shift, one));
  }
  HWY_INLINE V32 Apply(V32 x) const { return hn::Add(parts.Apply(x), zero); }
};

// kDouble where every factor is below 1, so that the product fits 32 bits. Rounding as std::round:
// the largest number below 0.5 is added with the product's sign, and the fraction dropped.
struct DoubleStep {
  using DF = hn::Repartition<double, D32>;
  using DHalf = hn::Half<D32>;
  hn::Vec<DF> low_factor, high_factor;
  V32 zero;

  HWY_INLINE DoubleStep(const IntStage& s, size_t n)
      : low_factor(hn::LoadU(DF(), s.factor + n)),
        high_factor(hn::LoadU(DF(), s.factor + n + Lanes(DF()))),
        zero(hn::Set(D32(), s.zero_point)) {}
  static HWY_INLINE hn::Vec<DHalf> Round(hn::Vec<DF> x) {
    const DF d;
    const auto half = hn::CopySignToAbs(hn::Set(d, 0.49999999999999994), x);
    return hn::DemoteTo(DHalf(), hn::Add(x, half));
  }
  HWY_INLINE V32 Apply(V32 x) const {
    const D32 d;
    const DHalf dh;
    const DF df;
    const auto low = Round(hn::Mul(hn::PromoteTo(df, hn::LowerHalf(dh, x)), low_factor));
    const auto high = Round(hn::Mul(hn::PromoteTo(df, hn::UpperHalf(dh, x)), high_factor));
    return hn::Add(hn::Combine(d, high, low), zero);
  }
};

void RunFloat(const Part& p, const int32_t* sums) {
  const D32 d;
  const hn::Rebind<float, D32> df;
  const IntStage& s = p.s;
  const auto low = hn::Set(df, s.float_low), high = hn::Set(df, s.float_high);
  for (size_t r = 0; r < p.rows; ++r) {
    const size_t row = s.positions == 1 ? p.m + r : (p.m + r) / s.positions;
    const auto row_scale = hn::Set(df, s.row_scale[row]);
    const int32_t zero = s.row_zero == nullptr ? 0 : s.row_zero[row];
    for (size_t c = 0; c < p.columns; c += Lanes(d)) {
      const size_t n = p.n + c;
      V32 x = hn::LoadU(d, sums + r * kIntTileColumns + c);
      if (zero != 0) {
        x = hn::Sub(x, hn::Mul(hn::Set(d, zero), hn::LoadU(d, s.column_sum + n)));
      }
      auto value = hn::ConvertTo(df, x);
      if (s.column_scale == nullptr) {
        value = hn::Mul(value, row_scale);
      } else if (s.columns_first) {
        value = hn::Mul(hn::Mul(value, hn::LoadU(df, s.column_scale + n)), row_scale);
      } else {
        value = hn::Mul(value, hn::Mul(hn::LoadU(df, s.column_scale + n), row_scale));
      }
      if (s.bias != nullptr) value = hn::Add(value, hn::LoadU(df, s.bias + n));
      // Max and Min would lose a NaN on some instruction sets.
      value = hn::IfThenElse(hn::Lt(value, low), low, value);
      value = hn::IfThenElse(hn::Gt(value, high), high, value);
      StoreCount<float>(value, p.At<float>(r, c), std::min(Lanes(d), p.columns - c));
    }
  }
}

template <typename Out>
void RunInteger(const Part& p, const int32_t* sums) {
  switch (p.s.kind) {
    case IntStage::Kind::kFixed:
      return p.s.bounded ? ForRows<BoundedStep, Out>(p, sums) : ForRows<FixedStep, Out>(p, sums);
    case IntStage::Kind::kWide:
      return ForRows<WideStep, Out>(p, sums);
    default:
#if HWY_HAVE_FLOAT64
      if (p.s.bounded) return ForRows<DoubleStep, Out>(p, sums);
#endif
      return RunPlain<int32_t, Out>(p, sums);
  }
}

void RunStage(const IntStage& s, size_t m, size_t n, size_t rows, size_t columns,
              const int32_t* sums) {
  const Part p{s, s.first_row + m, s.first_column + n, rows, columns};
  if (s.kind == IntStage::Kind::kFloat) return RunFloat(p, sums);
  if (s.wide_bias != nullptr) return RunPlainOf(p, sums);
  switch (s.type) {
    case IntStage::Out::kInt8:
      return RunInteger<int8_t>(p, sums);
    case IntStage::Out::kUint8:
      return RunInteger<uint8_t>(p, sums);
    default:
      return RunInteger<int16_t>(p, sums);
  }
}

#endif  // HWY_SCALAR

void RunWideStage(const IntStage& s, size_t m, size_t n, size_t rows, size_t columns,
                  const int64_t* sums) {
  RunPlainOf(Part{s, s.first_row + m, s.first_column + n, rows, columns}, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(RunStage);
HWY_EXPORT(RunWideStage);

}  // namespace

void RunIntStage(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                 const int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(RunStage)(stage, m, n, rows, columns, sums);
}

void RunIntStage(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                 const int64_t* sums) {
  HWY_DYNAMIC_DISPATCH(RunWideStage)(stage, m, n, rows, columns, sums);
}

int64_t IntStageTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
