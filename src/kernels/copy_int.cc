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

void Flip(const int8_t* in, size_t count, uint8_t* out) {
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

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(WidenS8);
HWY_EXPORT(WidenU8);
HWY_EXPORT(Flip);

}  // namespace

template <>
void WidenInt(const int8_t* in, size_t count, int16_t* out) {
  HWY_DYNAMIC_DISPATCH(WidenS8)(in, count, out);
}
template <>
void WidenInt(const uint8_t* in, size_t count, int16_t* out) {
  HWY_DYNAMIC_DISPATCH(WidenU8)(in, count, out);
}
void FlipInt8(const int8_t* in, size_t count, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(Flip)(in, count, out);
}
int64_t CopyIntTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
