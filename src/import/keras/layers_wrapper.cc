// RNN around cells, and the wrappers around other layers: Bidirectional, TimeDistributed.

#include <algorithm>
#include <map>

#include "import/keras/layer.h"

namespace litesmith::keras {
namespace {

using Outputs = std::vector<int32_t>;

bool IsTrue(const Json& config, const char* key) {
  const Json* value = Member(config, key);
  return value != nullptr && *value == Json(true);
}

// One cell of an RNN as a layer of its own.
absl::StatusOr<const Json*> CellLayer(LayerContext& c, const Json& cell, bool sequences,
                                      bool backwards) {
  const Json* inner = Member(cell, "config");
  if (inner == nullptr || !inner->is_object()) return Invalid("its 'cell' is no layer");
  const std::string name = StringMember(cell, "class_name");
  if (name != "LSTMCell" && name != "GRUCell" && name != "SimpleRNNCell") {
    return Unsupported(
        "its cell is of class '{}'; LSTMCell, GRUCell and SimpleRNNCell are supported",
        Printable(name));
  }
  Json config = *inner;
  config["return_state"] = c.config.Bool("return_state", false);
  config["return_sequences"] = sequences;
  config["go_backwards"] = backwards;
  for (const char* key : {"stateful", "zero_output_for_mask"}) {
    config[key] = c.config.Bool(key, false);
  }
  LS_RETURN_IF_ERROR(c.status());
  return &c.inner().Keep({{"class_name", name.substr(0, name.size() - 4)}, {"config", config}});
}

// RNN(cell): the cell's layer with the settings of both; several cells are layers one after the
// other.
absl::StatusOr<Outputs> Rnn(LayerContext& c) {
  const Json* cell = c.config.Find("cell");
  if (cell == nullptr) return Invalid("its 'cell' is missing");
  const bool stacked = StringMember(*cell, "class_name") == "StackedRNNCells";
  std::vector<const Json*> cells = {cell};
  if (stacked) {
    const Json* config = Member(*cell, "config");
    const Json* list = config == nullptr ? nullptr : Member(*config, "cells");
    if (list == nullptr || !list->is_array() || list->empty()) return Invalid("it has no cells");
    cells.clear();
    for (const Json& one : *list) cells.push_back(&one);
  }
  if (c.inputs().size() != 1 || c.Keyword("initial_state") != nullptr) {
    return Unsupported("it is called with an initial state");
  }
  const bool sequences = c.config.Bool("return_sequences", false);
  const bool backwards = c.config.Bool("go_backwards", false);
  LS_ASSIGN_OR_RETURN(const int32_t mask, StepMask(c));
  if (mask >= 0 && stacked && (backwards || c.config.Bool("zero_output_for_mask", false))) {
    return Unsupported("several cells that go backwards are called with a mask");
  }
  std::map<std::string, int> counts;  // as Keras 3 names their folders
  Outputs result = {c.input()};
  for (size_t i = 0; i < cells.size(); ++i) {
    const bool last = i + 1 == cells.size();
    LS_ASSIGN_OR_RETURN(const Json* layer,
                        CellLayer(c, *cells[i], sequences || !last, backwards && i == 0));
    WeightScope weights = c.weights;
    std::string name = c.name();
    if (stacked) {
      std::string folder = SnakeCase(StringMember(*cells[i], "class_name"));
      if (const int count = counts[folder]++; count > 0) folder += fmt::format("_{}", count);
      weights = c.weights.Part("cell").Part("cells").Part(folder).Itself();
      name = c.Named(fmt::format("cell_{}", i));
    }
    LS_ASSIGN_OR_RETURN(const Outputs y,
                        c.inner().Convert(*layer, weights, {result[0]}, name, mask));
    result[0] = y[0];
    result.insert(result.end(), y.begin() + 1, y.end());
  }
  return result;
}

// ---- Wrappers
// ----------------------------------------------------------------------------------------------

absl::StatusOr<const Json*> InnerLayer(LayerContext& c, std::string_view key) {
  const Json* layer = c.config.Find(key);
  const Json* config = layer == nullptr ? nullptr : Member(*layer, "config");
  if (config == nullptr || !(config->is_object() || config->is_array())) {
    return Invalid("its '{}' is no layer", key);
  }
  return layer;
}

absl::StatusOr<int32_t> Merge(LayerContext& c, const std::string& mode, int32_t a, int32_t b) {
  if (mode == "concat") {
    Shape shape = c.shape(a);
    shape.back() = c.Size(int64_t{shape.back()} + c.shape(b).back());
    schema::ConcatenationOptionsT options;
    options.axis = static_cast<int32_t>(shape.size()) - 1;
    return c.Add(schema::BuiltinOperator_CONCATENATION, std::move(options), {a, b}, "concat",
                 shape);
  }
  if (mode == "mul") return c.Binary(schema::BuiltinOperator_MUL, a, b, "mul");
  if (mode != "sum" && mode != "ave") {
    return Unsupported("its merge_mode '{}' is not supported", Printable(mode));
  }
  LS_ASSIGN_OR_RETURN(const int32_t sum, c.Binary(schema::BuiltinOperator_ADD, a, b, "add"));
  if (mode == "sum") return sum;
  return c.Binary(schema::BuiltinOperator_MUL, sum, c.Scalar("half", 0.5), "mul");
}

// One direction: with a mask, its sequence is zero at the steps that do not count.
absl::StatusOr<const Json*> Direction(LayerContext& c, Json layer, bool mirrored) {
  if (!layer["config"].is_object()) return Invalid("its layer has no configuration");
  if (mirrored) layer["config"]["go_backwards"] = !IsTrue(layer["config"], "go_backwards");
  layer["config"]["zero_output_for_mask"] = IsTrue(layer["config"], "return_sequences");
  return &c.inner().Keep(std::move(layer));
}

absl::StatusOr<Outputs> Bidirectional(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const Json* forward, InnerLayer(c, "layer"));
  // Keras 2 keeps the other layer only where it is not the mirror image.
  const bool mirrored = c.config.Find("backward_layer") == nullptr;
  const Json* backward = forward;
  if (!mirrored) {
    LS_ASSIGN_OR_RETURN(backward, InnerLayer(c, "backward_layer"));
  }
  LS_ASSIGN_OR_RETURN(const Json* ahead_layer, Direction(c, *forward, false));
  LS_ASSIGN_OR_RETURN(const Json* behind_layer, Direction(c, *backward, mirrored));
  const bool apart = c.config.json().contains("merge_mode") && !c.config.Has("merge_mode");
  const std::string mode = c.config.String("merge_mode", "concat");
  LS_RETURN_IF_ERROR(c.status());
  // Initial states come behind the input, those of the forward layer first.
  Outputs states(c.inputs().begin() + 1, c.inputs().end());
  for (const Operand& given : c.operands()) {
    if (given.name != "initial_state") continue;
    if (given.constant != nullptr) return Unsupported("its initial_state is no tensor");
    states.push_back(given.tensor);
  }
  if (states.size() % 2 != 0) return Invalid("its initial states are no pairs");
  const auto half = states.begin() + static_cast<std::ptrdiff_t>(states.size() / 2);
  Outputs ahead_inputs = {c.input()}, behind_inputs = {c.input()};
  ahead_inputs.insert(ahead_inputs.end(), states.begin(), half);
  behind_inputs.insert(behind_inputs.end(), half, states.end());
  LS_ASSIGN_OR_RETURN(const int32_t mask, StepMask(c, !states.empty()));
  LS_ASSIGN_OR_RETURN(const Outputs ahead,
                      c.inner().Convert(*ahead_layer, c.weights.Part("forward_layer"), ahead_inputs,
                                        c.Named("forward"), mask));
  LS_ASSIGN_OR_RETURN(const Outputs behind,
                      c.inner().Convert(*behind_layer, c.weights.Part("backward_layer"),
                                        behind_inputs, c.Named("backward"), mask));
  int32_t back = behind[0];
  if (c.shape(back).size() == 3) {  // a sequence: in the input's order again
    back = c.Add(schema::BuiltinOperator_REVERSE_V2, schema::ReverseV2OptionsT{},
                 {back, c.Indices("axis", {1})}, "reverse", c.shape(back));
  }
  Outputs outputs = {ahead[0], back};
  if (!apart) {
    LS_ASSIGN_OR_RETURN(const int32_t merged, Merge(c, mode, ahead[0], back));
    outputs = {merged};
  }
  for (const Outputs* way : {&ahead, &behind}) {  // their states
    outputs.insert(outputs.end(), way->begin() + 1, way->end());
  }
  return outputs;
}

// The inner layer on every step, by making the steps part of the batch.
absl::StatusOr<int32_t> TimeDistributed(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const Json* layer, InnerLayer(c, "layer"));
  const Shape in = c.in_shape();
  if (in.size() < 3) return Invalid("its input has shape {}", ShapeString(in));
  LS_ASSIGN_OR_RETURN(const int32_t steps, c.KnownDim(1));
  Shape flat = {in[0] < 0 ? -1 : c.Size(int64_t{in[0]} * steps)};
  flat.insert(flat.end(), in.begin() + 2, in.end());
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const int32_t x, c.Reshape(c.input(), flat));
  const LayerKind* kind = FindLayer(StringMember(*layer, "class_name"));
  LS_ASSIGN_OR_RETURN(const int32_t mask, StepMask(c));
  if (mask >= 0 && kind != nullptr && kind->masks == MaskRule::kSequence) {
    return Unsupported("it is called with a mask, which its inner layer would take");
  }
  const Json* inner_config = Member(*layer, "config");
  LS_ASSIGN_OR_RETURN(const Outputs y,
                      c.inner().Convert(*layer, c.weights.Part("layer"), {x},
                                        c.Named(StringMember(*inner_config, "name"))));
  if (y.size() != 1) return Unsupported("a layer with several outputs is not supported");
  Shape out = {in[0], steps};
  const Shape inner = c.shape(y[0]);
  out.insert(out.end(), inner.begin() + 1, inner.end());
  return c.Reshape(y[0], out);
}

}  // namespace

std::vector<LayerKind> WrapperLayers() {
  constexpr MaskRule kSequence = MaskRule::kSequence;
  return {{.class_name = "RNN", .convert_many = Rnn, .takes_mask = true, .masks = kSequence},
          {.class_name = "Bidirectional",
           .convert_many = Bidirectional,
           .takes_mask = true,
           .masks = kSequence},
          {.class_name = "TimeDistributed",
           .convert = TimeDistributed,
           .takes_mask = true,
           .masks = MaskRule::kPass}};
}

}  // namespace litesmith::keras
