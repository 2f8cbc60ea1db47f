#ifndef LITESMITH_TFLITE_NOTES_H_
#define LITESMITH_TFLITE_NOTES_H_

// LITESMITH_METADATA: what litesmith notes in the files it writes, as JSON: the version, the recipe
// and the preprocessing ("mean", "std", "labels") that are later commands' defaults for the file,
// and source names.

#include <nlohmann/json.hpp>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

inline constexpr char kNotesName[] = "LITESMITH_METADATA";

// An empty object where the file has none or they cannot be read (they are hints from a stranger).
nlohmann::json ReadNotes(const Graph& graph);
void WriteNotes(const nlohmann::json& notes, Graph* graph);

}  // namespace litesmith

#endif  // LITESMITH_TFLITE_NOTES_H_
