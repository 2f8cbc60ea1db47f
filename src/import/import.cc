#include "import/import.h"

#include "base/file.h"
#include "base/zip.h"
#include "import/keras/hdf5.h"
#include "import/keras/keras.h"
#include "tflite/tflite.h"

namespace litesmith {
absl::StatusOr<Graph> ImportModel(const std::string& path, const ImportOptions& options,
                                  const Context& context) {
  if (IsDirectory(path)) {
    const bool saved_model = FileExists(path + "/saved_model.pb");
    return Unsupported("{}: {}; save the model by model.save(\"NAME.keras\") and import that", path,
                       saved_model ? "SavedModel folders cannot be imported yet"
                                   : "this is a folder without a saved_model.pb");
  }
  LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(path));
  const auto bytes = file->bytes();
  if (LooksLikeTflite(bytes)) {
    if (!options.weights.empty()) {
      return Invalid("{}: --weights goes with an architecture JSON only", path);
    }
    return ReadTflite(path, context);
  }
  if (LooksLikeZip(bytes) || LooksLikeHdf5(bytes) || keras::LooksLikeJson(bytes)) {
    return ImportKeras(path, options, context);
  }
  return Invalid(
      "{}: the content is of no known format; .tflite, .keras, .h5 and architecture JSON "
      "with --weights can be imported",
      path);
}

}  // namespace litesmith
