#include "kernels/quantize_rows.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/reference/dynamic_range.h"
#include "kernels/simd.h"

#ifndef LITESMITH_KERNELS_QUANTIZE_ROWS_RANGE_
#define LITESMITH_KERNELS_QUANTIZE_ROWS_RANGE_
namespace litesmith {
namespace {
struct Range {
  float low, high;
  bool finite;
};
}  // namespace
}  // namespace litesmith
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/quantize_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;

// The least and the greatest of `start` and the values. Four at a time: each step waits for the
// one before.
Range FindRange(const float* values, size_t count, float start) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto first = hn::Set(d, start), zero = hn::Zero(d);
  hn::Vec<D> low[4], high[4], odd[4];
#pragma GCC unroll 4
  for (size_t v = 0; v < 4; ++v) {
    low[v] = high[v] = first;
    odd[v] = hn::Zero(d);
  }
  size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
#pragma GCC unroll 4
    for (size_t v = 0; v < 4; ++v) {
      const auto x = hn::LoadU(d, values + i + v * lanes);
      low[v] = hn::Min(low[v], x);
      high[v] = hn::Max(high[v], x);
      // Zero, or NaN for what is infinite or no number.
      odd[v] = hn::MulAdd(x, zero, odd[v]);
    }
  }
  const auto least = hn::Min(hn::Min(low[0], low[1]), hn::Min(low[2], low[3]));
  const auto most = hn::Max(hn::Max(high[0], high[1]), hn::Max(high[2], high[3]));
  const auto none = hn::Add(hn::Add(odd[0], odd[1]), hn::Add(odd[2], odd[3]));
  Range r{hn::GetLane(hn::MinOfLanes(d, least)), hn::GetLane(hn::MaxOfLanes(d, most)), true};
  r.finite = hn::GetLane(hn::SumOfLanes(d, none)) == 0.0f;
  for (; i < count; ++i) {
    r.low = std::min(r.low, values[i]);
    r.high = std::max(r.high, values[i]);
    r.finite = r.finite && std::isfinite(values[i]);
  }
  return r;
}

// clamp(round(x * inverse) + zero, low, 127), ties away from zero: the largest number below 0.5 is
// added with the product's sign and the fraction dropped. REQUIRES: |x * inverse| < 2^22.
// `flip` is 0 or 128: the bits inverted in each result.
void Scale(const float* values, size_t count, const RowQuantizer& q, uint8_t flip,
           int8_t* quantized) {
  const float inverse = q.inverse;
  const int32_t zero = q.zero_point, low = q.low;
  const D d;
  const hn::RebindToSigned<D> di;
  const size_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, inverse), half = hn::Set(d, 0.49999997f);
  const auto add = hn::Set(di, zero);
  const auto round = [&](const float* from) HWY_ATTR {
    const auto x = hn::Mul(hn::LoadU(d, from), factor);
    return hn::Add(hn::ConvertTo(di, hn::Add(x, hn::CopySignToAbs(half, x))), add);
  };
  size_t i = 0;
#if HWY_TARGET == HWY_AVX3
  // The packs saturate, and one permutation puts 64 numbers in order.
  const __m512i least = _mm512_set1_epi8(static_cast<char>(low));
  const __m512i flips = _mm512_set1_epi8(static_cast<char>(flip));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const __m512i low_half =
        _mm512_packs_epi32(round(values + i).raw, round(values + i + lanes).raw);
    const __m512i high_half =
        _mm512_packs_epi32(round(values + i + 2 * lanes).raw, round(values + i + 3 * lanes).raw);
    const __m512i packed =
        _mm512_xor_si512(_mm512_max_epi8(_mm512_packs_epi16(low_half, high_half), least), flips);
    _mm512_storeu_si512(quantized + i, _mm512_permutexvar_epi32(order, packed));
  }
#endif
  const hn::Rebind<int8_t, D> d8;
  const auto lowest = hn::Set(di, low), most = hn::Set(di, 127);
  const auto flip_all = hn::Set(d8, static_cast<int8_t>(flip));
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::Min(hn::Max(round(values + i), lowest), most);
    hn::StoreU(hn::Xor(hn::DemoteTo(d8, x), flip_all), d8, quantized + i);
  }
  for (; i < count; ++i) {
    const int32_t x = std::clamp(RoundToInt32(std::round(values[i] * inverse)) + zero, low, 127);
    quantized[i] = static_cast<int8_t>(static_cast<uint8_t>(x) ^ flip);
  }
}

void ScaleFlipped(const RowQuantizer& q, const float* values, size_t count, uint8_t* quantized) {
  Scale(values, count, q, 128, reinterpret_cast<int8_t*>(quantized));
}
void ScaleSigned(const RowQuantizer& q, const float* values, size_t count, int8_t* quantized) {
  Scale(values, count, q, 0, quantized);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(FindRange);
HWY_EXPORT(ScaleSigned);
HWY_EXPORT(ScaleFlipped);

// Values that are worth a thread.
constexpr size_t kLeastValues = 4096;
constexpr size_t kMostParts = 64;

// FindRange in parts; the order of minima and maxima does not matter.
Range RangeOf(const float* values, size_t count, float start, ThreadPool* threads) {
  const auto find = HWY_DYNAMIC_DISPATCH(FindRange);
  const size_t parts = std::min(kMostParts, count / kLeastValues);
  if (threads == nullptr || threads->num_threads() == 1 || parts < 2) {
    return find(values, count, start);
  }
  Range found[kMostParts];
  const auto body = [&](size_t begin, size_t end) {
    const size_t first = begin * count / parts;
    found[begin] = find(values + first, end * count / parts - first, start);
    std::fill(found + begin + 1, found + end, found[begin]);
  };
  threads->ParallelFor(parts, 1, std::cref(body));
  Range all = found[0];
  for (size_t i = 1; i < parts; ++i) {
    all.low = std::min(all.low, found[i].low);
    all.high = std::max(all.high, found[i].high);
    all.finite = all.finite && found[i].finite;
  }
  return all;
}

void Scale(const RowQuantizer& q, const float* values, size_t count, int8_t* quantized,
           ThreadPool* threads) {
  const auto scale = HWY_DYNAMIC_DISPATCH(ScaleSigned);
  const auto body = [&](size_t begin, size_t end) {
    scale(q, values + begin, end - begin, quantized + begin);
  };
  ParallelFor(threads, count, kLeastValues, std::cref(body));
}

}  // namespace

RowQuantizer FindSymmetric(const float* values, size_t count, ThreadPool* threads) {
  RowQuantizer q;
  if (count == 0) return q;
  const Range r = RangeOf(values, count, values[0], threads);
  const float range = std::max(std::abs(r.low), std::abs(r.high));
  q.inverse = 127.0f / range;
  // Tiny ranges have no finite inverse.
  q.plain = !r.finite || range == 0.0f || !std::isfinite(q.inverse);
  q.low = -127;
  q.scale = range / 127.0f;
  return q;
}

RowQuantizer FindAsymmetric(const float* values, size_t count, ThreadPool* threads) {
  RowQuantizer q;
  const Range r = RangeOf(values, count, 0.0f, threads);
  if (!r.finite || r.low == r.high) return q;
  const reference::AsymmetricScale s = reference::ChooseAsymmetric(r.low, r.high);
  q.plain = !std::isfinite(s.inverse);
  q.scale = s.scale;
  q.inverse = s.inverse;
  q.zero_point = s.zero_point;
  return q;
}

void QuantizeFlipped(const RowQuantizer& q, const float* values, size_t count, uint8_t* quantized) {
  HWY_DYNAMIC_DISPATCH(ScaleFlipped)(q, values, count, quantized);
}

float QuantizeRowSymmetric(const float* values, size_t count, int8_t* quantized,
                           ThreadPool* threads) {
  const RowQuantizer q = FindSymmetric(values, count, threads);
  if (q.plain) return reference::QuantizeSymmetric(values, count, quantized);
  Scale(q, values, count, quantized, threads);
  return q.scale;
}
float QuantizeRowAsymmetric(const float* values, size_t count, int8_t* quantized,
                            int32_t* zero_point, ThreadPool* threads) {
  const RowQuantizer q = FindAsymmetric(values, count, threads);
  if (q.plain) return reference::QuantizeAsymmetric(values, count, quantized, zero_point);
  Scale(q, values, count, quantized, threads);
  *zero_point = q.zero_point;
  return q.scale;
}

int64_t QuantizeRowsTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
