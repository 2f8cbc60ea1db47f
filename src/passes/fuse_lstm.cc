// LSTM layers that were written out step by step, back to one operator each.

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;

constexpr size_t kGates = 4;

// Where the gates stand among the four parts of the sums.
enum Gate { kInput, kForget, kCell, kOutput };

// One step: c = f * c_before + i * tanh(..), h = o * tanh(c), all four from one SPLIT.
struct Step {
  int32_t sums = -1;                                // what is split
  std::array<int, kGates> part = {-1, -1, -1, -1};  // by Gate
  int32_t c_before = -1, h_before = -1;             // -1: zero
  int32_t c = -1, h = -1;
  int32_t maker = -1;                    // the node of h
  int32_t x = -1;                        // the input, or its product with the weights
  int32_t weights = -1, recurrent = -1;  // -1: x is the product
  std::vector<float> bias;               // the sum of all, as long as there is any
};

// A run of steps, and where their inputs come from.
struct Chain {
  std::vector<Step> steps;
  int32_t unpack = -1;     // the node that takes the sequence apart
  bool backwards = false;  // its parts are used from the last to the first
  int32_t source = -1;     // the sequence
  size_t time_axis = 1;
  int32_t weights = -1, recurrent = -1;
  std::array<int, kGates> part = {-1, -1, -1, -1};
  std::vector<float> bias;
};

// Finds chains in one subgraph. Reads only.
class Finder {
 public:
  Finder(const Subgraph& subgraph, const Rewriter& rewriter)
      : subgraph_(subgraph), rewriter_(rewriter), readers_(subgraph.tensors.size()) {
    for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
      for (int32_t t : subgraph.nodes[n].inputs) {
        if (t >= 0) readers_[Index(t)].push_back(static_cast<int32_t>(n));
      }
    }
  }

  std::vector<Chain> Run() {
    std::vector<Step> steps;
    for (const Node& node : subgraph_.nodes) {
      if (auto step = StepOf(node)) {
        steps_by_h_[step->h] = steps.size();
        steps.push_back(*std::move(step));
      }
    }
    std::map<int32_t, size_t> next;  // by the h that is read
    std::vector<size_t> first;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (!TakeSums(&steps[i])) continue;
      if (steps[i].h_before >= 0) {
        next[steps[i].h_before] = i;
      } else if (steps[i].c_before < 0) {
        first.push_back(i);
      }
    }
    std::vector<Chain> chains;
    for (size_t at : first) {
      Chain chain;
      chain.steps.push_back(steps[at]);
      for (auto found = next.find(chain.steps.back().h);
           found != next.end() && steps[found->second].c_before == chain.steps.back().c;
           found = next.find(chain.steps.back().h)) {
        chain.steps.push_back(steps[found->second]);
      }
      if (IsLayer(&chain)) chains.push_back(std::move(chain));
    }
    return chains;
  }

  const std::vector<int32_t>& readers(int32_t t) const { return readers_[Index(t)]; }

 private:
  static size_t Index(int32_t t) { return static_cast<size_t>(t); }
  const Node& node(int32_t n) const { return subgraph_.nodes[Index(n)]; }
  const Tensor& tensor(int32_t t) const { return subgraph_.tensors[Index(t)]; }

  // The node that makes `t`, when it is a plain one of this kind.
  const Node* Maker(int32_t t, BuiltinOperator op) const {
    const int32_t n = rewriter_.producer(t);
    if (n < 0 || node(n).op != op) return nullptr;
    if (FusedActivation(node(n)).value_or(schema::ActivationFunctionType_NONE) !=
        schema::ActivationFunctionType_NONE) {
      return nullptr;
    }
    return &node(n);
  }
  // The one reader of `t`, when it is a plain one of this kind.
  const Node* Reader(int32_t t, BuiltinOperator op) const {
    if (t < 0 || rewriter_.is_fixed(t) || readers(t).size() != 1) return nullptr;
    const Node& reader = node(readers(t)[0]);
    return Maker(reader.output(0), op);
  }
  static int32_t Other(const Node& node, int32_t t) {
    return node.input(0) == t ? node.input(1) : node.input(0);
  }

  std::optional<Step> StepOf(const Node& split) const {
    if (split.op != schema::BuiltinOperator_SPLIT || split.outputs.size() != kGates) {
      return std::nullopt;
    }
    Step step;
    step.sums = split.input(1);
    const auto axis = rewriter_.IntConstant(split.input(0));
    if (!axis || axis->size() != 1 || ((*axis)[0] != 1 && (*axis)[0] != -1)) return std::nullopt;
    if (step.sums < 0 || tensor(step.sums).shape.size() != 2) return std::nullopt;
    if (tensor(step.sums).type != schema::TensorType_FLOAT32) return std::nullopt;
    std::array<int32_t, kGates> gates;
    int32_t candidate = -1;
    for (size_t k = 0; k < kGates; ++k) {
      gates[k] = -1;
      const int32_t part = split.outputs[k];
      if (const Node* gate = Reader(part, schema::BuiltinOperator_LOGISTIC)) {
        gates[k] = gate->output(0);
      } else if (const Node* cell = Reader(part, schema::BuiltinOperator_TANH)) {
        if (step.part[kCell] >= 0) return std::nullopt;
        step.part[kCell] = static_cast<int>(k);
        candidate = cell->output(0);
      } else if (rewriter_.is_fixed(part) || !readers(part).empty()) {
        return std::nullopt;
      }
    }
    if (candidate < 0 || !TakeCell(gates, candidate, &step)) return std::nullopt;
    return step;
  }

  static int PartOf(const std::array<int32_t, kGates>& gates, int32_t t) {
    if (t < 0) return -1;
    for (size_t k = 0; k < kGates; ++k) {
      if (gates[k] == t) return static_cast<int>(k);
    }
    return -1;
  }

  // The gates by what they are multiplied with.
  bool TakeCell(const std::array<int32_t, kGates>& gates, int32_t candidate, Step* step) const {
    const Node* fresh = Reader(candidate, schema::BuiltinOperator_MUL);
    if (fresh == nullptr) return false;
    step->part[kInput] = PartOf(gates, Other(*fresh, candidate));
    step->c = fresh->output(0);
    if (const Node* sum = Reader(step->c, schema::BuiltinOperator_ADD)) {
      const Node* kept = Maker(Other(*sum, step->c), schema::BuiltinOperator_MUL);
      for (size_t i = 0; kept != nullptr && i < 2; ++i) {
        const int part = PartOf(gates, kept->input(i));
        if (part < 0 || part == step->part[kInput]) continue;
        step->part[kForget] = part;
        step->c_before = kept->input(1 - i);
        step->c = sum->output(0);
      }
    }
    if (rewriter_.is_fixed(step->c)) return false;
    int32_t squashed = -1;
    for (int32_t n : readers(step->c)) {
      if (node(n).op != schema::BuiltinOperator_TANH) continue;
      if (squashed >= 0) return false;
      squashed = node(n).output(0);
    }
    const Node* out = Reader(squashed, schema::BuiltinOperator_MUL);
    if (out == nullptr) return false;
    step->part[kOutput] = PartOf(gates, Other(*out, squashed));
    step->h = out->output(0);
    step->maker = rewriter_.producer(step->h);
    return step->part[kInput] >= 0 && step->part[kOutput] >= 0;
  }

  bool AddBias(int32_t t, Step* step) const {
    const auto values = tensor(t).data.As<float>();
    const auto width = static_cast<size_t>(tensor(step->sums).shape[1]);
    if (values.size() != width) return false;
    step->bias.resize(width, 0.0f);
    for (size_t i = 0; i < width; ++i) step->bias[i] += values[i];
    return true;
  }

  // Takes the sums apart: W x, R h and biases, in any order.
  bool TakeSums(Step* step) const {
    std::vector<int32_t> pending = {step->sums};
    while (!pending.empty()) {
      const int32_t t = pending.back();
      pending.pop_back();
      if (rewriter_.IsFloatConstant(t)) {
        if (!AddBias(t, step)) return false;
        continue;
      }
      if (rewriter_.is_fixed(t) || readers(t).size() != 1) return false;
      if (const Node* sum = Maker(t, schema::BuiltinOperator_ADD)) {
        pending.push_back(sum->input(0));
        pending.push_back(sum->input(1));
        continue;
      }
      if (!TakeProduct(t, step)) return false;
    }
    return step->x >= 0;
  }

  bool TakeProduct(int32_t t, Step* step) const {
    const Node* product = Maker(t, schema::BuiltinOperator_FULLY_CONNECTED);
    if (product == nullptr) {
      if (step->x >= 0) return false;
      step->x = t;
      return true;
    }
    const int32_t in = product->input(0), weights = product->input(1);
    if (!IsMatrix(weights, tensor(step->sums).shape[1])) return false;
    if (product->input(2) >= 0) {
      if (!rewriter_.IsFloatConstant(product->input(2))) return false;
      if (!AddBias(product->input(2), step)) return false;
    }
    const bool recurrent = steps_by_h_.contains(in);
    int32_t& side = recurrent ? step->h_before : step->x;
    if (side >= 0) return false;
    side = in;
    (recurrent ? step->recurrent : step->weights) = weights;
    return true;
  }

  bool IsMatrix(int32_t t, int32_t rows) const {
    return rewriter_.IsFloatConstant(t) && tensor(t).shape.size() == 2 &&
           tensor(t).shape[0] == rows;
  }

  bool SameConstant(int32_t a, int32_t b) const {
    if (a == b) return true;
    if (a < 0 || b < 0 || tensor(a).shape != tensor(b).shape) return false;
    const auto &x = tensor(a).data.bytes, &y = tensor(b).data.bytes;
    return x.size() == y.size() &&
           (x.data() == y.data() || std::equal(x.begin(), x.end(), y.begin()));
  }

  // Whether all steps are the same layer's, and their inputs the parts of one sequence.
  bool IsLayer(Chain* chain) const {
    const std::vector<Step>& steps = chain->steps;
    if (steps.size() < 2) return false;
    const Step& second = steps[1];
    chain->part = second.part;
    chain->weights = second.weights;
    chain->recurrent = second.recurrent;
    chain->bias = second.bias;
    for (int part : chain->part) {
      if (part < 0) return false;
    }
    const int32_t units = tensor(second.sums).shape[1] / static_cast<int32_t>(kGates);
    if (chain->recurrent < 0 || tensor(chain->recurrent).shape[1] != units) return false;
    for (size_t i = 0; i < steps.size(); ++i) {
      const Step& s = steps[i];
      for (int gate : {kInput, kCell, kOutput}) {
        if (s.part[static_cast<size_t>(gate)] != chain->part[static_cast<size_t>(gate)]) {
          return false;
        }
      }
      if (!SameConstant(s.weights, chain->weights) || s.bias != chain->bias) return false;
      if (i > 0 && (s.part != chain->part || !SameConstant(s.recurrent, chain->recurrent))) {
        return false;
      }
      const bool last = i + 1 == steps.size();
      // What nobody but the next step may read: the operator has no such output.
      if (readers(s.c).size() != (last ? 1u : 2u) || (!last && rewriter_.is_fixed(s.h))) {
        return false;
      }
    }
    return TakeSequence(chain);
  }

  bool TakeSequence(Chain* chain) const {
    const size_t count = chain->steps.size();
    const int32_t n = rewriter_.producer(chain->steps[0].x);
    if (n < 0 || node(n).op != schema::BuiltinOperator_UNPACK) return false;
    const std::vector<int32_t>& parts = node(n).outputs;
    if (parts.size() != count) return false;
    chain->unpack = n;
    chain->backwards = parts[0] != chain->steps[0].x;
    for (size_t i = 0; i < count; ++i) {
      const int32_t part = parts[chain->backwards ? count - 1 - i : i];
      if (part != chain->steps[i].x || rewriter_.is_fixed(part) || readers(part).size() != 1) {
        return false;
      }
    }
    chain->source = node(n).input(0);
    if (tensor(chain->source).shape.size() != 3) return false;
    const int32_t axis = node(n).GetOptions<schema::UnpackOptionsT>().axis;
    chain->time_axis = static_cast<size_t>(axis < 0 ? axis + 3 : axis);
    if (chain->time_axis > 1) return false;
    if (chain->weights < 0 && !TakeProjection(chain)) return false;
    const Shape& shape = KnownShape(tensor(chain->source));
    return std::all_of(shape.begin(), shape.end(), [](int32_t d) { return d > 0; });
  }

  // The product with the weights may have been made for all steps at once.
  bool TakeProjection(Chain* chain) const {
    const int32_t n = rewriter_.PrivateProducer(chain->source);
    if (n < 0 || Maker(chain->source, schema::BuiltinOperator_FULLY_CONNECTED) == nullptr) {
      return false;
    }
    const Node& product = node(n);
    Step all;
    all.sums = chain->steps[0].sums;
    all.bias = chain->bias;
    if (!IsMatrix(product.input(1), tensor(all.sums).shape[1])) return false;
    if (product.input(2) >= 0 &&
        (!rewriter_.IsFloatConstant(product.input(2)) || !AddBias(product.input(2), &all))) {
      return false;
    }
    chain->bias = all.bias;
    chain->weights = product.input(1);
    chain->source = product.input(0);
    return chain->source >= 0 && tensor(chain->source).shape.size() == 3;
  }

  const Subgraph& subgraph_;
  const Rewriter& rewriter_;
  std::vector<std::vector<int32_t>> readers_;
  std::map<int32_t, size_t> steps_by_h_;
};

// Puts operators in the place of chains.
class Fuser {
 public:
  Fuser(Subgraph* subgraph, const Rewriter& rewriter, const Finder& finder)
      : subgraph_(*subgraph), rewriter_(rewriter), finder_(finder) {
    for (const Tensor& tensor : subgraph->tensors) names_.insert(tensor.name);
  }

  bool Fuse(const Chain& chain) {
    if (!TakeReaders(chain)) return false;
    layer_ = subgraph_.nodes[Index(chain.steps[0].maker)].name;
    const int32_t x = Input(chain);
    const int32_t sequence = Lstm(chain, x);
    Outputs(chain, sequence);
    return true;
  }

  // The nodes as they are then.
  void Finish() {
    std::vector<Node> nodes;
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      for (Node& node : added_[static_cast<int32_t>(n)]) nodes.push_back(std::move(node));
      if (!dead_.contains(static_cast<int32_t>(n))) nodes.push_back(std::move(subgraph_.nodes[n]));
    }
    subgraph_.nodes = std::move(nodes);
  }

 private:
  static size_t Index(int32_t t) { return static_cast<size_t>(t); }

  // The node that joins all steps' results, and whether somebody wants the last one alone.
  bool TakeReaders(const Chain& chain) {
    pack_ = -1;
    std::vector<int32_t> results;
    for (const Step& s : chain.steps) results.push_back(s.h);
    const std::vector<int32_t> reversed(results.rbegin(), results.rend());
    for (int32_t n : finder_.readers(results[0])) {
      const Node& node = subgraph_.nodes[Index(n)];
      if (node.op != schema::BuiltinOperator_PACK) continue;
      if (node.inputs != results && node.inputs != reversed) continue;
      if (pack_ >= 0) return false;
      pack_ = n;
      pack_backwards_ = node.inputs != results;
      const int32_t axis = node.GetOptions<schema::PackOptionsT>().axis;
      if (axis != 0 && axis != 1) return false;
      pack_time_first_ = axis == 0;
    }
    const size_t packs = pack_ >= 0 ? 1 : 0;
    for (size_t i = 0; i + 1 < results.size(); ++i) {
      // The next step's product and the pack.
      if (finder_.readers(results[i]).size() != 1 + packs) return false;
    }
    last_wanted_ =
        rewriter_.is_fixed(results.back()) || finder_.readers(results.back()).size() > packs;
    return true;
  }

  // A name that no tensor has.
  std::string Name(const std::string& what) {
    std::string name = layer_ + "/" + what;
    for (int i = 1; !names_.insert(name).second; ++i)
      name = fmt::format("{}/{}_{}", layer_, what, i);
    return name;
  }

  int32_t AddConstant(const std::string& what, Shape shape, Blob data, TensorType type) {
    Tensor t;
    t.name = Name(what);
    t.type = type;
    t.shape = std::move(shape);
    t.data = std::move(data);
    return subgraph_.AddTensor(std::move(t));
  }
  int32_t Ints(const std::string& what, const std::vector<int32_t>& values) {
    return AddConstant(what, {static_cast<int32_t>(values.size())}, Blob::Of(values),
                       schema::TensorType_INT32);
  }
  int32_t Floats(const std::string& what, Shape shape, const std::vector<float>& values) {
    return AddConstant(what, std::move(shape), Blob::Of(values), schema::TensorType_FLOAT32);
  }
  int32_t Activation(const std::string& what, Shape shape) {
    Tensor t;
    t.name = Name(what);
    t.shape = std::move(shape);
    return subgraph_.AddTensor(std::move(t));
  }

  // A node where the sequence was taken apart; `output` < 0: a new tensor.
  int32_t Add(int32_t at, BuiltinOperator op, Options options, std::vector<int32_t> inputs,
              const std::string& what, Shape shape, int32_t output = -1) {
    Node node;
    node.op = op;
    node.options = std::move(options);
    node.inputs = std::move(inputs);
    node.name = layer_;
    node.outputs = {output >= 0 ? output : Activation(what, std::move(shape))};
    added_[at].push_back(node);
    return node.outputs[0];
  }

  int32_t SwapBatchAndTime(int32_t at, int32_t x, const std::string& what, int32_t output = -1) {
    const Shape from = subgraph_.tensors[Index(x)].shape;
    return Add(at, schema::BuiltinOperator_TRANSPOSE, Options(schema::TransposeOptionsT{}),
               {x, Ints(what + "/perm", {1, 0, 2})}, what, {from[1], from[0], from[2]}, output);
  }
  int32_t Reverse(int32_t at, int32_t x, const std::string& what, int32_t output = -1) {
    return Add(at, schema::BuiltinOperator_REVERSE_V2, Options(schema::ReverseV2OptionsT{}),
               {x, Ints(what + "/axis", {1})}, what, Shape(subgraph_.tensors[Index(x)].shape),
               output);
  }

  // The sequence, batch first, in the order of the steps.
  int32_t Input(const Chain& chain) {
    int32_t x = chain.source;
    bool backwards = chain.backwards;
    if (chain.time_axis == 0) {
      const auto maker = [&](BuiltinOperator op) -> const Node* {
        const int32_t n = rewriter_.producer(x);
        return n >= 0 && subgraph_.nodes[Index(n)].op == op ? &subgraph_.nodes[Index(n)] : nullptr;
      };
      const Node* node = maker(schema::BuiltinOperator_REVERSE_V2);
      if (node != nullptr && rewriter_.IntConstant(node->input(1)) == std::vector<int64_t>{0}) {
        backwards = !backwards;
        x = node->input(0);
      }
      node = maker(schema::BuiltinOperator_TRANSPOSE);
      if (node != nullptr &&
          rewriter_.IntConstant(node->input(1)) == std::vector<int64_t>{1, 0, 2}) {
        x = node->input(0);
      } else {
        x = SwapBatchAndTime(chain.unpack, x, "batch_first");
      }
    }
    return backwards ? Reverse(chain.unpack, x, "reversed") : x;
  }

  // Rows [part * units, (part + 1) * units) of a matrix or vector.
  int32_t Rows(const std::string& what, std::span<const float> values, int part, int32_t units) {
    const size_t rows = Index(units), width = values.size() / (kGates * rows);
    const auto* from = values.data() + static_cast<size_t>(part) * rows * width;
    const std::vector<float> own(from, from + rows * width);
    return Floats(what,
                  width == 1 && what.starts_with("bias")
                      ? Shape{units}
                      : Shape{units, static_cast<int32_t>(width)},
                  own);
  }

  int32_t State(const std::string& what, Shape shape) {
    const int32_t t = Activation(what, std::move(shape));
    subgraph_.tensors[Index(t)].is_variable = true;
    return t;
  }

  int32_t Lstm(const Chain& chain, int32_t x) {
    static constexpr const char* kNames[kGates] = {"input", "forget", "cell", "output"};
    constexpr size_t kInputs = 24, kWeights = 1, kRecurrent = 5, kBias = 12, kStates = 18;
    const auto values = [&](int32_t t) { return subgraph_.tensors[Index(t)].data; };
    const Shape in = subgraph_.tensors[Index(x)].shape;
    const int32_t units = subgraph_.tensors[Index(chain.recurrent)].shape[1];
    std::vector<int32_t> inputs(kInputs, -1);
    inputs[0] = x;
    const Blob weights = values(chain.weights), recurrent = values(chain.recurrent);
    std::vector<float> bias = chain.bias;
    bias.resize(kGates * Index(units), 0.0f);
    for (size_t g = 0; g < kGates; ++g) {
      const std::string name = kNames[g];
      inputs[kWeights + g] = Rows("kernel_" + name, weights.As<float>(), chain.part[g], units);
      inputs[kRecurrent + g] =
          Rows("recurrent_" + name, recurrent.As<float>(), chain.part[g], units);
      inputs[kBias + g] = Rows("bias_" + name, bias, chain.part[g], units);
    }
    inputs[kStates] = State("output_state", {in[0], units});
    inputs[kStates + 1] = State("cell_state", {in[0], units});
    schema::UnidirectionalSequenceLSTMOptionsT options;
    options.fused_activation_function = schema::ActivationFunctionType_TANH;
    return Add(chain.unpack, schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM,
               Options(std::move(options)), std::move(inputs), "lstm", {in[0], in[1], units});
  }

  void Outputs(const Chain& chain, int32_t sequence) {
    const Shape shape = subgraph_.tensors[Index(sequence)].shape;
    if (pack_ >= 0) {
      int32_t out = subgraph_.nodes[Index(pack_)].output(0);
      bool time_first = pack_time_first_;
      dead_.insert(pack_);
      if (const int32_t n = time_first ? SwapBehind(out) : -1; n >= 0) {
        dead_.insert(n);
        out = subgraph_.nodes[Index(n)].output(0);
        time_first = false;
      }
      int32_t y = sequence;
      if (pack_backwards_) y = Reverse(chain.unpack, y, "in_order", time_first ? -1 : out);
      if (time_first) {
        SwapBatchAndTime(chain.unpack, y, "time_first", out);
      } else if (!pack_backwards_) {
        added_[chain.unpack].back().outputs[0] = out;
        sequence = out;
      }
    }
    if (!last_wanted_) return;
    schema::StridedSliceOptionsT options;
    options.begin_mask = options.end_mask = 5;
    options.shrink_axis_mask = 2;
    const int32_t steps = shape[1];
    dead_.insert(chain.steps.back().maker);
    Add(chain.unpack, schema::BuiltinOperator_STRIDED_SLICE, Options(std::move(options)),
        {sequence, Ints("last/begin", {0, steps - 1, 0}), Ints("last/end", {0, steps, 0}),
         Ints("last/strides", {1, 1, 1})},
        "last", {}, chain.steps.back().h);
  }

  // The one node that reads `t`, when it exchanges batch and time; else -1.
  int32_t SwapBehind(int32_t t) const {
    if (rewriter_.is_fixed(t) || finder_.readers(t).size() != 1) return -1;
    const int32_t n = finder_.readers(t)[0];
    const Node& node = subgraph_.nodes[Index(n)];
    const bool swaps = node.op == schema::BuiltinOperator_TRANSPOSE &&
                       rewriter_.IntConstant(node.input(1)) == std::vector<int64_t>{1, 0, 2};
    return swaps ? n : -1;
  }

  Subgraph& subgraph_;
  const Rewriter& rewriter_;
  const Finder& finder_;
  std::string layer_;
  int32_t pack_ = -1;  // of the chain at hand
  bool pack_backwards_ = false, pack_time_first_ = false, last_wanted_ = false;
  std::set<std::string> names_;
  std::map<int32_t, std::vector<Node>> added_;  // before the node of this number
  std::set<int32_t> dead_;
};

}  // namespace

absl::StatusOr<bool> FuseLstm(Graph* graph) {
  if (!MayRewrite(*graph)) return false;
  const Rewriter rewriter(graph, 0);
  Finder finder(graph->main(), rewriter);
  const std::vector<Chain> chains = finder.Run();
  if (chains.empty()) return false;
  Fuser fuser(&graph->main(), rewriter, finder);
  bool changed = false;
  for (const Chain& chain : chains) changed = fuser.Fuse(chain) || changed;
  if (!changed) return false;
  fuser.Finish();
  LS_RETURN_IF_ERROR(RemoveDeadCode(graph).status());
  return true;
}

}  // namespace litesmith
