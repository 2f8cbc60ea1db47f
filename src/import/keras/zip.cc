#include "import/keras/zip.h"

#include <algorithm>

#include "base/zip.h"

namespace litesmith::keras {
namespace {

constexpr size_t kMaxEntries = 4096;  // a .keras file has three, and its assets
// Weights hardly compress; a configuration of many equal layers does by about 30.
constexpr uint64_t kMaxRatio = 200;

absl::StatusOr<std::vector<std::byte>> ReadEntry(const ZipReader& archive, size_t i) {
  LS_ASSIGN_OR_RETURN(ZipReader::Stream stream, archive.OpenEntry(i));
  std::vector<std::byte> out(archive.entries()[i].size);
  LS_RETURN_IF_ERROR(stream.Read(out));
  LS_RETURN_IF_ERROR(stream.Finish());
  return out;
}

}  // namespace

absl::StatusOr<std::map<std::string, std::vector<std::byte>>> ReadZip(
    std::span<const std::byte> bytes, const std::vector<std::string>& names,
    uint64_t memory_budget) {
  LS_ASSIGN_OR_RETURN(const ZipReader archive, ZipReader::Open(bytes, kMaxEntries));
  std::map<std::string, std::vector<std::byte>> out;
  uint64_t total = 0;
  for (size_t i = 0; i < archive.entries().size(); ++i) {
    const ZipReader::Entry& entry = archive.entries()[i];
    if (std::find(names.begin(), names.end(), entry.name) == names.end()) continue;
    total += std::min(entry.size, UINT64_MAX - total);
    if (entry.size / kMaxRatio > entry.packed || total > memory_budget) {
      return Invalid(
          "entry '{}' of the zip archive claims {} bytes out of {}: a zip bomb, or more than the "
          "{} bytes of memory allowed",
          entry.name, entry.size, entry.packed, memory_budget);
    }
    LS_ASSIGN_OR_RETURN_IN(out[entry.name], ReadEntry(archive, i),
                           fmt::format("entry '{}'", entry.name));
  }
  return out;
}

}  // namespace litesmith::keras
