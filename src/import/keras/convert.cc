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

// What a layer or a model makes: tensors, and the mask of each.
struct Results {
  Outputs tensors;
  std::vector<MaskRef> masks;
};

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

void ListUnsupportedLayer(std::string_view class_name, std::string_view name, const Json& config,
                          std::vector<std::string>* list) {
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
                         *inner_config, list);
  }
}

bool HasKey(const Json& value, const char* key) {
  if (value.is_object() && value.contains(key)) return true;
  return value.is_structured() && std::any_of(value.begin(), value.end(), [&](const Json& inner) {
           return HasKey(inner, key);
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
                           *layer.config, list);
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
    keras2_ = HasKey(model, "batch_input_shape");  // Keras 3 says batch_shape
    LS_ASSIGN_OR_RETURN(const Results results, Run(model, weights, Unmasked(inputs), "", 0));
    Graph graph =
        std::move(graph_).Finish(config.name, names, results.tensors, config.output_names);
    LS_RETURN_IF_ERROR(Verify(graph));
    return graph;
  }

  absl::StatusOr<Outputs> Convert(const Json& layer, const WeightScope& weights,
                                  const Outputs& inputs, const std::string& name,
                                  int32_t mask) override {
    LayerConfig config;
    config.class_name = StringMember(layer, "class_name");
    config.config = Member(layer, "config");
    if (config.config == nullptr) return Invalid("its inner layer has no configuration");
    if (++calls_ > kMaxCalls) return Invalid("the model has too many layers");
    if (++depth_ > kMaxModelDepth) return Invalid("layers are nested too deeply");
    absl::StatusOr<Results> results;
    if (IsModel(config.class_name)) {
      results = Run(layer, weights, Unmasked(inputs), name + "/", depth_);
    } else {
      std::vector<Operand> operands;
      for (int32_t input : inputs) operands.push_back({"", nullptr, input});
      if (mask >= 0) operands.push_back({"mask", nullptr, mask});
      results = ConvertLayer(config, name, weights, std::move(operands));
    }
    --depth_;
    if (!results.ok()) return results.status();
    return std::move(results->tensors);
  }

  bool keras2() const override { return keras2_; }

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

  static Results Unmasked(const Outputs& tensors) {
    return {tensors, std::vector<MaskRef>(tensors.size())};
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
    std::map<std::pair<size_t, size_t>, Results> done;
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

  // The tensor, with its mask.
  static absl::StatusOr<Operand> Resolve(const ModelConfig& config, const Schedule& schedule,
                                         const TensorRef& ref) {
    LS_ASSIGN_OR_RETURN(const auto target, Target(config, ref));
    const auto it = schedule.done.find(target);
    if (it == schedule.done.end() || ref.tensor >= it->second.tensors.size()) {
      return Invalid("the model's configuration uses output {} of layer '{}', which is not there",
                     ref.tensor, Printable(config.layers[ref.layer].name));
    }
    return Operand{"", nullptr, it->second.tensors[ref.tensor], it->second.masks[ref.tensor]};
  }

  // Adds a model's nodes; returns its outputs.
  absl::StatusOr<Results> Run(const Json& model, const WeightScope& weights, const Results& inputs,
                              const std::string& prefix, int depth) {
    if (depth > kMaxModelDepth) return Invalid("models are nested too deeply");
    LS_ASSIGN_OR_RETURN(const ModelConfig config, ReadModel(model));
    Schedule schedule;
    LS_RETURN_IF_ERROR(Plan(config, &schedule));
    const size_t wanted = std::max<size_t>(config.inputs.size(), 1);
    if (inputs.tensors.size() != wanted) {
      return Invalid("model '{}' is called with {} inputs, it has {}", Printable(config.name),
                     inputs.tensors.size(), wanted);
    }
    const Json& layers = model["config"].is_array() ? model["config"] : model["config"]["layers"];
    while (!schedule.ready.empty()) {
      LS_RETURN_IF_ERROR(context_.Check());
      const auto [l, k] = *schedule.ready.begin();
      schedule.ready.erase(schedule.ready.begin());
      LS_ASSIGN_OR_RETURN(Results results,
                          Call(config, layers[l], l, k, schedule, weights, inputs, prefix, depth));
      schedule.done[{l, k}] = std::move(results);
      for (const auto& next : schedule.waiting[{l, k}]) {
        if (--schedule.missing[next] == 0) schedule.ready.insert(next);
      }
    }
    Results out;
    for (const TensorRef& ref : config.outputs) {
      LS_ASSIGN_OR_RETURN(const Operand result, Resolve(config, schedule, ref));
      out.tensors.push_back(result.tensor);
      out.masks.push_back(result.mask);
    }
    return out;
  }

  absl::StatusOr<Results> Call(const ModelConfig& config, const Json& json, size_t l, size_t k,
                               const Schedule& schedule, const WeightScope& weights,
                               const Results& model_inputs, const std::string& prefix, int depth) {
    const LayerConfig& layer = config.layers[l];
    if (layer.is_input()) {
      for (size_t i = 0; i < config.inputs.size(); ++i) {
        if (config.inputs[i].layer == l) {
          return Results{{model_inputs.tensors[i]}, {model_inputs.masks[i]}};
        }
      }
      return Invalid("InputLayer '{}' is none of the model's inputs", Printable(layer.name));
    }
    std::vector<Operand> operands;
    if (config.inputs.empty() && l == 0) {
      operands.push_back({"", nullptr, model_inputs.tensors[0], model_inputs.masks[0]});
    }
    for (const Argument& argument : layer.calls[k].arguments) {
      Operand operand{argument.name, argument.constant, -1};
      if (argument.constant == nullptr) {
        LS_ASSIGN_OR_RETURN(operand, Resolve(config, schedule, argument.ref));
        operand.name = argument.name;
      }
      operands.push_back(std::move(operand));
    }
    const std::string name = prefix + layer.name;
    const WeightScope scope = weights.Layer(layer.name, layer.counted_name);
    if (IsModel(layer.class_name)) {
      LS_ASSIGN_OR_RETURN(const Results inputs, ModelInputs(operands, name));
      return Run(json, scope, inputs, name + "/", depth + 1);
    }
    LS_ASSIGN_OR_RETURN(const WeightScope found, FindWeights(json, scope));
    LS_ASSIGN_OR_RETURN_IN(
        Results results, ConvertLayer(layer, name, found, std::move(operands)),
        fmt::format("layer '{}' ({})", Printable(name), Printable(layer.class_name)));
    return results;
  }

  static bool HoldsNulls(const Json& list) {
    return list.is_array() &&
           std::all_of(list.begin(), list.end(), [](const Json& item) { return item.is_null(); });
  }

  // What a nested model is called with. Masks given by keyword take the place of those that come
  // along with the tensors.
  static absl::StatusOr<Results> ModelInputs(const std::vector<Operand>& operands,
                                             const std::string& name) {
    Results inputs;
    std::vector<MaskRef> masks;
    for (const Operand& operand : operands) {
      if (operand.name == "mask") {
        if (operand.constant != nullptr) {
          if (HoldsNulls(*operand.constant)) continue;
          return Unsupported("model '{}' is called with masks for some of its inputs only",
                             Printable(name));
        }
        masks.push_back(std::make_shared<Mask>(Mask{.tensor = operand.tensor}));
      } else if (operand.constant == nullptr) {
        inputs.tensors.push_back(operand.tensor);
        inputs.masks.push_back(operand.mask);
      }
    }
    if (masks.empty()) return inputs;
    if (masks.size() != inputs.masks.size()) {
      return Unsupported("model '{}' is called with {} masks for {} inputs", Printable(name),
                         masks.size(), inputs.masks.size());
    }
    inputs.masks = std::move(masks);
    return inputs;
  }

  // A layer of pictures with the channels first, between two transpositions.
  absl::StatusOr<Results> ConvertChannelsFirst(const LayerConfig& layer, const std::string& name,
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
    LS_ASSIGN_OR_RETURN(Results results, ConvertLayer(last, name, weights, std::move(operands)));
    for (int32_t& t : results.tensors) {
      if (rank < 3 || c.shape(t).size() != rank) continue;
      std::vector<int32_t> order = {0, static_cast<int32_t>(rank) - 1};
      for (size_t d = 1; d + 1 < rank; ++d) order.push_back(static_cast<int32_t>(d));
      t = c.Transpose(t, order, "channels_first");
    }
    return results;
  }

  absl::StatusOr<Results> ConvertLayer(const LayerConfig& layer, const std::string& name,
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
        const bool mask = operand.name == "mask" || operand.name.ends_with("_mask");
        if (operand.constant != nullptr || mask) continue;
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

  absl::StatusOr<Results> Apply(const LayerKind& kind, LayerContext& c) const {
    Results results;
    if (kind.convert_many != nullptr) {
      LS_ASSIGN_OR_RETURN(results.tensors, kind.convert_many(c));
    } else {
      LS_ASSIGN_OR_RETURN(results.tensors.emplace_back(), kind.convert(c));
    }
    results.masks = OutputMasks(kind, c, results.tensors, keras2_);
    return results;
  }

  const Context& context_;
  GraphBuilder graph_;
  ConstantCache cache_;
  std::deque<Json> kept_;
  std::map<const Json*, const Json*> channels_last_;        // configurations, changed
  std::map<std::string, std::vector<WeightScope>> shared_;  // by shared_object_id
  bool keras2_ = false;                                     // who wrote the configuration
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
