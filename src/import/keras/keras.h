#ifndef LITESMITH_IMPORT_KERAS_KERAS_H_
#define LITESMITH_IMPORT_KERAS_KERAS_H_

#include <cstddef>
#include <optional>
#include <span>

#include "base/status.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith::keras {

// True when the first character is the { of a JSON object.
bool LooksLikeJson(std::span<const std::byte> bytes);

// The model in a .keras archive, a whole-model .h5, or an architecture's JSON with the content of
// its weights file. Told apart by content. Errors do not name the file.
absl::StatusOr<Graph> ParseKeras(std::span<const std::byte> bytes,
                                 std::optional<std::span<const std::byte>> weights,
                                 const Context& context);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_KERAS_H_
