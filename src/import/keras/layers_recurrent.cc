// Recurrent layers, unrolled over a known number of steps.

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

// The mask of a call, [N, T], as one [N, 1] per step; empty where there is none. `states`: it is
// called with initial ones.
absl::StatusOr<Outputs> StepMasks(LayerContext& c, int32_t steps, bool states) {
  LS_ASSIGN_OR_RETURN(const int32_t truths, StepMask(c, states));
  if (truths < 0) return Outputs();
  if (c.shape(truths).size() != 2 || c.shape(truths)[1] != steps) {
    return Unsupported("it is called with a mask that cannot be imported");
  }
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

  LS_ASSIGN_OR_RETURN(const Outputs mask, StepMasks(c, steps, !initial.empty()));
  const bool zeros = c.config.Bool("zero_output_for_mask", false);
  // A step that does not count gives the output before it again, zeros at first: that is the state,
  // unless the state begins otherwise.
  const bool output_is_state = mask.empty() || (initial.empty() && !zeros);
  LS_ASSIGN_OR_RETURN(const int32_t all, cell.ProjectInput(c.input(), w.kernel, w.bias));
  const Shape step_shape = {c.in_shape()[0], cell.gates() * cell.units()};
  schema::UnpackOptionsT unpack;
  unpack.num = steps;
  unpack.axis = 1;
  const Outputs inputs =
      c.AddMany(schema::BuiltinOperator_UNPACK, std::move(unpack), {all}, "unpack",
                std::vector<Shape>(static_cast<size_t>(steps), step_shape));
  Outputs outputs;
  int32_t output = -1;
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
      if (!output_is_state) output = Choose(c, keep, state.h, zeros ? -1 : output);
      state.h = Choose(c, keep, state.h, before.h);
      if (kKind == Kind::kLstm) state.c = Choose(c, keep, state.c, before.c);
    }
    if (output_is_state) output = state.h;
    outputs.push_back(output);
  }
  Outputs result = {output};
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

}  // namespace

std::vector<LayerKind> RecurrentLayers() {
  constexpr MaskRule kSequence = MaskRule::kSequence;
  return {{.class_name = "LSTM",
           .convert_many = Recurrent<Kind::kLstm>,
           .takes_mask = true,
           .masks = kSequence},
          {.class_name = "GRU",
           .convert_many = Recurrent<Kind::kGru>,
           .takes_mask = true,
           .masks = kSequence},
          {.class_name = "SimpleRNN",
           .convert_many = Recurrent<Kind::kSimple>,
           .takes_mask = true,
           .masks = kSequence}};
}

}  // namespace litesmith::keras
