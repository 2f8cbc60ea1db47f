#include <zip.h>

#include <algorithm>
#include <memory>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/limits.h"
#include "data/npy.h"

namespace litesmith {
namespace {

constexpr int64_t kMaxEntries = 1 << 16;

struct ZipCloser {
  void operator()(zip_t* z) const { zip_discard(z); }
};
struct ZipFileCloser {
  void operator()(zip_file_t* f) const { zip_fclose(f); }
};

absl::StatusOr<std::unique_ptr<zip_t, ZipCloser>> OpenZip(std::span<const std::byte> bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  zip_t* zip = source ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error) : nullptr;
  if (zip == nullptr) {
    absl::Status status = Invalid("is not a readable .npz (zip): {}; write it with numpy.savez",
                                  Printable(zip_error_strerror(&error)));
    if (source != nullptr) zip_source_free(source);
    zip_error_fini(&error);
    return status;
  }
  zip_error_fini(&error);
  return std::unique_ptr<zip_t, ZipCloser>(zip);
}

// The array's name, or an error for what numpy.savez never writes.
absl::StatusOr<std::string> KeyOf(std::string_view entry) {
  constexpr std::string_view kSuffix = ".npy";
  const bool leaves = entry.starts_with('/') || entry == ".." || entry.starts_with("../") ||
                      entry.find("/../") != std::string_view::npos || entry.ends_with("/..") ||
                      entry.find('\\') != std::string_view::npos;
  if (leaves) {
    return Invalid("the entry '{}' points outside the archive; write the file with numpy.savez",
                   Printable(entry));
  }
  if (entry.size() <= kSuffix.size() || !entry.ends_with(kSuffix)) {
    return Invalid("the entry '{}' is not a .npy; a .npz holds arrays only (numpy.savez)",
                   Printable(entry));
  }
  return std::string(entry.substr(0, entry.size() - kSuffix.size()));
}

absl::Status ReadExactly(zip_file_t* file, std::span<std::byte> out) {
  while (!out.empty()) {
    const zip_int64_t n = zip_fread(file, out.data(), out.size());
    if (n < 0)
      return Invalid("damaged: {}", Printable(zip_error_strerror(zip_file_get_error(file))));
    if (n == 0) return Invalid("ends before the size the archive states");
    out = out.subspan(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

// The header is checked first: an entry that unpacks to something else than an array of the size
// that the archive states takes no memory.
absl::StatusOr<Array> ReadEntry(zip_t* zip, uint64_t index, uint64_t size, const Context& context) {
  std::unique_ptr<zip_file_t, ZipFileCloser> file(zip_fopen_index(zip, index, 0));
  if (file == nullptr) {
    return Invalid("cannot be unpacked: {}", Printable(zip_error_strerror(zip_get_error(zip))));
  }
  std::vector<std::byte> start(static_cast<size_t>(std::min<uint64_t>(size, kNpyProbe)));
  LS_RETURN_IF_ERROR(ReadExactly(file.get(), start));
  LS_ASSIGN_OR_RETURN(NpyHeader header, ParseNpyHeader(start));
  if (size - header.offset != header.size) {
    return Invalid("shape {} of {} needs {} bytes of elements, but the archive states {}",
                   ShapeString(header.shape), ElementTypeName(header.type), header.size,
                   size - header.offset);
  }
  Array array;
  array.type = header.type;
  array.shape = std::move(header.shape);
  LS_RETURN_IF_ERROR(ResizeWithin(&array.bytes, header.size, "the unpacked array", context));
  const auto known = std::span(start).subspan(header.offset);
  std::copy(known.begin(), known.end(), array.bytes.begin());
  LS_RETURN_IF_ERROR(ReadExactly(file.get(), std::span(array.bytes).subspan(known.size())));
  // Reading past the end also makes libzip compare the checksum.
  std::byte extra;
  const zip_int64_t more = zip_fread(file.get(), &extra, 1);
  if (more < 0) {
    return Invalid("damaged: {}", Printable(zip_error_strerror(zip_file_get_error(file.get()))));
  }
  if (more > 0) return Invalid("is longer than the archive states");
  LS_RETURN_IF_ERROR(CheckNpyElements(array.type, array.bytes));
  return array;
}

}  // namespace

absl::StatusOr<NamedArrays> ParseNpz(std::span<const std::byte> bytes, const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto zip, OpenZip(bytes));
  const zip_int64_t count = zip_get_num_entries(zip.get(), 0);
  if (count <= 0) return Invalid("the .npz holds no arrays");
  if (count > kMaxEntries)
    return Invalid("the .npz has {} entries; {} are allowed", count, kMaxEntries);
  NamedArrays out;
  std::set<std::string> seen;
  uint64_t total = 0;
  for (uint64_t i = 0; i < static_cast<uint64_t>(count); ++i) {
    LS_RETURN_IF_ERROR(context.Check());
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(zip.get(), i, 0, &stat) != 0 || (stat.valid & ZIP_STAT_NAME) == 0 ||
        (stat.valid & ZIP_STAT_SIZE) == 0 || (stat.valid & ZIP_STAT_COMP_SIZE) == 0) {
      return Invalid("entry {} of the .npz is damaged", i);
    }
    const std::string entry = stat.name;
    LS_ASSIGN_OR_RETURN(std::string key, KeyOf(entry));
    if (!seen.insert(key).second) return Invalid("the array '{}' is there twice", Printable(key));
    if (stat.size / kMaxDeflateRatio > stat.comp_size || stat.comp_size > bytes.size()) {
      return Invalid("the entry '{}' states {} bytes packed in {}, which no archive can hold",
                     Printable(entry), stat.size, stat.comp_size);
    }
    if (__builtin_add_overflow(total, stat.size, &total)) return Invalid("the sizes overflow");
    LS_RETURN_IF_ERROR(CheckBudget(total, "the unpacked .npz", context));
    LS_ASSIGN_OR_RETURN_IN(Array array, ReadEntry(zip.get(), i, stat.size, context),
                           fmt::format("entry '{}'", Printable(entry)));
    out.emplace_back(std::move(key), std::move(array));
  }
  return out;
}

absl::StatusOr<NamedArrays> ReadNpz(const std::string& path, const Context& context) {
  LS_ASSIGN_OR_RETURN(const std::shared_ptr<const FileBytes> file, FileBytes::Open(path));
  LS_ASSIGN_OR_RETURN_IN(NamedArrays arrays, ParseNpz(file->bytes(), context), path);
  return arrays;
}

}  // namespace litesmith
