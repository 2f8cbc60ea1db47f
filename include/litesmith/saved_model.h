#ifndef LITESMITH_SAVED_MODEL_H_
#define LITESMITH_SAVED_MODEL_H_

#include <string>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/model.h"

namespace litesmith {

// One signature of a TensorFlow SavedModel's folder; "": "serving_default", or the only one, which
// is what Model::Load takes. A name that the model lacks is an error that lists those there are.
absl::StatusOr<Model> LoadSignature(const std::string& folder, const std::string& signature,
                                    const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_SAVED_MODEL_H_
