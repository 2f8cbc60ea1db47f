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
    if (FileExists(path + "/saved_model.pb")) return ImportSavedModel(path, options, context);
    return Unsupported(
        "{}: this is a folder without a saved_model.pb; save the model by "
        "model.save(\"NAME.keras\") and import that",
        path);
  }
  if (!options.signature.empty()) {
    return Invalid("{}: --signature goes with a SavedModel folder only", path);
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
      "{}: the content is of no known format; .tflite, .keras, .h5, architecture JSON "
      "with --weights and SavedModel folders can be imported",
      path);
}

}  // namespace litesmith
