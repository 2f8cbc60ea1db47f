#ifndef LITESMITH_DEPLOY_TFLM_KERNELS_H_
#define LITESMITH_DEPLOY_TFLM_KERNELS_H_

// What tflite-micro's reference kernels ask for while a model is prepared.

#include <cstddef>
#include <vector>

#include "ir/graph.h"

namespace litesmith {

struct TflmRequests {
  std::vector<size_t> persistent;  // bytes kept for good, beside the kernel's user data
  std::vector<size_t> scratch;     // bytes needed while the node runs
};

// REQUIRES: the node's tensors have the ranks that its kernel asks for (shape inference was OK).
TflmRequests RequestsOf(const Subgraph& subgraph, const Node& node, size_t pointer_bytes);

// Bytes of an element in tflite-micro's memory; 0 for types that it has not.
size_t TflmElementBytes(TensorType type);

}  // namespace litesmith

#endif  // LITESMITH_DEPLOY_TFLM_KERNELS_H_
