#ifndef LITESMITH_BASE_ZIP_H_
#define LITESMITH_BASE_ZIP_H_

// Untrusted zip archives (.npz, .keras), read from memory. Nothing is ever written to disk.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

struct zip;
struct zip_file;

namespace litesmith {

// True when the bytes start as a zip archive does.
bool LooksLikeZip(std::span<const std::byte> bytes);

// An open archive. One thread at a time; `bytes` must outlive it and its streams.
class ZipReader {
 public:
  struct Entry {
    std::string name;
    uint64_t size = 0;    // as the archive states it; never more than deflate can pack in `packed`
    uint64_t packed = 0;  // no more than the archive's bytes
  };

  // An entry's bytes from start to end.
  class Stream {
   public:
    // Fills `out`, or fails where the entry ends before or is damaged.
    absl::Status Read(std::span<std::byte> out);
    // After the last byte: fails where the entry goes on or its checksum is another.
    absl::Status Finish();

   private:
    friend class ZipReader;
    struct Close {
      void operator()(zip_file* file) const;
    };
    std::unique_ptr<zip_file, Close> file_;
  };

  // Refuses more than `max_entries` entries, and entries that leave the archive ("../", absolute),
  // occur twice, are encrypted, lack name or size, or state sizes that no archive can hold.
  // Messages begin with "the zip archive" or "entry 'NAME'".
  static absl::StatusOr<ZipReader> Open(std::span<const std::byte> bytes, size_t max_entries);

  const std::vector<Entry>& entries() const { return entries_; }

  // REQUIRES: i < entries().size().
  absl::StatusOr<Stream> OpenEntry(size_t i) const;

 private:
  struct Close {
    void operator()(zip* archive) const;
  };
  std::unique_ptr<zip, Close> archive_;
  std::vector<Entry> entries_;
};

}  // namespace litesmith

#endif  // LITESMITH_BASE_ZIP_H_
