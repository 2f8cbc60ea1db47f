// DataSource -> Dataset, and back into a file's notes.

#include <cmath>

#include "api/state.h"
#include "base/file.h"
#include "base/zip.h"
#include "data/npy.h"
#include "data/open.h"
#include "evaluate/evaluate.h"
#include "tflite/notes.h"

namespace litesmith {
namespace {

bool IsZip(const std::string& path) {
  const auto file = FileBytes::Open(path);
  return file.ok() && LooksLikeZip((*file)->bytes());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> OpenSource(const DataSource& source, const Graph& graph,
                                                    DataUse use, const Context& context) {
  if (source.path.empty()) return Invalid("no data is given");
  const ModelNotes notes = NotesOf(graph);
  DatasetOptions options;
  options.split = source.split;
  options.preprocessing = {source.mean, source.std};
  options.labels_file = source.labels;
  options.pixel_defaults = {notes.mean, notes.std};
  options.labels = notes.labels;
  return OpenDataset(source.path, options, use, InputSpecs(graph), context);
}

void NotePreprocessing(const DataSource& source, const Dataset& dataset, Graph* graph) {
  nlohmann::json notes = ReadNotes(*graph);
  const Preprocessing used = dataset.preprocessing();
  nlohmann::json& preprocessing = notes["preprocessing"];
  if (!preprocessing.is_object()) preprocessing = nlohmann::json::object();
  if (!used.mean.empty()) preprocessing["mean"] = used.mean;
  if (!used.std.empty()) preprocessing["std"] = used.std;
  if (!dataset.class_names().empty()) preprocessing["labels"] = dataset.class_names();
  if (!source.split.empty()) preprocessing["split"] = source.split;
  if (preprocessing.empty()) notes.erase("preprocessing");
  WriteNotes(notes, graph);
}

absl::Status NoteSource(const DataSource& source, Graph* graph) {
  nlohmann::json given = nlohmann::json::object();
  if (!source.mean.empty()) given["mean"] = source.mean;
  if (!source.std.empty()) given["std"] = source.std;
  if (!source.labels.empty()) {
    LS_ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadLabelsFile(source.labels));
    given["labels"] = names;
  }
  if (given.empty()) return absl::OkStatus();
  nlohmann::json notes = ReadNotes(*graph);
  nlohmann::json& preprocessing = notes["preprocessing"];
  if (!preprocessing.is_object()) preprocessing = nlohmann::json::object();
  preprocessing.update(given);
  WriteNotes(notes, graph);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NamedArray>> ReadArrays(const std::string& path,
                                                   const Context& context) {
  std::vector<NamedArray> out;
  if (!IsZip(path)) {
    LS_ASSIGN_OR_RETURN(Array array, ReadNpy(path, context));
    out.push_back({"", std::move(array), false});
    return out;
  }
  LS_ASSIGN_OR_RETURN(auto arrays, ReadNpz(path, context));
  for (auto& [name, array] : arrays) out.push_back({name, std::move(array), false});
  return out;
}

absl::Status WriteArray(const std::string& path, const Array& array) {
  return WriteNpy(path, array);
}

}  // namespace litesmith
