#include "ir/graph.h"

namespace litesmith {
namespace {

// The second options table, or defaults, as Options::As does for the first.
template <typename T>
const T& Second(const Node& node) {
  static const T defaults{};
  if (node.options2 == nullptr ||
      node.options2->type != schema::BuiltinOptions2UnionTraits<T>::enum_value) {
    return defaults;
  }
  return *static_cast<const T*>(node.options2->value);
}

}  // namespace

std::vector<int32_t> CalledSubgraphs(const Node& node) {
  switch (node.op) {
    case schema::BuiltinOperator_CALL:
      return {static_cast<int32_t>(node.GetOptions<schema::CallOptionsT>().subgraph)};
    case schema::BuiltinOperator_CALL_ONCE:
      return {node.GetOptions<schema::CallOnceOptionsT>().init_subgraph_index};
    case schema::BuiltinOperator_IF: {
      const auto& o = node.GetOptions<schema::IfOptionsT>();
      return {o.then_subgraph_index, o.else_subgraph_index};
    }
    case schema::BuiltinOperator_WHILE: {
      const auto& o = node.GetOptions<schema::WhileOptionsT>();
      return {o.cond_subgraph_index, o.body_subgraph_index};
    }
    case schema::BuiltinOperator_STABLEHLO_WHILE: {
      const auto& o = Second<schema::StablehloWhileOptionsT>(node);
      return {o.cond_subgraph_index, o.body_subgraph_index};
    }
    case schema::BuiltinOperator_STABLEHLO_REDUCE:
      return {Second<schema::StablehloReduceOptionsT>(node).body_subgraph_index};
    case schema::BuiltinOperator_STABLEHLO_REDUCE_WINDOW:
      return {Second<schema::StablehloReduceWindowOptionsT>(node).body_subgraph_index};
    case schema::BuiltinOperator_STABLEHLO_SORT:
      return {Second<schema::StablehloSortOptionsT>(node).comparator_subgraph_index};
    case schema::BuiltinOperator_STABLEHLO_SCATTER:
      return {Second<schema::StablehloScatterOptionsT>(node).update_computation_subgraph_index};
    case schema::BuiltinOperator_STABLEHLO_CASE:
      return Second<schema::StablehloCaseOptionsT>(node).branch_subgraph_indices;
    case schema::BuiltinOperator_STABLEHLO_CUSTOM_CALL:
      return Second<schema::StablehloCustomCallOptionsT>(node).called_computations;
    case schema::BuiltinOperator_STABLEHLO_COMPOSITE:
      return {Second<schema::StableHLOCompositeOptionsT>(node).decomposition_subgraph_index};
    default:
      return {};
  }
}

}  // namespace litesmith
