// Recurrent layers, unrolled over a known number of steps, and the wrappers around other layers.

#include <algorithm>

#include "import/keras/convolution.h"

namespace litesmith::keras {
namespace {

using Outputs = std::vector<int32_t>;

constexpr int32_t kMaxSteps = 2048;

// One layer's cell at work. h and c are -1 while the state is still zero.
class Cell {
 public:
  Cell(LayerContext& context, int32_t gates) : c_(context), gates_(gates) {}

  absl::Status ReadConfig() {
    units_ = c_.config.Int("units", 1, 1 << 20);
    use_bias_ = c_.config.Bool("use_bias", true);
    const Json* activation = c_.config.Find("activation");
    activation_ = activation == nullptr ? "tanh" : ObjectName(*activation);
    const Json* recurrent = c_.config.Find("recurrent_activation");
    recurrent_activation_ = recurrent == nullptr ? "sigmoid" : ObjectName(*recurrent);
    if (c_.config.Bool("stateful", false)) {
      return Unsupported(
          "a .tflite keeps no state between calls; save the layer with stateful=False");
    }
    if (c_.config.Bool("time_major", false)) return Unsupported("'time_major' is not supported");
    return c_.status();
  }

  int32_t units() const { return units_; }
  int32_t gates() const { return gates_; }
  bool use_bias() const { return use_bias_; }

  // x [N, T, I] to the inputs of all gates at all steps, [N, T, gates * units].
  absl::StatusOr<int32_t> ProjectInput(int32_t x, int32_t kernel, int32_t bias) {
    schema::FullyConnectedOptionsT options;
    options.keep_num_dims = true;
    Shape shape = c_.shape(x);
    shape.back() = gates_ * units_;
    return c_.Add(schema::BuiltinOperator_FULLY_CONNECTED, std::move(options), {x, kernel, bias},
                  "input", std::move(shape));
  }

  // h times the recurrent kernel, or nothing while h is zero.
  int32_t ProjectState(int32_t h, int32_t kernel, int32_t bias) {
    if (h < 0) return bias;
    Shape shape = c_.shape(h);
    shape.back() = c_.shape(kernel)[0];
    return c_.Add(schema::BuiltinOperator_FULLY_CONNECTED, schema::FullyConnectedOptionsT{},
                  {h, kernel, bias}, "recurrent", std::move(shape));
  }

  // [N, gates * units] to one tensor per gate.
  Outputs Split(int32_t x, int32_t parts) {
    Shape shape = c_.shape(x);
    const int32_t axis = c_.graph().Constant(
        c_.Named("axis"), {}, std::vector<int32_t>{static_cast<int32_t>(shape.size()) - 1});
    shape.back() = units_;
    schema::SplitOptionsT options;
    options.num_splits = parts;
    return c_.AddMany(schema::BuiltinOperator_SPLIT, std::move(options), {axis, x}, "split",
                      std::vector<Shape>(static_cast<size_t>(parts), shape));
  }

  absl::StatusOr<int32_t> Activation(int32_t x) { return Activate(c_, activation_, x); }
  absl::StatusOr<int32_t> Gate(int32_t x) { return Activate(c_, recurrent_activation_, x); }
  // a + b, where a missing one is zero.
  absl::StatusOr<int32_t> Sum(int32_t a, int32_t b) {
    if (a < 0 || b < 0) return a < 0 ? b : a;
    return c_.Binary(schema::BuiltinOperator_ADD, a, b, "add");
  }
  absl::StatusOr<int32_t> Product(int32_t a, int32_t b) {
    return c_.Binary(schema::BuiltinOperator_MUL, a, b, "mul");
  }
  absl::StatusOr<int32_t> Difference(int32_t a, int32_t b) {
    return c_.Binary(schema::BuiltinOperator_SUB, a, b, "sub");
  }

 private:
  LayerContext& c_;
  int32_t gates_, units_ = 1;
  bool use_bias_ = true;
  std::string activation_, recurrent_activation_;
};

struct CellWeights {
  int32_t kernel = -1, recurrent = -1, bias = -1;
  int32_t recurrent_bias = -1;  // GRU with reset_after
  int32_t candidate = -1;       // GRU without: the recurrent kernel of the candidate alone
};

absl::StatusOr<int32_t> TransposedConstant(LayerContext& c, std::string_view what, int32_t rows,
                                           int32_t columns, const std::vector<float>& values) {
  return c.Constant(what, {columns, rows}, OutputFirst(values, static_cast<size_t>(columns)));
}

// Columns [from, to) of a [rows, columns] matrix.
std::vector<float> Columns(const std::vector<float>& values, int32_t columns, int32_t from,
                           int32_t to) {
  std::vector<float> out;
  for (size_t row = 0; row < values.size(); row += static_cast<size_t>(columns)) {
    out.insert(out.end(), values.begin() + static_cast<std::ptrdiff_t>(row) + from,
               values.begin() + static_cast<std::ptrdiff_t>(row) + to);
  }
  return out;
}

absl::StatusOr<CellWeights> TakeWeights(LayerContext& c, const Cell& cell, int32_t depth,
                                        bool two_biases, bool separate_candidate) {
  LS_ASSIGN_OR_RETURN(const auto constants, c.Constants("", [&]() -> absl::StatusOr<Outputs> {
    const int32_t width = cell.gates() * cell.units();
    WeightScope scope = c.weights.Part("cell");
    LS_ASSIGN_OR_RETURN(const auto w, scope.Take({"kernel", "recurrent_kernel"}));
    LS_RETURN_IF_ERROR(CheckWeight(w[0], {depth, width}, "kernel"));
    LS_RETURN_IF_ERROR(CheckWeight(w[1], {cell.units(), width}, "recurrent_kernel"));
    Outputs out(5, -1);
    LS_ASSIGN_OR_RETURN(out[0], TransposedConstant(c, "kernel", depth, width, w[0].values));
    const int32_t shared = separate_candidate ? width - cell.units() : width;
    LS_ASSIGN_OR_RETURN(out[1], TransposedConstant(c, "recurrent_kernel", cell.units(), shared,
                                                   Columns(w[1].values, width, 0, shared)));
    if (separate_candidate) {
      LS_ASSIGN_OR_RETURN(out[4],
                          TransposedConstant(c, "candidate_kernel", cell.units(), cell.units(),
                                             Columns(w[1].values, width, shared, width)));
    }
    if (!cell.use_bias()) return out;
    LS_ASSIGN_OR_RETURN(const auto bias, scope.Take({"bias"}));
    const Shape bias_shape = two_biases ? Shape{2, width} : Shape{width};
    LS_RETURN_IF_ERROR(CheckWeight(bias[0], bias_shape, "bias"));
    const auto& values = bias[0].values;
    LS_ASSIGN_OR_RETURN(out[2],
                        c.Constant("bias", {width}, {values.begin(), values.begin() + width}));
    if (two_biases) {
      LS_ASSIGN_OR_RETURN(
          out[3], c.Constant("recurrent_bias", {width}, {values.begin() + width, values.end()}));
    }
    return out;
  }));
  return CellWeights{constants[0], constants[1], constants[2], constants[3], constants[4]};
}

struct State {
  int32_t h = -1, c = -1;
};

// Hochreiter and Schmidhuber 1997; gates in Keras' order i, f, c, o.
absl::StatusOr<State> LstmStep(Cell& cell, const CellWeights& w, int32_t x, const State& s) {
  LS_ASSIGN_OR_RETURN(const int32_t z, cell.Sum(x, cell.ProjectState(s.h, w.recurrent, -1)));
  const Outputs gates = cell.Split(z, 4);
  LS_ASSIGN_OR_RETURN(const int32_t i, cell.Gate(gates[0]));
  LS_ASSIGN_OR_RETURN(const int32_t candidate, cell.Activation(gates[2]));
  LS_ASSIGN_OR_RETURN(const int32_t o, cell.Gate(gates[3]));
  State next;
  LS_ASSIGN_OR_RETURN(next.c, cell.Product(i, candidate));
  if (s.c >= 0) {
    LS_ASSIGN_OR_RETURN(const int32_t f, cell.Gate(gates[1]));
    LS_ASSIGN_OR_RETURN(const int32_t kept, cell.Product(f, s.c));
    LS_ASSIGN_OR_RETURN(next.c, cell.Sum(kept, next.c));
  }
  LS_ASSIGN_OR_RETURN(const int32_t out, cell.Activation(next.c));
  LS_ASSIGN_OR_RETURN(next.h, cell.Product(o, out));
  return next;
}

// Cho et al. 2014; gates in Keras' order z, r, h. With reset_after the reset gate works on the
// product.
absl::StatusOr<State> GruStep(Cell& cell, const CellWeights& w, bool reset_after, int32_t x,
                              const State& s) {
  const Outputs in = cell.Split(x, 3);
  const int32_t product = cell.ProjectState(s.h, w.recurrent, w.recurrent_bias);
  Outputs rec(3, -1);
  if (product >= 0) {
    rec = cell.Split(product, reset_after ? 3 : 2);
    rec.resize(3, -1);
  }
  LS_ASSIGN_OR_RETURN(const int32_t z_sum, cell.Sum(in[0], rec[0]));
  LS_ASSIGN_OR_RETURN(const int32_t z, cell.Gate(z_sum));
  int32_t inner = -1;
  if (reset_after ? rec[2] >= 0 : s.h >= 0) {
    LS_ASSIGN_OR_RETURN(const int32_t r_sum, cell.Sum(in[1], rec[1]));
    LS_ASSIGN_OR_RETURN(const int32_t r, cell.Gate(r_sum));
    LS_ASSIGN_OR_RETURN(inner, cell.Product(r, reset_after ? rec[2] : s.h));
    if (!reset_after) inner = cell.ProjectState(inner, w.candidate, -1);
  }
  LS_ASSIGN_OR_RETURN(const int32_t sum, cell.Sum(in[2], inner));
  LS_ASSIGN_OR_RETURN(const int32_t candidate, cell.Activation(sum));
  // z * h + (1 - z) * candidate
  LS_ASSIGN_OR_RETURN(const int32_t share, cell.Product(z, candidate));
  LS_ASSIGN_OR_RETURN(const int32_t fresh, cell.Difference(candidate, share));
  State next;
  next.h = fresh;
  if (s.h >= 0) {
    LS_ASSIGN_OR_RETURN(const int32_t kept, cell.Product(z, s.h));
    LS_ASSIGN_OR_RETURN(next.h, cell.Sum(kept, fresh));
  }
  return next;
}

absl::StatusOr<State> SimpleStep(Cell& cell, const CellWeights& w, int32_t x, const State& s) {
  LS_ASSIGN_OR_RETURN(const int32_t sum, cell.Sum(x, cell.ProjectState(s.h, w.recurrent, -1)));
  State next;
  LS_ASSIGN_OR_RETURN(next.h, cell.Activation(sum));
  return next;
}

// The mask of a call, [N, T], as one [N, 1] per step; empty where there is none.
absl::StatusOr<Outputs> StepMasks(LayerContext& c, int32_t steps) {
  const Operand* mask = c.Keyword("mask");
  if (mask == nullptr) return Outputs();
  const bool fits = mask->constant == nullptr && c.shape(mask->tensor).size() == 2 &&
                    c.shape(mask->tensor)[1] == steps;
  if (!fits || c.config.Bool("zero_output_for_mask", false)) {
    return Unsupported("it is called with a mask that cannot be imported");
  }
  const int32_t truths = c.CastTo(mask->tensor, schema::TensorType_BOOL);
  const int32_t batch = c.shape(truths)[0];
  schema::UnpackOptionsT unpack;
  unpack.num = steps;
  unpack.axis = 1;
  const Outputs parts =
      c.AddMany(schema::BuiltinOperator_UNPACK, std::move(unpack), {truths}, "unpack_mask",
                std::vector<Shape>(static_cast<size_t>(steps), {batch}), schema::TensorType_BOOL);
  Outputs out;
  for (int32_t part : parts) {
    LS_ASSIGN_OR_RETURN(out.emplace_back(), c.Reshape(part, {batch, 1}, "step_mask"));
  }
  return out;
}

// Where the step counts what it made, elsewhere what was before (-1: zeros).
int32_t Choose(LayerContext& c, int32_t keep, int32_t now, int32_t before) {
  if (before < 0) before = c.Scalar("zero", 0.0);
  return c.Add(schema::BuiltinOperator_SELECT_V2, schema::SelectV2OptionsT{}, {keep, now, before},
               "masked", c.shape(now));
}

enum class Kind { kLstm, kGru, kSimple };

template <Kind kKind>
absl::StatusOr<Outputs> Recurrent(LayerContext& c) {
  LS_RETURN_IF_ERROR(c.CheckRank(3));
  LS_ASSIGN_OR_RETURN(const int32_t steps, c.KnownDim(1));
  LS_ASSIGN_OR_RETURN(const int32_t depth, c.KnownDim(2));
  if (steps > kMaxSteps) return Unsupported("{} steps are too many ({} at most)", steps, kMaxSteps);
  Cell cell(c, kKind == Kind::kLstm ? 4 : kKind == Kind::kGru ? 3 : 1);
  LS_RETURN_IF_ERROR(cell.ReadConfig());
  const bool backwards = c.config.Bool("go_backwards", false);
  const bool sequences = c.config.Bool("return_sequences", false);
  const bool return_state = c.config.Bool("return_state", false);
  const bool reset_after = kKind == Kind::kGru && c.config.Bool("reset_after", true);
  LS_RETURN_IF_ERROR(c.status());
  LS_ASSIGN_OR_RETURN(const CellWeights w, TakeWeights(c, cell, depth, reset_after,
                                                       kKind == Kind::kGru && !reset_after));
  State state;
  Outputs initial(c.inputs().begin() + 1, c.inputs().end());
  for (const Operand& given : c.operands()) {
    if (given.name != "initial_state") continue;
    if (given.constant != nullptr) return Unsupported("its initial_state is no tensor");
    initial.push_back(given.tensor);
  }
  const size_t states = kKind == Kind::kLstm ? 2 : 1;
  if (!initial.empty() && initial.size() != states) {
    return Unsupported("it has {} initial states, {} are wanted", initial.size(), states);
  }
  if (!initial.empty()) state.h = initial[0];
  if (initial.size() > 1) state.c = initial[1];

  LS_ASSIGN_OR_RETURN(const Outputs mask, StepMasks(c, steps));
  if (!mask.empty() && !initial.empty()) {
    return Unsupported("it is called with a mask and an initial state");
  }
  LS_ASSIGN_OR_RETURN(const int32_t all, cell.ProjectInput(c.input(), w.kernel, w.bias));
  const Shape step_shape = {c.in_shape()[0], cell.gates() * cell.units()};
  schema::UnpackOptionsT unpack;
  unpack.num = steps;
  unpack.axis = 1;
  const Outputs inputs =
      c.AddMany(schema::BuiltinOperator_UNPACK, std::move(unpack), {all}, "unpack",
                std::vector<Shape>(static_cast<size_t>(steps), step_shape));
  Outputs outputs;
  for (int32_t t = 0; t < steps; ++t) {
    const int32_t x = inputs[static_cast<size_t>(backwards ? steps - 1 - t : t)];
    const State before = state;
    if constexpr (kKind == Kind::kLstm) {
      LS_ASSIGN_OR_RETURN(state, LstmStep(cell, w, x, state));
    } else if constexpr (kKind == Kind::kGru) {
      LS_ASSIGN_OR_RETURN(state, GruStep(cell, w, reset_after, x, state));
    } else {
      LS_ASSIGN_OR_RETURN(state, SimpleStep(cell, w, x, state));
    }
    if (!mask.empty()) {
      const int32_t keep = mask[static_cast<size_t>(backwards ? steps - 1 - t : t)];
      state.h = Choose(c, keep, state.h, before.h);
      if (kKind == Kind::kLstm) state.c = Choose(c, keep, state.c, before.c);
    }
    outputs.push_back(state.h);
  }
  Outputs result = {state.h};
  if (sequences) {
    schema::PackOptionsT pack;
    pack.values_count = steps;
    pack.axis = 1;
    result[0] = c.Add(schema::BuiltinOperator_PACK, std::move(pack), outputs, "pack",
                      {c.in_shape()[0], steps, cell.units()});
  }
  if (return_state) {
    result.push_back(state.h);
    if (kKind == Kind::kLstm) result.push_back(state.c);
  }
  return result;
}

// RNN(cell): the cell's layer with the settings of both.
absl::StatusOr<Outputs> Rnn(LayerContext& c) {
  const Json* cell = c.config.Find("cell");
  const Json* inner = cell == nullptr ? nullptr : Member(*cell, "config");
  if (inner == nullptr || !inner->is_object()) return Invalid("its 'cell' is no layer");
  const std::string name = StringMember(*cell, "class_name");
  if (name != "LSTMCell" && name != "GRUCell" && name != "SimpleRNNCell") {
    return Unsupported(
        "its cell is of class '{}'; LSTMCell, GRUCell and SimpleRNNCell are supported",
        Printable(name));
  }
  Json config = *inner;
  for (const char* key : {"return_sequences", "return_state", "go_backwards", "stateful"}) {
    config[key] = c.config.Bool(key, false);
  }
  LS_RETURN_IF_ERROR(c.status());
  if (c.inputs().size() != 1 || c.Keyword("initial_state") != nullptr ||
      c.Keyword("mask") != nullptr) {
    return Unsupported("it is called with an initial state or a mask");
  }
  const Json& layer =
      c.inner().Keep({{"class_name", name.substr(0, name.size() - 4)}, {"config", config}});
  return c.inner().Convert(layer, c.weights, c.inputs(), c.name());
}

// ---- Wrappers
// ----------------------------------------------------------------------------------------------

absl::StatusOr<const Json*> InnerLayer(LayerContext& c, std::string_view key) {
  const Json* layer = c.config.Find(key);
  if (layer == nullptr || Member(*layer, "config") == nullptr) {
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

absl::StatusOr<Outputs> Bidirectional(LayerContext& c) {
  LS_ASSIGN_OR_RETURN(const Json* forward, InnerLayer(c, "layer"));
  const Json* backward = c.config.Find("backward_layer");
  if (backward == nullptr) {  // Keras 2 keeps it only where it is not the mirror image
    Json mirror = *forward;
    const Json* way = Member(mirror["config"], "go_backwards");
    mirror["config"]["go_backwards"] = !(way != nullptr && *way == Json(true));
    backward = &c.inner().Keep(std::move(mirror));
  }
  const bool apart = c.config.json().contains("merge_mode") && !c.config.Has("merge_mode");
  const std::string mode = c.config.String("merge_mode", "concat");
  LS_RETURN_IF_ERROR(c.status());
  if (c.inputs().size() != 1 || c.Keyword("initial_state") != nullptr) {
    return Unsupported("initial states are not supported");
  }
  LS_ASSIGN_OR_RETURN(
      const Outputs ahead,
      c.inner().Convert(*forward, c.weights.Part("forward_layer"), c.inputs(), c.Named("forward")));
  LS_ASSIGN_OR_RETURN(const Outputs behind,
                      c.inner().Convert(*backward, c.weights.Part("backward_layer"), c.inputs(),
                                        c.Named("backward")));
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

std::vector<LayerKind> RecurrentLayers() {
  return {{.class_name = "LSTM", .convert_many = Recurrent<Kind::kLstm>, .takes_mask = true},
          {.class_name = "GRU", .convert_many = Recurrent<Kind::kGru>, .takes_mask = true},
          {.class_name = "SimpleRNN", .convert_many = Recurrent<Kind::kSimple>, .takes_mask = true},
          {.class_name = "RNN", .convert_many = Rnn},
          {.class_name = "Bidirectional", .convert_many = Bidirectional},
          {.class_name = "TimeDistributed", .convert = TimeDistributed}};
}

}  // namespace litesmith::keras
