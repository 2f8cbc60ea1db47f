#ifndef LITESMITH_BASE_FILE_H_
#define LITESMITH_BASE_FILE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "litesmith/context.h"

namespace litesmith {

// A whole file in memory, mapped read-only where the system allows it. Errors name the path: missing, a
// directory, empty ("is empty"), unreadable. Bytes stay valid as long as the object lives.
class FileBytes {
 public:
  static absl::StatusOr<std::shared_ptr<const FileBytes>> Open(const std::string& path);
  ~FileBytes();
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  FileBytes() = default;
  std::span<const std::byte> bytes_;
};

// Writes `content` to a temporary file in the same folder, flushes it to the disk and renames it to
// `path`: the file is there whole, or as it was before. Errors name the path and the system's reason.
// A program that ends by std::quick_exit leaves no temporary file either.
absl::Status WriteFileAtomically(const std::string& path,
                                 std::span<const std::span<const std::byte>> content);
absl::Status WriteFileAtomically(const std::string& path, std::span<const std::byte> content);
absl::Status WriteFileAtomically(const std::string& path, std::string_view content);

// Creates the folder and its parents where missing; an error if `path` is a file.
absl::Status MakeDirectories(const std::string& path);

bool IsDirectory(const std::string& path);
bool FileExists(const std::string& path);

// True when both name the same existing file (also through links).
bool SameFile(const std::string& a, const std::string& b);

}  // namespace litesmith

#endif  // LITESMITH_BASE_FILE_H_
