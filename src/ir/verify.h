#ifndef LITESMITH_IR_VERIFY_H_
#define LITESMITH_IR_VERIFY_H_

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

// Checks everything that later rooms take for granted, so that asserts suffice after it: indices in range,
// every tensor made once and before it is read, constants exactly as large as their type and shape say,
// quantization parameters finite, positive and as many as the dimension they lie on, zero points within the
// type, signatures and subgraph references in range, no subgraph calling itself. Errors name subgraph, node or
// tensor. Says nothing about what an operator makes of its inputs: that is the operator record's shape inference.
// A tensor with `sparsity` is exempt from the size rule, one with `external_buffer` counts as having a value: who
// reads values refuses both.
absl::Status Verify(const Graph& graph);

}  // namespace litesmith

#endif  // LITESMITH_IR_VERIFY_H_
