#ifndef LITESMITH_BASE_BYTES_H_
#define LITESMITH_BASE_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "base/status.h"

namespace litesmith {

static_assert(std::endian::native == std::endian::little,
              "litesmith maps little-endian files straight into memory");

// A little-endian integer or float at any address.
template <typename T>
T LoadLE(const void* p) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

// a * b, false when it does not fit.
inline bool Multiply(uint64_t a, uint64_t b, uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}

// A cursor over untrusted bytes: every read is checked against the end.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  absl::Status Seek(uint64_t position) {
    if (position > bytes_.size()) return Truncated(position);
    position_ = static_cast<size_t>(position);
    return absl::OkStatus();
  }
  absl::Status Skip(uint64_t count) {
    if (count > remaining()) return Truncated(count);
    position_ += static_cast<size_t>(count);
    return absl::OkStatus();
  }
  template <typename T>
  absl::StatusOr<T> Read() {
    if (remaining() < sizeof(T)) return Truncated(sizeof(T));
    T value = LoadLE<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }
  absl::StatusOr<std::span<const std::byte>> ReadBytes(uint64_t count) {
    if (count > remaining()) return Truncated(count);
    auto out = bytes_.subspan(position_, static_cast<size_t>(count));
    position_ += static_cast<size_t>(count);
    return out;
  }

 private:
  absl::Status Truncated(uint64_t wanted) const {
    return Invalid("the file ends too early: {} bytes wanted at offset {}, {} are left", wanted,
                   position_, remaining());
  }

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_BASE_BYTES_H_
