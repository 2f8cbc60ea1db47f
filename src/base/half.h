#ifndef LITESMITH_BASE_HALF_H_
#define LITESMITH_BASE_HALF_H_

#include <bit>
#include <cstdint>

namespace litesmith {

// IEEE 754 binary16 <-> binary32, round to nearest even, as TFLite's converter and its DEQUANTIZE do it.

inline float HalfToFloat(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1fu;
  uint32_t mantissa = h & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

inline uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;    // NaN
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;   // rounds to 65520 or more: infinity
  if (magnitude < 0x38800000u) {                         // below 2^-14: a subnormal half
    // Adding 0.5 lets the float unit round to a multiple of 2^-24, nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

}  // namespace litesmith

#endif  // LITESMITH_BASE_HALF_H_
