#include <algorithm>
#include <map>
#include <set>

#include "evaluate/evaluate.h"
#include "evaluate/profile.h"
#include "evaluate/timed_model.h"

namespace litesmith {
namespace {

constexpr int kTurns = 5;
// A node counts as slower from this factor on, and if it costs this part of the inference.
constexpr double kSlower = 1.05, kWorthwhile = 0.005;
// Plain loops that take less than this many times as long say that there is no faster kernel.
constexpr double kNoFastKernel = 1.5;
constexpr double kShortMs = 0.0005;
// What vector kernels want at least: results side by side, and products for each result.
constexpr int64_t kVector = 16;
constexpr double kFewProductsPerByte = 4.0;
constexpr int64_t kNearCache = 32 << 10;  // bytes that the first-level cache holds

bool IsConversion(const Node& node) {
  return node.op == schema::BuiltinOperator_QUANTIZE ||
         node.op == schema::BuiltinOperator_DEQUANTIZE || node.op == schema::BuiltinOperator_CAST;
}

const Tensor* InputOf(const Graph& graph, const Node& node, size_t i) {
  const int32_t t = node.input(i);
  return t < 0 ? nullptr : &graph.main().tensors[static_cast<size_t>(t)];
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Milliseconds per node: medians of turns.
std::vector<double> Milliseconds(const std::vector<std::vector<double>>& turns) {
  std::vector<double> out(turns.front().size());
  for (size_t n = 0; n < out.size(); ++n) {
    std::vector<double> values;
    for (const auto& turn : turns) values.push_back(1e3 * turn[n]);
    out[n] = Median(std::move(values));
  }
  return out;
}

// The float node of each quantized one; -1: none.
std::vector<int> Pair(const Graph& quantized, const Graph& real) {
  const auto& q = quantized.main();
  const auto& f = real.main();
  std::vector<int> out(q.nodes.size(), -1);
  std::vector<bool> taken(f.nodes.size(), false);
  std::map<std::string, int> by_name;  // -2: of several nodes
  for (size_t n = 0; n < f.nodes.size(); ++n) {
    if (f.nodes[n].output(0) < 0) continue;
    const std::string& name = f.tensors[static_cast<size_t>(f.nodes[n].output(0))].name;
    const auto [it, added] = by_name.emplace(name, static_cast<int>(n));
    if (!added) it->second = -2;
  }
  for (size_t n = 0; n < q.nodes.size(); ++n) {
    if (q.nodes[n].output(0) < 0) continue;
    const auto it = by_name.find(q.tensors[static_cast<size_t>(q.nodes[n].output(0))].name);
    if (it == by_name.end() || it->second < 0) continue;
    const auto other = static_cast<size_t>(it->second);
    if (taken[other] || f.nodes[other].op != q.nodes[n].op) continue;
    out[n] = it->second;
    taken[other] = true;
  }
  // The rest by operator and order, where both have as many of it.
  std::map<int, std::pair<std::vector<size_t>, std::vector<size_t>>> rest;
  for (size_t n = 0; n < q.nodes.size(); ++n) {
    if (out[n] < 0) rest[q.nodes[n].op].first.push_back(n);
  }
  for (size_t n = 0; n < f.nodes.size(); ++n) {
    if (!taken[n]) rest[f.nodes[n].op].second.push_back(n);
  }
  for (const auto& [op, nodes] : rest) {
    if (nodes.first.size() != nodes.second.size()) continue;
    for (size_t i = 0; i < nodes.first.size(); ++i) {
      out[nodes.first[i]] = static_cast<int>(nodes.second[i]);
    }
  }
  return out;
}

// What is known of one node that may explain its time.
class Reasons {
 public:
  Reasons(const Graph& graph, const Executor& executor, size_t n)
      : graph_(graph), executor_(executor), n_(n), node_(graph.main().nodes[n]) {}

  std::vector<std::string> Of(double ms, double reference_ms) {
    if (IsConversion(node_)) {
      Conversion();
    } else {
      Types();
      Kernel(ms, reference_ms);
      Channels();
      Memory();
    }
    if (ms < kShortMs) Add("is so short that its fixed costs count");
    return std::move(out_);
  }

 private:
  void Add(std::string reason) { out_.push_back(std::move(reason)); }

  // Which operators beside it compute in float.
  void Conversion() {
    std::set<std::string> neighbours;
    const Subgraph& main = graph_.main();
    for (const Node& other : main.nodes) {
      const bool after = std::find(other.inputs.begin(), other.inputs.end(), node_.output(0)) !=
                         other.inputs.end();
      const bool before = std::find(other.outputs.begin(), other.outputs.end(), node_.input(0)) !=
                          other.outputs.end();
      const bool to_float = IsFloat(node_.output(0));
      if ((to_float && after) || (!to_float && before && IsFloat(node_.input(0)))) {
        neighbours.insert(OperatorName(other));
      }
    }
    const bool edge =
        std::find(main.inputs.begin(), main.inputs.end(), node_.input(0)) != main.inputs.end() ||
        std::find(main.outputs.begin(), main.outputs.end(), node_.output(0)) != main.outputs.end();
    if (!neighbours.empty()) {
      Add(fmt::format("converts for {}, which computes in float", fmt::join(neighbours, ", ")));
    } else if (edge) {
      Add("converts the model's input or output, which the float model need not");
    } else {
      Add("converts between integer types or scales, which the float model need not");
    }
  }

  void Types() {
    if (executor_.kernel_name(n_).starts_with("qd8")) {
      Add(fmt::format("quantizes its input at run time ({:.1f} KB)",
                      static_cast<double>(Bytes(node_.input(0))) / 1024));
    } else if (IsFloat(node_.input(0)) && IsFloat(node_.output(0))) {
      Add("computes in float here, too");
    }
  }

  void Kernel(double ms, double reference_ms) {
    if (reference_ms < kNoFastKernel * ms && ms >= kShortMs) {
      Add(fmt::format("has no integer kernel faster than plain loops ({:.4f} ms)", reference_ms));
    }
  }

  void Channels() {
    const Tensor* weights = InputOf(graph_, node_, 1);
    if (weights == nullptr || !MultiplyAdds(graph_, executor_, n_)) return;
    const Shape& shape = executor_.tensor_shape(node_.input(1));
    if (shape.empty()) return;
    const bool depthwise = node_.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D;
    const int64_t channels = depthwise ? shape.back() : shape.front();
    if (channels < kVector) {
      Add(fmt::format("has {} output channels, fewer than a vector of {}", channels, kVector));
    }
    if (depthwise || channels == 0) return;
    const int64_t depth = NumElements(shape) / channels;
    if (depth < kVector) Add(fmt::format("has {} products for each result", depth));
    if (depth % 4 != 0) {
      Add(fmt::format(
          "has {} products for each result, no multiple of the 4 that are taken at once", depth));
    }
  }

  void Memory() {
    int64_t bytes = Bytes(node_.output(0));
    for (const int32_t t : node_.inputs) bytes += Bytes(t);
    const auto macs = MultiplyAdds(graph_, executor_, n_);
    if (bytes <= kNearCache) return;
    if (!macs) {
      Add(fmt::format("reads and writes {:.1f} KB with little to compute",
                      static_cast<double>(bytes) / 1024));
    } else if (const double ratio = static_cast<double>(*macs) / static_cast<double>(bytes);
               ratio < kFewProductsPerByte) {
      Add(fmt::format("has {:.1f} products for each of its {:.1f} KB: memory sets the pace", ratio,
                      static_cast<double>(bytes) / 1024));
    }
  }

  bool IsFloat(int32_t t) const {
    return t >= 0 &&
           graph_.main().tensors[static_cast<size_t>(t)].type == schema::TensorType_FLOAT32;
  }

  int64_t Bytes(int32_t t) const {
    if (t < 0) return 0;
    const auto bytes =
        TensorBytes(graph_.main().tensors[static_cast<size_t>(t)].type, executor_.tensor_shape(t));
    return bytes.ok() ? static_cast<int64_t>(*bytes) : 0;
  }

  const Graph& graph_;
  const Executor& executor_;
  const size_t n_;
  const Node& node_;
  std::vector<std::string> out_;
};

struct Times {
  std::vector<double> quantized, real, reference;  // ms per node
};

absl::StatusOr<Times> Measure(TimedModel* quantized, TimedModel* real, TimedModel* reference,
                              const BenchmarkOptions& options, const Context& context) {
  const int runs = std::max(1, options.num_runs / kTurns);
  std::vector<std::vector<double>> quantized_turns, real_turns, reference_turns;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (const bool q : {true, false}) {
      TimedModel* model = q ? quantized : real;
      for (int run = 0; run < std::max(1, turn == 0 ? options.warmup_runs : 1); ++run) {
        LS_RETURN_IF_ERROR(model->RunOnce().status());
      }
      LS_ASSIGN_OR_RETURN(auto seconds,
                          model->NodeSeconds(runs, options.min_seconds / kTurns, context));
      (q ? quantized_turns : real_turns).push_back(std::move(seconds));
    }
    LS_ASSIGN_OR_RETURN(auto seconds, reference->NodeSeconds(1, 0, context));
    reference_turns.push_back(std::move(seconds));
  }
  return Times{Milliseconds(quantized_turns), Milliseconds(real_turns),
               Milliseconds(reference_turns)};
}

}  // namespace

absl::StatusOr<FloatComparison> CompareWithFloat(std::shared_ptr<const Graph> quantized,
                                                 std::shared_ptr<const Graph> float_graph,
                                                 const BenchmarkOptions& options,
                                                 const Context& context) {
  Context quiet = context;
  quiet.progress = nullptr;
  BenchmarkOptions plain = options;
  plain.kernels = KernelMode::kReference;
  LS_ASSIGN_OR_RETURN(TimedModel q, TimedModel::Create(quantized, options, quiet));
  LS_ASSIGN_OR_RETURN(TimedModel f, TimedModel::Create(float_graph, options, quiet));
  LS_ASSIGN_OR_RETURN(TimedModel reference, TimedModel::Create(quantized, plain, quiet));
  LS_ASSIGN_OR_RETURN(const Times times, Measure(&q, &f, &reference, options, quiet));
  const std::vector<int> pairs = Pair(*quantized, *float_graph);
  FloatComparison out;
  for (double ms : times.quantized) out.ms += ms;
  for (double ms : times.real) out.float_ms += ms;
  for (size_t n = 0; n < pairs.size(); ++n) {
    const std::string kernel = q.executor().kernel_name(n);
    if (kernel.empty()) continue;  // folded away
    ++out.nodes;
    const double ms = times.quantized[n];
    SlowNode slow;
    double lost = ms;
    if (pairs[n] >= 0) {
      ++out.paired;
      slow.float_node = pairs[n];
      slow.float_ms = times.real[static_cast<size_t>(pairs[n])];
      lost -= *slow.float_ms;
    }
    if (lost < kWorthwhile * out.ms || (slow.float_ms && ms < kSlower * *slow.float_ms)) continue;
    slow.node = static_cast<int64_t>(n);
    slow.op = OperatorName(quantized->main().nodes[n]);
    slow.kernel = kernel;
    slow.ms = ms;
    slow.reasons = Reasons(*quantized, q.executor(), n).Of(ms, times.reference[n]);
    if (!slow.float_node) slow.reasons.push_back("has no counterpart in the float model");
    out.slow.push_back(std::move(slow));
  }
  const auto lost = [](const SlowNode& s) { return s.ms - s.float_ms.value_or(0); };
  std::stable_sort(out.slow.begin(), out.slow.end(),
                   [&](const SlowNode& a, const SlowNode& b) { return lost(a) > lost(b); });
  return out;
}

}  // namespace litesmith
