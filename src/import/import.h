#ifndef LITESMITH_IMPORT_IMPORT_H_
#define LITESMITH_IMPORT_IMPORT_H_

#include <string>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

struct ImportOptions {
  std::string weights;    // the .weights.h5 beside an architecture JSON
  std::string signature;  // of a SavedModel; empty: "serving_default", or the only one
};

// Reads a model of any supported format, told apart by content (.tflite, .keras, .h5, .json +
// weights, a SavedModel folder). The graph satisfies Verify(); Keras models and SavedModels come
// unoptimised, with inputs and outputs in the source's order and a -1 batch in shape_signature.
// Errors name the file.
absl::StatusOr<Graph> ImportModel(const std::string& path, const ImportOptions& options,
                                  const Context& context);

// The Keras part of it (src/import/keras).
absl::StatusOr<Graph> ImportKeras(const std::string& path, const ImportOptions& options,
                                  const Context& context);

// A TensorFlow SavedModel's folder (src/import/saved_model). A signature's inputs and outputs have
// no order of their own: they are sorted by name, numbers as numbers.
absl::StatusOr<Graph> ImportSavedModel(const std::string& folder, const ImportOptions& options,
                                       const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_IMPORT_IMPORT_H_
