#ifndef LITESMITH_TFLITE_RUNTIME_VERSION_H_
#define LITESMITH_TFLITE_RUNTIME_VERSION_H_

#include <string>

#include "ir/graph.h"

namespace litesmith {

// The oldest TensorFlow Lite release that has every operator version of the graph, "2.3.0"; empty
// when none of them is known. What the `min_runtime_version` metadata says.
std::string MinRuntimeVersion(const Graph& graph);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_RUNTIME_VERSION_H_
