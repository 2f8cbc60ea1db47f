#ifndef LITESMITH_BASE_PACKED_INT_H_
#define LITESMITH_BASE_PACKED_INT_H_

// TFLite's packed 4- and 2-bit integers: signed, the first element in the lowest bits.
// Freestanding.

#include <cstddef>
#include <cstdint>

namespace litesmith {

// `packed` holds (count + 1) / 2 bytes.
inline void UnpackInt4(const void* packed, size_t count, int8_t* out) {
  const auto* bytes = static_cast<const uint8_t*>(packed);
  for (size_t i = 0; i < count; ++i) {
    const int nibble = (bytes[i / 2] >> (i % 2 * 4)) & 15;
    out[i] = static_cast<int8_t>((nibble ^ 8) - 8);
  }
}

// `packed` holds (count + 1) / 2 bytes.
inline void PackInt4(const int8_t* values, size_t count, void* packed) {
  auto* bytes = static_cast<uint8_t*>(packed);
  for (size_t i = 0; i < count; ++i) {
    const auto nibble = static_cast<uint8_t>(values[i] & 15);
    bytes[i / 2] = static_cast<uint8_t>(i % 2 == 0 ? nibble : bytes[i / 2] | (nibble << 4));
  }
}

// `packed` holds (count + 3) / 4 bytes.
inline void UnpackInt2(const void* packed, size_t count, int8_t* out) {
  const auto* bytes = static_cast<const uint8_t*>(packed);
  for (size_t i = 0; i < count; ++i) {
    const int crumb = (bytes[i / 4] >> (i % 4 * 2)) & 3;
    out[i] = static_cast<int8_t>((crumb ^ 2) - 2);
  }
}

}  // namespace litesmith

#endif  // LITESMITH_BASE_PACKED_INT_H_
