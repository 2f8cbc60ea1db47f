#ifndef LITESMITH_PASSES_REWRITE_H_
#define LITESMITH_PASSES_REWRITE_H_

// What the rewrites share: who makes and who reads a tensor, kept up to date while a pass edits, so
// that a pass is linear in the size of the graph.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace litesmith {

// False where node numbers are referred to from outside the graph, so that no pass may move them.
bool MayRewrite(const Graph& graph);

// Editing one subgraph. Refers to the graph, which must outlive it.
class Rewriter {
 public:
  Rewriter(Graph* graph, size_t subgraph);

  Subgraph& subgraph() { return subgraph_; }
  Node& node(int32_t n) { return subgraph_.nodes[static_cast<size_t>(n)]; }
  Tensor& tensor(int32_t t) { return subgraph_.tensors[static_cast<size_t>(t)]; }

  // Operand i of node n as it is after the redirections so far; -1 where absent.
  int32_t Input(int32_t n, size_t i) const {
    return Resolve(subgraph_.nodes[static_cast<size_t>(n)].input(i));
  }
  // The node that makes tensor `t`, -1 for none or t == -1.
  int32_t producer(int32_t t) const { return t < 0 ? -1 : producer_[static_cast<size_t>(t)]; }
  // How many operands of nodes are `t`.
  int64_t reads(int32_t t) const { return t < 0 ? 0 : reads_[static_cast<size_t>(t)]; }
  // Inputs, outputs, signature tensors, variables, intermediates: what others know of.
  bool is_fixed(int32_t t) const { return fixed_[static_cast<size_t>(t)]; }
  bool is_dead(int32_t n) const { return dead_[static_cast<size_t>(n)]; }

  // The live node that makes `t` if nobody but one operand knows of `t`, else -1.
  int32_t PrivateProducer(int32_t t) const;

  // A float32 constant with its values in the graph.
  bool IsFloatConstant(int32_t t) const;
  // The values of an INT32 or INT64 constant; nothing for other tensors.
  std::optional<std::vector<int64_t>> IntConstant(int32_t t) const;

  // Appends a tensor; nobody reads it yet.
  int32_t Add(Tensor tensor);
  // Node n reads `t` (or -1) as operand `i` from now on; the operand is added when it is the next
  // one.
  void SetInput(int32_t n, size_t i, int32_t t);
  // Node n makes `t` as its output 0 from now on.
  void SetOutput(int32_t n, int32_t t);
  // Every operand that reads `from` reads `to`.
  void Redirect(int32_t from, int32_t to);
  // Takes node n out; its outputs have no producer any more.
  void Kill(int32_t n);
  // Kills the makers of `t`, and of what they read, as long as nobody needs them.
  void KillUnread(int32_t t);

  // Drops the killed nodes, follows redirections. Returns whether anything was edited.
  bool Finish();

 private:
  int32_t Resolve(int32_t t) const;

  Subgraph& subgraph_;
  std::vector<int32_t> producer_;
  std::vector<int64_t> reads_;
  std::vector<bool> fixed_;
  std::vector<bool> dead_;
  std::vector<int32_t> redirect_;  // applied by Finish
  bool changed_ = false;
};

// Applies `one` to every node of every subgraph, in their order; returns whether anything was
// edited.
bool RewriteNodes(Graph* graph, void (*one)(Rewriter& rewriter, int32_t n));

// Whether dropping the node, when nobody reads its outputs, or computing it once, changes nothing
// else.
bool IsPure(const Subgraph& subgraph, const Node& node);

// The fused activation of nodes that take one; nothing for the others.
std::optional<schema::ActivationFunctionType> FusedActivation(const Node& node);
void SetFusedActivation(Node* node, schema::ActivationFunctionType activation);

// The shape with -1 for what is not known before running.
const Shape& KnownShape(const Tensor& tensor);
// True when every dimension is known.
bool IsStatic(const Tensor& tensor);

}  // namespace litesmith

#endif  // LITESMITH_PASSES_REWRITE_H_
