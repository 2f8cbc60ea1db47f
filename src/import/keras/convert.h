#ifndef LITESMITH_IMPORT_KERAS_CONVERT_H_
#define LITESMITH_IMPORT_KERAS_CONVERT_H_

#include "base/status.h"
#include "import/keras/json.h"
#include "import/keras/weights.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith::keras {

// The graph of a Sequential or functional model. All that cannot be imported is listed in one
// error.
absl::StatusOr<Graph> ConvertModel(const Json& model, const WeightScope& weights,
                                   const Context& context);

}  // namespace litesmith::keras

#endif  // LITESMITH_IMPORT_KERAS_CONVERT_H_
