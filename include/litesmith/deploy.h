#ifndef LITESMITH_DEPLOY_H_
#define LITESMITH_DEPLOY_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/model.h"

namespace litesmith {

enum class DeployFormat {
  kCArray,  // model.h and model.cc: the file's bytes as an array, for C and C++
  kTflm,    // a project for tflite-micro: the array, the code that runs it, CMake, Arduino, ESP-IDF
};

struct DeployRequest {
  DeployFormat format = DeployFormat::kCArray;
  std::string symbol = "g_model";  // a C identifier
  // For kTflm.
  std::string labels;  // text file with one class name a line; "": what the model's file notes
  bool allow_float = false;  // deploy operators that compute in float
};

// A file of a project: its name in the folder and what it holds.
using ProjectFile = std::pair<std::string, std::string>;

// What carries the model to a board, as files in memory. A .tflite goes there byte for byte; other
// sources as Save would write them. Errors: a symbol that is no C identifier; for kTflm a model
// that tflite-micro cannot run (each node is named), float operators that are not allowed, more or
// fewer labels than the first output has values.
absl::StatusOr<std::vector<ProjectFile>> Deploy(const Model& model, const DeployRequest& request,
                                                const Context& context = {});

// Writes the files into `folder`, which is made where it is missing and must otherwise be empty.
absl::Status WriteProject(const std::string& folder, const std::vector<ProjectFile>& files);

}  // namespace litesmith

#endif  // LITESMITH_DEPLOY_H_
