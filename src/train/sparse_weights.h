#ifndef LITESMITH_TRAIN_SPARSE_WEIGHTS_H_
#define LITESMITH_TRAIN_SPARSE_WEIGHTS_H_

// TFLite's sparse tensors for pruned weights.

#include <cstdint>
#include <string>

#include "ir/graph.h"

namespace litesmith {

// Stores pruned weights sparse where that takes at least a third off their bytes and a kernel of
// LiteRT reads them: FULLY_CONNECTED float in compressed rows or in blocks of 1x4, int8 in blocks
// of 1x16. Float weights of other operators go behind a DENSIFY node, which costs nothing but the
// unpacking when a model is loaded, and saves no time. All else stays as it is. Returns how many
// tensors were stored so.
int EncodeSparseWeights(Graph* graph);

// "dense", "random", "1x4", "1x16": how a constant is stored.
std::string StoredAs(const Tensor& tensor);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_SPARSE_WEIGHTS_H_
