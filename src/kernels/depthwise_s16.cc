#include "kernels/depthwise_s16.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <type_traits>

#include "kernels/copy_int.h"
#include "kernels/depthwise_bytes.h"
#include "kernels/depthwise_taps.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise_s16.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

using reference::ConvGeometry;

#if HWY_TARGET == HWY_SCALAR  // which has no neighbouring lanes

size_t Lanes() { return 0; }
void Rows(const DepthwiseS16Packed&, size_t, const void*, const void*, const DepthwiseS16Run&,
          size_t, size_t) {}

#else

namespace hn = hwy::HWY_NAMESPACE;

// Channels of the widest vector.
size_t Lanes() { return hn::Lanes(hn::ScalableTag<int16_t>()); }

template <class D16>
HWY_INLINE hn::Vec<D16> LoadTap(D16 d, const int16_t* p) {
  return hn::LoadU(d, p);
}
template <class D16, typename Byte>
HWY_INLINE hn::Vec<D16> LoadTap(D16 d, const Byte* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Byte, D16>(), p));
}

// 32-bit vectors as InterleaveLower and InterleaveUpper leave them, in the order of the channels.
#if HWY_MAX_BYTES == 16
template <class D, class V>
HWY_INLINE void Order(D, V* /*low*/, V* /*high*/) {}
#else
template <class D, class V>
HWY_INLINE void Order(D d, V* low, V* high) {
  if constexpr (hn::MaxLanes(D()) <= 4) {
    return;
  } else {
    V a = hn::ConcatLowerLower(d, *high, *low), b = hn::ConcatUpperUpper(d, *high, *low);
    if constexpr (hn::MaxLanes(D()) == 16) {
      alignas(64) static constexpr int32_t kMiddle[16] = {0, 1, 2, 3, 8,  9,  10, 11,
                                                          4, 5, 6, 7, 12, 13, 14, 15};
      const auto middle = hn::SetTableIndices(d, kMiddle);
      a = hn::TableLookupLanes(a, middle);
      b = hn::TableLookupLanes(b, middle);
    }
    *low = a;
    *high = b;
  }
}
#endif

// Saturated, `a` below `b` in every block of 128 bits; REQUIRES: whole vectors.
template <class D16, class V32>
HWY_INLINE hn::Vec<D16> DemoteTwo(D16 d, V32 a, V32 b) {
#if defined(__arm__)  // "Reorder" is the other order there
  return hn::ReorderDemote2To(d, b, a);
#else
  return hn::ReorderDemote2To(d, a, b);
#endif
}

// Multipliers and right shifts of a block, in registers.
template <class D32>
struct Shifts {
  hn::Vec<D32> multiplier[2], shift[2], nudge[2];  // nudge: half of what is shifted out

  HWY_INLINE explicit Shifts(const int32_t* params) {
    const D32 d;
    for (size_t h = 0; h < 2; ++h) {
      multiplier[h] = hn::LoadU(d, params + h * hn::Lanes(d));
      shift[h] = hn::LoadU(d, params + (2 + h) * hn::Lanes(d));
      nudge[h] = hn::Shl(hn::Set(d, 1), hn::Sub(shift[h], hn::Set(d, 1)));
    }
  }
};

// The stages: parameters of a block in registers, and what becomes of its sums. `low` and `high`
// have the even and odd groups of four channels.
template <class D32, typename In>
struct FixedStage {
  static constexpr size_t kArrays = 2;  // multipliers, shifts
  using V32 = hn::Vec<D32>;
  Shifts<D32> by;
  int16_t low, high, zero;
  In* out;

  HWY_INLINE FixedStage(const DepthwiseS16Run& run, const int32_t* params, size_t, size_t)
      : by(params),
        low(static_cast<int16_t>(run.low)),
        high(static_cast<int16_t>(run.high)),
        zero(static_cast<int16_t>(run.zero_point)),
        out(static_cast<In*>(run.out)) {}

  // Ties away from zero; sums and shifts are known not to overflow (see PackDepthwiseS16).
  HWY_INLINE V32 Scale(V32 sum, size_t h) const {
    const D32 d;
    const V32 x = RoundingHighMul(d, sum, by.multiplier[h]);
    return hn::Shr(hn::Add(hn::Add(x, by.nudge[h]), hn::ShiftRight<31>(x)), by.shift[h]);
  }

  template <class D16>
  HWY_INLINE void Store(D16 d, V32 a, V32 b, size_t at) const {
    auto v = DemoteTwo(d, Scale(a, 0), Scale(b, 1));
    v = hn::SaturatedAdd(v, hn::Set(d, zero));
    v = hn::Min(hn::Max(v, hn::Set(d, low)), hn::Set(d, high));
    const hn::Rebind<In, D16> d8;
    hn::StoreU(hn::DemoteTo(d8, v), d8, out + at);
  }
};

template <class D32>
struct WideStage {
  static constexpr size_t kArrays = 1;  // multipliers
  using V32 = hn::Vec<D32>;
  V32 multiplier[2];
  int16_t low, high;
  int16_t* out;

  HWY_INLINE WideStage(const DepthwiseS16Run& run, const int32_t* params, size_t, size_t)
      : low(static_cast<int16_t>(run.low)),
        high(static_cast<int16_t>(run.high)),
        out(static_cast<int16_t*>(run.out)) {
    const D32 d;
    for (size_t h = 0; h < 2; ++h) multiplier[h] = hn::LoadU(d, params + h * hn::Lanes(d));
  }

  template <class D16>
  HWY_INLINE void Store(D16 d, V32 a, V32 b, size_t at) const {
    const D32 d32;
    auto v = DemoteTwo(d, RoundingHighMul(d32, a, multiplier[0]),
                       RoundingHighMul(d32, b, multiplier[1]));
    v = hn::Min(hn::Max(v, hn::Set(d, low)), hn::Set(d, high));
    hn::StoreU(v, d, out + at);
  }
};

// For any right shift from 1 on: with m moved up, (x * m + 2^(t - 1)) >> t, t > 31, is
// ((x * m >> 31) + 2^(t - 32)) >> (t - 31), because the first shift drops nothing of what is added.
template <class D32>
struct DeepStage {
  static constexpr size_t kArrays = 2;  // multipliers, shifts
  using V32 = hn::Vec<D32>;
  Shifts<D32> by;
  int16_t low, high;
  int16_t* out;

  HWY_INLINE DeepStage(const DepthwiseS16Run& run, const int32_t* params, size_t, size_t)
      : by(params),
        low(static_cast<int16_t>(run.low)),
        high(static_cast<int16_t>(run.high)),
        out(static_cast<int16_t*>(run.out)) {}

  HWY_INLINE V32 Scale(V32 sum, size_t h) const {
    const D32 d;
    return hn::Shr(hn::Add(FlooringHighMul(d, sum, by.multiplier[h]), by.nudge[h]), by.shift[h]);
  }

  template <class D16>
  HWY_INLINE void Store(D16 d, V32 a, V32 b, size_t at) const {
    auto v = DemoteTwo(d, Scale(a, 0), Scale(b, 1));
    v = hn::Min(hn::Max(v, hn::Set(d, low)), hn::Set(d, high));
    hn::StoreU(v, d, out + at);
  }
};

template <class D32>
struct FloatStage {
  static constexpr size_t kArrays = 0;
  using V32 = hn::Vec<D32>;
  using DF = hn::Rebind<float, D32>;
  hn::Vec<DF> scale[2], bias[2];
  bool has_bias;
  float low, high;
  float* out;

  // Channels from `c` on of an image; `period` > 0: they repeat.
  HWY_INLINE FloatStage(const DepthwiseS16Run& run, const int32_t*, size_t c, size_t period)
      : has_bias(run.bias != nullptr),
        low(run.float_low),
        high(run.float_high),
        out(static_cast<float*>(run.out)) {
    const DF d;
    const size_t lanes = hn::Lanes(d);
    HWY_ALIGN float scales[2 * HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float biases[2 * HWY_MAX_BYTES / sizeof(float)] = {};
    for (size_t i = 0; i < 2 * lanes; ++i) {
      const size_t channel = c + (period > 0 ? i % period : i);
      scales[i] = run.channel_scales[channel] * *run.image_scales;
      if (has_bias) biases[i] = run.bias[channel];
    }
    for (size_t h = 0; h < 2; ++h) {
      scale[h] = hn::Load(d, scales + h * lanes);
      bias[h] = hn::Load(d, biases + h * lanes);
    }
  }

  template <class D16>
  HWY_INLINE void Store(D16, V32 a, V32 b, size_t at) const {
    const D32 d32;
    const DF d;
    Order(d32, &a, &b);
    Finish(hn::ConvertTo(d, a), 0, out + at);
    Finish(hn::ConvertTo(d, b), 1, out + at + hn::Lanes(d));
  }

  HWY_INLINE void Finish(hn::Vec<DF> x, size_t h, float* to) const {
    const DF d;
    x = hn::Mul(x, scale[h]);
    if (has_bias) x = hn::Add(x, bias[h]);
    // The second operand of x86's max and min is what remains of a NaN.
    x = hn::Min(hn::Set(d, high), hn::Max(hn::Set(d, low), x));
    hn::StoreU(x, d, to);
  }
};

// Numbers of a packed block: bias and sum of weights, the stage's arrays, then the weights.
constexpr size_t BlockWords(size_t lanes, size_t arrays, size_t pairs) {
  return lanes * (2 + arrays + pairs);
}

// Outputs of one block of channels at `count` positions from element `at` on. Taps and outputs
// advance by in_step and out_step elements. kTaps: 0 is any number.
template <size_t kTaps, class D16, class Stage, typename In>
HWY_INLINE void Block(const int32_t* block, size_t pairs, const In* const* taps, size_t c,
                      size_t count, size_t in_step, size_t out_step, int32_t offset,
                      const Stage& stage, size_t at) {
  const D16 d16;
  const hn::RepartitionToWide<D16> d32;
  using V16 = hn::Vec<D16>;
  const size_t half = hn::Lanes(d32);
  constexpr size_t kPairs = (kTaps + 1) / 2;
  constexpr bool kUnrolled = kTaps != 0 && kTaps <= 9;
  const auto off = hn::Set(d32, offset);
  const auto bias0 = hn::Add(hn::LoadU(d32, block), hn::Mul(off, hn::LoadU(d32, block + 2 * half)));
  const auto bias1 =
      hn::Add(hn::LoadU(d32, block + half), hn::Mul(off, hn::LoadU(d32, block + 3 * half)));
  const auto* weights = reinterpret_cast<const int16_t*>(block + (2 + Stage::kArrays) * 2 * half);
  V16 w[kUnrolled ? kPairs : 1][2];
  if constexpr (kUnrolled) {
#pragma GCC unroll 16
    for (size_t p = 0; p < kPairs; ++p) {
      w[p][0] = hn::LoadU(d16, weights + p * 4 * half);
      w[p][1] = hn::LoadU(d16, weights + p * 4 * half + 2 * half);
    }
  }
  // Copies: the stores of bytes below might be to anything.
  const In* near[kUnrolled ? kTaps : 1];
  if constexpr (kUnrolled) {
#pragma GCC unroll 16
    for (size_t t = 0; t < kTaps; ++t) near[t] = taps[t] + c;
  }
  size_t from = 0;
  for (size_t i = 0; i < count; ++i, from += in_step, at += out_step) {
    // NEON sums other lanes than x86 before RearrangeToOddPlusEven: the bias comes after it.
    auto low = hn::Zero(d32), high = hn::Zero(d32), low1 = hn::Zero(d32), high1 = hn::Zero(d32);
#if HWY_ARCH_X86
    low = bias0;
    high = bias1;
#endif
    const size_t all = kUnrolled ? kPairs : pairs;
    const auto add = [&](size_t p) HWY_ATTR {
      const auto tap = [&](size_t t) { return kUnrolled ? near[kUnrolled ? t : 0] : taps[t] + c; };
      const V16 a = LoadTap(d16, tap(2 * p) + from);
      V16 b = hn::Zero(d16);
      if (!kUnrolled || 2 * p + 1 < kTaps) b = LoadTap(d16, tap(2 * p + 1) + from);
      const V16 w0 = kUnrolled ? w[kUnrolled ? p : 0][0] : hn::LoadU(d16, weights + p * 4 * half);
      const V16 w1 =
          kUnrolled ? w[kUnrolled ? p : 0][1] : hn::LoadU(d16, weights + p * 4 * half + 2 * half);
      low = hn::ReorderWidenMulAccumulate(d32, hn::InterleaveLower(d16, a, b), w0, low, low1);
      high = hn::ReorderWidenMulAccumulate(d32, hn::InterleaveUpper(d16, a, b), w1, high, high1);
    };
    if constexpr (kUnrolled) {
#pragma GCC unroll 16
      for (size_t p = 0; p < kPairs; ++p) add(p);
    } else {
      for (size_t p = 0; p < all; ++p) add(p);
    }
    low = hn::RearrangeToOddPlusEven(low, low1);
    high = hn::RearrangeToOddPlusEven(high, high1);
#if !HWY_ARCH_X86
    low = hn::Add(low, bias0);
    high = hn::Add(high, bias1);
#endif
    stage.Store(d16, low, high, at + c);
  }
}

// One run of positions, all channels.
template <size_t kTaps, class D16, template <class...> class Stage, typename... Extra, typename In>
HWY_INLINE void Positions(const DepthwiseS16Packed& p, const In* const* taps, size_t count,
                          int32_t offset, const DepthwiseS16Run& run, size_t at) {
  const D16 d16;
  using S = Stage<hn::RepartitionToWide<D16>, Extra...>;
  const size_t lanes = hn::Lanes(d16), channels = static_cast<size_t>(p.g.out_c);
  const size_t words = BlockWords(lanes, S::kArrays, p.pairs);
  const auto* block = reinterpret_cast<const int32_t*>(p.blocks.data());
  for (size_t begin = 0; begin < channels; begin += lanes, block += words) {
    const size_t c = std::min(begin, channels - lanes);  // the last one overlaps
    const S stage(run, block + 2 * lanes, c, 0);
    Block<kTaps, D16>(block, p.pairs, taps, c, count, channels * size_t(p.g.stride_w), channels,
                      offset, stage, at);
  }
}

// Positions of few channels, as if they were channels of fewer positions.
template <size_t kTaps, class D16, template <class...> class Stage, typename... Extra, typename In>
HWY_INLINE void Flat(const DepthwiseS16Packed& p, const In* const* taps, size_t count,
                     int32_t offset, const DepthwiseS16Run& run, size_t at) {
  const D16 d16;
  using S = Stage<hn::RepartitionToWide<D16>, Extra...>;
  const size_t lanes = hn::Lanes(d16), channels = static_cast<size_t>(p.g.out_c);
  const auto* block = reinterpret_cast<const int32_t*>(p.flat_block.data());
  const size_t elements = count * channels;
  const S stage(run, block + 2 * lanes, 0, channels);
  Block<kTaps, D16>(block, p.pairs, taps, 0, elements / lanes, lanes, lanes, offset, stage, at);
  if (elements % lanes != 0) {
    Block<kTaps, D16>(block, p.pairs, taps, elements - lanes, 1, 0, 0, offset, stage, at);
  }
}

// Output rows [begin, end) of batches * out_h. `pad`: a row for each offset.
template <size_t kTaps, size_t kLanes, template <class...> class Stage, typename... Extra,
          typename In>
void RowsOf(const DepthwiseS16Packed& p, const In* input, const In* pad, const DepthwiseS16Run& run,
            size_t begin, size_t end) {
  using D16 = hn::CappedTag<int16_t, kLanes>;
  using Wide = hn::ScalableTag<int16_t>;
  const ConvGeometry& g = p.g;
  const InnerColumns inner(g);
  const size_t row_size = size_t(g.in_w) * g.in_c;
  for (size_t row = begin; row < end; ++row) {
    const size_t image = row / g.out_h;
    DepthwiseS16Run here = run;
    int32_t offset = run.input_offset;
    const In* padding = pad;
    if (run.image_offsets != nullptr) {
      offset = run.image_offsets[image];
      padding += image * row_size;
      here.image_scales = run.image_scales + image;
    }
    const auto positions = [&](const In* const* taps, int32_t x, size_t count) HWY_ATTR {
      const size_t at = (row * g.out_w + x) * g.out_c;
      if (p.flat_lanes != 0 && count * g.out_c >= p.flat_lanes) {
        Flat<kTaps, Wide, Stage, Extra...>(p, taps, count, offset, here, at);
      } else {
        Positions<kTaps, D16, Stage, Extra...>(p, taps, count, offset, here, at);
      }
    };
    ForTapRuns(g, inner, input + image * g.in_h * row_size, padding,
               static_cast<int32_t>(row % g.out_h), positions);
  }
}

template <size_t kTaps, template <class...> class Stage, typename... Extra, typename In>
void RowsOfLanes(const DepthwiseS16Packed& p, const In* input, const In* pad,
                 const DepthwiseS16Run& run, size_t begin, size_t end) {
#if HWY_MAX_BYTES >= 64
  if (p.lanes == 32) {
    return RowsOf<kTaps, 32, Stage, Extra...>(p, input, pad, run, begin, end);
  }
#endif
#if HWY_MAX_BYTES >= 32
  if (p.lanes == 16) {
    return RowsOf<kTaps, 16, Stage, Extra...>(p, input, pad, run, begin, end);
  }
#endif
  return RowsOf<kTaps, 8, Stage, Extra...>(p, input, pad, run, begin, end);
}

template <typename In, template <class...> class Stage, typename... Extra>
void RowsOfTaps(const DepthwiseS16Packed& p, const void* input, const void* pad,
                const DepthwiseS16Run& run, size_t begin, size_t end) {
  const auto* in = static_cast<const In*>(input);
  const auto* padding = static_cast<const In*>(pad);
  if (p.g.filter_h * p.g.filter_w == 9) {
    return RowsOfLanes<9, Stage, Extra...>(p, in, padding, run, begin, end);
  }
  return RowsOfLanes<0, Stage, Extra...>(p, in, padding, run, begin, end);
}

// `kind`: 0 int8, 1 uint8; the stage says the rest.
void Rows(const DepthwiseS16Packed& p, size_t kind, const void* input, const void* pad,
          const DepthwiseS16Run& run, size_t begin, size_t end) {
  switch (p.stage) {
    case DepthwiseStage::kFixedPoint:
      if (kind == 0) return RowsOfTaps<int8_t, FixedStage, int8_t>(p, input, pad, run, begin, end);
      return RowsOfTaps<uint8_t, FixedStage, uint8_t>(p, input, pad, run, begin, end);
    case DepthwiseStage::kWide:
      if (p.deep) return RowsOfTaps<int16_t, DeepStage>(p, input, pad, run, begin, end);
      return RowsOfTaps<int16_t, WideStage>(p, input, pad, run, begin, end);
    case DepthwiseStage::kFloat:
      return RowsOfTaps<int8_t, FloatStage>(p, input, pad, run, begin, end);
  }
}

#endif  // HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Lanes);
HWY_EXPORT(Rows);

size_t Rounded(size_t bytes) { return (bytes + 63) / 64 * 64; }

// The channel in lane `lane` of the vector pair (`half` 0: InterleaveLower, 1: InterleaveUpper):
// blocks of 128 bits hold eight int16.
size_t ChannelOf(size_t half, size_t lane) { return lane / 4 * 8 + half * 4 + lane % 4; }

int32_t RightShift(const Multiplier& m) { return -m.shift; }

// Whether a multiplier is too small for WideStage.
bool IsDeep(const DepthwiseS16Spec& s) {
  if (s.stage != DepthwiseStage::kWide) return false;
  return std::any_of(s.multipliers, s.multipliers + s.g.out_c,
                     [](const Multiplier& m) { return RightShift(m) > 16; });
}

// Whether the sums of channel c, and their rounding, stay inside 32 bits; the constants of the
// stage are then simple.
bool IsExact(const DepthwiseS16Spec& s, bool deep, size_t c) {
  const size_t taps = size_t(s.g.filter_h) * s.g.filter_w;
  int64_t most = s.bias == nullptr ? 0 : s.bias[c];
  if (most > INT32_MAX || most < INT32_MIN) return false;
  most = std::abs(most);
  for (size_t t = 0; t < taps; ++t) {
    most += std::abs(int64_t{s.weights[t * s.g.out_c + c]}) * s.input_range;
  }
  // One rounding adds at most 2^15 to what is no larger than the sum; a dead channel's bias is
  // 2^30.
  const bool wide = s.stage == DepthwiseStage::kWide;
  if (most >= (wide ? (int64_t{1} << 31) - (1 << 16) : int64_t{1} << 30)) return false;
  if (s.stage == DepthwiseStage::kFloat) return true;
  const int32_t shift = RightShift(s.multipliers[c]);
  // Twice: (x * m + 2^30) >> 31 is under 2^30 then, and so is what is added to round. Once: with
  // the 15-bit multiplier moved up, the total shift of 15 + `shift` becomes 31, or more where some
  // are deep.
  if (s.stage == DepthwiseStage::kFixedPoint) return shift >= 1 && shift <= 30;
  if (!deep) return shift >= 0 && shift <= 16;
  return (shift >= 1 && shift <= 31) || s.multipliers[c].multiplier == 0;
}

// The 16-bit multiplier of base/fixed_point.h's 64-bit MultiplyByQuantizedMultiplier, such that
// (x * m + 2^30) >> 31 is its result. `deep`: as DeepStage has it, which shifts by DeepShift more.
int32_t WideMultiplier(const Multiplier& m, bool deep) {
  const int32_t reduced = m.multiplier < 0x7fff0000 ? (m.multiplier + (1 << 15)) >> 16 : 0x7fff;
  const int32_t up = deep ? std::max(17 - RightShift(m), 1) : 16 - RightShift(m);
  return static_cast<int32_t>(int64_t{reduced} << up);
}
int32_t DeepShift(const Multiplier& m) { return std::max(RightShift(m) - 15, 1); }

// One block: `channel(i)` is the channel of its i-th lane in order.
template <typename Channel>
void PackBlock(const DepthwiseS16Spec& s, bool deep, size_t lanes, const Channel& channel,
               int32_t* to) {
  const size_t half = lanes / 2, taps = size_t(s.g.filter_h) * s.g.filter_w;
  const auto fill = [&](const auto& value) {
    for (size_t h = 0; h < 2; ++h) {
      for (size_t i = 0; i < half; ++i) *to++ = value(channel(ChannelOf(h, i)));
    }
  };
  fill([&](size_t c) { return s.bias == nullptr ? 0 : static_cast<int32_t>(s.bias[c]); });
  fill([&](size_t c) {
    int32_t sum = 0;
    for (size_t t = 0; t < taps; ++t) sum += s.weights[t * s.g.out_c + c];
    return sum;
  });
  if (s.stage == DepthwiseStage::kFixedPoint) {
    fill([&](size_t c) { return s.multipliers[c].multiplier; });
    fill([&](size_t c) { return RightShift(s.multipliers[c]); });
  } else if (s.stage == DepthwiseStage::kWide) {
    fill([&](size_t c) { return WideMultiplier(s.multipliers[c], deep); });
    if (deep) fill([&](size_t c) { return DeepShift(s.multipliers[c]); });
  }
  auto* weights = reinterpret_cast<int16_t*>(to);
  for (size_t p = 0; p < (taps + 1) / 2; ++p) {
    for (size_t h = 0; h < 2; ++h) {
      for (size_t i = 0; i < half; ++i) {
        const size_t c = channel(ChannelOf(h, i));
        *weights++ = s.weights[2 * p * s.g.out_c + c];
        *weights++ = 2 * p + 1 < taps ? s.weights[(2 * p + 1) * s.g.out_c + c] : int16_t{0};
      }
    }
  }
}

std::vector<PackedLine> Lines(size_t words) { return std::vector<PackedLine>((words + 15) / 16); }

int32_t* Words(std::vector<PackedLine>* lines) { return reinterpret_cast<int32_t*>(lines->data()); }

size_t Arrays(DepthwiseStage stage, bool deep) {
  if (stage == DepthwiseStage::kWide) return deep ? 2 : 1;
  return stage == DepthwiseStage::kFixedPoint ? 2 : 0;
}

template <typename In>
constexpr size_t kKind = std::is_same_v<In, uint8_t> ? 1 : 0;

}  // namespace

size_t DepthwiseS16Packed::ScratchBytes(size_t input_size) const {
  const size_t pads = stage == DepthwiseStage::kFloat ? size_t(g.batches) : 1;
  size_t bytes = Rounded(pads * g.in_w * g.in_c * input_size);
  if (repeat) bytes += Rounded(size_t(g.batches) * g.in_h * g.in_w * g.in_c * input_size);
  return bytes;
}

DepthwiseS16Packed PackDepthwiseS16(const DepthwiseS16Spec& spec) {
  DepthwiseS16Packed out;
  out.g = spec.g;
  out.stage = spec.stage;
  out.repeat = spec.g.in_c != spec.g.out_c;
  out.in_channels = spec.g.in_c;
  out.g.in_c = spec.g.out_c;
  const auto channels = static_cast<size_t>(spec.g.out_c);
  const size_t taps = size_t(spec.g.filter_h) * spec.g.filter_w,
               widest = HWY_DYNAMIC_DISPATCH(Lanes)();
  if (taps == 0 || taps > kMaxDepthwiseTaps || channels < 8 || widest < 8) return out;
  out.deep = IsDeep(spec);
  for (size_t c = 0; c < channels; ++c) {
    if (!IsExact(spec, out.deep, c)) return out;
  }
  out.pairs = (taps + 1) / 2;
  out.lanes = widest;
  while (out.lanes > channels) out.lanes /= 2;
  const size_t arrays = Arrays(spec.stage, out.deep),
               count = (channels + out.lanes - 1) / out.lanes;
  const size_t words = out.lanes * (2 + arrays + out.pairs);
  out.blocks = Lines(words * count);
  for (size_t b = 0; b < count; ++b) {
    const size_t first = std::min(b * out.lanes, channels - out.lanes);
    PackBlock(
        spec, out.deep, out.lanes, [&](size_t i) { return first + i; },
        Words(&out.blocks) + b * words);
  }
  if (channels < widest && widest % channels == 0 && spec.g.stride_w == 1) {
    out.flat_lanes = widest;
    out.flat_block = Lines(widest * (2 + arrays + out.pairs));
    PackBlock(
        spec, out.deep, widest, [&](size_t i) { return i % channels; }, Words(&out.flat_block));
  }
  PackDepthwiseBytes(spec, &out);
  return out;
}

template <typename In>
void DepthwiseS16(const DepthwiseS16Packed& packed, const In* input, const DepthwiseS16Run& run,
                  std::byte* scratch, ThreadPool* threads) {
  const reference::ConvGeometry& g = packed.g;
  auto* pad = reinterpret_cast<In*>(scratch);
  const size_t row = size_t(g.in_w) * g.in_c;
  const size_t pads = run.image_offsets != nullptr ? size_t(g.batches) : 1;
  const bool bytes = !packed.byte_blocks.empty();
  for (size_t i = 0; i < pads && !bytes; ++i) {
    const int32_t offset = run.image_offsets != nullptr ? run.image_offsets[i] : run.input_offset;
    FillBorder(pad + i * row, row, static_cast<In>(-offset));
  }
  if (packed.repeat) {
    reference::ConvGeometry narrow = g;
    auto* wide = reinterpret_cast<In*>(scratch + Rounded(pads * row * sizeof(In)));
    narrow.in_c = packed.in_channels;
    RepeatChannels(narrow, input, wide);
    input = wide;
  }
  const auto rows = HWY_DYNAMIC_DISPATCH(Rows);
  const auto body = [&](size_t begin, size_t end) {
    if constexpr (std::is_same_v<In, int8_t>) {
      if (bytes) return DepthwiseByteRows(packed, input, run, begin, end);
    }
    rows(packed, kKind<In>, input, pad, run, begin, end);
  };
  const size_t work = size_t(g.out_w) * g.out_c * packed.pairs;
  const size_t grain = std::max<size_t>(1, (size_t{1} << 16) / std::max<size_t>(1, work));
  ParallelFor(threads, size_t(g.batches) * g.out_h, grain, std::cref(body));
}
template void DepthwiseS16(const DepthwiseS16Packed&, const int8_t*, const DepthwiseS16Run&,
                           std::byte*, ThreadPool*);
template void DepthwiseS16(const DepthwiseS16Packed&, const uint8_t*, const DepthwiseS16Run&,
                           std::byte*, ThreadPool*);
template void DepthwiseS16(const DepthwiseS16Packed&, const int16_t*, const DepthwiseS16Run&,
                           std::byte*, ThreadPool*);

int64_t DepthwiseS16Targets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
