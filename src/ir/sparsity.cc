#include "ir/sparsity.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace litesmith {
namespace {

constexpr size_t kMostLevels = 32;

// A vector of indices in any of the widths that the schema has.
absl::StatusOr<std::vector<int64_t>> ReadIndices(const schema::SparseIndexVectorUnion& indices) {
  std::vector<int64_t> out;
  if (const auto* v = indices.AsInt32Vector()) {
    out.assign(v->values.begin(), v->values.end());
  } else if (const auto* w = indices.AsUint16Vector()) {
    out.assign(w->values.begin(), w->values.end());
  } else if (const auto* b = indices.AsUint8Vector()) {
    out.assign(b->values.begin(), b->values.end());
  } else {
    return Invalid("its sparse dimensions have no indices");
  }
  return out;
}

// One level of the tree: a dimension of the tensor, or of the blocks.
struct Level {
  int64_t size = 0;
  int64_t stride = 0;  // of the dense tensor, in elements
  bool sparse = false;
  std::vector<int64_t> segments, indices;
};

class Expander {
 public:
  explicit Expander(const Tensor& tensor) : tensor_(tensor), sparsity_(*tensor.sparsity) {}

  absl::StatusOr<Blob> Expand(uint64_t memory_budget) {
    element_ = TypeSize(tensor_.type);
    if (element_ == 0)
      return Unsupported("sparse {} has no dense form here", TypeName(tensor_.type));
    LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(tensor_.type, tensor_.shape));
    if (bytes > memory_budget) {
      return Invalid("its dense form has {} bytes, more than the memory limit allows", bytes);
    }
    LS_RETURN_IF_ERROR(ReadLevels());
    out_.resize(bytes);
    values_ = tensor_.data.bytes.size() / element_;
    LS_RETURN_IF_ERROR(Fill(0, 0, 0));
    return Blob::Own(std::move(out_));
  }

 private:
  absl::Status ReadLevels() {
    const size_t rank = tensor_.shape.size();
    const auto& order = sparsity_.traversal_order;
    const auto& blocks = sparsity_.block_map;
    const size_t count = rank + blocks.size();
    if (order.size() != count || sparsity_.dim_metadata.size() != count || count > kMostLevels) {
      return Invalid("its sparsity names {} dimensions and {} blocks in {} levels", rank,
                     blocks.size(), order.size());
    }
    // Sizes by dimension: first the tensor's, cut by their blocks, then the blocks'.
    std::vector<int64_t> size(tensor_.shape.begin(), tensor_.shape.end());
    std::vector<int64_t> stride(rank, 1);
    for (size_t d = rank; d-- > 1;) stride[d - 1] = stride[d] * size[d];
    for (size_t b = 0; b < blocks.size(); ++b) {
      const int64_t block = BlockSize(rank + b);
      const int64_t d = blocks[b];
      if (d < 0 || d >= static_cast<int64_t>(rank) || block <= 0 || size[d] % block != 0) {
        return Invalid("its sparsity has a block of {} in dimension {}", block, d);
      }
      size[d] /= block;
      size.push_back(block);
      stride.push_back(stride[d]);
      stride[d] *= block;
    }
    std::vector<bool> seen(count, false);
    for (size_t i = 0; i < count; ++i) {
      const int64_t d = order[i];
      if (d < 0 || d >= static_cast<int64_t>(count) || seen[d]) {
        return Invalid("its sparsity has no order of dimensions");
      }
      seen[d] = true;
      LS_RETURN_IF_ERROR(ReadLevel(i, size[d], stride[d]));
    }
    return absl::OkStatus();
  }

  // Block dimensions are dense; their level says their size.
  int64_t BlockSize(size_t dimension) const {
    for (size_t i = 0; i < sparsity_.traversal_order.size(); ++i) {
      if (sparsity_.traversal_order[i] == static_cast<int64_t>(dimension) &&
          sparsity_.dim_metadata[i]) {
        return sparsity_.dim_metadata[i]->dense_size;
      }
    }
    return 0;
  }

  absl::Status ReadLevel(size_t i, int64_t size, int64_t stride) {
    const auto* metadata = sparsity_.dim_metadata[i].get();
    if (metadata == nullptr) return Invalid("its sparsity leaves out a level");
    Level level;
    level.size = size;
    level.stride = stride;
    level.sparse = metadata->format == schema::DimensionType_SPARSE_CSR;
    if (!level.sparse && metadata->dense_size != size) {
      return Invalid("its sparsity has {} elements in a dimension of {}", metadata->dense_size,
                     size);
    }
    if (level.sparse) {
      LS_ASSIGN_OR_RETURN(level.segments, ReadIndices(metadata->array_segments));
      LS_ASSIGN_OR_RETURN(level.indices, ReadIndices(metadata->array_indices));
    }
    levels_.push_back(std::move(level));
    return absl::OkStatus();
  }

  // Places the values below node `parent` of a level; `offset` is what the levels above add up to.
  absl::Status Fill(size_t depth, int64_t parent, int64_t offset) {
    if (depth == levels_.size()) return Place(offset);
    const Level& level = levels_[depth];
    if (!level.sparse) {
      for (int64_t i = 0; i < level.size; ++i) {
        LS_RETURN_IF_ERROR(Fill(depth + 1, parent * level.size + i, offset + i * level.stride));
      }
      return absl::OkStatus();
    }
    if (parent + 1 >= static_cast<int64_t>(level.segments.size())) {
      return Invalid("its sparsity has too few segments");
    }
    const int64_t begin = level.segments[parent], end = level.segments[parent + 1];
    if (begin < 0 || end < begin || end > static_cast<int64_t>(level.indices.size()) ||
        end - begin > level.size) {
      return Invalid("its sparsity has a segment from {} to {}", begin, end);
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t index = level.indices[i];
      if (index < 0 || index >= level.size) {
        return Invalid("its sparsity has the index {} in a dimension of {}", index, level.size);
      }
      LS_RETURN_IF_ERROR(Fill(depth + 1, i, offset + index * level.stride));
    }
    return absl::OkStatus();
  }

  absl::Status Place(int64_t offset) {
    if (next_ == values_) return Invalid("its sparsity names more values than it has");
    std::memcpy(out_.data() + static_cast<size_t>(offset) * element_,
                tensor_.data.bytes.data() + next_ * element_, element_);
    ++next_;
    return absl::OkStatus();
  }

  const Tensor& tensor_;
  const schema::SparsityParametersT& sparsity_;
  size_t element_ = 0;
  size_t values_ = 0, next_ = 0;
  std::vector<Level> levels_;
  std::vector<std::byte> out_;
};

}  // namespace

absl::StatusOr<Blob> ExpandSparse(const Tensor& tensor, uint64_t memory_budget) {
  return Expander(tensor).Expand(memory_budget);
}

}  // namespace litesmith
