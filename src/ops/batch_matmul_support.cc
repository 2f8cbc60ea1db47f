#include "ops/batch_matmul_support.h"

namespace litesmith {
namespace {

// The size that an operand of `shape` has along dimension `d` of `batches`.
int32_t OwnSize(const Shape& batches, const Shape& shape, size_t d) {
  const size_t own = shape.size() - 2;
  return d + own >= batches.size() ? shape[d + own - batches.size()] : 1;
}

MatrixIndex IndexOf(const Shape& batches, const Shape& shape) {
  std::vector<size_t> strides(batches.size(), 0);
  size_t stride = 1;
  for (size_t d = batches.size(); d-- > 0;) {
    const int32_t size = OwnSize(batches, shape, d);
    if (size != 1) strides[d] = stride;
    stride *= static_cast<size_t>(size);
  }
  return MatrixIndex(batches, strides);
}

}  // namespace

MatrixIndex::MatrixIndex(const Shape& batches, const std::vector<size_t>& strides)
    : dims_(batches.size()) {
  for (size_t d = 0; d < dims_; ++d) {
    sizes_[d] = static_cast<size_t>(batches[d]);
    strides_[d] = strides[d];
  }
}

absl::StatusOr<MatMulSizes> MatMulSizesOf(const schema::BatchMatMulOptionsT& options,
                                          const Shape& x, const Shape& y) {
  constexpr size_t kMostDims = MatrixIndex::kMostDims + 2;
  if (x.size() < 2 || y.size() < 2 || x.size() > kMostDims || y.size() > kMostDims) {
    return Invalid("the inputs need 2 to 5 dimensions, they have {} and {}", x.size(), y.size());
  }
  MatMulSizes s;
  s.adj_x = options.adj_x;
  s.adj_y = options.adj_y;
  s.rows = x[x.size() - (s.adj_x ? 1 : 2)];
  s.depth = x[x.size() - (s.adj_x ? 2 : 1)];
  s.units = y[y.size() - (s.adj_y ? 2 : 1)];
  if (y[y.size() - (s.adj_y ? 1 : 2)] != s.depth) {
    return Invalid("matrices of {} and {} cannot be multiplied", ShapeString(x), ShapeString(y));
  }
  LS_ASSIGN_OR_RETURN(
      s.batches, BroadcastShapes(Shape(x.begin(), x.end() - 2), Shape(y.begin(), y.end() - 2)));
  s.matrices = 1;
  for (const int32_t size : s.batches) s.matrices *= static_cast<size_t>(size);
  s.left_index = IndexOf(s.batches, x);
  s.right_index = IndexOf(s.batches, y);
  return s;
}

MatrixIndex HybridRows(const MatMulSizes& sizes, const Shape& x, const Shape& y) {
  const auto rows = static_cast<size_t>(sizes.rows);
  const bool merged = !sizes.adj_x && x.size() > 2 && y.size() > 2 && y[y.size() - 3] == 1;
  std::vector<size_t> strides(sizes.batches.size(), 0);
  for (size_t d = 0; d < strides.size(); ++d) {
    if (OwnSize(sizes.batches, x, d) == 1) continue;
    const bool last = d + 1 == strides.size();
    strides[d] = merged && !last ? rows * static_cast<size_t>(x[x.size() - 3]) : rows;
  }
  return MatrixIndex(sizes.batches, strides);
}

}  // namespace litesmith
