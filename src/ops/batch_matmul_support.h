#ifndef LITESMITH_OPS_BATCH_MATMUL_SUPPORT_H_
#define LITESMITH_OPS_BATCH_MATMUL_SUPPORT_H_

// Which matrices BATCH_MATMUL multiplies: both operands may be repeated along batch dimensions.

#include <array>

#include "ops/op_support.h"

namespace litesmith {

// For the number of an output matrix, where that of an operand is.
class MatrixIndex {
 public:
  MatrixIndex() = default;
  // `strides`: of each dimension of `batches`, 0 where the operand is repeated.
  // REQUIRES: at most kMostDims dimensions.
  MatrixIndex(const Shape& batches, const std::vector<size_t>& strides);

  size_t At(size_t matrix) const {
    size_t index = 0;
    for (size_t d = dims_; d-- > 0 && matrix != 0;) {
      index += matrix % sizes_[d] * strides_[d];
      matrix /= sizes_[d];
    }
    return index;
  }

  static constexpr size_t kMostDims = 3;

 private:
  size_t dims_ = 0;
  std::array<size_t, kMostDims> sizes_ = {}, strides_ = {};
};

struct MatMulSizes {
  int32_t rows = 0, depth = 0, units = 0;
  bool adj_x = false, adj_y = false;
  Shape batches;                        // of the output
  size_t matrices = 0;                  // of the output
  MatrixIndex left_index, right_index;  // which matrix each output matrix is made of
};

// An error unless x [..., rows, depth] and y [..., depth, units] (the other way round where the
// options say so) go together.
absl::StatusOr<MatMulSizes> MatMulSizesOf(const schema::BatchMatMulOptionsT& options,
                                          const Shape& x, const Shape& y);

// Where LiteRT's hybrid kernel looks for the scales of each output matrix's rows. It steps by one
// matrix along every batch dimension, so with several of them it takes other rows' scales than
// those the rows were quantized with; where the right operand has no last batch dimension, that of
// the left one belongs to its rows.
MatrixIndex HybridRows(const MatMulSizes& sizes, const Shape& x, const Shape& y);

}  // namespace litesmith

#endif  // LITESMITH_OPS_BATCH_MATMUL_SUPPORT_H_
