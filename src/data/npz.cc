#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/zip.h"
#include "data/limits.h"
#include "data/npy.h"

namespace litesmith {
namespace {

constexpr size_t kMaxEntries = 1 << 16;

// The array's name, or an error for what numpy.savez never writes.
absl::StatusOr<std::string> KeyOf(std::string_view entry) {
  constexpr std::string_view kSuffix = ".npy";
  if (entry.size() <= kSuffix.size() || !entry.ends_with(kSuffix)) {
    return Invalid("the entry '{}' is not a .npy; a .npz holds arrays only (numpy.savez)",
                   Printable(entry));
  }
  return std::string(entry.substr(0, entry.size() - kSuffix.size()));
}

// The header is checked first: an entry that unpacks to something else than an array of the size
// that the archive states takes no memory.
absl::StatusOr<Array> ReadEntry(const ZipReader& archive, size_t i, const Context& context) {
  const uint64_t size = archive.entries()[i].size;
  LS_ASSIGN_OR_RETURN(ZipReader::Stream stream, archive.OpenEntry(i));
  std::vector<std::byte> start(static_cast<size_t>(std::min<uint64_t>(size, kNpyProbe)));
  LS_RETURN_IF_ERROR(stream.Read(start));
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
  LS_RETURN_IF_ERROR(stream.Read(std::span(array.bytes).subspan(known.size())));
  LS_RETURN_IF_ERROR(stream.Finish());
  LS_RETURN_IF_ERROR(CheckNpyElements(array.type, array.bytes));
  return array;
}

}  // namespace

absl::StatusOr<NamedArrays> ParseNpz(std::span<const std::byte> bytes, const Context& context) {
  LS_ASSIGN_OR_RETURN(const ZipReader archive, ZipReader::Open(bytes, kMaxEntries));
  if (archive.entries().empty()) return Invalid("the .npz holds no arrays");
  NamedArrays out;
  uint64_t total = 0;
  for (size_t i = 0; i < archive.entries().size(); ++i) {
    LS_RETURN_IF_ERROR(context.Check());
    const ZipReader::Entry& entry = archive.entries()[i];
    LS_ASSIGN_OR_RETURN(std::string key, KeyOf(entry.name));
    if (__builtin_add_overflow(total, entry.size, &total)) return Invalid("the sizes overflow");
    LS_RETURN_IF_ERROR(CheckBudget(total, "the unpacked .npz", context));
    LS_ASSIGN_OR_RETURN_IN(Array array, ReadEntry(archive, i, context),
                           fmt::format("entry '{}'", Printable(entry.name)));
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
