#include "train/sparse_weights.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/status.h"
#include "ir/sparse.h"

namespace litesmith {
namespace {

// What the tables that describe a sparse tensor, or a DENSIFY node and its tensor, take beside the
// indices.
constexpr uint64_t kTableBytes = 160;
constexpr uint64_t kDensifyBytes = 320;

struct Reader {
  int32_t node = -1;
  size_t operand = 0;
};

bool IsType(const Subgraph& subgraph, int32_t t, TensorType type) {
  return t >= 0 && subgraph.tensors[static_cast<size_t>(t)].type == type;
}

// A weight of an operator whose kernels LiteRT gives dense weights from DENSIFY.
bool IsWeights(const Node& node, size_t operand) {
  switch (node.op) {
    case schema::BuiltinOperator_CONV_2D:
    case schema::BuiltinOperator_DEPTHWISE_CONV_2D:
    case schema::BuiltinOperator_FULLY_CONNECTED:
      return operand == 1;
    default:
      return false;
  }
}

std::vector<std::vector<Reader>> FindReaders(const Subgraph& subgraph) {
  std::vector<std::vector<Reader>> out(subgraph.tensors.size());
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    for (size_t i = 0; i < subgraph.nodes[n].inputs.size(); ++i) {
      const int32_t t = subgraph.nodes[n].inputs[i];
      if (t >= 0) out[static_cast<size_t>(t)].push_back({static_cast<int32_t>(n), i});
    }
  }
  return out;
}

// The smallest form with one of these blocks, if it saves a third.
std::optional<Tensor> Smallest(const Tensor& dense, std::initializer_list<int> blocks,
                               uint64_t overhead) {
  std::optional<Tensor> best;
  for (const int block : blocks) {
    if (dense.shape.back() % block != 0) continue;
    Tensor sparse = EncodeSparse(dense, block);
    if (!best || StoredBytes(sparse) < StoredBytes(*best)) best = std::move(sparse);
  }
  const uint64_t before = dense.data.bytes.size();
  if (best && StoredBytes(*best) + overhead > before - before / 3) best.reset();
  return best;
}

// Puts DENSIFY nodes before all others, so that constants are made first.
void AddDensify(Tensor sparse, size_t t, std::vector<Node>* added, Subgraph* subgraph) {
  Tensor& dense = subgraph->tensors[t];
  dense.data = {};
  sparse.source = sparse.label();
  sparse.name += "/sparse";
  Node node;
  node.op = schema::BuiltinOperator_DENSIFY;
  node.options = Options(schema::DensifyOptionsT{});
  node.outputs = {static_cast<int32_t>(t)};
  node.inputs = {subgraph->AddTensor(std::move(sparse))};
  added->push_back(std::move(node));
}

}  // namespace

int EncodeSparseWeights(Graph* graph) {
  Subgraph& subgraph = graph->main();
  const auto readers = FindReaders(subgraph);
  std::vector<Node> added;
  int count = 0;
  for (size_t t = 0; t < readers.size(); ++t) {
    const Tensor& tensor = subgraph.tensors[t];
    const bool is_float = tensor.type == schema::TensorType_FLOAT32;
    if (!tensor.is_constant() || tensor.is_variable || tensor.sparsity != nullptr ||
        tensor.shape.size() < 2 || readers[t].empty() ||
        (!is_float && tensor.type != schema::TensorType_INT8)) {
      continue;
    }
    const auto all = [&](const auto& what) {
      return std::all_of(readers[t].begin(), readers[t].end(), [&](const Reader& r) {
        const Node& node = subgraph.nodes[static_cast<size_t>(r.node)];
        return IsWeights(node, r.operand) && IsType(subgraph, node.input(0), tensor.type) &&
               what(node);
      });
    };
    const bool kernel = tensor.shape.size() == 2 && all([](const Node& node) {
                          return node.op == schema::BuiltinOperator_FULLY_CONNECTED;
                        });
    if (kernel) {
      auto sparse =
          is_float ? Smallest(tensor, {1, 4}, kTableBytes) : Smallest(tensor, {16}, kTableBytes);
      if (!sparse) continue;
      subgraph.tensors[t] = *std::move(sparse);
      ++count;
    } else if (is_float && tensor.quant.empty() && all([](const Node&) { return true; })) {
      auto sparse = Smallest(tensor, {1, 4}, kDensifyBytes);
      if (!sparse) continue;
      AddDensify(*std::move(sparse), t, &added, &subgraph);
      ++count;
    }
  }
  subgraph.nodes.insert(subgraph.nodes.begin(), added.begin(), added.end());
  return count;
}

std::string StoredAs(const Tensor& tensor) {
  if (tensor.sparsity == nullptr) return "dense";
  if (tensor.sparsity->block_map.empty()) return "random";
  const auto& last = tensor.sparsity->dim_metadata.back();
  return fmt::format("1x{}", last != nullptr ? last->dense_size : 0);
}

}  // namespace litesmith
