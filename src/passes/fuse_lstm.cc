// LSTM layers that were written out step by step, back to one operator each.

#include <map>
#include <set>
#include <span>
#include <string>

#include "passes/lstm_chain.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;

// Puts operators in the place of chains.
class Fuser {
 public:
  Fuser(Subgraph* subgraph, const Rewriter& rewriter, const LstmFinder& finder)
      : subgraph_(*subgraph), rewriter_(rewriter), finder_(finder) {
    for (const Tensor& tensor : subgraph->tensors) names_.insert(tensor.name);
  }

  bool Fuse(const LstmChain& chain) {
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
  bool TakeReaders(const LstmChain& chain) {
    pack_ = -1;
    std::vector<int32_t> results;
    for (const LstmStep& s : chain.steps) results.push_back(s.h);
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
  int32_t Input(const LstmChain& chain) {
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
    const size_t rows = Index(units), width = values.size() / (kLstmGates * rows);
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

  int32_t Lstm(const LstmChain& chain, int32_t x) {
    static constexpr const char* kNames[kLstmGates] = {"input", "forget", "cell", "output"};
    constexpr size_t kInputs = 24, kWeights = 1, kRecurrent = 5, kBias = 12, kStates = 18;
    const auto values = [&](int32_t t) { return subgraph_.tensors[Index(t)].data; };
    const Shape in = subgraph_.tensors[Index(x)].shape;
    const int32_t units = subgraph_.tensors[Index(chain.recurrent)].shape[1];
    std::vector<int32_t> inputs(kInputs, -1);
    inputs[0] = x;
    const Blob weights = values(chain.weights), recurrent = values(chain.recurrent);
    std::vector<float> bias = chain.bias;
    bias.resize(kLstmGates * Index(units), 0.0f);
    for (size_t g = 0; g < kLstmGates; ++g) {
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

  void Outputs(const LstmChain& chain, int32_t sequence) {
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
  const LstmFinder& finder_;
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
  LstmFinder finder(graph->main(), rewriter);
  const std::vector<LstmChain> chains = finder.Run();
  if (chains.empty()) return false;
  Fuser fuser(&graph->main(), rewriter, finder);
  bool changed = false;
  for (const LstmChain& chain : chains) changed = fuser.Fuse(chain) || changed;
  if (!changed) return false;
  fuser.Finish();
  LS_RETURN_IF_ERROR(RemoveDeadCode(graph).status());
  return true;
}

}  // namespace litesmith
