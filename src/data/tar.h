#ifndef LITESMITH_DATA_TAR_H_
#define LITESMITH_DATA_TAR_H_

// A reader of tar archives that trusts nothing: ustar (POSIX.1-2001), GNU long names and sizes, pax
// headers.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "data/gzip.h"
#include "litesmith/context.h"

namespace litesmith {

// Bytes in order, from memory or unpacked from gzip. Not thread-safe.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Fewer than asked for only at the end.
  virtual absl::StatusOr<size_t> Read(std::span<std::byte> out) = 0;
  // False where the end comes first.
  virtual absl::StatusOr<bool> Skip(uint64_t count) = 0;
  virtual uint64_t position() const = 0;
  virtual void Rewind() = 0;
};

std::unique_ptr<ByteStream> StreamOfMemory(std::span<const std::byte> bytes);
// Gives an error once the unpacked bytes pass 64 MB and 200 times the packed ones: no archive of
// pictures packs like that, but a bomb does.
std::unique_ptr<ByteStream> StreamOfGzip(std::span<const std::byte> packed);

// True where the bytes, unpacked if they are gzip, begin as a tar archive.
bool LooksLikeTar(std::span<const std::byte> bytes);

// A regular file or a folder in an archive.
struct TarEntry {
  std::string name;  // relative, without "./" and a last "/"
  bool folder = false;
  uint64_t offset = 0;  // of its content in the (unpacked) archive
  uint64_t size = 0;
};

// Goes through an archive once. Links and devices are passed over. Errors: damaged headers
// (checksum), names that leave the archive ("../", absolute), sparse files, a missing end mark (the
// archive was cut).
class TarReader {
 public:
  // `stream` must outlive the reader and is read by it alone.
  explicit TarReader(ByteStream* stream) : stream_(stream) {}

  // The next regular file or folder, or false after the last.
  absl::StatusOr<bool> Next(TarEntry* entry);

 private:
  absl::Status ReadBlock(std::span<std::byte> block);
  absl::StatusOr<std::string> ReadText(uint64_t size);
  absl::Status ReadPax(uint64_t size);
  absl::Status SkipContent(uint64_t size);

  ByteStream* stream_;
  bool ended_ = false;
  std::string long_name_;  // for the next entry, from GNU's 'L' or pax's path; empty: its own
  uint64_t pax_size_ = 0;
  bool has_pax_size_ = false;
};

}  // namespace litesmith

#endif  // LITESMITH_DATA_TAR_H_
