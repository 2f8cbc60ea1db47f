#ifndef LITESMITH_TFLITE_EXTERNAL_H_
#define LITESMITH_TFLITE_EXTERNAL_H_

#include <string>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

// Gives the tensors of a model file at `path` that have an external buffer
// (Tensor::external_buffer) their values, from files that the model names relative to its own
// folder, and takes the tables of external buffers out of the graph: what is written then holds all
// it needs. The files are mapped; those outside the model's folder are refused, also behind
// symbolic links. Untrusted: every index, offset and size is checked. Errors name the tensor and
// the other file.
absl::Status LoadExternalBuffers(const std::string& path, const Context& context, Graph* graph);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_EXTERNAL_H_
