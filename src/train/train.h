#ifndef LITESMITH_TRAIN_TRAIN_H_
#define LITESMITH_TRAIN_TRAIN_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "train/augment.h"
#include "train/hook.h"
#include "train/loss.h"
#include "train/optimizer.h"

namespace litesmith {

struct TrainOptions {
  int epochs = 5;
  int batch_size = 64;
  uint64_t seed = 0;
  OptimizerOptions optimizer;  // Adam with Keras' defaults
  Schedule schedule;           // constant
  LossKind loss = LossKind::kAuto;
  Augmentation augment;  // of the training samples
  // A model whose probabilities are learnt too, with or without labels: float inputs of the same
  // shapes, and as many float outputs. The loss must be cross-entropy. Null: none.
  std::shared_ptr<const Graph> teacher;
  Distillation distillation;
  // Constant vectors that trained values are multiplied by or added to (the scales of a
  // normalisation made of primitives, PRELU's slopes) and tables that rows are gathered from are
  // trained too.
  bool train_operands = false;
  // Convolutions are trained with a batch normalisation behind them, which is folded into them
  // afterwards; see unfold.h. For networks that were trained so.
  bool batch_norm = false;
  // Tensors and layers whose name (or source name) this accepts keep their values. Null: all are
  // trained.
  std::function<bool(const std::string& name)> freeze;
  // Stop after this many epochs without a lower loss (validation loss where there is one); 0:
  // never.
  int patience = 0;
  // Keep the parameters of the epoch with the lowest loss instead of the last one's.
  bool keep_best = false;
  // Samples to measure after each epoch, with labels or targets as `data` has them; null: none.
  Dataset* validation = nullptr;
  // A folder for the state after every epoch ("" : none); see TrainCheckpoint in checkpoint.h.
  std::string checkpoint_dir;
  // Go on from the state in checkpoint_dir, where there is one: the result has the bytes of an
  // uninterrupted run.
  bool resume = false;
  // Called in this order; they must outlive the training. See hook.h.
  std::vector<TrainHook*> hooks;
  // Gives some tensors' values in all forward passes (qat.h); null: all are computed. Must outlive
  // the training. REQUIRES: no batch_norm.
  ForwardModel* forward = nullptr;
};

struct EpochResult {
  int epoch = 0;          // from 1
  double loss = 0.0;      // mean over the samples, as seen during the epoch
  double accuracy = 0.0;  // share of right answers, likewise; 0 for losses without classes
  double seconds = 0.0;
  bool has_accuracy = false;
  bool validated = false;
  double validation_loss = 0.0, validation_accuracy = 0.0;
};

// Trains the float constants of the main subgraph (weights and biases: those whose operator's
// record gives them the role of weight or bias) in place. The loss is formed on the first output;
// see LossKind. The samples of every epoch come in a new order drawn from the seed; the last batch
// may be smaller. Deterministic: the same graph, data, options and instruction set give the same
// bytes, whatever the number of threads. Where the loss becomes NaN or infinite it stops with an
// error that says in which epoch and batch, and *graph keeps the last whole epoch's values.
// `on_epoch` (may be null) is called after each epoch on the calling thread.
//
// Memory: one copy of the activations and gradients of a few samples per thread, the parameters'
// gradients a few times, and, where the data set cannot be read at random by several threads, a
// copy of the samples if that takes no more than a quarter of context.memory_budget.
absl::Status Train(Graph* graph, Dataset* data, const TrainOptions& options, const Context& context,
                   const std::function<void(const EpochResult&)>& on_epoch);

// Train by cross-entropy on the labels: the first output must be a SOFTMAX over the classes.
absl::Status TrainClassifier(Graph* graph, Dataset* data, const TrainOptions& options,
                             const Context& context,
                             const std::function<void(const EpochResult&)>& on_epoch);

// The seed documents' network: 28x28x1 -> Conv2D(8, 3x3, relu) -> MaxPool 2x2 -> Flatten -> Dense
// 16 relu -> Dense 10 softmax, Glorot-uniform weights, batch -1.
Graph MnistNetwork(uint64_t seed);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_TRAIN_H_
