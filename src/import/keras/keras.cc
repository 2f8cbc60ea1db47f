// The forms in which Keras saves a model: .keras, .h5, architecture JSON with weights.

#include "import/keras/keras.h"

#include "base/file.h"
#include "base/zip.h"
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

absl::StatusOr<Graph> FromJson(Bytes bytes, std::optional<Bytes> weights, const Context& context) {
  LS_ASSIGN_OR_RETURN(const Json json, ParseJson(bytes, context.memory_budget));
  if (!weights) {
    return Invalid("an architecture alone has no weights; give its .weights.h5 by --weights");
  }
  LS_ASSIGN_OR_RETURN_IN(const auto file, Hdf5File::Open(*weights, context.memory_budget),
                         "weights");
  LS_ASSIGN_OR_RETURN_IN(const WeightScope scope, WeightScope::Open(file.get()), "weights");
  return ConvertModel(json, scope, context);
}

}  // namespace

bool LooksLikeJson(Bytes bytes) {
  for (std::byte b : bytes) {
    const char c = static_cast<char>(b);
    if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return c == '{';
  }
  return false;
}

absl::StatusOr<Graph> ParseKeras(Bytes bytes, std::optional<Bytes> weights,
                                 const Context& context) {
  if (LooksLikeJson(bytes)) return FromJson(bytes, weights, context);
  if (weights) return Invalid("--weights goes with an architecture JSON only");
  if (LooksLikeZip(bytes)) return FromArchive(bytes, context);
  return FromHdf5(bytes, context);
}

}  // namespace keras

absl::StatusOr<Graph> ImportKeras(const std::string& path, const ImportOptions& options,
                                  const Context& context) {
  LS_ASSIGN_OR_RETURN(const auto file, FileBytes::Open(path));
  std::shared_ptr<const FileBytes> weights;
  std::string where = path;
  if (!options.weights.empty()) {
    LS_ASSIGN_OR_RETURN(weights, FileBytes::Open(options.weights));
    where = fmt::format("{} with weights {}", path, options.weights);
  }
  LS_ASSIGN_OR_RETURN_IN(
      Graph graph,
      keras::ParseKeras(file->bytes(),
                        weights != nullptr ? std::optional(weights->bytes()) : std::nullopt,
                        context),
      where);
  return graph;
}

}  // namespace litesmith
