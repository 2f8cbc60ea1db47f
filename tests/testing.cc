#include "tests/testing.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace litesmith::testing {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Removed at exit with everything in it.
struct ScratchRoot {
  std::string path;
  ScratchRoot() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "litesmith_test_XXXXXX").string();
    const char* made = ::mkdtemp(pattern.data());
    if (made == nullptr) std::abort();
    path = made;
  }
  ~ScratchRoot() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

std::string SourceDir() {
  std::string dir = Environment("LITESMITH_SOURCE");
  return dir.empty() ? "." : dir;
}

std::string SharedDir() {
  std::string dir = Environment("LITESMITH_SHARED");
  if (dir.empty()) dir = SourceDir() + "/../shared";
  return std::filesystem::is_directory(dir + "/golden") ? dir : "";
}

std::string Program() { return Environment("LITESMITH_PROGRAM"); }

std::vector<int> ThreadCounts(std::vector<int> wanted) {
  if (Environment("LITESMITH_TEST_THREADS") != "1") return wanted;
  std::fprintf(stderr, "skipped: more than one thread (LITESMITH_TEST_THREADS=1)\n");
  return {1};
}

std::string TempDir() {
  static const ScratchRoot root;
  static int counter = 0;
  const std::string dir = root.path + "/" + std::to_string(counter++);
  std::filesystem::create_directories(dir);
  return dir;
}

}  // namespace litesmith::testing
