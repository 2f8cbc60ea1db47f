#include "ir/sparse.h"

#include <algorithm>
#include <cstring>

namespace litesmith {
namespace {

// One level of the traversal: all indices of a dimension (dense), or the listed ones (compressed
// row).
struct Level {
  bool dense = true;
  int64_t size = 0;    // of the dimension, or of the block
  int dimension = 0;   // which dimension of the tensor it moves in
  int64_t stride = 0;  // elements of that dimension one index stands for
  std::vector<int32_t> segments, indices;
};

std::vector<int32_t> ToVector(const schema::SparseIndexVectorUnion& u) {
  std::vector<int32_t> out;
  if (const auto* v = u.AsInt32Vector()) out.assign(v->values.begin(), v->values.end());
  if (const auto* v = u.AsUint16Vector()) out.assign(v->values.begin(), v->values.end());
  if (const auto* v = u.AsUint8Vector()) out.assign(v->values.begin(), v->values.end());
  return out;
}

class Decoder {
 public:
  explicit Decoder(const Tensor& tensor) : tensor_(tensor), sparsity_(*tensor.sparsity) {}

  absl::StatusOr<Blob> Decode(uint64_t memory_budget) {
    element_ = TypeSize(tensor_.type);
    if (element_ == 0) return Unsupported("{} cannot be stored sparse", TypeName(tensor_.type));
    LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(tensor_.type, tensor_.shape));
    if (bytes > memory_budget) {
      return Invalid("its dense form takes {} bytes, more than the memory limit", bytes);
    }
    LS_RETURN_IF_ERROR(ReadLevels());
    out_.resize(bytes);
    position_.assign(tensor_.shape.size(), 0);
    LS_RETURN_IF_ERROR(Visit(0, 0));
    return Blob::Own(std::move(out_));
  }

 private:
  absl::Status ReadLevels() {
    const size_t rank = tensor_.shape.size();
    const size_t blocks = sparsity_.block_map.size();
    const size_t count = sparsity_.traversal_order.size();
    if (count != rank + blocks || sparsity_.dim_metadata.size() != count || count > 32) {
      return Invalid("its sparse storage has {} levels for {} dimensions and {} blocks", count,
                     rank, blocks);
    }
    std::vector<int64_t> block_size(rank, 1);
    std::vector<bool> seen(count, false), blocked(rank, false);
    levels_.resize(count);
    for (size_t l = 0; l < count; ++l) {
      const int32_t which = sparsity_.traversal_order[l];
      if (which < 0 || static_cast<size_t>(which) >= count || seen[static_cast<size_t>(which)]) {
        return Invalid("its sparse traversal order is no permutation");
      }
      seen[static_cast<size_t>(which)] = true;
      const auto w = static_cast<size_t>(which);
      levels_[l].dimension = w < rank ? which : sparsity_.block_map[w - rank];
      if (levels_[l].dimension < 0 || static_cast<size_t>(levels_[l].dimension) >= rank) {
        return Invalid("its sparse block map names dimension {}", levels_[l].dimension);
      }
      if (sparsity_.dim_metadata[l] == nullptr) return Invalid("its sparse level {} is missing", l);
      const schema::DimensionMetadataT& meta = *sparsity_.dim_metadata[l];
      levels_[l].dense = meta.format == schema::DimensionType_DENSE;
      if (w >= rank) {
        const auto d = static_cast<size_t>(levels_[l].dimension);
        if (!levels_[l].dense || meta.dense_size <= 0 || tensor_.shape[d] % meta.dense_size != 0 ||
            blocked[d]) {
          return Invalid("its sparse block of {} does not divide dimension {}", meta.dense_size, d);
        }
        blocked[d] = true;
        block_size[d] = meta.dense_size;
      }
      levels_[l].segments = ToVector(meta.array_segments);
      levels_[l].indices = ToVector(meta.array_indices);
    }
    for (size_t l = 0; l < count; ++l) {
      const auto d = static_cast<size_t>(levels_[l].dimension);
      const bool block = static_cast<size_t>(sparsity_.traversal_order[l]) >= rank;
      levels_[l].stride = block ? 1 : block_size[d];
      levels_[l].size = block ? block_size[d] : tensor_.shape[d] / block_size[d];
      const int32_t stored = sparsity_.dim_metadata[l]->dense_size;
      if (levels_[l].dense && stored != levels_[l].size) {
        return Invalid("its sparse level {} has the size {}, its shape needs {}", l, stored,
                       levels_[l].size);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Visit(size_t l, int64_t previous) {
    if (l == levels_.size()) return Store();
    const Level& level = levels_[l];
    int64_t& at = position_[static_cast<size_t>(level.dimension)];
    if (level.dense) {
      for (int64_t i = 0; i < level.size; ++i)
        LS_RETURN_IF_ERROR(Step(l, &at, i, previous * level.size + i));
      return absl::OkStatus();
    }
    const auto p = static_cast<size_t>(previous);
    if (p + 1 >= level.segments.size()) return Invalid("its sparse segments end too early");
    // A longer segment would name an index twice, and nested ones would multiply.
    if (int64_t{level.segments[p + 1]} - level.segments[p] > level.size) {
      return Invalid("its sparse segment {} is longer than its dimension", p);
    }
    for (int64_t i = level.segments[p]; i < level.segments[p + 1]; ++i) {
      if (i < 0 || static_cast<size_t>(i) >= level.indices.size()) {
        return Invalid("its sparse segments lie outside the indices");
      }
      const int64_t index = level.indices[static_cast<size_t>(i)];
      if (index < 0 || index >= level.size)
        return Invalid("its sparse index {} is out of range", index);
      LS_RETURN_IF_ERROR(Step(l, &at, index, i));
    }
    return absl::OkStatus();
  }

  absl::Status Step(size_t l, int64_t* at, int64_t index, int64_t next) {
    *at += index * levels_[l].stride;
    LS_RETURN_IF_ERROR(Visit(l + 1, next));
    *at -= index * levels_[l].stride;
    return absl::OkStatus();
  }

  absl::Status Store() {
    if (source_ + element_ > tensor_.data.bytes.size()) {
      return Invalid("its sparse data has {} bytes, more are needed", tensor_.data.bytes.size());
    }
    size_t flat = 0;
    for (size_t d = 0; d < position_.size(); ++d) {
      flat = flat * static_cast<size_t>(tensor_.shape[d]) + static_cast<size_t>(position_[d]);
    }
    std::memcpy(out_.data() + flat * element_, tensor_.data.bytes.data() + source_, element_);
    source_ += element_;
    return absl::OkStatus();
  }

  const Tensor& tensor_;
  const schema::SparsityParametersT& sparsity_;
  size_t element_ = 0;
  std::vector<Level> levels_;
  std::vector<int64_t> position_;
  size_t source_ = 0;
  std::vector<std::byte> out_;
};

// In the narrowest type that holds them.
schema::SparseIndexVectorUnion ToUnion(const std::vector<int32_t>& values) {
  schema::SparseIndexVectorUnion out;
  const int32_t most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  if (most <= UINT8_MAX) {
    schema::Uint8VectorT v;
    v.values.assign(values.begin(), values.end());
    out.Set(std::move(v));
  } else if (most <= UINT16_MAX) {
    schema::Uint16VectorT v;
    v.values.assign(values.begin(), values.end());
    out.Set(std::move(v));
  } else {
    schema::Int32VectorT v;
    v.values = values;
    out.Set(std::move(v));
  }
  return out;
}

uint64_t UnionBytes(const schema::SparseIndexVectorUnion& u) {
  if (const auto* v = u.AsInt32Vector()) return v->values.size() * sizeof(int32_t);
  if (const auto* v = u.AsUint16Vector()) return v->values.size() * sizeof(uint16_t);
  if (const auto* v = u.AsUint8Vector()) return v->values.size();
  return 0;
}

std::unique_ptr<schema::DimensionMetadataT> DenseLevel(int32_t size) {
  auto level = std::make_unique<schema::DimensionMetadataT>();
  level->format = schema::DimensionType_DENSE;
  level->dense_size = size;
  return level;
}

}  // namespace

Tensor EncodeSparse(const Tensor& dense, int block) {
  const size_t element = TypeSize(dense.type);
  const size_t width = element * static_cast<size_t>(block);
  const auto inner = static_cast<size_t>(dense.shape.back()) / static_cast<size_t>(block);
  const std::span<const std::byte> bytes = dense.data.bytes;
  std::vector<std::byte> kept;
  std::vector<int32_t> segments = {0}, indices;
  for (size_t row = 0; inner > 0 && row < bytes.size(); row += inner * width) {
    for (size_t i = 0; i < inner; ++i) {
      const auto part = bytes.subspan(row + i * width, width);
      if (std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; })) {
        continue;
      }
      indices.push_back(static_cast<int32_t>(i));
      kept.insert(kept.end(), part.begin(), part.end());
    }
    segments.push_back(static_cast<int32_t>(indices.size()));
  }
  const auto rank = static_cast<int32_t>(dense.shape.size());
  auto sparsity = std::make_shared<schema::SparsityParametersT>();
  for (int32_t d = 0; d < rank; ++d) sparsity->traversal_order.push_back(d);
  for (int32_t d = 0; d + 1 < rank; ++d) {
    sparsity->dim_metadata.push_back(DenseLevel(dense.shape[static_cast<size_t>(d)]));
  }
  auto rows = std::make_unique<schema::DimensionMetadataT>();
  rows->format = schema::DimensionType_SPARSE_CSR;
  rows->array_segments = ToUnion(segments);
  rows->array_indices = ToUnion(indices);
  sparsity->dim_metadata.push_back(std::move(rows));
  if (block > 1) {
    sparsity->traversal_order.push_back(rank);
    sparsity->block_map = {rank - 1};
    sparsity->dim_metadata.push_back(DenseLevel(block));
  }
  // An empty buffer would say that there is no constant.
  if (kept.empty()) kept.resize(width);
  Tensor out = dense;
  out.data = Blob::Own(std::move(kept));
  out.sparsity = std::move(sparsity);
  return out;
}

uint64_t StoredBytes(const Tensor& tensor) {
  uint64_t bytes = tensor.data.bytes.size();
  if (tensor.sparsity == nullptr) return bytes;
  for (const auto& level : tensor.sparsity->dim_metadata) {
    if (level == nullptr) continue;
    bytes += UnionBytes(level->array_segments) + UnionBytes(level->array_indices);
  }
  return bytes;
}

absl::Status DensifyConstants(Graph* graph, uint64_t memory_budget) {
  for (Subgraph& subgraph : graph->subgraphs) {
    std::vector<bool> kept(subgraph.tensors.size(), false);
    for (const Node& node : subgraph.nodes) {
      if (node.op != schema::BuiltinOperator_DENSIFY || node.input(0) < 0) continue;
      kept[static_cast<size_t>(node.inputs[0])] = true;
    }
    for (size_t t = 0; t < subgraph.tensors.size(); ++t) {
      Tensor& tensor = subgraph.tensors[t];
      if (tensor.sparsity == nullptr || !tensor.is_constant() || kept[t]) continue;
      LS_ASSIGN_OR_RETURN_IN(tensor.data, Densify(tensor, memory_budget),
                             fmt::format("tensor '{}'", Printable(tensor.label())));
      tensor.sparsity = nullptr;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Blob> Densify(const Tensor& tensor, uint64_t memory_budget) {
  return Decoder(tensor).Decode(memory_budget);
}

}  // namespace litesmith
