#include "passes/rewrite.h"

#include <algorithm>
#include <numeric>

#include "ops/op.h"

namespace litesmith {
namespace {

// Calls visit.template operator()<OptionsT>() for the operators that litesmith fuses activations
// into: those for which TFLite's kernels apply them.
template <typename Visit>
bool VisitFusable(schema::BuiltinOperator op, Visit visit) {
  switch (op) {
    case schema::BuiltinOperator_CONV_2D:
      visit.template operator()<schema::Conv2DOptionsT>();
      break;
    case schema::BuiltinOperator_DEPTHWISE_CONV_2D:
      visit.template operator()<schema::DepthwiseConv2DOptionsT>();
      break;
    case schema::BuiltinOperator_FULLY_CONNECTED:
      visit.template operator()<schema::FullyConnectedOptionsT>();
      break;
    case schema::BuiltinOperator_ADD:
      visit.template operator()<schema::AddOptionsT>();
      break;
    case schema::BuiltinOperator_SUB:
      visit.template operator()<schema::SubOptionsT>();
      break;
    case schema::BuiltinOperator_MUL:
      visit.template operator()<schema::MulOptionsT>();
      break;
    case schema::BuiltinOperator_DIV:
      visit.template operator()<schema::DivOptionsT>();
      break;
    case schema::BuiltinOperator_AVERAGE_POOL_2D:
    case schema::BuiltinOperator_MAX_POOL_2D:
      visit.template operator()<schema::Pool2DOptionsT>();
      break;
    default:
      return false;
  }
  return true;
}

}  // namespace

bool MayRewrite(const Graph& graph) {
  return graph.FindMetadata("model_control_dependencies") == nullptr;
}

Rewriter::Rewriter(Graph* graph, size_t subgraph)
    : subgraph_(graph->subgraphs[subgraph]),
      producer_(subgraph_.tensors.size(), -1),
      reads_(subgraph_.tensors.size(), 0),
      fixed_(subgraph_.tensors.size(), false),
      dead_(subgraph_.nodes.size(), false),
      redirect_(subgraph_.tensors.size()) {
  std::iota(redirect_.begin(), redirect_.end(), 0);
  auto fix = [&](int32_t t) {
    if (t >= 0) fixed_[static_cast<size_t>(t)] = true;
  };
  for (int32_t t : subgraph_.inputs) fix(t);
  for (int32_t t : subgraph_.outputs) fix(t);
  for (const Signature& signature : graph->signatures) {
    if (signature.subgraph != static_cast<int32_t>(subgraph)) continue;
    for (const SignatureEntry& entry : signature.inputs) fix(entry.tensor);
    for (const SignatureEntry& entry : signature.outputs) fix(entry.tensor);
  }
  for (size_t t = 0; t < subgraph_.tensors.size(); ++t) {
    if (subgraph_.tensors[t].is_variable) fixed_[t] = true;
  }
  for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
    const Node& node = subgraph_.nodes[n];
    for (int32_t t : node.inputs) {
      if (t >= 0) ++reads_[static_cast<size_t>(t)];
    }
    for (int32_t t : node.outputs) {
      if (t >= 0) producer_[static_cast<size_t>(t)] = static_cast<int32_t>(n);
    }
    for (int32_t t : node.intermediates) fix(t);
  }
}

int32_t Rewriter::PrivateProducer(int32_t t) const {
  if (t < 0 || is_fixed(t) || reads(t) != 1) return -1;
  return producer(t);
}

bool Rewriter::IsFloatConstant(int32_t t) const {
  if (t < 0) return false;
  const Tensor& tensor = subgraph_.tensors[static_cast<size_t>(t)];
  return tensor.is_constant() && tensor.type == schema::TensorType_FLOAT32 &&
         tensor.quant.empty() && tensor.sparsity == nullptr && !tensor.is_variable && !is_fixed(t);
}

std::optional<std::vector<int64_t>> Rewriter::IntConstant(int32_t t) const {
  if (t < 0) return std::nullopt;
  const Tensor& tensor = subgraph_.tensors[static_cast<size_t>(t)];
  if (!tensor.is_constant() || tensor.is_variable || tensor.sparsity != nullptr)
    return std::nullopt;
  if (tensor.type == schema::TensorType_INT32) {
    const auto values = tensor.data.As<int32_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  if (tensor.type == schema::TensorType_INT64) {
    const auto values = tensor.data.As<int64_t>();
    return std::vector<int64_t>(values.begin(), values.end());
  }
  return std::nullopt;
}

int32_t Rewriter::Add(Tensor tensor) {
  producer_.push_back(-1);
  reads_.push_back(0);
  fixed_.push_back(false);
  redirect_.push_back(static_cast<int32_t>(redirect_.size()));
  changed_ = true;
  return subgraph_.AddTensor(std::move(tensor));
}

int32_t Rewriter::Resolve(int32_t t) const {
  while (t >= 0 && redirect_[static_cast<size_t>(t)] != t) t = redirect_[static_cast<size_t>(t)];
  return t;
}

void Rewriter::SetInput(int32_t n, size_t i, int32_t t) {
  std::vector<int32_t>& inputs = node(n).inputs;
  if (i >= inputs.size()) inputs.resize(i + 1, -1);
  if (inputs[i] >= 0) --reads_[static_cast<size_t>(Resolve(inputs[i]))];
  inputs[i] = t;
  if (t >= 0) ++reads_[static_cast<size_t>(t)];
  changed_ = true;
}

void Rewriter::SetOutput(int32_t n, int32_t t) {
  int32_t& output = node(n).outputs[0];
  if (output >= 0) producer_[static_cast<size_t>(output)] = -1;
  output = t;
  producer_[static_cast<size_t>(t)] = n;
  changed_ = true;
}

void Rewriter::Redirect(int32_t from, int32_t to) {
  redirect_[static_cast<size_t>(from)] = Resolve(to);
  reads_[static_cast<size_t>(to)] += reads_[static_cast<size_t>(from)];
  reads_[static_cast<size_t>(from)] = 0;
  changed_ = true;
}

void Rewriter::Kill(int32_t n) {
  if (dead_[static_cast<size_t>(n)]) return;
  dead_[static_cast<size_t>(n)] = true;
  for (int32_t t : node(n).inputs) {
    if (Resolve(t) >= 0) --reads_[static_cast<size_t>(Resolve(t))];
  }
  for (int32_t t : node(n).outputs) {
    if (t >= 0 && producer_[static_cast<size_t>(t)] == n) producer_[static_cast<size_t>(t)] = -1;
  }
  changed_ = true;
}

void Rewriter::KillUnread(int32_t t) {
  std::vector<int32_t> pending = {t};
  while (!pending.empty()) {
    const int32_t n = producer(pending.back());
    pending.pop_back();
    if (n < 0 || !IsPure(subgraph_, node(n))) continue;
    const bool needed = std::any_of(node(n).outputs.begin(), node(n).outputs.end(), [&](int32_t o) {
      return o >= 0 && (is_fixed(o) || reads(o) > 0);
    });
    if (needed) continue;
    Kill(n);
    for (int32_t input : node(n).inputs) pending.push_back(Resolve(input));
  }
}

bool Rewriter::Finish() {
  if (!changed_) return false;
  std::vector<Node> kept;
  for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
    if (dead_[n]) continue;
    for (int32_t& t : subgraph_.nodes[n].inputs) t = Resolve(t);
    kept.push_back(std::move(subgraph_.nodes[n]));
  }
  subgraph_.nodes = std::move(kept);
  return true;
}

bool RewriteNodes(Graph* graph, void (*one)(Rewriter& rewriter, int32_t n)) {
  if (!MayRewrite(*graph)) return false;
  bool changed = false;
  for (size_t s = 0; s < graph->subgraphs.size(); ++s) {
    Rewriter rewriter(graph, s);
    const auto nodes = static_cast<int32_t>(rewriter.subgraph().nodes.size());
    for (int32_t n = 0; n < nodes; ++n) one(rewriter, n);
    changed = rewriter.Finish() || changed;
  }
  return changed;
}

bool IsPure(const Subgraph& subgraph, const Node& node) {
  const OpRecord* op = FindOp(node);
  if (op == nullptr || op->stateful) return false;
  auto variable = [&](int32_t t) {
    return t >= 0 && subgraph.tensors[static_cast<size_t>(t)].is_variable;
  };
  return std::none_of(node.inputs.begin(), node.inputs.end(), variable) &&
         std::none_of(node.outputs.begin(), node.outputs.end(), variable);
}

std::optional<schema::ActivationFunctionType> FusedActivation(const Node& node) {
  std::optional<schema::ActivationFunctionType> out;
  VisitFusable(node.op,
               [&]<typename T>() { out = node.GetOptions<T>().fused_activation_function; });
  return out;
}

void SetFusedActivation(Node* node, schema::ActivationFunctionType activation) {
  VisitFusable(node->op, [&]<typename T>() {
    T table = node->GetOptions<T>();
    table.fused_activation_function = activation;
    node->options = Options(std::move(table));
  });
}

const Shape& KnownShape(const Tensor& tensor) {
  return tensor.shape_signature.size() == tensor.shape.size() ? tensor.shape_signature
                                                              : tensor.shape;
}

bool IsStatic(const Tensor& tensor) {
  const Shape& shape = KnownShape(tensor);
  return tensor.has_rank &&
         std::all_of(shape.begin(), shape.end(), [](int32_t d) { return d >= 0; });
}

}  // namespace litesmith
