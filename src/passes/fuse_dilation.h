#ifndef LITESMITH_PASSES_FUSE_DILATION_H_
#define LITESMITH_PASSES_FUSE_DILATION_H_

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

// SPACE_TO_BATCH_ND, a convolution, BATCH_TO_SPACE_ND become a dilated convolution where the
// padding is VALID or SAME then. One of the rewrites of passes.h, under its conditions.
absl::StatusOr<bool> FuseDilation(Graph* graph);

}  // namespace litesmith

#endif  // LITESMITH_PASSES_FUSE_DILATION_H_
