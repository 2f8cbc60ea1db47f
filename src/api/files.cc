#include "litesmith/files.h"

#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/status.h"

namespace litesmith {

absl::Status WriteText(const std::string& path, const std::string& text) {
  return WriteFileAtomically(path, std::string_view(text));
}

absl::Status CheckWritable(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty()) return Invalid("the output's name is empty; give the name of a file to write");
  for (const std::string& input : inputs) {
    if (!input.empty() && SameFile(input, path)) {
      return Invalid("{}: is an input too; give the output another name", path);
    }
  }
  if (IsDirectory(path)) return Invalid("{}: is a folder; give the name of a file to write", path);
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  if (!FileExists(folder)) {
    return absl::NotFoundError(
        fmt::format("{}: the folder {} does not exist; create it first", path, folder));
  }
  if (!IsDirectory(folder)) {
    return Invalid("{}: {} is not a folder; choose another output", path, folder);
  }
  if (::access(folder.c_str(), W_OK) != 0) {
    return IoError("{}: no right to write in {}; choose another output", path, folder);
  }
  return absl::OkStatus();
}

absl::Status CreateFolder(const std::string& path) { return MakeDirectories(path); }

absl::Status CheckFolder(const std::string& path) {
  // The nearest part of the path that is there already decides.
  std::error_code error;
  std::filesystem::path part = std::filesystem::absolute(path, error);
  while (!FileExists(part.string()) && part.has_relative_path()) part = part.parent_path();
  if (!IsDirectory(part.string())) {
    return Invalid("{}: {} is not a folder; choose another output", path, part.string());
  }
  if (::access(part.c_str(), W_OK) != 0) {
    return IoError("{}: no right to write in {}; choose another output", path, part.string());
  }
  return absl::OkStatus();
}

}  // namespace litesmith
