#include "train/weights.h"

#include <algorithm>

#include "ops/op.h"

namespace litesmith {
namespace {

bool IsTable(schema::BuiltinOperator op) {
  return op == schema::BuiltinOperator_PRELU || op == schema::BuiltinOperator_EMBEDDING_LOOKUP;
}

// Makes another version of its operand, of the same shape.
bool IsStandIn(const Node& node) { return node.op == schema::BuiltinOperator_CUSTOM; }

// The node and operand that read each tensor first as a weight; node -1: none.
struct Reader {
  int32_t node = -1;
  InputRule rule;
};

std::vector<Reader> FindReaders(const Subgraph& subgraph) {
  std::vector<Reader> readers(subgraph.tensors.size());
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    const OpRecord* op = FindOp(node);
    if (op == nullptr || IsTable(node.op) || IsStandIn(node)) continue;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const InputRule rule = op->quant.input(i);
      if (node.inputs[i] < 0 || rule.role != Role::kWeight) continue;
      Reader& reader = readers[static_cast<size_t>(node.inputs[i])];
      if (reader.node < 0) reader = {static_cast<int32_t>(n), rule};
    }
  }
  // Quantization-aware training puts a node of its own between weights and their reader.
  for (const Node& node : subgraph.nodes) {
    if (!IsStandIn(node) || node.input(0) < 0 || node.output(0) < 0) continue;
    Reader& reader = readers[static_cast<size_t>(node.input(0))];
    if (reader.node < 0) reader = readers[static_cast<size_t>(node.output(0))];
  }
  return readers;
}

}  // namespace

std::optional<size_t> WeightsOperand(const Node& node) {
  const OpRecord* op = FindOp(node);
  if (op == nullptr || IsTable(node.op) || IsStandIn(node)) return std::nullopt;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (op->quant.input(i).role == Role::kWeight) return i;
  }
  return std::nullopt;
}

std::vector<Weights> FindWeights(const Graph& graph, const Parameters& parameters) {
  const Subgraph& subgraph = graph.main();
  const std::vector<Reader> readers = FindReaders(subgraph);
  std::vector<Weights> out;
  for (const Parameter& p : parameters.items) {
    const Shape& shape = subgraph.tensors[static_cast<size_t>(p.tensor)].shape;
    const Reader& reader = readers[static_cast<size_t>(p.tensor)];
    if (reader.node < 0 || shape.size() < 2 || p.count == 0) continue;
    Weights w;
    w.tensor = p.tensor;
    w.offset = p.offset;
    w.count = p.count;
    w.node = reader.node;
    w.channel_axis = std::max(reader.rule.axis, 0);
    w.depthwise = subgraph.nodes[static_cast<size_t>(reader.node)].op ==
                  schema::BuiltinOperator_DEPTHWISE_CONV_2D;
    const auto last = static_cast<int32_t>(shape.size()) - 1;
    if (!w.depthwise && w.channel_axis != last) w.inner = shape.back();
    out.push_back(w);
  }
  return out;
}

std::vector<Weights> FindWeights(const Graph& graph) {
  return FindWeights(graph, FindParameters(graph));
}

std::string WeightsLabel(const Graph& graph, const Weights& weights) {
  const Subgraph& subgraph = graph.main();
  const Node& node = subgraph.nodes[static_cast<size_t>(weights.node)];
  if (!node.name.empty()) return node.name;
  return subgraph.tensors[static_cast<size_t>(weights.tensor)].label();
}

}  // namespace litesmith
