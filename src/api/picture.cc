#include "api/state.h"
#include "base/status.h"
#include "data/image.h"
#include "data/open.h"
#include "evaluate/evaluate.h"

namespace litesmith {

absl::StatusOr<Array> ReadPictureInput(const std::string& path, const std::string& name,
                                       const DataSource& preprocessing, const Graph& graph,
                                       const Context& context) {
  const std::vector<InputSpec> specs = InputSpecs(graph);
  const InputSpec* spec = specs.size() == 1 ? &specs[0] : nullptr;
  for (const InputSpec& s : specs) {
    if (!name.empty() && (s.signature_name == name || s.tensor_name == name)) spec = &s;
  }
  if (spec == nullptr) {
    return Invalid("{}: the model has {} inputs; say which one takes the picture: NAME={}", path,
                   specs.size(), path);
  }
  const ModelNotes notes = NotesOf(graph);
  DatasetOptions options;
  options.preprocessing = {preprocessing.mean, preprocessing.std};
  options.pixel_defaults = {notes.mean, notes.std};
  return DecodeImageFile(path, *spec, PixelPreprocessing(options), context);
}

}  // namespace litesmith
