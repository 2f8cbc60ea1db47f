#include "kernels/elementwise_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/reference/quantize.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/elementwise_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"
#include "kernels/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Calls step(a, b, out) for whole vectors of operands of type T, the rest through copies on the
// stack. A fixed operand is repeated.
template <size_t kLanes, typename T, typename Out, typename Step>
HWY_INLINE void ForVectors(const T* a, const T* b, const RowSteps& steps, Out* out,
                           const Step& step) {
  if (steps.count == 0) return;  // operands may be null
  T fixed_a[kLanes], fixed_b[kLanes];
  if (!steps.a_moves) std::fill_n(fixed_a, kLanes, *a);
  if (!steps.b_moves) std::fill_n(fixed_b, kLanes, *b);
  const size_t whole = steps.count / kLanes * kLanes, rest = steps.count - whole;
  if (steps.a_moves && steps.b_moves) {
    for (size_t i = 0; i < whole; i += kLanes) step(a + i, b + i, out + i);
  } else {
    for (size_t i = 0; i < whole; i += kLanes) {
      step(steps.a_moves ? a + i : fixed_a, steps.b_moves ? b + i : fixed_b, out + i);
    }
  }
  if (rest == 0) return;
  if (steps.a_moves) {
    std::fill_n(fixed_a, kLanes, T{});
    std::memcpy(fixed_a, a + whole, rest * sizeof(T));
  }
  if (steps.b_moves) {
    std::fill_n(fixed_b, kLanes, T{});
    std::memcpy(fixed_b, b + whole, rest * sizeof(T));
  }
  Out last[kLanes];
  step(fixed_a, fixed_b, last);
  std::memcpy(out + whole, last, rest * sizeof(Out));
}

template <RowOp op>
HWY_INLINE void FloatLoop(const float* a, const float* b, const RowSteps& steps, float low,
                          float high, float* out) {
  const hn::ScalableTag<float> d;
  ForVectors<hn::MaxLanes(decltype(d)())>(a, b, steps, out,
                                          [&](const float* x, const float* y, float* z) HWY_ATTR {
                                            const auto u = hn::LoadU(d, x), v = hn::LoadU(d, y);
                                            auto w = hn::Zero(d);
                                            if constexpr (op == RowOp::kAdd) w = hn::Add(u, v);
                                            if constexpr (op == RowOp::kSub) w = hn::Sub(u, v);
                                            if constexpr (op == RowOp::kMul) w = hn::Mul(u, v);
                                            hn::StoreU(Clamp(d, w, low, high), d, z);
                                          });
}

void FloatRows(RowOp op, const float* a, const float* b, const RowSteps& steps, float low,
               float high, float* out) {
  if (op == RowOp::kAdd) return FloatLoop<RowOp::kAdd>(a, b, steps, low, high, out);
  if (op == RowOp::kSub) return FloatLoop<RowOp::kSub>(a, b, steps, low, high, out);
  FloatLoop<RowOp::kMul>(a, b, steps, low, high, out);
}

#if HWY_TARGET == HWY_SCALAR

template <typename T, typename F>
void PlainRow(const F& f, const T* a, const T* b, const RowSteps& steps, T* out) {
  for (size_t i = 0; i < steps.count; ++i) {
    out[i] = f(steps.a_moves ? a[i] : *a, steps.b_moves ? b[i] : *b);
  }
}
template <typename T>
void Sum(const reference::QuantizedSum& f, const T* a, const T* b, const RowSteps& steps, T* out) {
  PlainRow(f, a, b, steps, out);
}
template <typename T>
void Product(const reference::QuantizedProduct& f, const T* a, const T* b, const RowSteps& steps,
             T* out) {
  PlainRow(f, a, b, steps, out);
}

#else

using DInt = hn::ScalableTag<int32_t>;
using VInt = hn::Vec<DInt>;

// A multiplier of at most 1 as constants: high product, then a right shift with ties away from
// zero.
struct Factor {
  VInt multiplier, nudge, sign_mask, shift;

  explicit HWY_INLINE Factor(const Multiplier& m) {
    const DInt d;
    const int right = -m.shift;
    multiplier = hn::Set(d, m.multiplier);
    nudge = hn::Set(d, right > 0 ? int32_t{1} << (right - 1) : 0);
    sign_mask = hn::Set(d, right > 0 ? -1 : 0);
    shift = hn::Set(d, right);
  }
  HWY_INLINE VInt operator()(VInt x) const {
    const VInt high = RoundingHighMul(DInt(), x, multiplier);
    const VInt sign = hn::And(hn::ShiftRight<31>(high), sign_mask);
    return hn::Shr(hn::Add(hn::Add(high, nudge), sign), shift);
  }
};

template <typename T>
HWY_INLINE VInt LoadWide(const T* p) {
  const DInt d;
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<T, DInt>(), p));
}
template <typename T>
HWY_INLINE void StoreClamped(VInt x, int32_t low, int32_t high, T* out) {
  const DInt d;
  x = hn::Min(hn::Max(x, hn::Set(d, low)), hn::Set(d, high));
  const hn::Rebind<T, DInt> d_out;
  hn::StoreU(hn::DemoteTo(d_out, x), d_out, out);
}

// The operand of the larger scale has the factor 1/2 exactly (see QuantizedSum): a shift less.
template <typename T, int kLeft, bool kHalfA, bool kHalfB>
HWY_INLINE void SumLoop(const reference::QuantizedSum& f, const T* a, const T* b,
                        const RowSteps& steps, T* out) {
  const DInt d;
  const Factor by_a(f.a), by_b(f.b), by_out(f.out);
  const VInt a_offset = hn::Set(d, f.a_offset), b_offset = hn::Set(d, f.b_offset);
  const VInt zero = hn::Set(d, f.out_offset);
  const VInt flip = hn::Set(d, f.subtract ? -1 : 0);
  ForVectors<hn::MaxLanes(DInt())>(a, b, steps, out, [&](const T* x, const T* y, T* z) HWY_ATTR {
    VInt u = hn::Add(LoadWide(x), a_offset), v = hn::Add(LoadWide(y), b_offset);
    u = kHalfA ? hn::ShiftLeft<kLeft - 1>(u) : by_a(hn::ShiftLeft<kLeft>(u));
    v = kHalfB ? hn::ShiftLeft<kLeft - 1>(v) : by_b(hn::ShiftLeft<kLeft>(v));
    const VInt sum = hn::Add(u, hn::Sub(hn::Xor(v, flip), flip));
    StoreClamped(hn::Add(by_out(sum), zero), f.low, f.high, z);
  });
}

template <typename T>
void ExactSum(const reference::QuantizedSum& f, const T* a, const T* b, const RowSteps& steps,
              T* out) {
  constexpr int kLeft = sizeof(T) == 2 ? 15 : 20;
  const auto half = [](const Multiplier& m) {
    return m.shift == 0 && m.multiplier == int32_t{1} << 30;
  };
  if (half(f.a)) return SumLoop<T, kLeft, true, false>(f, a, b, steps, out);
  if (half(f.b)) return SumLoop<T, kLeft, false, true>(f, a, b, steps, out);
  SumLoop<T, kLeft, false, false>(f, a, b, steps, out);
}

#if HWY_TARGET == HWY_AVX3

// The sum of int8 in float, a * a_scale + (b * b_scale + least), which is at most the real sum and
// a half, and that plus `spread`, which is at least as much. Each fixed-point operand is within 1
// of the real one, the high product of their sum within a half, and the last shift rounds: where
// both numbers have the same integer part, that is the result.
struct NearSum {
  float a_scale, b_scale, least, spread;
  bool useful;

  explicit NearSum(const reference::QuantizedSum& f) {
    const auto factor = [](const Multiplier& m) { return std::ldexp(m.multiplier, m.shift - 31); };
    const double out = factor(f.out), power = std::ldexp(1.0, f.left_shift);
    const double a = factor(f.a) * power * out;
    const double b = factor(f.b) * power * (f.subtract ? -out : out);
    const double add = f.a_offset * a + f.b_offset * b + f.out_offset + 0.5;
    const double fixed = 2 * out + 0.5 * std::ldexp(1.0, f.out.shift);
    // Three constants and four sums are rounded.
    const double size = 128 * std::abs(a) + 128 * std::abs(b) + std::abs(add) + 1;
    const double error = 1.01 * fixed + 5 * 0x1p-24 * size;
    a_scale = static_cast<float>(a);
    b_scale = static_cast<float>(b);
    least = static_cast<float>(add - error);
    spread = static_cast<float>(2 * error);
    // Beyond that the exact sum would be taken too often.
    useful = error < 0x1p-10;
  }
};

// Whole blocks of 64; returns where the rest begins. A quarter of a thousand numbers are too near
// to a tie to tell; their blocks are summed exactly (16384 numbers: 4.3 -> 1.2 us).
size_t SumBlocks(const reference::QuantizedSum& f, const int8_t* a, const int8_t* b, size_t count,
                 int8_t* out) {
  const NearSum near(f);
  if (!near.useful) return 0;
  const __m512 a_scale = _mm512_set1_ps(near.a_scale), b_scale = _mm512_set1_ps(near.b_scale);
  const __m512 least = _mm512_set1_ps(near.least), spread = _mm512_set1_ps(near.spread);
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i low = _mm512_set1_epi8(static_cast<char>(f.low));
  const __m512i high = _mm512_set1_epi8(static_cast<char>(f.high));
  const auto load = [](const int8_t* p) HWY_ATTR {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
  };
  const auto pack = [](const __m512i* v) HWY_ATTR {
    return _mm512_packs_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
  };
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    __m512i under[4], over[4];
#pragma GCC unroll 4
    for (size_t v = 0; v < 4; ++v) {
      const __m512 y = _mm512_fmadd_ps(load(a + i + 16 * v), a_scale,
                                       _mm512_fmadd_ps(load(b + i + 16 * v), b_scale, least));
      constexpr int kDown = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
      under[v] = _mm512_cvt_roundps_epi32(y, kDown);
      over[v] = _mm512_cvt_roundps_epi32(_mm512_add_ps(y, spread), kDown);
    }
    const __m512i sum = pack(under);
    if (_mm512_cmpneq_epi8_mask(sum, pack(over)) != 0) {
      ExactSum(f, a + i, b + i, RowSteps{true, true, 64}, out + i);
      continue;
    }
    const __m512i bounded = _mm512_min_epi8(_mm512_max_epi8(sum, low), high);
    _mm512_storeu_si512(out + i, _mm512_permutexvar_epi32(order, bounded));
  }
  return i;
}

#endif  // HWY_AVX3

template <typename T>
void Sum(const reference::QuantizedSum& f, const T* a, const T* b, const RowSteps& steps, T* out) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (std::is_same_v<T, int8_t>) {
    if (steps.a_moves && steps.b_moves) {
      const size_t done = SumBlocks(f, a, b, steps.count, out);
      if (done == steps.count) return;
      return ExactSum(f, a + done, b + done, RowSteps{true, true, steps.count - done}, out + done);
    }
  }
#endif
  ExactSum(f, a, b, steps, out);
}

template <typename T>
void Product(const reference::QuantizedProduct& f, const T* a, const T* b, const RowSteps& steps,
             T* out) {
  const DInt d;
  const Factor by_out(f.out);
  const VInt a_offset = hn::Set(d, f.a_offset), b_offset = hn::Set(d, f.b_offset);
  const VInt zero = hn::Set(d, f.out_offset);
  ForVectors<hn::MaxLanes(DInt())>(a, b, steps, out, [&](const T* x, const T* y, T* z) HWY_ATTR {
    const VInt product = hn::Mul(hn::Add(LoadWide(x), a_offset), hn::Add(LoadWide(y), b_offset));
    StoreClamped(hn::Add(by_out(product), zero), f.low, f.high, z);
  });
}

#endif  // HWY_SCALAR

template <typename T>
HWY_INLINE void QuantizeLoop(const float* in, size_t count, float scale, int32_t zero_point,
                             T* out) {
#if HWY_TARGET == HWY_SCALAR
  constexpr int32_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<T>(reference::QuantizeFloat(in[i], scale, zero_point, kLow, kHigh));
  }
#else
  const DInt d;
  const hn::Rebind<float, DInt> df;
  // Beyond every sum of a 16-bit value and a zero point, and small enough for the rounding below.
  const auto most = hn::Set(df, 131072.0f), least = hn::Set(df, -131072.0f);
  const auto by = hn::Set(df, scale), half = hn::Set(df, 0.49999997f);
  const VInt zero = hn::Set(d, zero_point);
  const RowSteps steps{true, false, count};
  ForVectors<hn::MaxLanes(DInt())>(
      in, in, steps, out, [&](const float* x, const float*, T* to) HWY_ATTR {
        auto q = Divide(df, hn::LoadU(df, x), by);
        q = hn::IfThenElseZero(hn::Eq(q, q), q);
        q = hn::Min(hn::Max(q, least), most);
        // Half away from zero: the largest number below a half, then truncation.
        q = hn::Add(q, hn::CopySign(half, q));
        StoreClamped(hn::Add(hn::ConvertTo(d, q), zero), std::numeric_limits<T>::min(),
                     std::numeric_limits<T>::max(), to);
      });
#endif
}

template <typename T>
HWY_INLINE void DequantizeLoop(const T* in, size_t count, float scale, int32_t zero_point,
                               float* out) {
#if HWY_TARGET == HWY_SCALAR
  for (size_t i = 0; i < count; ++i) out[i] = reference::Dequantize(in[i], scale, zero_point);
#else
  const DInt d;
  const hn::Rebind<float, DInt> df;
  const auto by = hn::Set(df, scale);
  const VInt zero = hn::Set(d, zero_point);
  const RowSteps steps{true, false, count};
  // The difference is exact in float, so the product is rounded once, as the reference's double.
  ForVectors<hn::MaxLanes(DInt())>(
      in, in, steps, out, [&](const T* x, const T*, float* to) HWY_ATTR {
        hn::StoreU(hn::Mul(hn::ConvertTo(df, hn::Sub(LoadWide(x), zero)), by), df, to);
      });
#endif
}

// One name for each type, for the dispatch.
#define LITESMITH_ROWS(Name, T)                                                                   \
  void Sum##Name(const reference::QuantizedSum& f, const T* a, const T* b, const RowSteps& steps, \
                 T* out) {                                                                        \
    Sum<T>(f, a, b, steps, out);                                                                  \
  }                                                                                               \
  void Product##Name(const reference::QuantizedProduct& f, const T* a, const T* b,                \
                     const RowSteps& steps, T* out) {                                             \
    Product<T>(f, a, b, steps, out);                                                              \
  }                                                                                               \
  void Quantize##Name(const float* in, size_t count, float scale, int32_t zero_point, T* out) {   \
    QuantizeLoop<T>(in, count, scale, zero_point, out);                                           \
  }                                                                                               \
  void Dequantize##Name(const T* in, size_t count, float scale, int32_t zero_point, float* out) { \
    DequantizeLoop<T>(in, count, scale, zero_point, out);                                         \
  }
LITESMITH_ROWS(Int8, int8_t)
LITESMITH_ROWS(Uint8, uint8_t)
LITESMITH_ROWS(Int16, int16_t)
#undef LITESMITH_ROWS

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(FloatRows);

// How far an operand with its zero point taken off is from 0.
template <typename T>
int64_t Reach(int32_t offset) {
  return std::max(std::abs(int64_t{std::numeric_limits<T>::min()} + offset),
                  std::abs(int64_t{std::numeric_limits<T>::max()} + offset));
}

bool IsRightShift(const Multiplier& m) { return m.shift <= 0 && m.shift >= -30; }

constexpr int64_t kLargest = int64_t{1} << 30;

}  // namespace

void FloatRow(RowOp op, const float* a, const float* b, const RowSteps& steps, float low,
              float high, float* out) {
  HWY_DYNAMIC_DISPATCH(FloatRows)(op, a, b, steps, low, high, out);
}

template <typename T>
std::optional<SumRow> SumRow::Make(const reference::QuantizedSum& f) {
  // Shifted operands and their sum are at most 2^30, so nothing that is added to round overflows.
  const int left = sizeof(T) == 2 ? 15 : 20;
  const int64_t a = Reach<T>(f.a_offset) << left, b = Reach<T>(f.b_offset) << left;
  const bool small = a <= kLargest && b <= kLargest && f.a.shift + f.b.shift <= 0 &&
                     IsRightShift(f.a) && IsRightShift(f.b) && IsRightShift(f.out);
  // Each factor is at most a half (see QuantizedSum), or the sum might be larger.
  const auto half = [](const Multiplier& m) {
    return m.shift < 0 || m.multiplier <= int32_t{1} << 30;
  };
  if (!small || !half(f.a) || !half(f.b) || f.left_shift != left) return std::nullopt;
  return SumRow{f};
}

template <typename T>
std::optional<ProductRow> ProductRow::Make(const reference::QuantizedProduct& f) {
  if (Reach<T>(f.a_offset) * Reach<T>(f.b_offset) > kLargest || !IsRightShift(f.out)) {
    return std::nullopt;
  }
  return ProductRow{f};
}

#define LITESMITH_ROWS(Name, T)                                                                \
  namespace {                                                                                  \
  HWY_EXPORT(Sum##Name);                                                                       \
  HWY_EXPORT(Product##Name);                                                                   \
  HWY_EXPORT(Quantize##Name);                                                                  \
  HWY_EXPORT(Dequantize##Name);                                                                \
  }                                                                                            \
  template std::optional<SumRow> SumRow::Make<T>(const reference::QuantizedSum&);              \
  template std::optional<ProductRow> ProductRow::Make<T>(const reference::QuantizedProduct&);  \
  template <>                                                                                  \
  void SumRow::Run(const T* a, const T* b, const RowSteps& steps, T* out) const {              \
    HWY_DYNAMIC_DISPATCH(Sum##Name)(f, a, b, steps, out);                                      \
  }                                                                                            \
  template <>                                                                                  \
  void ProductRow::Run(const T* a, const T* b, const RowSteps& steps, T* out) const {          \
    HWY_DYNAMIC_DISPATCH(Product##Name)(f, a, b, steps, out);                                  \
  }                                                                                            \
  template <>                                                                                  \
  void QuantizeRow(const float* in, size_t count, float scale, int32_t zero_point, T* out) {   \
    HWY_DYNAMIC_DISPATCH(Quantize##Name)(in, count, scale, zero_point, out);                   \
  }                                                                                            \
  template <>                                                                                  \
  void DequantizeRow(const T* in, size_t count, float scale, int32_t zero_point, float* out) { \
    HWY_DYNAMIC_DISPATCH(Dequantize##Name)(in, count, scale, zero_point, out);                 \
  }
LITESMITH_ROWS(Int8, int8_t)
LITESMITH_ROWS(Uint8, uint8_t)
LITESMITH_ROWS(Int16, int16_t)
#undef LITESMITH_ROWS

int64_t ElementwiseRowTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
