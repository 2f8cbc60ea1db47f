#ifndef LITESMITH_OPS_FAKE_QUANTIZE_H_
#define LITESMITH_OPS_FAKE_QUANTIZE_H_

// The operator that quantization-aware training puts where a plan quantizes: a custom one of ours,
// which never reaches a file.
//
//   y [, scales] = FakeQuantize(x, scale, settings [, learnt])
//
// x is stored as integers and read back: y = scale * (clamp(round(x / scale) + zero) - zero). With
// an axis there is one scale per index of that dimension of x. Its gradient goes straight through
// where x lies within the limits. `scales` are those that were used.

#include <cstddef>
#include <cstdint>

namespace litesmith {

inline constexpr char kFakeQuantizeCode[] = "LitesmithFakeQuantize";

enum class FakeQuantMode : int32_t {
  kFixed,     // `scale` is it
  kLearnt,    // scale * exp(learnt), which has as many values
  kAveraged,  // of learnt = {scale, zero point, ...}: kAveragedSize values; what a training step
              // leaves as their "gradient" is {0, 0, least x, greatest x}
  kValues,    // symmetric: max |x| / high
  kProduct,   // scale * learnt[0], both `scales` of others: a bias. Neither gets a gradient.
};
inline constexpr int32_t kAveragedSize = 4;

// `settings`, INT32 constants.
enum FakeQuantSetting : size_t {
  kFakeQuantMode,
  kFakeQuantAxis,  // -1: one scale
  kFakeQuantLow,   // of the integer type
  kFakeQuantHigh,
  kFakeQuantZero,
  kFakeQuantAverage,  // 1: x holds averages of integers; see FakeQuant::average
  kFakeQuantSettings,
};

// The scale in mode kLearnt.
float LearntScale(float scale, float learnt);

}  // namespace litesmith

#endif  // LITESMITH_OPS_FAKE_QUANTIZE_H_
