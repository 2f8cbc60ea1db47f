#ifndef LITESMITH_IMPORT_SAVED_MODEL_SAVED_MODEL_H_
#define LITESMITH_IMPORT_SAVED_MODEL_SAVED_MODEL_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/status.h"
#include "import/saved_model/bundle.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith::saved_model {

// The files of a SavedModel folder.
struct Files {
  std::span<const std::byte> model;                 // saved_model.pb
  std::optional<std::span<const std::byte>> index;  // variables/variables.index
  OpenShard open_shard;                             // variables/variables.data-…
};

// One signature of a TensorFlow SavedModel as a graph that satisfies Verify(), not optimised;
// `signature` empty: "serving_default", or the only one. Untrusted; errors do not name files.
absl::StatusOr<Graph> ParseSavedModel(const Files& files, const std::string& signature,
                                      const Context& context);

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_SAVED_MODEL_H_
