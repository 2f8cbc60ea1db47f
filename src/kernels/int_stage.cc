#include "kernels/int_stage.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/fixed_point.h"
#include "kernels/int_stage_neon.h"
#include "kernels/int_tile.h"
// NEON of 32 bits has no vectors of doubles.
#if defined(__arm__)
#define HWY_DISABLED_TARGETS HWY_NEON
#endif
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

// The first `count` numbers of a vector; T is the output's type. Copies have constant sizes: a call
// would put every constant of the loop around it on the stack.
template <typename T>
HWY_INLINE void StorePart(hn::Vec<hn::Rebind<T, D32> > v, T* to, size_t count) {
  const hn::Rebind<T, D32> d;
  HWY_ALIGN T lanes[kIntPanel];
  hn::Store(v, d, lanes);
  const T* from = lanes;
  if ((count & 8) != 0) {
    std::memcpy(to, from, 8 * sizeof(T));
    to += 8;
    from += 8;
  }
  if ((count & 4) != 0) {
    std::memcpy(to, from, 4 * sizeof(T));
    to += 4;
    from += 4;
  }
  if ((count & 2) != 0) {
    std::memcpy(to, from, 2 * sizeof(T));
    to += 2;
    from += 2;
  }
  if ((count & 1) != 0) *to = *from;
}

#if HWY_TARGET == HWY_AVX3
// Four rows of 16 bytes: two packs and one permutation for all of them where each row alone takes
// three. Saturates.
template <typename Out>
HWY_INLINE void StoreFourRows(const V32* x, Out* to, size_t stride) {
  const __m512i low = _mm512_packs_epi32(x[0].raw, x[1].raw);
  const __m512i high = _mm512_packs_epi32(x[2].raw, x[3].raw);
  const __m512i packed =
      std::is_same_v<Out, int8_t> ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i rows = _mm512_permutexvar_epi32(order, packed);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_castsi512_si128(rows));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + stride), _mm512_extracti32x4_epi32(rows, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * stride), _mm512_extracti32x4_epi32(rows, 2));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 3 * stride), _mm512_extracti32x4_epi32(rows, 3));
}
#endif

// One vector of columns in all rows. kClamp: the limits are narrower than the type's.
template <typename Step, typename Out, bool kClamp>
HWY_INLINE void ForFullRows(const Step& step, const IntStage& s, size_t rows, const int32_t* from,
                            Out* to) {
  const D32 d;
  const hn::Rebind<Out, D32> d_out;
  const V32 low = hn::Set(d, s.low), high = hn::Set(d, s.high);
  const size_t stride = s.stride;
  const auto value = [&](const int32_t* p) HWY_ATTR {
    const V32 x = step.Apply(hn::LoadU(d, p));
    return kClamp ? hn::Min(hn::Max(x, low), high) : x;
  };
  size_t r = 0;
#if HWY_TARGET == HWY_AVX3
  if constexpr (sizeof(Out) == 1) {
    for (; r + 4 <= rows; r += 4, from += 4 * kIntTileColumns, to += 4 * stride) {
      const V32 x[4] = {value(from), value(from + kIntTileColumns),
                        value(from + 2 * kIntTileColumns), value(from + 3 * kIntTileColumns)};
      StoreFourRows(x, to, stride);
    }
  }
#endif
  for (; r < rows; ++r, from += kIntTileColumns, to += stride) {
    hn::StoreU(hn::DemoteTo(d_out, value(from)), d_out, to);
  }
}

template <typename Step, typename Out>
HWY_INLINE void ForPartRows(const Step& step, const IntStage& s, size_t rows, size_t count,
                            const int32_t* from, Out* to) {
  const D32 d;
  const hn::Rebind<Out, D32> d_out;
  const V32 low = hn::Set(d, s.low), high = hn::Set(d, s.high);
  const size_t stride = s.stride;
  for (size_t r = 0; r < rows; ++r, from += kIntTileColumns, to += stride) {
    const V32 x = hn::Min(hn::Max(step.Apply(hn::LoadU(d, from)), low), high);
    StorePart<Out>(hn::DemoteTo(d_out, x), to, count);
  }
}

// One vector of columns, `step` prepared for them.
template <typename Step, typename Out>
HWY_INLINE void ForColumns(const Part& p, size_t c, const int32_t* sums) {
  const D32 d;
  const bool clamp =
      p.s.low > std::numeric_limits<Out>::min() || p.s.high < std::numeric_limits<Out>::max();
  const Step step(p.s, p.n + c);
  Out* to = p.At<Out>(0, c);
  if (p.columns - c < Lanes(d)) {
    ForPartRows<Step, Out>(step, p.s, p.rows, p.columns - c, sums + c, to);
  } else if (clamp) {
    ForFullRows<Step, Out, true>(step, p.s, p.rows, sums + c, to);
  } else {
    ForFullRows<Step, Out, false>(step, p.s, p.rows, sums + c, to);
  }
}

// For each vector of columns prepares `Step(stage, column)` and applies it to all rows, so that the
// columns' constants stay in registers.
template <typename Step, typename Out>
void ForRows(const Part& p, const int32_t* sums) {
  for (size_t c = 0; c < p.columns; c += Lanes(D32())) ForColumns<Step, Out>(p, c, sums);
}

// The even and odd lanes of unsigned 32-bit numbers, in 64 bits.
HWY_INLINE V64 EvenLanes(V32 v) {
  const D64 d;
  return hn::And(hn::BitCast(d, v), hn::Set(d, int64_t{0xffffffff}));
}
HWY_INLINE V64 OddLanes(V32 v) {
  const hn::RebindToUnsigned<D64> du;
  return hn::BitCast(D64(), hn::ShiftRight<32>(hn::BitCast(du, v)));
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

#if HWY_TARGET == HWY_AVX3

#include "kernels/line_avx512-inl.h"

// kFixed by lines.
template <bool kPositive, bool kTwo>
struct LineStep {
  Line<kTwo> line;
  V32 zero;

  HWY_INLINE LineStep(const IntStage& s, size_t n)
      : line(LoadLine<kTwo>(s.lines->scale.data() + n, s.lines->rest.data() + n,
                            s.lines->add.data() + n)),
        zero(hn::Set(D32(), s.zero_point)) {}
  HWY_INLINE V32 Apply(V32 x) const {
    return hn::Add(V32{ApplyLine<kPositive>(line, x.raw)}, zero);
  }
};

// The kind that serves all columns of a vector.
HWY_INLINE LineKind KindOf(const LineKind* kinds) {
  const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kinds));
  if (_mm_cmpeq_epi8_mask(v, _mm_setzero_si128()) != 0) return LineKind::kNone;
  const __m128i two = _mm_set1_epi8(static_cast<char>(LineKind::kTwo));
  return _mm_cmpeq_epi8_mask(v, two) != 0 ? LineKind::kTwo : LineKind::kOne;
}

template <bool kPositive, typename Out>
void ForLines(const Part& p, const int32_t* sums) {
  for (size_t c = 0; c < p.columns; c += kIntPanel) {
    switch (KindOf(p.s.lines->kind.data() + p.n + c)) {
      case LineKind::kOne:
        ForColumns<LineStep<kPositive, false>, Out>(p, c, sums);
        break;
      case LineKind::kTwo:
        ForColumns<LineStep<kPositive, true>, Out>(p, c, sums);
        break;
      default:
        p.s.bounded ? ForColumns<BoundedStep, Out>(p, c, sums)
                    : ForColumns<FixedStep, Out>(p, c, sums);
    }
  }
}
#endif

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

// Rows [begin, end) that share a row scale: what does not change from row to row is made once for
// every vector of columns.
void RunFloatRows(const Part& p, size_t begin, size_t end, const int32_t* sums) {
  const D32 d;
  const hn::Rebind<float, D32> df;
  const IntStage& s = p.s;
  const size_t row = (p.m + begin) / s.positions, stride = s.stride;
  const auto low = hn::Set(df, s.float_low), high = hn::Set(df, s.float_high);
  const auto row_scale = hn::Set(df, s.row_scale[row]);
  const V32 zero = hn::Set(d, s.row_zero == nullptr ? 0 : s.row_zero[row]);
  const bool twice = s.column_scale != nullptr && s.columns_first, has_bias = s.bias != nullptr;
  for (size_t c = 0; c < p.columns; c += Lanes(d)) {
    const size_t n = p.n + c, count = std::min(Lanes(d), p.columns - c);
    const V32 correction = hn::Mul(zero, hn::LoadU(d, s.column_sum + n));
    auto scale = row_scale;
    if (s.column_scale != nullptr) {
      scale = hn::LoadU(df, s.column_scale + n);
      if (!twice) scale = hn::Mul(scale, row_scale);
    }
    const auto bias = has_bias ? hn::LoadU(df, s.bias + n) : hn::Zero(df);
    const int32_t* from = sums + begin * kIntTileColumns + c;
    float* to = p.At<float>(begin, c);
    for (size_t r = begin; r < end; ++r, from += kIntTileColumns, to += stride) {
      auto value = hn::Mul(hn::ConvertTo(df, hn::Sub(hn::LoadU(d, from), correction)), scale);
      if (twice) value = hn::Mul(value, row_scale);
      if (has_bias) value = hn::Add(value, bias);
#if HWY_ARCH_X86  // NaN stays NaN: x86 takes the second operand
      value = hn::Min(high, hn::Max(low, value));
#else
      value = hn::IfThenElse(hn::Lt(value, low), low, value);
      value = hn::IfThenElse(hn::Gt(value, high), high, value);
#endif
      if (count == Lanes(d)) {
        hn::StoreU(value, df, to);
      } else {
        StorePart<float>(value, to, count);
      }
    }
  }
}

void RunFloat(const Part& p, const int32_t* sums) {
  for (size_t r = 0; r < p.rows;) {
    const size_t rest = p.s.positions - (p.m + r) % p.s.positions;
    const size_t end = r + std::min(rest, p.rows - r);
    RunFloatRows(p, r, end, sums);
    r = end;
  }
}

template <typename Out>
void RunInteger(const Part& p, const int32_t* sums) {
  switch (p.s.kind) {
    case IntStage::Kind::kFixed:
#if HWY_TARGET == HWY_AVX3
      if constexpr (sizeof(Out) == 1) {
        if (p.s.lines != nullptr) {
          return p.s.low >= p.s.zero_point ? ForLines<true, Out>(p, sums)
                                           : ForLines<false, Out>(p, sums);
        }
      }
#endif
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
#if defined(__ARM_NEON)
  if (stage.kind == IntStage::Kind::kFixed && stage.wide_bias == nullptr) {
    return RunFixedStageNeon(stage, m, n, rows, columns, sums);
  }
#endif
  HWY_DYNAMIC_DISPATCH(RunStage)(stage, m, n, rows, columns, sums);
}

void RunIntStage(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                 const int64_t* sums) {
  HWY_DYNAMIC_DISPATCH(RunWideStage)(stage, m, n, rows, columns, sums);
}

int64_t IntStageTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
