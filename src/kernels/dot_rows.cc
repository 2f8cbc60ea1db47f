#include "kernels/dot_rows.h"

#include <algorithm>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/dot_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

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

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

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

int64_t DotRowsTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
