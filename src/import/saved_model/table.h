#ifndef LITESMITH_IMPORT_SAVED_MODEL_TABLE_H_
#define LITESMITH_IMPORT_SAVED_MODEL_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/status.h"

namespace litesmith::saved_model {

// CRC-32C (Castagnoli) of the bytes, continued from `crc`.
uint32_t Crc32c(std::span<const std::byte> bytes, uint32_t crc = 0);

// LevelDB's way to store a checksum beside the bytes that it covers.
uint32_t MaskCrc(uint32_t crc);

// All entries of a table in LevelDB's format (table_format.md), which is what a checkpoint's index
// is. Untrusted: offsets, lengths and checksums are checked, at most `memory_budget` bytes are
// taken. Values point into `bytes`.
using TableEntries = std::map<std::string, std::span<const std::byte>, std::less<>>;
absl::StatusOr<TableEntries> ReadTable(std::span<const std::byte> bytes, uint64_t memory_budget);

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_TABLE_H_
