#ifndef LITESMITH_KERNELS_REFERENCE_NORMALIZATION_H_
#define LITESMITH_KERNELS_REFERENCE_NORMALIZATION_H_

// L2_NORMALIZATION and LOCAL_RESPONSE_NORMALIZATION, row by row of the last dimension.
// Freestanding.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/fixed_point.h"
#include "kernels/reference/fixed_math.h"

namespace litesmith::reference {

inline void L2NormalizeRow(const float* in, size_t depth, float* out) {
  float sum = 0.0f;
  for (size_t c = 0; c < depth; ++c) sum += in[c] * in[c];
  const float norm = std::max(std::sqrt(sum), 1e-6f);
  for (size_t c = 0; c < depth; ++c) out[c] = in[c] / norm;
}

// 8-bit; output scale 1/128, zero point in the middle.
template <typename T>
void L2NormalizeRow(const T* in, size_t depth, int32_t zero_point, T* out) {
  constexpr bool kSigned = std::numeric_limits<T>::is_signed;
  uint32_t sum = 0;
  for (size_t c = 0; c < depth; ++c) {
    const int32_t diff = int32_t{in[c]} - zero_point;
    sum += static_cast<uint32_t>(diff * diff);
  }
  const Multiplier inverse = InverseSquareRoot(static_cast<int32_t>(sum));
  for (size_t c = 0; c < depth; ++c) {
    const int32_t diff = int32_t{in[c]} - zero_point;
    // LiteRT scales by 128 before the multiplication for uint8, in the shift for int8.
    const int32_t scaled =
        kSigned ? MultiplyByQuantizedMultiplier(diff, inverse.multiplier, inverse.shift + 7)
                : MultiplyByQuantizedMultiplier(128 * diff, inverse) + 128;
    out[c] = static_cast<T>(
        std::clamp<int32_t>(scaled, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
  }
}

struct LocalResponse {
  int64_t radius = 0;
  float bias = 0.0f, alpha = 0.0f, beta = 0.0f;
};

// As LiteRT sums it: `radius` channels before, one fewer behind, and itself.
inline void LocalResponseRow(const float* in, int64_t depth, const LocalResponse& p, float* out) {
  for (int64_t c = 0; c < depth; ++c) {
    float sum = 0.0f;
    for (int64_t i = std::max<int64_t>(0, c - p.radius); i < std::min(depth, c + p.radius); ++i) {
      sum += in[i] * in[i];
    }
    out[c] = in[c] * std::pow(p.bias + p.alpha * sum, -p.beta);
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_NORMALIZATION_H_
