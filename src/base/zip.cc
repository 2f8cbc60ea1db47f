#include "base/zip.h"

#include <zip.h>

#include <cstring>
#include <string_view>

#include "base/deflate.h"

namespace litesmith {
namespace {

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

absl::StatusOr<ZipReader::Entry> CheckEntry(zip_t* archive, uint64_t index, uint64_t archive_size) {
  zip_stat_t stat;
  zip_stat_init(&stat);
  constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
  if (zip_stat_index(archive, index, 0, &stat) != 0 || (stat.valid & kNeeded) != kNeeded) {
    return Invalid("the zip archive has an entry without a name or size");
  }
  if (!StaysInside(stat.name)) {
    return Invalid("entry '{}' points outside the zip archive; do not trust this file",
                   Printable(stat.name));
  }
  if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
    return Unsupported("entry '{}' is encrypted; save it without a password", Printable(stat.name));
  }
  if (stat.size / kMaxDeflateRatio > stat.comp_size || stat.comp_size > archive_size) {
    return Invalid("entry '{}' states {} bytes packed in {}, which no zip archive can hold",
                   Printable(stat.name), stat.size, stat.comp_size);
  }
  return ZipReader::Entry{stat.name, stat.size, stat.comp_size};
}

}  // namespace

bool LooksLikeZip(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && std::memcmp(bytes.data(), "PK\x03\x04", 4) == 0;
}

void ZipReader::Close::operator()(zip* archive) const { zip_discard(archive); }
void ZipReader::Stream::Close::operator()(zip_file* file) const { zip_fclose(file); }

absl::StatusOr<ZipReader> ZipReader::Open(std::span<const std::byte> bytes, size_t max_entries) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  ZipReader reader;
  // The consistency check also refuses entries that occur twice.
  if (source != nullptr) {
    reader.archive_.reset(zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
  }
  if (reader.archive_ == nullptr) {
    if (source != nullptr) zip_source_free(source);
    const std::string why = Printable(zip_error_strerror(&error));
    zip_error_fini(&error);
    return Invalid("the zip archive is cut off or damaged ({}); save or fetch it again", why);
  }
  zip_error_fini(&error);
  const zip_int64_t count = zip_get_num_entries(reader.archive_.get(), 0);
  if (count < 0 || static_cast<uint64_t>(count) > max_entries) {
    return Invalid("the zip archive has {} entries; {} are allowed", count, max_entries);
  }
  reader.entries_.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < static_cast<uint64_t>(count); ++i) {
    LS_ASSIGN_OR_RETURN(Entry entry, CheckEntry(reader.archive_.get(), i, bytes.size()));
    reader.entries_.push_back(std::move(entry));
  }
  return reader;
}

absl::StatusOr<ZipReader::Stream> ZipReader::OpenEntry(size_t i) const {
  Stream stream;
  stream.file_.reset(zip_fopen_index(archive_.get(), i, 0));
  if (stream.file_ == nullptr) {
    return Invalid("entry '{}' cannot be unpacked: {}", Printable(entries_[i].name),
                   Printable(zip_error_strerror(zip_get_error(archive_.get()))));
  }
  return stream;
}

absl::Status ZipReader::Stream::Read(std::span<std::byte> out) {
  while (!out.empty()) {
    const zip_int64_t n = zip_fread(file_.get(), out.data(), out.size());
    if (n < 0) {
      return Invalid("damaged: {}", Printable(zip_error_strerror(zip_file_get_error(file_.get()))));
    }
    if (n == 0) return Invalid("ends before the size the archive states");
    out = out.subspan(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status ZipReader::Stream::Finish() {
  // Reading past the end also makes libzip compare the checksum.
  std::byte extra;
  const zip_int64_t more = zip_fread(file_.get(), &extra, 1);
  if (more < 0) {
    return Invalid("damaged: {}", Printable(zip_error_strerror(zip_file_get_error(file_.get()))));
  }
  if (more > 0) return Invalid("is longer than the archive states");
  return absl::OkStatus();
}

}  // namespace litesmith
