#include "import/keras/model.h"

#include <algorithm>
#include <map>

#include "import/keras/weights.h"

namespace litesmith::keras {
namespace {

constexpr size_t kMaxCalls = 10000;
constexpr size_t kMaxArguments = 10000;
constexpr int kMaxNesting = 8;

using LayerIndex = std::map<std::string, size_t, std::less<>>;

absl::StatusOr<TensorRef> ReadRef(const Json& layer, const Json& call, const Json& tensor,
                                  const LayerIndex& index) {
  if (!layer.is_string() || !call.is_number_integer() || !tensor.is_number_integer()) {
    return Invalid("the model's configuration has a connection that is no [layer, node, tensor]");
  }
  const auto it = index.find(layer.get_ref<const std::string&>());
  if (it == index.end()) {
    return Invalid("the model's configuration connects to a layer '{}' that it does not have",
                   Printable(layer.get_ref<const std::string&>()));
  }
  const auto call_number = call.get<int64_t>();
  const auto tensor_number = tensor.get<int64_t>();
  if (call_number < 0 || call_number > static_cast<int64_t>(kMaxCalls) || tensor_number < 0 ||
      tensor_number > static_cast<int64_t>(kMaxCalls)) {
    return Invalid("the model's configuration has a connection with impossible numbers");
  }
  return TensorRef{it->second, static_cast<size_t>(call_number),
                   static_cast<size_t>(tensor_number)};
}

// Whether `value` is Keras 2's ["layer", 0, 0] or ["layer", 0, 0, {…}].
bool IsRefList(const Json& value) {
  return value.is_array() && value.size() >= 3 && value.size() <= 4 && value[0].is_string() &&
         value[1].is_number_integer() && value[2].is_number_integer();
}

// Reads the arguments of one call.
class ArgumentReader {
 public:
  ArgumentReader(const LayerIndex& index, LayerCall* call) : index_(index), call_(call) {}

  // Keras 3: a keras tensor, a constant, or lists of them. Arguments that are null are left out,
  // but within a list it means something (a new axis).
  absl::Status Read(const Json& value, const std::string& name, int depth = 0) {
    if (call_->arguments.size() > kMaxArguments) return Invalid("a layer has too many inputs");
    if (StringMember(value, "class_name") == "__keras_tensor__") {
      const Json* config = Member(value, "config");
      const Json* history = config != nullptr ? Member(*config, "keras_history") : nullptr;
      if (history == nullptr || !history->is_array() || history->size() != 3) {
        return Invalid("the model's configuration has a tensor without a history");
      }
      return AddRef((*history)[0], (*history)[1], (*history)[2], name);
    }
    if (value.is_array() && (name.empty() ? !IsNumbers(value) : HasTensor(value))) {
      for (const Json& item : value) LS_RETURN_IF_ERROR(Read(item, name, depth + 1));
      return absl::OkStatus();
    }
    if (!value.is_null() || depth > 1) call_->arguments.push_back({name, &value, {}});
    return absl::OkStatus();
  }

  // Keras 2: [["layer", 0, 0, {kwargs}], …], and ["_CONSTANT_VALUE", -1, value, {kwargs}].
  absl::Status ReadKeras2(const Json& node) {
    if (IsRefOrConstant(node)) return ReadKeras2Item(node);
    if (!node.is_array()) return Invalid("the model's configuration has a node that is no list");
    for (const Json& item : node) LS_RETURN_IF_ERROR(ReadKeras2Item(item));
    return absl::OkStatus();
  }

 private:
  static bool IsNumbers(const Json& value) {
    for (const Json& item : value) {
      if (!item.is_number()) return false;
    }
    return !value.empty();
  }
  // A keyword's list of tensors, such as initial_state=[h, c].
  static bool HasTensor(const Json& value) {
    return !value.empty() && StringMember(value[0], "class_name") == "__keras_tensor__";
  }
  static bool IsRefOrConstant(const Json& item) {
    return IsRefList(item) || (item.is_array() && item.size() >= 3 && item[0].is_string() &&
                               item[0].get_ref<const std::string&>() == "_CONSTANT_VALUE");
  }

  absl::Status AddRef(const Json& layer, const Json& call, const Json& tensor,
                      const std::string& name) {
    LS_ASSIGN_OR_RETURN(const TensorRef ref, ReadRef(layer, call, tensor, index_));
    call_->arguments.push_back({name, nullptr, ref});
    return absl::OkStatus();
  }

  absl::Status ReadKeras2Item(const Json& item) {
    if (call_->arguments.size() > kMaxArguments) return Invalid("a layer has too many inputs");
    if (!IsRefOrConstant(item)) {
      return Invalid("the model's configuration has a connection that is no [layer, node, tensor]");
    }
    if (item[0].get_ref<const std::string&>() == "_CONSTANT_VALUE") {
      call_->arguments.push_back({"", &item[2], {}});
    } else {
      LS_RETURN_IF_ERROR(AddRef(item[0], item[1], item[2], ""));
    }
    if (item.size() < 4 || !item[3].is_object()) return absl::OkStatus();
    for (const auto& [key, value] : item[3].items()) {
      if (IsRefList(value)) {
        LS_RETURN_IF_ERROR(AddRef(value[0], value[1], value[2], key));
      } else if (!value.is_null()) {
        call_->arguments.push_back({key, &value, {}});
      }
    }
    return absl::OkStatus();
  }

  const LayerIndex& index_;
  LayerCall* call_;
};

// `keras3` is set where it is Keras 3 that wrote the calls.
absl::Status ReadCalls(const Json& nodes, const LayerIndex& index, LayerConfig* layer,
                       bool* keras3) {
  if (!nodes.is_array() || nodes.size() > kMaxCalls) {
    return Invalid("layer '{}' has broken inbound_nodes", Printable(layer->name));
  }
  for (const Json& node : nodes) {
    LayerCall call;
    ArgumentReader reader(index, &call);
    if (const Json* args = Member(node, "args")) {
      *keras3 = true;
      LS_RETURN_IF_ERROR(reader.Read(*args, ""));
      const Json* kwargs = Member(node, "kwargs");
      if (kwargs != nullptr && kwargs->is_object()) {
        for (const auto& [key, value] : kwargs->items()) {
          LS_RETURN_IF_ERROR(reader.Read(value, key));
        }
      }
    } else {
      LS_RETURN_IF_ERROR(reader.ReadKeras2(node));
    }
    layer->calls.push_back(std::move(call));
  }
  return absl::OkStatus();
}

// input_layers and output_layers: one [layer, node, tensor], a list of them, or a dictionary of
// them.
absl::Status ReadEnds(const Json* ends, const LayerIndex& index, std::vector<TensorRef>* out,
                      std::vector<std::string>* names, int depth = 0) {
  if (ends == nullptr)
    return Invalid("the model's configuration does not name its inputs and outputs");
  if (IsRefList(*ends)) {
    LS_ASSIGN_OR_RETURN(const TensorRef ref, ReadRef((*ends)[0], (*ends)[1], (*ends)[2], index));
    out->push_back(ref);
    return absl::OkStatus();
  }
  if (!ends->is_array() && !ends->is_object()) {
    return Invalid("the model's configuration has broken inputs or outputs");
  }
  for (const Json& item : *ends) {
    if (item.is_array() && !IsRefList(item) && depth < kMaxNesting) {  // a list within the list
      LS_RETURN_IF_ERROR(ReadEnds(&item, index, out, names, depth + 1));
      continue;
    }
    if (!IsRefList(item)) return Invalid("the model's configuration has broken inputs or outputs");
    LS_ASSIGN_OR_RETURN(const TensorRef ref, ReadRef(item[0], item[1], item[2], index));
    out->push_back(ref);
  }
  // In the order of the keys, as Keras itself flattens dictionaries.
  if (ends->is_object() && out->size() == ends->size()) {
    for (const auto& [key, value] : ends->items()) names->push_back(key);
  }
  return absl::OkStatus();
}

// Keras 2 counts the calls of a nested model from 1: its construction was the first.
void CountNestedCallsFromZero(ModelConfig* model) {
  std::vector<std::vector<TensorRef*>> refs(model->layers.size());
  for (LayerConfig& layer : model->layers) {
    for (LayerCall& call : layer.calls) {
      for (Argument& argument : call.arguments) {
        if (argument.constant == nullptr) refs[argument.ref.layer].push_back(&argument.ref);
      }
    }
  }
  for (TensorRef& ref : model->outputs) refs[ref.layer].push_back(&ref);
  for (size_t l = 0; l < refs.size(); ++l) {
    if (!IsModel(model->layers[l].class_name) || refs[l].empty()) continue;
    const auto [least, most] = std::minmax_element(
        refs[l].begin(), refs[l].end(),
        [](const TensorRef* a, const TensorRef* b) { return a->call < b->call; });
    if ((*least)->call == 0 || (*most)->call != model->layers[l].calls.size()) continue;
    for (TensorRef* ref : refs[l]) --ref->call;
  }
}

// Keras 3 counts so in the model's outputs alone (Functional.get_config), and not for Sequential.
void CountNestedOutputsFromZero(ModelConfig* model) {
  for (TensorRef& ref : model->outputs) {
    if (model->layers[ref.layer].class_name == "Functional" && ref.call > 0) --ref.call;
  }
}

absl::Status ReadLayers(const Json& config, ModelConfig* model, LayerIndex* index,
                        bool sequential) {
  // Keras 1 wrote a Sequential's configuration as the bare list of layers.
  const Json* layers = config.is_array() ? &config : Member(config, "layers");
  if (layers == nullptr || !layers->is_array() || layers->empty()) {
    return Invalid("the model's configuration has no layers");
  }
  std::map<std::string, int> counts;
  for (const Json& item : *layers) {
    LayerConfig layer;
    layer.class_name = StringMember(item, "class_name");
    // "Package>Class": registered by the user; plain classes have none.
    layer.config = Member(item, "config");
    if (layer.class_name.empty() || layer.config == nullptr) {
      return Invalid("the model's configuration has a layer without class_name or config");
    }
    layer.name = StringMember(item, "name");
    if (layer.name.empty()) layer.name = StringMember(*layer.config, "name");
    if (layer.name.empty()) layer.name = fmt::format("layer_{}", model->layers.size());
    if (!index->emplace(layer.name, model->layers.size()).second) {
      return Invalid("the model's configuration has two layers '{}'", Printable(layer.name));
    }
    if (!sequential || !layer.is_input()) {
      const std::string folder = SnakeCase(layer.class_name);
      const int count = counts[folder]++;
      layer.counted_name = count == 0 ? folder : fmt::format("{}_{}", folder, count);
    }
    model->layers.push_back(std::move(layer));
  }
  return absl::OkStatus();
}

absl::Status ReadSequential(const Json& whole, const Json& config, ModelConfig* model) {
  LayerIndex index;
  LS_RETURN_IF_ERROR(ReadLayers(config, model, &index, /*sequential=*/true));
  for (size_t i = 0; i < model->layers.size(); ++i) {
    LayerCall call;
    if (i > 0) call.arguments.push_back({"", nullptr, {i - 1, 0, 0}});
    model->layers[i].calls.push_back(std::move(call));
  }
  model->outputs = {{model->layers.size() - 1, 0, 0}};
  if (model->layers[0].is_input()) {
    model->inputs = {{0, 0, 0}};
    return absl::OkStatus();
  }
  const Json& first = *model->layers[0].config;
  for (const char* key : {"batch_input_shape", "batch_shape"}) {
    if (model->input_shape == nullptr) model->input_shape = Member(first, key);
  }
  if (model->input_shape == nullptr) model->input_shape = Member(config, "build_input_shape");
  if (const Json* build = Member(whole, "build_config");
      model->input_shape == nullptr && build != nullptr) {
    model->input_shape = Member(*build, "input_shape");
  }
  const Json* dtype = Member(first, "dtype");
  if (dtype != nullptr && dtype->is_string()) model->input_dtype = dtype->get<std::string>();
  return absl::OkStatus();
}

}  // namespace

bool IsModel(std::string_view class_name) {
  return class_name == "Sequential" || class_name == "Functional" || class_name == "Model";
}

absl::StatusOr<ModelConfig> ReadModel(const Json& whole) {
  const std::string class_name = StringMember(whole, "class_name");
  const Json* config = Member(whole, "config");
  if (class_name.empty() || config == nullptr) {
    return Invalid("this is no Keras architecture: class_name and config are missing");
  }
  if (!IsModel(class_name)) {
    return Unsupported(
        "the model is of class '{}'; only Sequential and functional models can be "
        "imported: rebuild it as keras.Model(inputs, outputs) and save that",
        Printable(class_name));
  }
  ModelConfig model;
  model.name = StringMember(*config, "name");
  // A subclassed model's configuration has no layers at all.
  if (config->is_object() && Member(*config, "layers") == nullptr) {
    return Unsupported(
        "the model '{}' does not describe its layers (a subclassed model); rebuild it as "
        "keras.Model(inputs, outputs) and save that",
        Printable(model.name));
  }
  if (class_name == "Sequential") {
    LS_RETURN_IF_ERROR(ReadSequential(whole, *config, &model));
    return model;
  }
  LayerIndex index;
  LS_RETURN_IF_ERROR(ReadLayers(*config, &model, &index, /*sequential=*/false));
  const Json& layers = *Member(*config, "layers");
  bool keras3 = false;
  for (size_t i = 0; i < model.layers.size(); ++i) {
    if (const Json* nodes = Member(layers[i], "inbound_nodes")) {
      LS_RETURN_IF_ERROR(ReadCalls(*nodes, index, &model.layers[i], &keras3));
    }
    if (model.layers[i].is_input()) model.layers[i].calls.assign(1, {});
  }
  std::vector<std::string> input_names;  // the layers' names are used
  LS_RETURN_IF_ERROR(ReadEnds(Member(*config, "input_layers"), index, &model.inputs, &input_names));
  LS_RETURN_IF_ERROR(
      ReadEnds(Member(*config, "output_layers"), index, &model.outputs, &model.output_names));
  keras3 ? CountNestedOutputsFromZero(&model) : CountNestedCallsFromZero(&model);
  return model;
}

}  // namespace litesmith::keras
