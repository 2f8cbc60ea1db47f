#include "kernels/sum_rows.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sum_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void SumFloat(const float* row, size_t count, float* sums) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, sums + i), hn::LoadU(d, row + i)), d, sums + i);
  }
  for (; i < count; ++i) sums[i] += row[i];
}

template <typename T>
HWY_INLINE void SumLoop(const T* row, size_t count, uint32_t* sums) {
  const hn::ScalableTag<int32_t> d;
  const hn::Rebind<T, decltype(d)> d_in;
  const size_t lanes = hn::Lanes(d);
  auto* to = reinterpret_cast<int32_t*>(sums);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto x = hn::PromoteTo(d, hn::LoadU(d_in, row + i));
    hn::StoreU(hn::Add(hn::LoadU(d, to + i), x), d, to + i);
  }
  for (; i < count; ++i) sums[i] += static_cast<uint32_t>(int32_t{row[i]});
}

void SumInt8(const int8_t* row, size_t count, uint32_t* sums) { SumLoop(row, count, sums); }
void SumUint8(const uint8_t* row, size_t count, uint32_t* sums) { SumLoop(row, count, sums); }
void SumInt16(const int16_t* row, size_t count, uint32_t* sums) { SumLoop(row, count, sums); }

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {
HWY_EXPORT(SumFloat);
HWY_EXPORT(SumInt8);
HWY_EXPORT(SumUint8);
HWY_EXPORT(SumInt16);
}  // namespace

void AddToSums(const float* row, size_t count, float* sums) {
  HWY_DYNAMIC_DISPATCH(SumFloat)(row, count, sums);
}
void AddToSums(const int8_t* row, size_t count, uint32_t* sums) {
  HWY_DYNAMIC_DISPATCH(SumInt8)(row, count, sums);
}
void AddToSums(const uint8_t* row, size_t count, uint32_t* sums) {
  HWY_DYNAMIC_DISPATCH(SumUint8)(row, count, sums);
}
void AddToSums(const int16_t* row, size_t count, uint32_t* sums) {
  HWY_DYNAMIC_DISPATCH(SumInt16)(row, count, sums);
}

int64_t SumRowTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
