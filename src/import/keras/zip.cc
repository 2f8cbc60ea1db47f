#include "import/keras/zip.h"

#include <zip.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace litesmith::keras {
namespace {

constexpr zip_int64_t kMaxEntries = 4096;  // a .keras file has three, and its assets
// Weights hardly compress; a configuration of many equal layers does by about 30.
constexpr uint64_t kMaxRatio = 200;

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};

absl::Status BadZip(std::string_view what) {
  return Invalid("the zip archive {}; save the model again", what);
}

// Whether a name stays inside the folder it would be unpacked to.
bool StaysInside(std::string_view name) {
  if (name.empty() || name.front() == '/' || name.front() == '\\') return false;
  if (name.size() > 1 && name[1] == ':') return false;  // a Windows drive
  while (!name.empty()) {
    const size_t end = name.find_first_of("/\\");
    if (name.substr(0, end) == "..") return false;
    if (end == std::string_view::npos) return true;
    name = name.substr(end + 1);
  }
  return true;
}

absl::StatusOr<std::vector<std::byte>> ReadEntry(zip_t* archive, const zip_stat_t& stat) {
  const std::unique_ptr<zip_file_t, CloseEntry> file(zip_fopen_index(archive, stat.index, 0));
  if (file == nullptr) {
    return BadZip(fmt::format("has an entry '{}' that cannot be unpacked", Printable(stat.name)));
  }
  std::vector<std::byte> out(stat.size);
  size_t done = 0;
  while (done < out.size()) {
    const zip_int64_t n = zip_fread(file.get(), out.data() + done, out.size() - done);
    if (n <= 0) {
      return BadZip(fmt::format("is damaged in its entry '{}'", Printable(stat.name)));
    }
    done += static_cast<size_t>(n);
  }
  // One more read makes libzip compare the checksum.
  std::byte rest;
  if (zip_fread(file.get(), &rest, 1) != 0) {
    return BadZip(fmt::format("is damaged in its entry '{}'", Printable(stat.name)));
  }
  return out;
}

}  // namespace

bool LooksLikeZip(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\x03\x04", 4) == 0;
}

absl::StatusOr<std::map<std::string, std::vector<std::byte>>> ReadZip(
    std::span<const std::byte> bytes, const std::vector<std::string>& names,
    uint64_t memory_budget) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  if (source == nullptr) return BadZip("cannot be opened");
  const std::unique_ptr<zip_t, CloseArchive> archive(
      zip_open_from_source(source, ZIP_RDONLY, &error));
  if (archive == nullptr) {
    zip_source_free(source);
    zip_error_fini(&error);
    return BadZip("is cut off or damaged");
  }
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  if (count > kMaxEntries) return BadZip(fmt::format("has {} entries", count));
  std::map<std::string, std::vector<std::byte>> out;
  uint64_t total = 0;
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &stat) != 0 ||
        (stat.valid & kNeeded) != kNeeded) {
      return BadZip("has an entry without a name or size");
    }
    if (!StaysInside(stat.name)) {
      return Invalid(
          "the zip archive has an entry named '{}', which leaves the archive; "
          "do not trust this file",
          Printable(stat.name));
    }
    const std::string name = stat.name;
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    if (out.contains(name)) return BadZip(fmt::format("has two entries '{}'", name));
    if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
      return Unsupported(
          "entry '{}' of the zip archive is encrypted; save the model without a password", name);
    }
    total += std::min<uint64_t>(stat.size, UINT64_MAX - total);
    if (stat.size / kMaxRatio > stat.comp_size || total > memory_budget ||
        stat.size / kMaxRatio > bytes.size()) {
      return Invalid(
          "entry '{}' of the zip archive claims {} bytes out of {}: a zip bomb, or more "
          "than the {} bytes of memory allowed",
          name, stat.size, stat.comp_size, memory_budget);
    }
    LS_ASSIGN_OR_RETURN(out[name], ReadEntry(archive.get(), stat));
  }
  return out;
}

}  // namespace litesmith::keras
