#ifndef LITESMITH_TRAIN_TRAIN_H_
#define LITESMITH_TRAIN_TRAIN_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

// Adam (Kingma and Ba 2015, arXiv:1412.6980) with Keras' defaults.
struct AdamOptions {
  float learning_rate = 1e-3f;
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-7f;
};

struct TrainOptions {
  int epochs = 5;
  int batch_size = 64;
  uint64_t seed = 0;
  AdamOptions adam;
};

struct EpochResult {
  int epoch = 0;  // from 1
  double loss = 0.0;
  double accuracy = 0.0;  // over the training samples, as seen during the epoch
  double seconds = 0.0;
};

// Trains the float constants of the main subgraph (weights and biases: those whose operator's record gives them
// the role of weight or bias) in place by cross-entropy on the labels. The first output must be a SOFTMAX over
// the classes. Deterministic for a seed, whatever the number of threads. `on_epoch` is called after each epoch.
absl::Status TrainClassifier(Graph* graph, Dataset* data, const TrainOptions& options,
                             const Context& context,
                             const std::function<void(const EpochResult&)>& on_epoch);

// The seed documents' network: 28x28x1 -> Conv2D(8, 3x3, relu) -> MaxPool 2x2 -> Flatten -> Dense 16 relu ->
// Dense 10 softmax, Glorot-uniform weights, batch -1.
Graph MnistNetwork(uint64_t seed);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_TRAIN_H_
