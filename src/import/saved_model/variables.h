#ifndef LITESMITH_IMPORT_SAVED_MODEL_VARIABLES_H_
#define LITESMITH_IMPORT_SAVED_MODEL_VARIABLES_H_

#include <map>
#include <string>

#include "base/status.h"
#include "import/saved_model/bundle.h"
#include "saved_model.pb.h"

namespace litesmith::saved_model {

// VarHandleOp's node name to the key under which the checkpoint holds its value. The names differ:
// what is read is the function that restores the model (its RestoreV2 and AssignVariableOp nodes),
// then the object graph, then the plain name, as old models have it.
absl::StatusOr<std::map<std::string, std::string, std::less<>>> ResolveVariables(
    const proto::MetaGraph& model, Bundle* bundle);

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_VARIABLES_H_
