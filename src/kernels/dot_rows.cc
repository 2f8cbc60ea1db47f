#include "kernels/dot_rows.h"

#include <algorithm>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dot_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename Sum, typename X, typename Y>
Sum Rest(const X* left, const Y* right, size_t begin, size_t depth) {
  Sum sum = 0;
  for (size_t k = begin; k < depth; ++k) {
    sum += static_cast<Sum>(int32_t{left[k]}) * static_cast<Sum>(int32_t{right[k]});
  }
  return sum;
}

#if HWY_TARGET != HWY_SCALAR

using D16 = hn::CappedTag<int16_t, 32>;
using D32 = hn::RepartitionToWide<D16>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;

V16 Load(const int8_t* from) {
  const D16 d;
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<int8_t, D16>(), from));
}
V16 Load(const int16_t* from) { return hn::LoadU(D16(), from); }

// The sum of all lanes, modulo 2^32 or exact.
uint32_t LaneSum(V32 v, uint32_t /*kind*/) {
  return static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(D32(), v)));
}
uint64_t LaneSum(V32 v, uint64_t /*kind*/) {
  const hn::RepartitionToWide<D32> d64;
  const hn::Half<D32> half;
  const auto low = hn::PromoteTo(d64, hn::LowerHalf(half, v));
  const auto high = hn::PromoteTo(d64, hn::UpperHalf(half, v));
  return static_cast<uint64_t>(hn::GetLane(hn::SumOfLanes(d64, hn::Add(low, high))));
}

// kUnits rows at a time; returns how far it came. Pairs of products with 8-bit numbers are below
// 2^24 and fit 32 bits kSteps times; those of 8-bit numbers may wrap.
template <size_t kUnits, typename X, typename Sum>
size_t Pairs(const X* left, const int8_t* right, size_t depth, Sum* sums) {
  constexpr size_t kSteps = 64;
  const D32 d;
  const size_t lanes = hn::Lanes(D16());
  size_t k = 0;
  while (k + lanes <= depth) {
    V32 even[kUnits], odd[kUnits];
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnits; ++u) even[u] = odd[u] = hn::Zero(d);
    const size_t end = std::min(depth, k + kSteps * lanes);
    for (; k + lanes <= end; k += lanes) {
      const V16 x = Load(left + k);
#pragma GCC unroll 4
      for (size_t u = 0; u < kUnits; ++u) {
        even[u] = hn::ReorderWidenMulAccumulate(d, x, Load(right + u * depth + k), even[u], odd[u]);
      }
    }
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnits; ++u) sums[u] += LaneSum(hn::Add(even[u], odd[u]), Sum{});
  }
  return k;
}

// Products of 16-bit numbers: two of them may take all of 32 bits, so they are added in 64.
template <size_t kUnits>
size_t Pairs(const int16_t* left, const int16_t* right, size_t depth, uint64_t* sums) {
  const D32 d;
  const hn::RepartitionToWide<D32> d64;
  const hn::Rebind<int16_t, D32> d16;
  const size_t lanes = hn::Lanes(d);
  hn::Vec<decltype(d64)> all[kUnits];
#pragma GCC unroll 4
  for (size_t u = 0; u < kUnits; ++u) all[u] = hn::Zero(d64);
  size_t k = 0;
  for (; k + lanes <= depth; k += lanes) {
    const V32 x = hn::PromoteTo(d, hn::LoadU(d16, left + k)), other = hn::Shuffle2301(x);
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnits; ++u) {
      const V32 y = hn::PromoteTo(d, hn::LoadU(d16, right + u * depth + k));
      all[u] = hn::Add(all[u], hn::MulEven(x, y));
      all[u] = hn::Add(all[u], hn::MulEven(other, hn::Shuffle2301(y)));
    }
  }
#pragma GCC unroll 4
  for (size_t u = 0; u < kUnits; ++u) {
    sums[u] += static_cast<uint64_t>(hn::GetLane(hn::SumOfLanes(d64, all[u])));
  }
  return k;
}

#endif  // HWY_TARGET != HWY_SCALAR

template <typename X, typename Y, typename Sum>
void Rows(const X* left, const Y* right, size_t depth, size_t units, Sum* sums) {
  constexpr size_t kUnits = 4;
  std::fill_n(sums, units, Sum{0});
  for (size_t u = 0; u < units;) {
    const size_t count = u + kUnits <= units ? kUnits : 1;
    size_t k = 0;
#if HWY_TARGET != HWY_SCALAR
    k = count == kUnits ? Pairs<kUnits>(left, right + u * depth, depth, sums + u)
                        : Pairs<1>(left, right + u * depth, depth, sums + u);
#endif
    for (size_t i = u; i < u + count; ++i) sums[i] += Rest<Sum>(left, right + i * depth, k, depth);
    u += count;
  }
}

void Rows8(const int8_t* left, const int8_t* right, size_t depth, size_t units, uint32_t* sums) {
  Rows(left, right, depth, units, sums);
}
void Rows16By8(const int16_t* left, const int8_t* right, size_t depth, size_t units,
               uint64_t* sums) {
  Rows(left, right, depth, units, sums);
}
void Rows16(const int16_t* left, const int16_t* right, size_t depth, size_t units, uint64_t* sums) {
  Rows(left, right, depth, units, sums);
}

// kRows rows of x by kUnits of the weights.
template <size_t kRows, size_t kUnits>
HWY_INLINE void FloatTile(const float* x, const float* weights, size_t depth, size_t units,
                          const DotRowsF32Output& y) {
  const hn::ScalableTag<float> d;
  const hn::CappedTag<float, 1> one;
  hn::Vec<decltype(d)> sums[kRows * kUnits];
#pragma GCC unroll 16
  for (auto& sum : sums) sum = hn::Zero(d);
  size_t k = 0;
  for (; k + hn::Lanes(d) <= depth; k += hn::Lanes(d)) {
    hn::Vec<decltype(d)> w[kUnits];
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnits; ++u) w[u] = hn::LoadU(d, weights + u * depth + k);
#pragma GCC unroll 4
    for (size_t r = 0; r < kRows; ++r) {
      const auto v = hn::LoadU(d, x + r * depth + k);
#pragma GCC unroll 4
      for (size_t u = 0; u < kUnits; ++u) {
        sums[r * kUnits + u] = hn::MulAdd(v, w[u], sums[r * kUnits + u]);
      }
    }
  }
#pragma GCC unroll 4
  for (size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnits; ++u) {
      float sum = hn::GetLane(hn::SumOfLanes(d, sums[r * kUnits + u]));
      for (size_t i = k; i < depth; ++i) sum += x[r * depth + i] * weights[u * depth + i];
      if (y.bias != nullptr) sum += y.bias[u];
      hn::StoreU(Clamp(one, hn::Set(one, sum), y.low, y.high), one, y.data + r * units + u);
    }
  }
}

template <size_t kRows>
HWY_INLINE void FloatRowsTimes(const float* x, const float* weights, size_t units, size_t depth,
                               DotRowsF32Output y) {
  constexpr size_t kUnits = 4;
  size_t u = 0;
  const auto next = [&](size_t count) {
    u += count;
    weights += count * depth;
    y.data += count;
    if (y.bias != nullptr) y.bias += count;
  };
  for (; u + kUnits <= units; next(kUnits)) FloatTile<kRows, kUnits>(x, weights, depth, units, y);
  for (; u < units; next(1)) FloatTile<kRows, 1>(x, weights, depth, units, y);
}

void RowsF32(const float* x, size_t rows, const float* weights, size_t units, size_t depth,
             const DotRowsF32Output& output) {
  // As many sums as there are registers for.
  constexpr size_t kRows = HWY_TARGET == HWY_AVX3 ? 4 : 2;
  DotRowsF32Output y = output;
  size_t r = 0;
  for (; r + kRows <= rows; r += kRows, x += kRows * depth, y.data += kRows * units) {
    FloatRowsTimes<kRows>(x, weights, units, depth, y);
  }
  for (; r < rows; ++r, x += depth, y.data += units) {
    FloatRowsTimes<1>(x, weights, units, depth, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(RowsF32);
HWY_EXPORT(Rows8);
HWY_EXPORT(Rows16By8);
HWY_EXPORT(Rows16);

}  // namespace

void DotRows(const int8_t* left, const int8_t* right, size_t depth, size_t units, uint32_t* sums) {
  HWY_DYNAMIC_DISPATCH(Rows8)(left, right, depth, units, sums);
}
void DotRows(const int16_t* left, const int8_t* right, size_t depth, size_t units, uint64_t* sums) {
  HWY_DYNAMIC_DISPATCH(Rows16By8)(left, right, depth, units, sums);
}
void DotRows(const int16_t* left, const int16_t* right, size_t depth, size_t units,
             uint64_t* sums) {
  HWY_DYNAMIC_DISPATCH(Rows16)(left, right, depth, units, sums);
}

void DotRowsF32(const float* x, size_t rows, const float* weights, size_t units, size_t depth,
                const DotRowsF32Output& y) {
  HWY_DYNAMIC_DISPATCH(RowsF32)(x, rows, weights, units, depth, y);
}

int64_t DotRowsTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
