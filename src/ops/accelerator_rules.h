#ifndef LITESMITH_OPS_ACCELERATOR_RULES_H_
#define LITESMITH_OPS_ACCELERATOR_RULES_H_

// What the tables of accelerators are written with; only for accelerator_*.cc.

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace litesmith {

// A node with its tensors at hand.
struct NodeView {
  const Subgraph& subgraph;
  const Node& node;

  // Null where the node has none.
  const Tensor* in(size_t i) const { return Find(node.input(i)); }
  const Tensor* out(size_t i) const { return Find(node.output(i)); }
  template <typename T>
  const T& options() const {
    return node.GetOptions<T>();
  }

 private:
  const Tensor* Find(int32_t t) const {
    return t < 0 ? nullptr : &subgraph.tensors[static_cast<size_t>(t)];
  }
};

// A line of a table: an operator, the newest version that is taken, and what else must hold (null:
// nothing); the check's answer is the obstacle, empty for none.
struct AcceleratorRule {
  schema::BuiltinOperator op;
  int newest;
  std::string (*check)(const NodeView& view);
};

inline const AcceleratorRule* FindRule(std::span<const AcceleratorRule> rules,
                                       schema::BuiltinOperator op) {
  const auto found = std::find_if(rules.begin(), rules.end(),
                                  [op](const AcceleratorRule& rule) { return rule.op == op; });
  return found == rules.end() ? nullptr : &*found;
}

inline bool IsEightBit(const Tensor* t) {
  return t != nullptr &&
         (t->type == schema::TensorType_INT8 || t->type == schema::TensorType_UINT8);
}

inline bool IsConstant(const Tensor* t) { return t != nullptr && t->is_constant(); }

// The elements of a constant INT32 tensor; empty for anything else.
inline std::span<const int32_t> ConstantInts(const Tensor* t) {
  if (!IsConstant(t) || t->type != schema::TensorType_INT32) return {};
  return t->data.As<int32_t>();
}

// Whether the INT32 constant names this dimension of a tensor of `rank` dimensions.
inline bool Names(const Tensor* axes, int32_t axis, size_t rank) {
  const auto n = static_cast<int32_t>(rank);
  for (int32_t a : ConstantInts(axes)) {
    if ((a < 0 ? a + n : a) == axis) return true;
  }
  return false;
}

// All dimensions but the last are 1.
inline bool IsRow(const Tensor* t) {
  return t != nullptr && !t->shape.empty() &&
         std::all_of(t->shape.begin(), t->shape.end() - 1, [](int32_t d) { return d == 1; });
}

std::string EdgeTpuObstacle(const NodeView& view);
std::string HexagonObstacle(const NodeView& view);
std::string GpuObstacle(const NodeView& view);

}  // namespace litesmith

#endif  // LITESMITH_OPS_ACCELERATOR_RULES_H_
