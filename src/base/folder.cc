#include "base/folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace litesmith {

absl::StatusOr<bool> LiesInside(const std::string& folder, const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path home = fs::canonical(folder.empty() ? fs::path(".") : fs::path(folder), error);
  const fs::path real = error ? fs::path() : fs::canonical(path, error);
  if (error) return absl::NotFoundError(fmt::format("{}: {}", path, error.message()));
  return std::mismatch(home.begin(), home.end(), real.begin(), real.end()).first == home.end();
}

}  // namespace litesmith
