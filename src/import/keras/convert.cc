#include "import/keras/convert.h"

#include <algorithm>
#include <deque>
#include <set>

#include "import/keras/layer.h"
#include "import/keras/model.h"
#include "ir/verify.h"

namespace litesmith::keras {
namespace {

constexpr int kMaxModelDepth = 16;
constexpr size_t kMaxCalls = 100000;
constexpr size_t kMaxNodes = 1 << 20;
constexpr size_t kMaxListed = 50;

using Outputs = std::vector<int32_t>;

absl::StatusOr<TensorType> InputType(std::string_view dtype) {
  if (dtype.empty() || dtype == "float32" || dtype == "float16" || dtype == "bfloat16" ||
      dtype == "float64") {
    return schema::TensorType_FLOAT32;  // computed in float32 whatever the policy was
  }
  if (dtype == "int32") return schema::TensorType_INT32;
  if (dtype == "int64") return schema::TensorType_INT64;
  if (dtype == "uint8") return schema::TensorType_UINT8;
  if (dtype == "int8") return schema::TensorType_INT8;
  if (dtype == "int16") return schema::TensorType_INT16;
  if (dtype == "bool") return schema::TensorType_BOOL;
  return Unsupported("inputs of type '{}' are not supported", Printable(dtype));
}

// ---- What cannot be imported, all at once
// ------------------------------------------------------------------

// Layers whose weights are stored quantized: their int8 kernels are no plain weights.
bool IsQuantized(const Json& config) {
  if (Member(config, "quantization_config") != nullptr) return true;
  const Json* dtype = Member(config, "dtype");
  if (dtype == nullptr) return false;
  const std::string name = ObjectName(*dtype);
  return name.find("Quantized") != std::string::npos || name.starts_with("int8") ||
         name.starts_with("int4") || name.starts_with("float8");
}

// `masks`: what the layer masks is in the configuration, as Keras 3 writes functional models: then
// those who use the mask are told.
void ListUnsupportedLayer(std::string_view class_name, std::string_view name, const Json& config,
                          bool masks, std::vector<std::string>* list) {
  const auto add = [&](std::string_view reason) {
    list->push_back(fmt::format("'{}' ({}{})", Printable(name), Printable(class_name), reason));
  };
  if (class_name == "InputLayer") {
    for (const char* key : {"sparse", "ragged"}) {
      const Json* value = Member(config, key);
      if (value != nullptr && *value == Json(true)) add(fmt::format(" with {} data", key));
    }
    return;
  }
  if (FindLayer(class_name) == nullptr) {
    const std::string function = StringMember(config, "function");
    return add(function.empty() ? "" : fmt::format(" of '{}'", Printable(function)));
  }
  if (IsQuantized(config)) return add(" with quantized weights");
  if (const Json* mask = Member(config, "mask_zero");
      !masks && mask != nullptr && *mask == Json(true)) {
    return add(" with mask_zero: only the masks of Keras 3's functional models can be imported");
  }
  if (class_name == "Masking" && !masks) {
    return add(": only the masks of Keras 3's functional models can be imported");
  }
  for (const char* key : {"activation", "recurrent_activation"}) {
    const Json* activation = Member(config, key);
    if (activation == nullptr || IsActivation(ObjectName(*activation))) continue;
    add(fmt::format(" with {} '{}'", key, Printable(ObjectName(*activation))));
  }
  for (const char* key : {"layer", "backward_layer"}) {  // wrappers
    const Json* inner = Member(config, key);
    const Json* inner_config = inner != nullptr ? Member(*inner, "config") : nullptr;
    if (inner_config == nullptr || IsModel(StringMember(*inner, "class_name"))) continue;
    ListUnsupportedLayer(StringMember(*inner, "class_name"),
                         fmt::format("{}/{}", name, StringMember(*inner_config, "name")),
                         *inner_config, /*masks=*/false, list);
  }
}

// Whether a call of keras.ops.not_equal makes the mask of this layer, from the same input.
bool HasMask(const ModelConfig& config, const LayerConfig& layer) {
  const auto source = [](const LayerConfig& l) -> const TensorRef* {
    if (l.calls.size() != 1 || l.calls[0].arguments.empty()) return nullptr;
    const Argument& first = l.calls[0].arguments[0];
    return first.constant == nullptr ? &first.ref : nullptr;
  };
  const TensorRef* from = source(layer);
  return from != nullptr &&
         std::any_of(config.layers.begin(), config.layers.end(), [&](const LayerConfig& other) {
           const TensorRef* ref = other.class_name == "NotEqual" ? source(other) : nullptr;
           return ref != nullptr && ref->layer == from->layer && ref->call == from->call &&
                  ref->tensor == from->tensor;
         });
}

absl::Status ListUnsupported(const Json& model, const std::string& prefix, int depth,
                             std::vector<std::string>* list) {
  if (depth > kMaxModelDepth) return Invalid("models are nested too deeply");
  LS_ASSIGN_OR_RETURN(const ModelConfig config, ReadModel(model));
  const Json& layers = model["config"].is_array() ? model["config"] : model["config"]["layers"];
  for (size_t i = 0; i < config.layers.size(); ++i) {
    const LayerConfig& layer = config.layers[i];
    if (IsModel(layer.class_name)) {
      LS_RETURN_IF_ERROR(ListUnsupported(layers[i], prefix + layer.name + "/", depth + 1, list));
    } else {
      // A class that the user registered may have the name of one of Keras'.
      const std::string registered = StringMember(layers[i], "registered_name");
      const bool custom = registered.find('>') != std::string::npos;
      ListUnsupportedLayer(custom ? registered : layer.class_name, prefix + layer.name,
                           *layer.config, HasMask(config, layer), list);
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAllSupported(const Json& model) {
  std::vector<std::string> list;
  LS_RETURN_IF_ERROR(ListUnsupported(model, "", 0, &list));
  if (list.empty()) return absl::OkStatus();
  const size_t shown = std::min(list.size(), kMaxListed);
  std::string text;
  for (size_t i = 0; i < shown; ++i) text += (i > 0 ? ", " : "") + list[i];
  if (shown < list.size()) text += fmt::format(" and {} more", list.size() - shown);
  return Unsupported("{} layer{} cannot be imported: {}; replace {} or export the model as .tflite",
                     list.size(), list.size() == 1 ? "" : "s", text,
                     list.size() == 1 ? "it" : "them");
}

// ---- Conversion
// --------------------------------------------------------------------------------------------

class Converter : public InnerLayers {
 public:
  explicit Converter(const Context& context) : context_(context), graph_(context.memory_budget) {}

  absl::StatusOr<Graph> Whole(const Json& model, const WeightScope& weights) {
    LS_ASSIGN_OR_RETURN(const ModelConfig config, ReadModel(model));
    std::vector<std::string> names;
    Outputs inputs;
    if (config.inputs.empty()) {
      LS_RETURN_IF_ERROR(AddInput(config.layers[0].name + "_input", config.input_shape,
                                  config.input_dtype, &inputs, &names));
    }
    for (const TensorRef& ref : config.inputs) {
      const LayerConfig& layer = config.layers[ref.layer];
      if (!layer.is_input()) return Invalid("input '{}' is no InputLayer", Printable(layer.name));
      const Json* shape = Member(*layer.config, "batch_shape");
      if (shape == nullptr) shape = Member(*layer.config, "batch_input_shape");
      LS_RETURN_IF_ERROR(
          AddInput(layer.name, shape, StringMember(*layer.config, "dtype"), &inputs, &names));
    }
    LS_RETURN_IF_ERROR(FindShared(model, weights, 0));
    LS_ASSIGN_OR_RETURN(const Outputs outputs, Run(model, weights, inputs, "", 0));
    Graph graph = std::move(graph_).Finish(config.name, names, outputs, config.output_names);
    LS_RETURN_IF_ERROR(Verify(graph));
    return graph;
  }

  absl::StatusOr<Outputs> Convert(const Json& layer, const WeightScope& weights,
                                  const Outputs& inputs, const std::string& name) override {
    LayerConfig config;
    config.class_name = StringMember(layer, "class_name");
    config.config = Member(layer, "config");
    if (config.config == nullptr) return Invalid("its inner layer has no configuration");
    if (++calls_ > kMaxCalls) return Invalid("the model has too many layers");
    if (++depth_ > kMaxModelDepth) return Invalid("layers are nested too deeply");
    absl::StatusOr<Outputs> outputs;
    if (IsModel(config.class_name)) {
      outputs = Run(layer, weights, inputs, name + "/", depth_);
    } else {
      std::vector<Operand> operands;
      for (int32_t input : inputs) operands.push_back({"", nullptr, input});
      outputs = ConvertLayer(config, name, weights, std::move(operands));
    }
    --depth_;
    return outputs;
  }

  const Json& Keep(Json json) override {
    kept_.push_back(std::move(json));
    return kept_.back();
  }

 private:
  absl::Status AddInput(const std::string& name, const Json* shape, const std::string& dtype,
                        Outputs* inputs, std::vector<std::string>* names) {
    if (shape == nullptr) {
      return Invalid(
          "the model does not tell the shape of its input '{}'; "
          "build it or give it an Input layer before saving it",
          Printable(name));
    }
    LS_ASSIGN_OR_RETURN_IN(Shape sizes, ReadShape(*shape),
                           fmt::format("input '{}'", Printable(name)));
    if (sizes.empty()) return Invalid("input '{}' is a scalar", Printable(name));
    LS_ASSIGN_OR_RETURN(const TensorType type, InputType(dtype));
    inputs->push_back(graph_.Input(name, type, std::move(sizes)));
    names->push_back(name);
    return absl::OkStatus();
  }

  // "shared_object_id" says that two layers of the configuration, one of them perhaps in a nested
  // model, are the same; the weights are stored with one of them only.
  static std::string SharedId(const Json& layer) {
    const Json* id = Member(layer, "shared_object_id");
    return id == nullptr ? "" : id->dump();
  }

  absl::Status FindShared(const Json& model, const WeightScope& weights, int depth) {
    if (depth > kMaxModelDepth) return Invalid("models are nested too deeply");
    LS_ASSIGN_OR_RETURN(const ModelConfig config, ReadModel(model));
    const Json& layers = model["config"].is_array() ? model["config"] : model["config"]["layers"];
    for (size_t l = 0; l < config.layers.size(); ++l) {
      const LayerConfig& layer = config.layers[l];
      const WeightScope scope = weights.Layer(layer.name, layer.counted_name);
      if (const std::string id = SharedId(layers[l]); !id.empty()) shared_[id].push_back(scope);
      if (IsModel(layer.class_name)) {
        LS_RETURN_IF_ERROR(FindShared(layers[l], scope, depth + 1));
      }
    }
    return absl::OkStatus();
  }

  // Where the weights of a layer are: at its own place, or at that of the layer it is the same as.
  absl::StatusOr<WeightScope> FindWeights(const Json& layer, const WeightScope& own) {
    const auto same = shared_.find(SharedId(layer));
    if (same == shared_.end() || same->second.size() < 2) return own;
    WeightScope scope = own;
    LS_ASSIGN_OR_RETURN(size_t count, scope.Count());
    for (size_t i = 0; count == 0 && i < same->second.size(); ++i) {
      scope = same->second[i];
      LS_ASSIGN_OR_RETURN(count, scope.Count());
    }
    return count == 0 ? own : scope;
  }

  // Which calls of which layers wait for which.
  struct Schedule {
    std::map<std::pair<size_t, size_t>, Outputs> done;
    std::map<std::pair<size_t, size_t>, std::vector<std::pair<size_t, size_t>>> waiting;
    std::map<std::pair<size_t, size_t>, size_t> missing;
    std::set<std::pair<size_t, size_t>> ready;
  };

  static absl::StatusOr<std::pair<size_t, size_t>> Target(const ModelConfig& config,
                                                          const TensorRef& ref) {
    const LayerConfig& layer = config.layers[ref.layer];
    if (ref.call >= layer.calls.size()) {
      return Invalid("the model's configuration uses call {} of layer '{}', which has {}", ref.call,
                     Printable(layer.name), layer.calls.size());
    }
    return std::make_pair(ref.layer, ref.call);
  }

  absl::Status Plan(const ModelConfig& config, Schedule* schedule) {
    for (size_t l = 0; l < config.layers.size(); ++l) {
      for (size_t k = 0; k < config.layers[l].calls.size(); ++k) {
        if (++calls_ > kMaxCalls) return Invalid("the model has too many layers");
        std::set<std::pair<size_t, size_t>> sources;
        for (const Argument& argument : config.layers[l].calls[k].arguments) {
          if (argument.constant != nullptr) continue;
          LS_ASSIGN_OR_RETURN(const auto target, Target(config, argument.ref));
          sources.insert(target);
        }
        for (const auto& source : sources) schedule->waiting[source].push_back({l, k});
        schedule->missing[{l, k}] = sources.size();
        if (sources.empty()) schedule->ready.insert({l, k});
      }
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<int32_t> Resolve(const ModelConfig& config, const Schedule& schedule,
                                         const TensorRef& ref) {
    LS_ASSIGN_OR_RETURN(const auto target, Target(config, ref));
    const auto it = schedule.done.find(target);
    if (it == schedule.done.end() || ref.tensor >= it->second.size()) {
      return Invalid("the model's configuration uses output {} of layer '{}', which is not there",
                     ref.tensor, Printable(config.layers[ref.layer].name));
    }
    return it->second[ref.tensor];
  }

  // Adds a model's nodes; returns its outputs.
  absl::StatusOr<Outputs> Run(const Json& model, const WeightScope& weights, const Outputs& inputs,
                              const std::string& prefix, int depth) {
    if (depth > kMaxModelDepth) return Invalid("models are nested too deeply");
    LS_ASSIGN_OR_RETURN(const ModelConfig config, ReadModel(model));
    Schedule schedule;
    LS_RETURN_IF_ERROR(Plan(config, &schedule));
    const size_t wanted = std::max<size_t>(config.inputs.size(), 1);
    if (inputs.size() != wanted) {
      return Invalid("model '{}' is called with {} inputs, it has {}", Printable(config.name),
                     inputs.size(), wanted);
    }
    const Json& layers = model["config"].is_array() ? model["config"] : model["config"]["layers"];
    while (!schedule.ready.empty()) {
      LS_RETURN_IF_ERROR(context_.Check());
      const auto [l, k] = *schedule.ready.begin();
      schedule.ready.erase(schedule.ready.begin());
      LS_ASSIGN_OR_RETURN(Outputs outputs,
                          Call(config, layers[l], l, k, schedule, weights, inputs, prefix, depth));
      schedule.done[{l, k}] = std::move(outputs);
      for (const auto& next : schedule.waiting[{l, k}]) {
        if (--schedule.missing[next] == 0) schedule.ready.insert(next);
      }
    }
    Outputs out;
    for (const TensorRef& ref : config.outputs) {
      LS_ASSIGN_OR_RETURN(const int32_t tensor, Resolve(config, schedule, ref));
      out.push_back(tensor);
    }
    return out;
  }

  absl::StatusOr<Outputs> Call(const ModelConfig& config, const Json& json, size_t l, size_t k,
                               const Schedule& schedule, const WeightScope& weights,
                               const Outputs& model_inputs, const std::string& prefix, int depth) {
    const LayerConfig& layer = config.layers[l];
    if (layer.is_input()) {
      for (size_t i = 0; i < config.inputs.size(); ++i) {
        if (config.inputs[i].layer == l) return Outputs{model_inputs[i]};
      }
      return Invalid("InputLayer '{}' is none of the model's inputs", Printable(layer.name));
    }
    std::vector<Operand> operands;
    if (config.inputs.empty() && l == 0) operands.push_back({"", nullptr, model_inputs[0]});
    for (const Argument& argument : layer.calls[k].arguments) {
      Operand operand{argument.name, argument.constant, -1};
      if (argument.constant == nullptr) {
        LS_ASSIGN_OR_RETURN(operand.tensor, Resolve(config, schedule, argument.ref));
      }
      operands.push_back(std::move(operand));
    }
    const std::string name = prefix + layer.name;
    const WeightScope scope = weights.Layer(layer.name, layer.counted_name);
    if (IsModel(layer.class_name)) {
      Outputs inputs;
      for (const Operand& operand : operands) {
        if (operand.constant == nullptr) inputs.push_back(operand.tensor);
      }
      return Run(json, scope, inputs, name + "/", depth + 1);
    }
    LS_ASSIGN_OR_RETURN(const WeightScope found, FindWeights(json, scope));
    LS_ASSIGN_OR_RETURN_IN(
        Outputs outputs, ConvertLayer(layer, name, found, std::move(operands)),
        fmt::format("layer '{}' ({})", Printable(name), Printable(layer.class_name)));
    return outputs;
  }

  // A layer of pictures with the channels first, between two transpositions.
  absl::StatusOr<Outputs> ConvertChannelsFirst(const LayerConfig& layer, const std::string& name,
                                               const WeightScope& weights,
                                               std::vector<Operand> operands) {
    LayerConfig last = layer;
    const auto moved = channels_last_.find(layer.config);
    if (moved != channels_last_.end()) {
      last.config = moved->second;
    } else {
      Json config = *layer.config;
      config["data_format"] = "channels_last";
      last.config = channels_last_[layer.config] = &Keep(std::move(config));
    }
    LayerContext c(&graph_, *last.config, name, layer.class_name, weights, operands, &cache_, this);
    size_t rank = 0;
    for (Operand& operand : operands) {
      if (operand.constant != nullptr) continue;
      rank = c.shape(operand.tensor).size();
      if (rank < 3) continue;
      std::vector<int32_t> order = {0};
      for (size_t d = 2; d < rank; ++d) order.push_back(static_cast<int32_t>(d));
      order.push_back(1);
      operand.tensor = c.Transpose(operand.tensor, order, "channels_last");
    }
    LS_ASSIGN_OR_RETURN(Outputs outputs, ConvertLayer(last, name, weights, std::move(operands)));
    for (int32_t& t : outputs) {
      if (rank < 3 || c.shape(t).size() != rank) continue;
      std::vector<int32_t> order = {0, static_cast<int32_t>(rank) - 1};
      for (size_t d = 1; d + 1 < rank; ++d) order.push_back(static_cast<int32_t>(d));
      t = c.Transpose(t, order, "channels_first");
    }
    return outputs;
  }

  absl::StatusOr<Outputs> ConvertLayer(const LayerConfig& layer, const std::string& name,
                                       const WeightScope& weights, std::vector<Operand> operands) {
    const LayerKind* kind = FindLayer(layer.class_name);
    if (kind == nullptr) return Unsupported("it cannot be imported");
    if (!layer.config->is_object()) return Invalid("its configuration is no object");
    if (StringMember(*layer.config, "data_format") == "channels_first") {
      return ConvertChannelsFirst(layer, name, weights, std::move(operands));
    }
    LayerContext c(&graph_, *layer.config, name, layer.class_name, weights, operands, &cache_,
                   this);
    if (c.inputs().empty()) return Invalid("it has no input");
    for (int32_t input : c.inputs()) {
      if (c.shape(input).empty()) return Unsupported("its input is a scalar");
    }
    if (c.Keyword("mask") != nullptr && !kind->takes_mask) {
      return Unsupported("it is called with a mask");
    }
    const Operand* training = c.Keyword("training");
    if (!kind->same_in_training && training != nullptr && training->constant != nullptr &&
        *training->constant == Json(true)) {
      return Unsupported("it is called with training=True; build the model without that");
    }
    if (graph_.subgraph().nodes.size() > kMaxNodes) return Invalid("the model has too many layers");
    if (!kind->takes_integers) {
      bool cast = false;
      for (Operand& operand : operands) {
        if (operand.constant != nullptr) continue;
        const int32_t as_float = c.CastTo(operand.tensor, schema::TensorType_FLOAT32);
        cast = cast || as_float != operand.tensor;
        operand.tensor = as_float;
      }
      if (cast) {
        LayerContext floats(&graph_, *layer.config, name, layer.class_name, weights,
                            std::move(operands), &cache_, this);
        return Apply(*kind, floats);
      }
    }
    return Apply(*kind, c);
  }

  static absl::StatusOr<Outputs> Apply(const LayerKind& kind, LayerContext& c) {
    if (kind.convert_many != nullptr) return kind.convert_many(c);
    LS_ASSIGN_OR_RETURN(const int32_t output, kind.convert(c));
    return Outputs{output};
  }

  const Context& context_;
  GraphBuilder graph_;
  ConstantCache cache_;
  std::deque<Json> kept_;
  std::map<const Json*, const Json*> channels_last_;        // configurations, changed
  std::map<std::string, std::vector<WeightScope>> shared_;  // by shared_object_id
  size_t calls_ = 0;
  int depth_ = 0;  // of layers within layers
};

}  // namespace

absl::StatusOr<Graph> ConvertModel(const Json& model, const WeightScope& weights,
                                   const Context& context) {
  LS_RETURN_IF_ERROR(CheckAllSupported(model));
  return Converter(context).Whole(model, weights);
}

}  // namespace litesmith::keras
