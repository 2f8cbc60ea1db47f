#ifndef LITESMITH_API_STATE_H_
#define LITESMITH_API_STATE_H_

// What stands behind the public handles.

#include <memory>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/dataset.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

struct QuantizeOptions;  // quantize/quantize.h

struct ModelState {
  std::shared_ptr<const Graph> graph;
  std::string path;     // the file it was read from, and
  std::string weights;  // the weights beside it; empty: none
  uint64_t file_bytes = 0;
  bool is_tflite = false;  // the file was a .tflite
  bool fuse_lstm = false;  // LSTM layers may become one operator each once the batch is fixed
};

// The only way from the handle to the graph and back.
struct ModelAccess {
  static const ModelState* State(const Model& model) { return model.state_.get(); }
  // A model derived from `origin` (whose files must not be overwritten); null for one made in
  // memory.
  static Model Make(Graph graph, const Model* origin);
  static Model Make(ModelState state);
  // The graph, or an error for an empty handle.
  static absl::StatusOr<std::shared_ptr<const Graph>> GraphOf(const Model& model);
};

// An error for a model that was not read from a .tflite file: LiteRT reads no others.
absl::Status RequireTflite(const Model& model);

// Fixes the batch (0: as it is) and makes one operator of each LSTM layer, with a word on what that
// changes. Leaves the graph alone where no layer can be.
absl::Status FuseLstmLayers(const std::string& path, int64_t batch_size, Graph* graph,
                            const Context& context);

// The notes of a graph as the public API gives them.
ModelNotes NotesOf(const Graph& graph);

// Opens the data of a request for a graph: flags first, then what the graph's file notes.
absl::StatusOr<std::unique_ptr<Dataset>> OpenSource(const DataSource& source, const Graph& graph,
                                                    DataUse use, const Context& context);

// Notes the preprocessing in use (and the labels) as the file's defaults.
void NotePreprocessing(const DataSource& source, const Dataset& dataset, Graph* graph);

// The same from the source alone, where no data was read: only what was given.
absl::Status NoteSource(const DataSource& source, Graph* graph);

// The recipe of this name, or of a mixed recipe's file (.json), into the options.
absl::Status ReadRecipe(const std::string& recipe, QuantizeOptions* options);

// A picture as the input `name` ("": the only one) of a graph takes it: decoded, scaled,
// preprocessed.
absl::StatusOr<Array> ReadPictureInput(const std::string& path, const std::string& name,
                                       const DataSource& preprocessing, const Graph& graph,
                                       const Context& context);

// True when all numbers are plain floats: the model that others are compared with.
bool IsFloatModel(const Graph& graph);

// What the page of a model shows; see report/page.h.
absl::StatusOr<Value> ModelPageData(const Model& model, const Context& context);

// "KB" of 1,024 bytes.
double Kilobytes(uint64_t bytes);

}  // namespace litesmith

#endif  // LITESMITH_API_STATE_H_
