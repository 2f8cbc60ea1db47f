#include "kernels/copy_int.h"

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/copy_int.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <typename In>
void Widen(const In* in, size_t count, int16_t* out) {
  const hn::ScalableTag<int16_t> d;
  const hn::Rebind<In, decltype(d)> d_in;
  size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    hn::StoreU(hn::PromoteTo(d, hn::LoadU(d_in, in + i)), d, out + i);
  }
  for (; i < count; ++i) out[i] = in[i];
}
void WidenS8(const int8_t* in, size_t count, int16_t* out) { Widen(in, count, out); }
void WidenU8(const uint8_t* in, size_t count, int16_t* out) { Widen(in, count, out); }

HWY_INLINE void Flip(const int8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint8_t> d;
  const auto flip = hn::Set(d, uint8_t{0x80});
  const auto* from = reinterpret_cast<const uint8_t*>(in);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
    hn::StoreU(hn::Xor(hn::LoadU(d, from + i), flip), d, out + i);
  }
  const hn::CappedTag<uint8_t, 16> part;
  const auto part_flip = hn::Set(part, uint8_t{0x80});
  for (; i + hn::Lanes(part) <= count; i += hn::Lanes(part)) {
    hn::StoreU(hn::Xor(hn::LoadU(part, from + i), part_flip), part, out + i);
  }
  for (; i < count; ++i) out[i] = from[i] ^ 0x80;
}

HWY_INLINE void FillSome(uint8_t value, size_t count, uint8_t* out) {
  const hn::CappedTag<uint8_t, 16> d;
  const size_t lanes = hn::Lanes(d);
  if (count < lanes) {
    for (size_t i = 0; i < count; ++i) out[i] = value;
    return;
  }
  const auto values = hn::Set(d, value);
  for (size_t i = 0; i + lanes <= count; i += lanes) hn::StoreU(values, d, out + i);
  hn::StoreU(values, d, out + count - lanes);
}

void FlipBordered(const BorderedRows& rows, const int8_t* in, uint8_t* out) {
  const size_t after = rows.out_row - rows.before - rows.inner;
  for (size_t i = 0; i < rows.count; ++i, in += rows.in_row, out += rows.out_row) {
    FillSome(rows.border, rows.before, out);
    Flip(in, rows.inner, out + rows.before);
    FillSome(rows.border, after, out + rows.before + rows.inner);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(WidenS8);
HWY_EXPORT(WidenU8);
HWY_EXPORT(FlipBordered);

}  // namespace

template <>
void WidenInt(const int8_t* in, size_t count, int16_t* out) {
  HWY_DYNAMIC_DISPATCH(WidenS8)(in, count, out);
}
template <>
void WidenInt(const uint8_t* in, size_t count, int16_t* out) {
  HWY_DYNAMIC_DISPATCH(WidenU8)(in, count, out);
}
void FlipInt8(const BorderedRows& rows, const int8_t* in, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(FlipBordered)(rows, in, out);
}
int64_t CopyIntTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
