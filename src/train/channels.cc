#include "train/channels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>

#include "ir/schema_facts.h"
#include "ir/verify.h"
#include "runtime/program.h"
#include "train/channel_groups.h"

namespace litesmith {
namespace {

std::string LayerName(const Graph& graph, const ChannelGroups::Layer& layer) {
  const Node& node = graph.main().nodes[static_cast<size_t>(layer.node)];
  if (!node.name.empty()) return node.name;
  return graph.main().tensors[static_cast<size_t>(layer.weights)].label();
}

// Sums of squared weights per unit, over all layers that make it.
std::vector<double> Importance(const Graph& graph, const ChannelGroups& groups) {
  std::vector<double> out(groups.units(), 0.0);
  for (const ChannelGroups::Layer& layer : groups.layers()) {
    const auto values = graph.main().tensors[static_cast<size_t>(layer.weights)].data.As<float>();
    const size_t row = values.size() / layer.units.size();
    for (size_t c = 0; c < layer.units.size(); ++c) {
      double& sum = out[static_cast<size_t>(groups.Root(layer.units[c]))];
      for (float v : values.subspan(c * row, row)) sum += static_cast<double>(v) * v;
    }
  }
  return out;
}

// Layers whose units meet, together: per such set the units that stand for others, in order.
std::vector<std::vector<int32_t>> Sets(const ChannelGroups& groups) {
  std::vector<int32_t> parent(groups.units());
  std::iota(parent.begin(), parent.end(), 0);
  const auto find = [&](int32_t u) {
    while (parent[static_cast<size_t>(u)] != u) u = parent[static_cast<size_t>(u)];
    return u;
  };
  std::vector<bool> made(groups.units(), false);
  for (const ChannelGroups::Layer& layer : groups.layers()) {
    for (int32_t unit : layer.units) {
      made[static_cast<size_t>(groups.Root(unit))] = true;
      const int32_t a = find(groups.Root(layer.units[0])), b = find(groups.Root(unit));
      parent[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
    }
  }
  std::map<int32_t, std::vector<int32_t>> sets;
  for (size_t u = 0; u < made.size(); ++u) {
    if (made[u]) sets[find(static_cast<int32_t>(u))].push_back(static_cast<int32_t>(u));
  }
  std::vector<std::vector<int32_t>> out;
  for (auto& [first, set] : sets) out.push_back(std::move(set));
  return out;
}

// Per unit (its root's entry): whether it goes.
std::vector<bool> Choose(double share, const Graph& graph, const ChannelGroups& groups) {
  const std::vector<double> importance = Importance(graph, groups);
  std::vector<bool> gone(groups.units(), false);
  for (std::vector<int32_t>& set : Sets(groups)) {
    const auto wanted = static_cast<size_t>(share * static_cast<double>(set.size()) + 1e-9);
    std::stable_sort(set.begin(), set.end(), [&](int32_t a, int32_t b) {
      return importance[static_cast<size_t>(a)] < importance[static_cast<size_t>(b)];
    });
    size_t cut = 0;
    for (int32_t unit : set) {
      if (cut == std::min(wanted, set.size() - 1)) break;
      if (!groups.frozen(unit).empty()) continue;
      gone[static_cast<size_t>(unit)] = true;
      ++cut;
    }
  }
  return gone;
}

class Cutter {
 public:
  Cutter(const ChannelGroups& groups, const std::vector<bool>& gone, Graph* graph)
      : groups_(groups), gone_(gone), subgraph_(graph->main()) {}

  void Cut() {
    for (size_t t = 0; t < subgraph_.tensors.size(); ++t) {
      for (const ChannelGroups::Axis& axis : groups_.axes(static_cast<int32_t>(t))) {
        CutAxis(axis, &subgraph_.tensors[t]);
      }
    }
    for (const ChannelGroups::ShapeOperand& s : groups_.shape_operands()) Respell(s);
  }

 private:
  void CutAxis(const ChannelGroups::Axis& axis, Tensor* tensor) {
    std::vector<size_t> kept;
    for (size_t i = 0; i < axis.units.size(); ++i) {
      if (!gone_[static_cast<size_t>(groups_.Root(axis.units[i]))]) kept.push_back(i);
    }
    if (kept.size() == axis.units.size()) return;
    const auto d = static_cast<size_t>(axis.dimension);
    if (tensor->is_constant()) {
      size_t outer = 1, inner = sizeof(float);
      for (size_t i = 0; i < d; ++i) outer *= static_cast<size_t>(tensor->shape[i]);
      for (size_t i = d + 1; i < tensor->shape.size(); ++i) {
        inner *= static_cast<size_t>(tensor->shape[i]);
      }
      std::vector<std::byte> bytes(outer * kept.size() * inner);
      std::byte* to = bytes.data();
      for (size_t o = 0; o < outer; ++o) {
        for (size_t k : kept) {
          std::memcpy(to, tensor->data.bytes.data() + (o * axis.units.size() + k) * inner, inner);
          to += inner;
        }
      }
      tensor->data = Blob::Own(std::move(bytes));
    }
    const auto size = static_cast<int32_t>(kept.size());
    tensor->shape[d] = size;
    if (d < tensor->shape_signature.size() && tensor->shape_signature[d] >= 0) {
      tensor->shape_signature[d] = size;
    }
  }

  // The operand's own copy of the constant with the new size.
  void Respell(const ChannelGroups::ShapeOperand& s) {
    Node& node = subgraph_.nodes[static_cast<size_t>(s.node)];
    const auto at = static_cast<size_t>(s.entry);
    const int32_t size = subgraph_.tensors[static_cast<size_t>(node.outputs[0])].shape[at];
    Tensor copy = subgraph_.tensors[static_cast<size_t>(node.inputs[s.operand])];
    const auto old = copy.data.As<int32_t>();
    std::vector<int32_t> sizes(old.begin(), old.end());
    if (sizes[at] < 0 || sizes[at] == size) return;
    sizes[at] = size;
    copy.data = Blob::Of(sizes);
    copy.source = copy.label();
    copy.name += fmt::format("_{}", s.node);
    node.inputs[s.operand] = subgraph_.AddTensor(std::move(copy));
    if (node.options.type() == schema::BuiltinOptions_ReshapeOptions) {
      schema::ReshapeOptionsT options = node.GetOptions<schema::ReshapeOptionsT>();
      options.new_shape = sizes;
      node.options = Options(std::move(options));
    }
  }

  const ChannelGroups& groups_;
  const std::vector<bool>& gone_;
  Subgraph& subgraph_;
};

// What was cut per layer; an error where it is nothing.
absl::StatusOr<std::vector<ChannelCut>> Describe(const Graph& graph, const ChannelGroups& groups,
                                                 const std::vector<bool>& gone) {
  std::vector<ChannelCut> out;
  bool any = false;
  for (const ChannelGroups::Layer& layer : groups.layers()) {
    ChannelCut cut;
    cut.layer = LayerName(graph, layer);
    cut.before = static_cast<int32_t>(layer.units.size());
    for (int32_t unit : layer.units) {
      if (!gone[static_cast<size_t>(groups.Root(unit))]) ++cut.after;
      if (cut.why.empty()) cut.why = groups.frozen(unit);
    }
    if (cut.after < cut.before) {
      cut.why.clear();
      any = true;
    } else if (cut.why.empty()) {
      cut.why = "it has too few";
    }
    out.push_back(std::move(cut));
  }
  if (any) return out;
  if (out.empty())
    return Invalid("no layer of the model has constant weights with channels to cut");
  // What surprises comes first.
  const auto expected = [](const ChannelCut& c) {
    return c.why == "they are the model's output" || c.why == "it has too few";
  };
  auto first = std::find_if_not(out.begin(), out.end(), expected);
  if (first == out.end()) first = out.begin();
  return Invalid("no channels can be cut; those of layer '{}' must stay: {}",
                 Printable(first->layer), first->why);
}

}  // namespace

absl::StatusOr<std::vector<ChannelCut>> CutChannels(double share, Graph* graph) {
  const ChannelGroups groups(*graph);
  const std::vector<bool> gone = Choose(share, *graph, groups);
  LS_ASSIGN_OR_RETURN(std::vector<ChannelCut> cuts, Describe(*graph, groups, gone));
  Graph cut = *graph;
  Cutter(groups, gone, &cut).Cut();
  LS_RETURN_IF_ERROR_IN(Verify(cut), "after cutting channels");
  // Every operator's own shape rule has the last word.
  LS_RETURN_IF_ERROR_IN(BuildProgram(std::make_shared<const Graph>(cut), {}).status(),
                        "after cutting channels");
  *graph = std::move(cut);
  return cuts;
}

}  // namespace litesmith
