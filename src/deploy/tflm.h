#ifndef LITESMITH_DEPLOY_TFLM_H_
#define LITESMITH_DEPLOY_TFLM_H_

// A model as a project for TensorFlow Lite Micro.

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

struct TflmOptions {
  std::string symbol = "g_model";   // of the model's bytes; REQUIRES: CheckSymbol was OK
  std::string about;                // one line that says where the bytes come from
  std::vector<std::string> labels;  // names of the classes; may be empty
  bool allow_float = false;         // accept operators that compute in float
};

// Why tflite-micro cannot run the model: operators, types and versions that it lacks, shapes that
// depend on values, and (unless allowed) operators that compute in float. All nodes in one error.
absl::Status CheckTflm(const Graph& graph, bool allow_float);

// What the user should know of a model that runs: one line each. tflite-micro ends the program in
// an int8 SOFTMAX where the sum of exponentials reaches 512 (more than 511 classes, nearly equal).
std::vector<std::string> TflmWarnings(const Graph& graph);

// The files (name, text) of the project: the bytes as an array, an inference class with exactly the
// operators that the model needs and an arena of its size, examples and build files for CMake,
// Arduino and ESP-IDF, a README. `graph` is what `bytes` hold. Errors: CheckTflm's, and
// PlanTflmArena's. REQUIRES: Verify(graph) was OK.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> MakeTflmProject(
    const Graph& graph, std::span<const std::byte> bytes, const TflmOptions& options);

}  // namespace litesmith

#endif  // LITESMITH_DEPLOY_TFLM_H_
