#include "ops/flex_map.h"

#include <algorithm>
#include <optional>

#include "base/bytes.h"

namespace litesmith {
namespace {

// FlexBuffers' types (https://flatbuffers.dev/flatbuffers_internals.html). A type's byte holds it
// in the upper six bits and the logarithm of a width in the lower two.
enum FlexType : uint8_t {
  kInt = 1,
  kUInt = 2,
  kFloat = 3,
  kIndirectInt = 6,
  kIndirectUInt = 7,
  kIndirectFloat = 8,
  kMap = 9,
  kBool = 26,
};

struct PackedType {
  explicit PackedType(uint8_t byte) : type(byte >> 2), width(size_t{1} << (byte & 3)) {}
  uint8_t type;
  size_t width;
};

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  bool Fits(size_t at, size_t width) const {
    return at <= bytes_.size() && width <= bytes_.size() - at;
  }
  uint8_t Byte(size_t at) const { return bytes_[at]; }

  std::optional<uint64_t> Unsigned(size_t at, size_t width) const {
    if (!Fits(at, width)) return std::nullopt;
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) value = value << 8 | bytes_[at + i];
    return value;
  }
  std::optional<int64_t> Signed(size_t at, size_t width) const {
    const auto value = Unsigned(at, width);
    if (!value.has_value()) return std::nullopt;
    const auto shift = static_cast<int>(64 - 8 * width);
    return static_cast<int64_t>(*value << shift) >> shift;
  }
  std::optional<double> Real(size_t at, size_t width) const {
    if (!Fits(at, width)) return std::nullopt;
    const auto* data = reinterpret_cast<const std::byte*>(bytes_.data() + at);
    if (width == 4) return LoadLE<float>(data);
    if (width == 8) return LoadLE<double>(data);
    return std::nullopt;
  }
  // What the offset at `at` points to: offsets count backwards from where they stand.
  std::optional<size_t> Follow(size_t at, size_t width) const {
    const auto offset = Unsigned(at, width);
    if (!offset.has_value() || *offset > at) return std::nullopt;
    return at - static_cast<size_t>(*offset);
  }
  std::optional<std::string> Key(size_t at) const {
    const auto begin = bytes_.begin() + static_cast<ptrdiff_t>(std::min(at, bytes_.size()));
    const auto end = std::find(begin, bytes_.end(), 0);
    if (end == bytes_.end()) return std::nullopt;
    return std::string(begin, end);
  }

 private:
  std::span<const uint8_t> bytes_;
};

absl::Status Broken() { return Invalid("are no valid FlexBuffer of names and numbers"); }

}  // namespace

absl::StatusOr<FlexMap> FlexMap::Read(std::span<const uint8_t> bytes) {
  const Reader reader(bytes);
  if (bytes.size() < 3) return Broken();
  const size_t root_width = bytes.back();
  const PackedType root(bytes[bytes.size() - 2]);
  if (root.type != kMap || root_width > 8 || root_width + 2 > bytes.size()) return Broken();
  const auto values = reader.Follow(bytes.size() - 2 - root_width, root_width);
  const size_t width = root.width;
  // Before a map's values: the offset and width of its keys, and its size.
  if (!values.has_value() || *values < 3 * width) return Broken();
  const auto keys = reader.Follow(*values - 3 * width, width);
  const auto key_width = reader.Unsigned(*values - 2 * width, width);
  const auto size = reader.Unsigned(*values - width, width);
  if (!keys.has_value() || !key_width.has_value() || !size.has_value() || *key_width > 8 ||
      *size > bytes.size() || !reader.Fits(*values, static_cast<size_t>(*size) * (width + 1))) {
    return Broken();
  }
  FlexMap map;
  for (size_t i = 0; i < *size; ++i) {
    const auto key_at =
        reader.Follow(*keys + i * static_cast<size_t>(*key_width), static_cast<size_t>(*key_width));
    const auto name = key_at.has_value() ? reader.Key(*key_at) : std::nullopt;
    if (!name.has_value()) return Broken();
    const PackedType type(reader.Byte(*values + static_cast<size_t>(*size) * width + i));
    std::optional<size_t> at = *values + i * width;
    size_t bits = width;
    if (type.type >= kIndirectInt && type.type <= kIndirectFloat) {
      at = reader.Follow(*at, width);
      bits = type.width;
    }
    if (!at.has_value()) return Broken();
    std::optional<int64_t> integer;
    std::optional<double> real;
    if (type.type == kInt || type.type == kIndirectInt) integer = reader.Signed(*at, bits);
    if (type.type == kUInt || type.type == kIndirectUInt || type.type == kBool) {
      if (const auto value = reader.Unsigned(*at, bits)) integer = static_cast<int64_t>(*value);
    }
    if (type.type == kFloat || type.type == kIndirectFloat) real = reader.Real(*at, bits);
    if (integer.has_value()) map.numbers_[*name] = {false, *integer, 0.0};
    if (real.has_value()) map.numbers_[*name] = {true, 0, *real};
  }
  return map;
}

int64_t FlexMap::Integer(std::string_view name, int64_t otherwise) const {
  const auto at = numbers_.find(name);
  if (at == numbers_.end()) return otherwise;
  if (!at->second.is_real) return at->second.integer;
  const double real = at->second.real;
  if (!(real > -0x1.0p63 && real < 0x1.0p63)) return otherwise;
  return static_cast<int64_t>(real);
}

double FlexMap::Real(std::string_view name, double otherwise) const {
  const auto at = numbers_.find(name);
  if (at == numbers_.end()) return otherwise;
  return at->second.is_real ? at->second.real : static_cast<double>(at->second.integer);
}

}  // namespace litesmith
