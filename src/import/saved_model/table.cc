#include "import/saved_model/table.h"

#include <array>
#include <bit>

#include "base/bytes.h"

namespace litesmith::saved_model {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint64_t kMagic = 0xdb4775248b80fb57;  // at the end of every table
constexpr size_t kFooterSize = 48;
constexpr size_t kTrailerSize = 5;  // a block's type and checksum
constexpr size_t kLongestKey = 1 << 16;
constexpr uint64_t kEntryBytes = 128;  // what an entry of the map takes beside its key

// Eight tables, so that eight bytes are taken at once.
std::array<std::array<uint32_t, 256>, 8> MakeCrcTables() {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    tables[0][i] = crc;
  }
  for (size_t t = 1; t < 8; ++t) {
    for (size_t i = 0; i < 256; ++i) {
      const uint32_t before = tables[t - 1][i];
      tables[t][i] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

absl::Status Damaged() {
  return Invalid("the index is damaged; save the model again, or copy all of its folder");
}

// A little-endian number, seven bits a byte, at the front of `in`.
bool TakeVarint(Bytes* in, uint64_t* out) {
  *out = 0;
  for (unsigned shift = 0; shift < 64 && !in->empty(); shift += 7) {
    const auto byte = static_cast<uint64_t>(in->front());
    *in = in->subspan(1);
    *out |= (byte & 127) << shift;
    if (byte < 128) return true;
  }
  return false;
}

class TableReader {
 public:
  TableReader(Bytes bytes, uint64_t memory_budget) : bytes_(bytes), left_(memory_budget) {}

  absl::StatusOr<TableEntries> Read() {
    if (bytes_.size() < kFooterSize) return Damaged();
    Bytes footer = bytes_.last(kFooterSize);
    if (LoadLE<uint64_t>(footer.data() + kFooterSize - 8) != kMagic) return Damaged();
    Bytes unused, index;
    LS_RETURN_IF_ERROR(TakeBlock(&footer, &unused, false));
    LS_RETURN_IF_ERROR(TakeBlock(&footer, &index, true));
    std::vector<std::pair<std::string, Bytes>> blocks, entries;
    LS_RETURN_IF_ERROR(ReadBlock(index, &blocks));
    TableEntries out;
    for (auto& [last_key, handle] : blocks) {
      Bytes block;
      LS_RETURN_IF_ERROR(TakeBlock(&handle, &block, true));
      entries.clear();
      LS_RETURN_IF_ERROR(ReadBlock(block, &entries));
      for (auto& [key, value] : entries) {
        if (!out.emplace(std::move(key), value).second) return Damaged();
      }
    }
    return out;
  }

 private:
  // Reads the handle at the front of `in` and checks the block that it names.
  absl::Status TakeBlock(Bytes* in, Bytes* block, bool check) {
    uint64_t offset = 0, size = 0;
    if (!TakeVarint(in, &offset) || !TakeVarint(in, &size)) return Damaged();
    if (!check) return absl::OkStatus();
    const uint64_t end = bytes_.size() - kFooterSize;
    if (offset > end || size > end - offset || end - offset - size < kTrailerSize) return Damaged();
    const Bytes covered =
        bytes_.subspan(static_cast<size_t>(offset), static_cast<size_t>(size) + 1);
    if (MaskCrc(Crc32c(covered)) != LoadLE<uint32_t>(covered.data() + covered.size())) {
      return Damaged();
    }
    if (covered.back() != std::byte{0}) {
      return Unsupported(
          "the index is compressed, which TensorFlow never does; save the model again");
    }
    *block = covered.first(static_cast<size_t>(size));
    return absl::OkStatus();
  }

  // Entries with their keys' common prefixes put back.
  absl::Status ReadBlock(Bytes block, std::vector<std::pair<std::string, Bytes>>* out) {
    if (block.size() < 4) return Damaged();
    const uint64_t restarts = LoadLE<uint32_t>(block.data() + block.size() - 4);
    if (restarts > (block.size() - 4) / 4) return Damaged();
    Bytes rest = block.first(block.size() - 4 - 4 * static_cast<size_t>(restarts));
    std::string key;
    while (!rest.empty()) {
      uint64_t shared = 0, added = 0, length = 0;
      if (!TakeVarint(&rest, &shared) || !TakeVarint(&rest, &added) ||
          !TakeVarint(&rest, &length) || shared > key.size() || added > rest.size() ||
          length > rest.size() - added || shared + added > kLongestKey) {
        return Damaged();
      }
      key.resize(static_cast<size_t>(shared));
      key.append(reinterpret_cast<const char*>(rest.data()), static_cast<size_t>(added));
      const uint64_t needed = key.size() + kEntryBytes;
      if (needed > left_) {
        return absl::ResourceExhaustedError("the index needs more memory than is allowed");
      }
      left_ -= needed;
      out->emplace_back(key, rest.subspan(static_cast<size_t>(added), static_cast<size_t>(length)));
      rest = rest.subspan(static_cast<size_t>(added + length));
    }
    return absl::OkStatus();
  }

  Bytes bytes_;
  uint64_t left_;
};

}  // namespace

uint32_t Crc32c(Bytes bytes, uint32_t crc) {
  static const auto kTables = MakeCrcTables();
  crc = ~crc;
  const std::byte* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    const uint64_t word = LoadLE<uint64_t>(p) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 255];
  }
  for (; n > 0; --n, ++p) crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint32_t>(*p)) & 255];
  return ~crc;
}

uint32_t MaskCrc(uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8u; }

absl::StatusOr<TableEntries> ReadTable(Bytes bytes, uint64_t memory_budget) {
  return TableReader(bytes, memory_budget).Read();
}

}  // namespace litesmith::saved_model
