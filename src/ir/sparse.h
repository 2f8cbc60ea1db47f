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

// The same constant stored sparse: the last dimension in compressed rows, of blocks of 1 x `block`
// when that is more than 1. Elements whose bytes are all zero are left out.
// REQUIRES: a dense constant of a type with whole bytes, rank >= 1, `block` divides its last
// dimension.
Tensor EncodeSparse(const Tensor& dense, int block);

// Bytes of a constant in the file: its data, and what says where they lie.
uint64_t StoredBytes(const Tensor& tensor);

// Makes every sparse constant dense, but for those that DENSIFY nodes read.
absl::Status DensifyConstants(Graph* graph, uint64_t memory_budget);

}  // namespace litesmith

#endif  // LITESMITH_IR_SPARSE_H_
