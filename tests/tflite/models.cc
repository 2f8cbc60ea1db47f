#include "tests/tflite/models.h"

#include <algorithm>
#include <filesystem>

#include "tests/testing.h"

namespace litesmith::testing {

std::vector<std::string> AllModels() {
  std::vector<std::string> out;
  for (const char* folder : {"golden", "models"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(SharedDir() + "/" + folder)) {
      if (entry.path().extension() == ".tflite" && entry.is_regular_file() &&
          entry.file_size() > 0) {
        out.push_back(entry.path().string());
      }
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace litesmith::testing
