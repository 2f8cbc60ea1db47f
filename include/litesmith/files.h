#ifndef LITESMITH_FILES_H_
#define LITESMITH_FILES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace litesmith {

// Writes a text file through a temporary file in the same folder: `path` holds the whole text or
// what it held before. Errors name the path.
absl::Status WriteText(const std::string& path, const std::string& text);

// Fails where writing would for a reason that can be known before: `path` is a folder or one of
// `inputs`, its folder is missing or not writable.
absl::Status CheckWritable(const std::string& path, const std::vector<std::string>& inputs = {});

// Creates a folder and its parents where missing.
absl::Status CreateFolder(const std::string& path);

// Fails where CreateFolder, or writing into the folder, would for a reason that can be known
// before; creates nothing.
absl::Status CheckFolder(const std::string& path);

}  // namespace litesmith

#endif  // LITESMITH_FILES_H_
