#include <algorithm>
#include <utility>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

// Drops the tensors that nothing refers to and renumbers the others.
bool RemoveTensors(Graph* graph, size_t index) {
  Subgraph& subgraph = graph->subgraphs[index];
  std::vector<bool> used(subgraph.tensors.size(), false);
  auto for_each_reference = [&](auto visit) {
    for (int32_t& t : subgraph.inputs) visit(t);
    for (int32_t& t : subgraph.outputs) visit(t);
    for (Node& node : subgraph.nodes) {
      for (int32_t& t : node.inputs) visit(t);
      for (int32_t& t : node.outputs) visit(t);
      for (int32_t& t : node.intermediates) visit(t);
    }
    for (Signature& signature : graph->signatures) {
      if (signature.subgraph != static_cast<int32_t>(index)) continue;
      for (SignatureEntry& entry : signature.inputs) visit(entry.tensor);
      for (SignatureEntry& entry : signature.outputs) visit(entry.tensor);
    }
  };
  for_each_reference([&](int32_t& t) {
    if (t >= 0) used[static_cast<size_t>(t)] = true;
  });
  if (std::all_of(used.begin(), used.end(), [](bool b) { return b; })) return false;
  std::vector<int32_t> renumbered(subgraph.tensors.size(), -1);
  std::vector<Tensor> kept;
  for (size_t t = 0; t < used.size(); ++t) {
    if (!used[t]) continue;
    renumbered[t] = static_cast<int32_t>(kept.size());
    kept.push_back(std::move(subgraph.tensors[t]));
  }
  subgraph.tensors = std::move(kept);
  for_each_reference([&](int32_t& t) {
    if (t >= 0) t = renumbered[static_cast<size_t>(t)];
  });
  return true;
}

}  // namespace

absl::StatusOr<bool> RemoveDeadCode(Graph* graph) {
  if (!MayRewrite(*graph)) return false;
  bool changed = false;
  for (size_t s = 0; s < graph->subgraphs.size(); ++s) {
    Rewriter rewriter(graph, s);
    // Backwards, so that a node goes together with those that only it reads.
    for (size_t n = rewriter.subgraph().nodes.size(); n-- > 0;) {
      const std::vector<int32_t>& outputs = rewriter.subgraph().nodes[n].outputs;
      if (!outputs.empty()) rewriter.KillUnread(outputs[0]);
    }
    changed = rewriter.Finish() || changed;
    changed = RemoveTensors(graph, s) || changed;
  }
  return changed;
}

}  // namespace litesmith
