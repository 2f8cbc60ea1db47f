#ifndef LITESMITH_BASE_FOLDER_H_
#define LITESMITH_BASE_FOLDER_H_

#include <string>

#include "base/status.h"

namespace litesmith {

// Whether `path`, all links followed, is `folder` or lies below it ("": the current folder). For
// files that an untrusted model names. An error of one line where either does not exist.
absl::StatusOr<bool> LiesInside(const std::string& folder, const std::string& path);

}  // namespace litesmith

#endif  // LITESMITH_BASE_FOLDER_H_
