#ifndef LITESMITH_IMPORT_KERAS_HDF5_FORMAT_H_
#define LITESMITH_IMPORT_KERAS_HDF5_FORMAT_H_

// What the HDF5 reader's files share.

#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace litesmith {

inline constexpr uint64_t kUndefinedAddress = ~uint64_t{0};

template <typename... Args>
absl::Status Damaged(fmt::format_string<Args...> format, Args&&... args) {
  return Invalid("the HDF5 content cannot be read: {}; save the model again",
                 fmt::format(format, std::forward<Args>(args)...));
}

inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The text up to the first null, or all of it.
inline std::string_view UntilNull(std::span<const std::byte> bytes) {
  const std::string_view text = AsText(bytes);
  return text.substr(0, text.find('\0'));
}

// An unsigned integer of 1 to 8 bytes.
inline absl::StatusOr<uint64_t> ReadUint(ByteReader* in, size_t size) {
  LS_ASSIGN_OR_RETURN(const auto bytes, in->ReadBytes(size));
  uint64_t value = 0;
  std::memcpy(&value, bytes.data(), size);
  return value;
}

}  // namespace litesmith

#endif  // LITESMITH_IMPORT_KERAS_HDF5_FORMAT_H_
