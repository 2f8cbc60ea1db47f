#include "kernels/int_stage_neon.h"

#if defined(__ARM_NEON)

#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#include "kernels/int_tile.h"

namespace litesmith {
namespace {

constexpr size_t kLanes = 8;

// base/fixed_point.h's MultiplyByQuantizedMultiplier of four columns. kBounded: as in IntStage.
template <bool kBounded>
struct Fixed {
  int32x4_t multiplier, left, right;

  Fixed(const IntStage& s, size_t n)
      : multiplier(vld1q_s32(s.multiplier + n)),
        left(vld1q_s32(s.left_shift + n)),
        right(vnegq_s32(vld1q_s32(s.right_shift + n))) {}

  // The rounding shift takes ties upward; less one, negative numbers go away from zero. Without a
  // shift there is nothing to take off.
  inline int32x4_t Apply(int32x4_t x) const {
    if (kBounded) {
      const int32x4_t high = vqrdmulhq_s32(x, multiplier);
      return vrshlq_s32(vsraq_n_s32(high, high, 31), right);
    }
    const int32x4_t high = vqrdmulhq_s32(vshlq_s32(x, left), multiplier);
    return vrshlq_s32(vqaddq_s32(high, vshrq_n_s32(vandq_s32(high, right), 31)), right);
  }
};

inline int8x8_t Narrow(int16x8_t x, const int8_t* /*type*/) { return vqmovn_s16(x); }
inline uint8x8_t Narrow(int16x8_t x, const uint8_t* /*type*/) { return vqmovun_s16(x); }
inline int16x8_t Narrow(int16x8_t x, const int16_t* /*type*/) { return x; }
inline void Store(int8x8_t x, int8_t* to) { vst1_s8(to, x); }
inline void Store(uint8x8_t x, uint8_t* to) { vst1_u8(to, x); }
inline void Store(int16x8_t x, int16_t* to) { vst1q_s16(to, x); }

// Eight columns in all rows, of which `count` are there.
template <bool kBounded, typename Out>
void RunColumns(const IntStage& s, size_t n, size_t rows, size_t count, const int32_t* from,
                Out* to) {
  const Fixed<kBounded> first(s, n), second(s, n + 4);
  const int32x4_t zero = vdupq_n_s32(s.zero_point);
  const int32x4_t low = vdupq_n_s32(s.low), high = vdupq_n_s32(s.high);
  for (size_t r = 0; r < rows; ++r, from += kIntTileColumns, to += s.stride) {
    int32x4_t x = vaddq_s32(first.Apply(vld1q_s32(from)), zero);
    int32x4_t y = vaddq_s32(second.Apply(vld1q_s32(from + 4)), zero);
    x = vminq_s32(vmaxq_s32(x, low), high);
    y = vminq_s32(vmaxq_s32(y, low), high);
    const auto narrow = Narrow(vcombine_s16(vmovn_s32(x), vmovn_s32(y)), to);
    if (count == kLanes) {
      Store(narrow, to);
    } else {
      Out lanes[kLanes];
      Store(narrow, lanes);
      std::copy_n(lanes, count, to);
    }
  }
}

template <typename Out>
void Run(const IntStage& s, size_t m, size_t n, size_t rows, size_t columns, const int32_t* sums) {
  auto* to = static_cast<Out*>(s.out) + m * s.stride + n;
  for (size_t c = 0; c < columns; c += kLanes) {
    const size_t count = std::min(kLanes, columns - c);
    s.bounded ? RunColumns<true>(s, n + c, rows, count, sums + c, to + c)
              : RunColumns<false>(s, n + c, rows, count, sums + c, to + c);
  }
}

}  // namespace

void RunFixedStageNeon(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                       const int32_t* sums) {
  m += stage.first_row;
  n += stage.first_column;
  switch (stage.type) {
    case IntStage::Out::kInt8:
      return Run<int8_t>(stage, m, n, rows, columns, sums);
    case IntStage::Out::kUint8:
      return Run<uint8_t>(stage, m, n, rows, columns, sums);
    default:
      return Run<int16_t>(stage, m, n, rows, columns, sums);
  }
}

}  // namespace litesmith

#endif  // __ARM_NEON
