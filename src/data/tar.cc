#include "data/tar.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <vector>

namespace litesmith {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kLongestText = 64 << 10;  // of names and pax headers
constexpr uint64_t kLargestFile = uint64_t{1} << 40;

class MemoryStream : public ByteStream {
 public:
  explicit MemoryStream(std::span<const std::byte> bytes) : bytes_(bytes) {}
  absl::StatusOr<size_t> Read(std::span<std::byte> out) override {
    const size_t count = std::min(out.size(), bytes_.size() - at_);
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(at_), count, out.begin());
    at_ += count;
    return count;
  }
  absl::StatusOr<bool> Skip(uint64_t count) override {
    const bool enough = count <= bytes_.size() - at_;
    at_ = enough ? at_ + static_cast<size_t>(count) : bytes_.size();
    return enough;
  }
  uint64_t position() const override { return at_; }
  void Rewind() override { at_ = 0; }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
};

class UnpackingStream : public ByteStream {
 public:
  explicit UnpackingStream(std::span<const std::byte> packed)
      : gzip_(packed), most_(std::max<uint64_t>(64 << 20, packed.size() * 200)) {}
  absl::StatusOr<size_t> Read(std::span<std::byte> out) override {
    LS_ASSIGN_OR_RETURN(const size_t count, gzip_.Read(out));
    if (gzip_.position() > most_) {
      return Invalid("unpacks to more than 200 times its size; it is no archive of pictures");
    }
    return count;
  }
  absl::StatusOr<bool> Skip(uint64_t count) override {
    while (count > 0) {
      const size_t piece = static_cast<size_t>(std::min<uint64_t>(count, scratch_.size()));
      LS_ASSIGN_OR_RETURN(const size_t got, Read(std::span(scratch_).first(piece)));
      if (got < piece) return false;
      count -= piece;
    }
    return true;
  }
  uint64_t position() const override { return gzip_.position(); }
  void Rewind() override { gzip_.Rewind(); }

 private:
  GzipStream gzip_;
  uint64_t most_;
  std::array<std::byte, 32 << 10> scratch_;
};

// Text up to the first NUL of a header field.
std::string_view Field(std::span<const std::byte> block, size_t offset, size_t size) {
  const auto* p = reinterpret_cast<const char*>(block.data() + offset);
  return {p, strnlen(p, size)};
}

// Octal digits between optional spaces; GNU writes large numbers as big-endian bytes after 0x80.
absl::StatusOr<uint64_t> Number(std::span<const std::byte> block, size_t offset, size_t size,
                                const char* what) {
  const auto* p = reinterpret_cast<const unsigned char*>(block.data() + offset);
  uint64_t value = 0;
  if (p[0] == 0x80) {
    for (size_t i = 1; i < size; ++i) {
      if (value >> 55 != 0) return Invalid("a tar header's {} is too large", what);
      value = value << 8 | p[i];
    }
    return value;
  }
  size_t i = 0;
  while (i < size && p[i] == ' ') ++i;
  for (; i < size && p[i] >= '0' && p[i] <= '7'; ++i) value = value << 3 | (p[i] - '0');
  for (; i < size; ++i) {
    if (p[i] != ' ' && p[i] != 0) return Invalid("a tar header's {} is not a number", what);
  }
  return value;
}

// The sum of the header's bytes with the sum's own field as spaces; some old writers summed signed
// bytes.
bool ChecksumHolds(std::span<const std::byte> block) {
  const absl::StatusOr<uint64_t> stored = Number(block, 148, 8, "checksum");
  if (!stored.ok()) return false;
  int64_t plain = 0, with_sign = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const auto c = i >= 148 && i < 156 ? ' ' : std::to_integer<unsigned char>(block[i]);
    plain += static_cast<unsigned char>(c);
    with_sign += static_cast<signed char>(c);
  }
  const auto wanted = static_cast<int64_t>(*stored);
  return wanted == plain || wanted == with_sign;
}

bool IsZero(std::span<const std::byte> block) {
  return std::all_of(block.begin(), block.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::string HeaderName(std::span<const std::byte> block) {
  std::string name(Field(block, 0, 100));
  // POSIX's ustar has a prefix field; GNU's old format ("ustar  ") keeps times there.
  if (std::memcmp(block.data() + 257, "ustar\0", 6) == 0) {
    if (const std::string_view prefix = Field(block, 345, 155); !prefix.empty()) {
      name = std::string(prefix) + "/" + name;
    }
  }
  return name;
}

absl::StatusOr<std::string> CleanName(std::string_view name) {
  if (name.empty()) return Invalid("a file in the archive has no name");
  if (name.find('\0') != std::string_view::npos) return Invalid("a name in the archive has a NUL");
  if (name[0] == '/') {
    return Invalid("the archive names '{}', outside itself; make it from relative names",
                   Printable(name));
  }
  std::string out;
  while (!name.empty()) {
    const size_t slash = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, slash);
    name.remove_prefix(std::min(slash + 1, name.size()));
    if (part == "..")
      return Invalid("a name in the archive has '../'; make it from relative names");
    if (part.empty() || part == ".") continue;
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

}  // namespace

std::unique_ptr<ByteStream> StreamOfMemory(std::span<const std::byte> bytes) {
  return std::make_unique<MemoryStream>(bytes);
}

std::unique_ptr<ByteStream> StreamOfGzip(std::span<const std::byte> packed) {
  return std::make_unique<UnpackingStream>(packed);
}

bool LooksLikeTar(std::span<const std::byte> bytes) {
  std::array<std::byte, kBlock> block;
  if (LooksLikeGzip(bytes)) {
    GzipStream stream(bytes);
    const absl::StatusOr<size_t> got = stream.Read(block);
    if (!got.ok() || *got < kBlock) return false;
  } else {
    if (bytes.size() < kBlock) return false;
    std::copy_n(bytes.begin(), kBlock, block.begin());
  }
  return !IsZero(block) && ChecksumHolds(block);
}

absl::Status TarReader::ReadBlock(std::span<std::byte> block) {
  LS_ASSIGN_OR_RETURN(const size_t got, stream_->Read(block));
  if (got == block.size()) return absl::OkStatus();
  return Invalid("the archive ends without its end mark: it was cut short; copy it again");
}

absl::Status TarReader::SkipContent(uint64_t size) {
  LS_ASSIGN_OR_RETURN(const bool there, stream_->Skip((size + kBlock - 1) / kBlock * kBlock));
  if (!there) return Invalid("the archive is cut short within a file; copy it again");
  return absl::OkStatus();
}

absl::StatusOr<std::string> TarReader::ReadText(uint64_t size) {
  if (size > kLongestText) return Invalid("the archive has a name or header of {} bytes", size);
  std::vector<std::byte> text((size + kBlock - 1) / kBlock * kBlock);
  LS_RETURN_IF_ERROR(ReadBlock(text));
  return std::string(reinterpret_cast<const char*>(text.data()), size);
}

// Records "LENGTH KEY=VALUE\n" where LENGTH counts the whole record.
absl::Status TarReader::ReadPax(uint64_t size) {
  LS_ASSIGN_OR_RETURN(const std::string text, ReadText(size));
  std::string_view rest = text;
  while (!rest.empty()) {
    uint64_t length = 0;
    size_t i = 0;
    for (; i < rest.size() && i < 6 && rest[i] >= '0' && rest[i] <= '9'; ++i) {
      length = length * 10 + static_cast<uint64_t>(rest[i] - '0');
    }
    if (i == 0 || i >= rest.size() || rest[i] != ' ' || length > rest.size() || length < i + 3 ||
        rest[length - 1] != '\n') {
      return Invalid("the archive has a damaged pax header");
    }
    const std::string_view record = rest.substr(i + 1, length - i - 2);
    rest.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) return Invalid("the archive has a damaged pax header");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") {
      long_name_ = value;
    } else if (key == "size") {
      pax_size_ = 0;
      for (char c : value) {
        if (c < '0' || c > '9' || pax_size_ > kLargestFile)
          return Invalid("the archive has a damaged size");
        pax_size_ = pax_size_ * 10 + static_cast<uint64_t>(c - '0');
      }
      has_pax_size_ = true;
    } else if (key.starts_with("GNU.sparse")) {
      return Unsupported("the archive has sparse files; make it again without --sparse");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> TarReader::Next(TarEntry* entry) {
  std::array<std::byte, kBlock> block;
  while (!ended_) {
    LS_RETURN_IF_ERROR(ReadBlock(block));
    if (IsZero(block)) {
      ended_ = true;
      break;
    }
    if (!ChecksumHolds(block))
      return Invalid("the archive is damaged: a tar header's checksum is wrong");
    LS_ASSIGN_OR_RETURN(uint64_t size, Number(block, 124, 12, "size"));
    const char type = static_cast<char>(block[156]);
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      if (type == 'x') {
        LS_RETURN_IF_ERROR(ReadPax(size));
      } else if (type == 'L') {
        LS_ASSIGN_OR_RETURN(long_name_, ReadText(size));
        while (!long_name_.empty() && long_name_.back() == '\0') long_name_.pop_back();
      } else {
        if (size > kLongestText) return Invalid("the archive has a header of {} bytes", size);
        LS_RETURN_IF_ERROR(SkipContent(size));
      }
      continue;
    }
    const std::string name = long_name_.empty() ? HeaderName(block) : long_name_;
    if (has_pax_size_) size = pax_size_;
    long_name_.clear();
    has_pax_size_ = false;
    if (size > kLargestFile) return Invalid("the archive has a file of {} bytes", size);
    LS_ASSIGN_OR_RETURN(entry->name, CleanName(name));
    if (type == 'S')
      return Unsupported("the archive has sparse files; make it again without --sparse");
    // Links, devices and folders have no content, whatever their size field says.
    entry->folder = type == '5' || name.ends_with('/');
    const bool regular = type == '0' || type == '\0' || type == '7';
    const bool bare = type >= '1' && type <= '6';
    entry->offset = stream_->position();
    entry->size = size;
    if (!bare) LS_RETURN_IF_ERROR(SkipContent(size));
    while (entry->folder && entry->name.ends_with('/')) entry->name.pop_back();
    if (entry->folder ? !entry->name.empty() : regular) return true;
  }
  return false;
}

}  // namespace litesmith
