#include "data/npy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/file.h"
#include "data/limits.h"

namespace litesmith {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kLongestHeader = 10000;  // as NumPy's max_header_size
constexpr size_t kMaxRank = 64;           // NumPy 2's limit

struct NpyType {
  std::string_view code;  // as in descr after the byte order
  ElementType type;
};
constexpr std::array<NpyType, 12> kTypes = {{{"f2", ElementType::kFloat16},
                                             {"f4", ElementType::kFloat32},
                                             {"f8", ElementType::kFloat64},
                                             {"i1", ElementType::kInt8},
                                             {"i2", ElementType::kInt16},
                                             {"i4", ElementType::kInt32},
                                             {"i8", ElementType::kInt64},
                                             {"u1", ElementType::kUint8},
                                             {"u2", ElementType::kUint16},
                                             {"u4", ElementType::kUint32},
                                             {"u8", ElementType::kUint64},
                                             {"b1", ElementType::kBool}}};

struct Dictionary {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  bool has_descr = false, has_order = false, has_shape = false;
};

// Reads the one Python literal that numpy.lib.format writes:
// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and padding.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  absl::StatusOr<Dictionary> Parse() {
    Dictionary header;
    if (!Take('{')) return Bad("a dictionary");
    while (!Take('}')) {
      LS_ASSIGN_OR_RETURN(const std::string key, String());
      if (!Take(':')) return Bad("':'");
      LS_RETURN_IF_ERROR(Value(key, &header));
      if (Take(',')) continue;
      if (Take('}')) break;
      return Bad("',' or '}'");
    }
    Space();
    if (at_ != text_.size()) return Bad("its end");
    if (!header.has_descr || !header.has_order || !header.has_shape) {
      return Invalid("the .npy header lacks descr, fortran_order or shape");
    }
    return header;
  }

 private:
  absl::Status Bad(std::string_view wanted) const {
    return Invalid("the .npy header is not readable: {} expected at character {}", wanted, at_);
  }
  void Space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool Take(char c) {
    Space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool TakeWord(std::string_view word) {
    Space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  absl::StatusOr<std::string> String() {
    Space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return Bad("a string");
    const char quote = text_[at_++];
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) return Bad("the end of a string");
    std::string out(text_.substr(at_, end - at_));
    if (out.find('\\') != std::string::npos) return Bad("a string without escapes");
    at_ = end + 1;
    return out;
  }

  absl::Status Value(const std::string& key, Dictionary* header) {
    if (key == "descr" && !header->has_descr) {
      header->has_descr = true;
      if (Take('[')) {
        return Unsupported(
            "the array holds structures; save each field as an array of its own, plain numbers "
            "only");
      }
      LS_ASSIGN_OR_RETURN(header->descr, String());
      return absl::OkStatus();
    }
    if (key == "fortran_order" && !header->has_order) {
      header->has_order = true;
      header->fortran_order = TakeWord("True");
      if (!header->fortran_order && !TakeWord("False")) return Bad("True or False");
      return absl::OkStatus();
    }
    if (key == "shape" && !header->has_shape) {
      header->has_shape = true;
      return ShapeTuple(&header->shape);
    }
    return Invalid("the .npy header has an unknown or repeated key '{}'", Printable(key));
  }

  absl::Status ShapeTuple(std::vector<int64_t>* shape) {
    if (!Take('(')) return Bad("a tuple");
    while (!Take(')')) {
      LS_ASSIGN_OR_RETURN(const int64_t d, Dimension());
      shape->push_back(d);
      if (shape->size() > kMaxRank) return Invalid("the array has more than {} axes", kMaxRank);
      if (Take(',')) continue;
      if (!Take(')')) return Bad("',' or ')'");
      if (shape->size() == 1) return Bad("',' after a single dimension");
      break;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> Dimension() {
    Space();
    const size_t start = at_;
    int64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
          __builtin_add_overflow(value, int64_t{text_[at_] - '0'}, &value)) {
        return Invalid("a dimension of the array is too large");
      }
      ++at_;
    }
    if (at_ == start) return Bad("a dimension");
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote (3L, 4L)
    return value;
  }

  std::string_view text_;
  size_t at_ = 0;
};

absl::StatusOr<ElementType> TypeOf(const std::string& descr) {
  const std::string_view shown = descr;
  if (descr.size() < 2) return Invalid("the .npy header's type '{}' is unknown", Printable(shown));
  const char order = descr[0];
  const std::string_view code = shown.substr(1);
  if (code[0] == 'O' || descr == "O") {
    return Unsupported(
        "the array holds pickled Python objects; save plain numbers (array.astype('float32'))");
  }
  const auto known =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const NpyType& t) { return t.code == code; });
  if (known == kTypes.end()) {
    return Unsupported(
        "the array's type '{}' is not supported; use float16/32/64, int8..64, uint8..64 or bool",
        Printable(shown));
  }
  if (order == '>') {
    return Unsupported("the array is big-endian ('{}'); save array.astype('<{}')", Printable(shown),
                       code);
  }
  if (order != '<' && !(order == '|' && ElementSize(known->type) == 1)) {
    return Invalid("the .npy header's byte order '{}' is unknown", Printable(shown.substr(0, 1)));
  }
  return known->type;
}

// Format 1.0 has a 16-bit header length, 2.0 and 3.0 a 32-bit one; 3.0's text is UTF-8 instead of
// Latin-1, which makes no difference for plain numbers.
absl::StatusOr<std::string_view> HeaderText(ByteReader* reader) {
  const absl::StatusOr<std::span<const std::byte>> magic = reader->ReadBytes(kMagic.size());
  if (!magic.ok() || std::memcmp(magic->data(), kMagic.data(), kMagic.size()) != 0) {
    return Invalid(
        "is not a .npy file (its first bytes are not \\x93NUMPY); write it with numpy.save");
  }
  LS_ASSIGN_OR_RETURN(const uint8_t major, reader->Read<uint8_t>());
  LS_ASSIGN_OR_RETURN(const uint8_t minor, reader->Read<uint8_t>());
  if (major < 1 || major > 3 || minor != 0) {
    return Unsupported("has .npy format {}.{}; 1.0, 2.0 and 3.0 are known", major, minor);
  }
  uint32_t length = 0;
  if (major == 1) {
    LS_ASSIGN_OR_RETURN(length, reader->Read<uint16_t>());
  } else {
    LS_ASSIGN_OR_RETURN(length, reader->Read<uint32_t>());
  }
  if (length > kLongestHeader) return Invalid("has a .npy header of {} bytes", length);
  LS_ASSIGN_OR_RETURN(std::span<const std::byte> text, reader->ReadBytes(length));
  return std::string_view(reinterpret_cast<const char*>(text.data()), text.size());
}

absl::StatusOr<std::string> DescrOf(ElementType type) {
  for (const NpyType& t : kTypes) {
    if (t.type == type) return fmt::format("{}{}", ElementSize(type) == 1 ? '|' : '<', t.code);
  }
  return Unsupported("an array of {} cannot be stored as .npy", ElementTypeName(type));
}

}  // namespace

absl::Status CheckNpyElements(ElementType type, std::span<const std::byte> elements) {
  if (type == ElementType::kBool && std::any_of(elements.begin(), elements.end(), [](std::byte b) {
        return std::to_integer<int>(b) > 1;
      })) {
    return Invalid("a boolean element is neither 0 nor 1: the file is damaged");
  }
  return absl::OkStatus();
}

absl::StatusOr<NpyHeader> ParseNpyHeader(std::span<const std::byte> start) {
  ByteReader reader(start);
  LS_ASSIGN_OR_RETURN(const std::string_view text, HeaderText(&reader));
  LS_ASSIGN_OR_RETURN(Dictionary dictionary, HeaderParser(text).Parse());
  NpyHeader header;
  LS_ASSIGN_OR_RETURN(header.type, TypeOf(dictionary.descr));
  if (dictionary.fortran_order && dictionary.shape.size() > 1) {
    return Unsupported(
        "the array is in Fortran order; save numpy.ascontiguousarray(array) instead");
  }
  // The element count alone must fit too, where another dimension is 0.
  uint64_t span = ElementSize(header.type);
  header.size = span;
  for (int64_t d : dictionary.shape) {
    header.size *= static_cast<uint64_t>(d);
    if (!Multiply(span, static_cast<uint64_t>(std::max<int64_t>(d, 1)), &span) ||
        span > INT64_MAX) {
      return Invalid("the array's shape {} is too large", ShapeString(dictionary.shape));
    }
  }
  header.shape = std::move(dictionary.shape);
  header.offset = reader.position();
  return header;
}

absl::StatusOr<NpyHeader> CheckNpy(std::span<const std::byte> bytes) {
  LS_ASSIGN_OR_RETURN(NpyHeader header, ParseNpyHeader(bytes));
  const uint64_t stored = bytes.size() - header.offset;
  if (stored != header.size) {
    return Invalid(
        "shape {} of {} needs {} bytes of elements, but {} follow the header: the file is {}",
        ShapeString(header.shape), ElementTypeName(header.type), header.size, stored,
        stored < header.size ? "cut short; copy it again" : "longer than its array");
  }
  LS_RETURN_IF_ERROR(CheckNpyElements(header.type, bytes.subspan(header.offset)));
  return header;
}

absl::StatusOr<Array> ParseNpy(std::span<const std::byte> bytes, const Context& context) {
  LS_ASSIGN_OR_RETURN(NpyHeader header, CheckNpy(bytes));
  Array array;
  array.type = header.type;
  array.shape = std::move(header.shape);
  LS_RETURN_IF_ERROR(ResizeWithin(&array.bytes, header.size, "the array", context));
  std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(header.offset), header.size,
              array.bytes.begin());
  return array;
}

absl::StatusOr<Array> ReadNpy(const std::string& path, const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  LS_ASSIGN_OR_RETURN_IN(Array array, ParseNpy(file->bytes(), context), path);
  return array;
}

absl::Status WriteNpy(const std::string& path, const Array& array) {
  LS_ASSIGN_OR_RETURN_IN(const std::string descr, DescrOf(array.type), path);
  std::string shape = fmt::format("{}", fmt::join(array.shape, ", "));
  if (array.shape.size() == 1) shape += ',';
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  // Elements start at a multiple of 64, after magic, version, length and a final newline.
  const size_t fixed = kMagic.size() + 4;
  header.append(63 - (fixed + header.size()) % 64, ' ');
  header += '\n';
  std::string start(kMagic);
  start += '\x01';
  start += '\x00';
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  start += header;
  const std::array<std::span<const std::byte>, 2> parts = {
      std::as_bytes(std::span(start.data(), start.size())),
      std::span<const std::byte>(array.bytes)};
  return WriteFileAtomically(path, parts);
}

}  // namespace litesmith
