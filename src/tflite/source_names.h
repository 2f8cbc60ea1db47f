#ifndef LITESMITH_TFLITE_SOURCE_NAMES_H_
#define LITESMITH_TFLITE_SOURCE_NAMES_H_

#include <nlohmann/json.hpp>

#include "ir/graph.h"

namespace litesmith {

// Names of layers and tensors in the source model, which the file format has no place for: kept in
// the notes under "sources", per subgraph by tensor name, a node under the name of its first
// output. Only names that differ from what the file says anyway. Null where there are none.
nlohmann::json CollectSourceNames(const Graph& graph);

// The way back. Notes come from a stranger: what does not fit is ignored.
void ApplySourceNames(const nlohmann::json& notes, Graph* graph);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_SOURCE_NAMES_H_
