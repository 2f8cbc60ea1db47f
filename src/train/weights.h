#ifndef LITESMITH_TRAIN_WEIGHTS_H_
#define LITESMITH_TRAIN_WEIGHTS_H_

// The weights that pruning and clustering work on.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "train/tape.h"

namespace litesmith {

// A trained weight of rank two or more: the kernels of convolutions and fully connected nodes, the
// matrices of recurrent ones. Biases, slopes of PRELU and tables of embeddings are none.
struct Weights {
  int32_t tensor = 0;
  size_t offset = 0;  // among the parameters
  size_t count = 0;
  int32_t node = 0;  // the first that reads it
  // Elements along the last dimension where that is what a product sums over (the input channels of
  // CONV_2D, the inputs of FULLY_CONNECTED), else 0.
  int32_t inner = 0;
  int32_t channel_axis = 0;  // the dimension of the output channels
  bool depthwise = false;
};

// Those among `parameters`, in their order.
std::vector<Weights> FindWeights(const Graph& graph, const Parameters& parameters);

// All float weights of the graph (FindParameters without a filter).
std::vector<Weights> FindWeights(const Graph& graph);

// Which operand of the node, if any, is such a weight.
std::optional<size_t> WeightsOperand(const Node& node);

// How reports and messages call it: the layer's name, else the tensor's, as users know it.
std::string WeightsLabel(const Graph& graph, const Weights& weights);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_WEIGHTS_H_
