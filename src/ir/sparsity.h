#ifndef LITESMITH_IR_SPARSITY_H_
#define LITESMITH_IR_SPARSITY_H_

#include <cstdint>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

// The dense content of a constant stored sparse (TFLite's block compressed rows: a tree of
// dimensions in traversal order, each dense or with segments and indices; block dimensions last).
// Every size and index is checked; an error where the dense tensor would take more than
// `memory_budget` bytes. REQUIRES: tensor.sparsity.
absl::StatusOr<Blob> ExpandSparse(const Tensor& tensor, uint64_t memory_budget);

}  // namespace litesmith

#endif  // LITESMITH_IR_SPARSITY_H_
