#ifndef LITESMITH_IR_SPARSE_H_
#define LITESMITH_IR_SPARSE_H_

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

// The dense elements of a constant that the file stores sparse (TFLite's SparsityParameters: levels
// of dense and compressed-row dimensions, with blocks), row-major in the tensor's shape, zeros
// where nothing is stored. The parameters and the data are untrusted: everything is checked;
// a dense form of more than `memory_budget` bytes is an error.
// REQUIRES: tensor.sparsity is set.
absl::StatusOr<Blob> Densify(const Tensor& tensor, uint64_t memory_budget);

}  // namespace litesmith

#endif  // LITESMITH_IR_SPARSE_H_
