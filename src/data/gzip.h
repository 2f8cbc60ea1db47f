#ifndef LITESMITH_DATA_GZIP_H_
#define LITESMITH_DATA_GZIP_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"

namespace litesmith {

// True where the bytes begin as a gzip file does (RFC 1952).
bool LooksLikeGzip(std::span<const std::byte> bytes);

// How many bytes gzip makes of these at its best (level 9), header included.
uint64_t GzipSize(std::span<const std::byte> bytes);

// Unpacks gzip from memory piece by piece, checksums included; several members in a row read as
// one, as gzip does. `packed` must outlive the stream. Not thread-safe.
class GzipStream {
 public:
  explicit GzipStream(std::span<const std::byte> packed);
  ~GzipStream();
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  // Fills `out` as far as there is something left: fewer bytes only at the end, 0 after it. Errors:
  // damaged, cut short.
  absl::StatusOr<size_t> Read(std::span<std::byte> out);

  // Bytes given out so far.
  uint64_t position() const { return position_; }
  // Back to the start.
  void Rewind();

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::span<const std::byte> packed_;
  uint64_t position_ = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_DATA_GZIP_H_
