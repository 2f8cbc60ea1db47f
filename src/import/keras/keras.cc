// The forms in which Keras saves a model: .keras, .h5, architecture JSON with weights.

#include "base/file.h"
#include "import/import.h"
#include "import/keras/convert.h"
#include "import/keras/hdf5.h"
#include "import/keras/json.h"
#include "import/keras/weights.h"
#include "import/keras/zip.h"

namespace litesmith {
namespace keras {
namespace {

using Bytes = std::span<const std::byte>;

absl::StatusOr<Graph> FromArchive(Bytes bytes, const Context& context) {
  const std::string config_name = "config.json", weights_name = "model.weights.h5";
  LS_ASSIGN_OR_RETURN(const auto entries,
                      ReadZip(bytes, {config_name, weights_name}, context.memory_budget));
  const auto config = entries.find(config_name);
  const auto weights = entries.find(weights_name);
  if (config == entries.end() || weights == entries.end()) {
    return Invalid(
        "this zip archive has no {}: it is no .keras file; "
        "save the model by model.save(\"NAME.keras\")",
        config == entries.end() ? config_name : weights_name);
  }
  LS_ASSIGN_OR_RETURN_IN(const Json json, ParseJson(config->second, context.memory_budget),
                         config_name);
  LS_ASSIGN_OR_RETURN_IN(const auto file, Hdf5File::Open(weights->second, context.memory_budget),
                         weights_name);
  LS_ASSIGN_OR_RETURN_IN(const WeightScope scope, WeightScope::Open(file.get()), weights_name);
  return ConvertModel(json, scope, context);
}

absl::StatusOr<Graph> FromHdf5(Bytes bytes, const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto file, Hdf5File::Open(bytes, context.memory_budget));
  LS_ASSIGN_OR_RETURN(const Hdf5Object* root, file->Root());
  const Hdf5Attribute* attribute = root->FindAttribute("model_config");
  if (attribute == nullptr) {
    return Invalid(
        "the file holds weights but no architecture; import the architecture's JSON "
        "(model.to_json()) and give this file as --weights");
  }
  LS_ASSIGN_OR_RETURN(const auto text, file->ReadStrings(*attribute));
  if (text.size() != 1) return Invalid("its model_config is no text; save the model again");
  LS_ASSIGN_OR_RETURN(const Json json,
                      ParseJson(std::as_bytes(std::span(text[0])), context.memory_budget));
  LS_ASSIGN_OR_RETURN(const WeightScope scope, WeightScope::Open(file.get()));
  return ConvertModel(json, scope, context);
}

absl::StatusOr<Graph> FromJson(Bytes bytes, const std::string& weights_path,
                               const Context& context) {
  LS_ASSIGN_OR_RETURN(const Json json, ParseJson(bytes, context.memory_budget));
  if (weights_path.empty()) {
    return Invalid("an architecture alone has no weights; give its .weights.h5 by --weights");
  }
  LS_ASSIGN_OR_RETURN(const auto weights, FileBytes::Open(weights_path));
  LS_ASSIGN_OR_RETURN_IN(const auto file, Hdf5File::Open(weights->bytes(), context.memory_budget),
                         weights_path);
  LS_ASSIGN_OR_RETURN_IN(const WeightScope scope, WeightScope::Open(file.get()), weights_path);
  return ConvertModel(json, scope, context);
}

bool LooksLikeJson(Bytes bytes) {
  for (std::byte b : bytes) {
    const char c = static_cast<char>(b);
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c == '{';
  }
  return false;
}

}  // namespace
}  // namespace keras

absl::StatusOr<Graph> ImportKeras(const std::string& path, const ImportOptions& options,
                                  const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(path));
  const auto bytes = file->bytes();
  const bool is_json = keras::LooksLikeJson(bytes);
  const bool is_zip = keras::LooksLikeZip(bytes);
  if (!is_json && !options.weights.empty()) {
    return Invalid("{}: --weights goes with an architecture JSON only", path);
  }
  absl::StatusOr<Graph> graph = is_json  ? keras::FromJson(bytes, options.weights, context)
                                : is_zip ? keras::FromArchive(bytes, context)
                                         : keras::FromHdf5(bytes, context);
  if (!graph.ok()) return Annotate(graph.status(), path);
  return graph;
}

}  // namespace litesmith
