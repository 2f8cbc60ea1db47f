#ifndef LITESMITH_KERNELS_REFERENCE_ACCUMULATE_H_
#define LITESMITH_KERNELS_REFERENCE_ACCUMULATE_H_

// Accumulators of the matrix-like kernels. Integers accumulate modulo 2^32 or 2^64 as LiteRT's
// machines do: the type is unsigned, so that overflow is defined, and the output stage reads it as
// signed. Freestanding.

#include <cstdint>
#include <type_traits>

namespace litesmith::reference {

// acc + a * b. Acc is float, uint32_t or uint64_t; a and b are float, or int32_t values.
template <typename Acc, typename T>
inline Acc MultiplyAdd(Acc acc, T a, T b) {
  if constexpr (std::is_floating_point_v<Acc>) {
    return acc + a * b;
  } else {
    return acc + static_cast<Acc>(a) * static_cast<Acc>(b);
  }
}

// What one factor is widened to before the product.
template <typename Acc>
using Factor = std::conditional_t<std::is_floating_point_v<Acc>, Acc, int32_t>;

// x + offset; floats have no offset.
template <typename Acc, typename T>
inline Factor<Acc> Offset(T x, int32_t offset) {
  if constexpr (std::is_floating_point_v<Acc>) {
    return x;
  } else {
    return static_cast<int32_t>(x) + offset;
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_ACCUMULATE_H_
