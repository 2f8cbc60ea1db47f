#ifndef LITESMITH_TRAIN_H_
#define LITESMITH_TRAIN_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/model.h"
#include "litesmith/report.h"

namespace litesmith {

enum class TrainOptimizer { kAdam, kAdamW, kSgd };

// How the learning rate moves over the steps: constant; cosine, down to 0; step, to a tenth after
// one half and again after three quarters.
enum class TrainSchedule { kConstant, kCosine, kStep };

enum class TrainLoss {
  kAuto,                // by the operator that closes the first output: SOFTMAX cross-entropy,
                        // LOGISTIC binary cross-entropy, else mean squared error
  kCrossEntropy,        // classes by label; the output is a SOFTMAX
  kBinaryCrossEntropy,  // yes or no per output value; the output is a LOGISTIC
  kMeanSquaredError,    // against the data's targets; without targets against the input itself
};

// Where the ranges of activations come from while training for a recipe, and the weights' scales.
enum class TrainQatRanges {
  kLearnt,    // trained with the weights (learnt step size)
  kAveraged,  // moving averages of the batches' ranges, frozen for the last quarter; weights'
              // scales from their values
};

// Training of a float model on labelled data (or data with targets). Defaults fit a fine-tune.
struct TrainRequest {
  DataSource data;
  // Samples to measure after each epoch. Empty: the split of `data` called val, validation or test,
  // where there is one besides the split that is trained on.
  std::string validation;

  int epochs = 3;  // of each stage
  int batch_size = 64;
  // Empty: 0.001 (Adam, AdamW), 0.01 (SGD with momentum 0.9); a tenth of it for clusters and for
  // int4 weights, a fiftieth for other recipes.
  std::optional<float> learning_rate;
  TrainOptimizer optimizer = TrainOptimizer::kAdam;
  // Empty: constant for a plain training, cosine for the stages (prune, cluster, qat).
  std::optional<TrainSchedule> schedule;
  std::optional<float> weight_decay;  // empty: 0.004 for AdamW, else 0
  float clip_norm = 0.0f;             // the largest norm of a step's gradient; 0: any
  uint64_t seed = 0;                  // of the order of the samples and of their augmentation
  TrainLoss loss = TrainLoss::kAuto;

  // Pictures are mirrored left to right one time in two, and shifted by up to an eighth of their
  // size, in the training only.
  bool flip = false, crop = false;

  // A model whose answers are learnt too (distillation): its file, with float inputs like the
  // model's. The loss is teacher_weight * KL divergence from its answers, softened by
  // `temperature`, and the rest cross-entropy with the labels; data without labels leaves the first
  // alone.
  std::string teacher;
  float teacher_weight = 0.5f;
  float temperature = 2.0f;

  // Train convolutions with a batch normalisation behind them, folded into them afterwards. Empty:
  // where the model had one when it was trained, as far as its layers or names tell.
  std::optional<bool> batch_norm;

  // Layers whose name (or whose weights' name) matches this POSIX extended regular expression keep
  // their values. Empty: all are trained.
  std::string freeze;

  // Stop a stage after this many epochs without a lower loss (validation loss where there is one);
  // 0: never.
  int patience = 0;
  // Keep the weights of the epoch with the lowest such loss instead of the last one's.
  bool keep_best = false;

  // Zeros in the weights: "0.8" (that share of all; depthwise and very small ones stay dense),
  // "2:4" (two of every four neighbours along the input dimension), "1x4=0.8", "1x16=0.8" (blocks);
  // "channels=0.5" cuts that share of the channels out of the graph. Empty: none.
  std::string prune;
  // A number of distinct values per weight tensor, zero included: "16"; then, after commas,
  // "density" or "linear" (where the centroids begin, instead of k-means++) and "per-channel".
  std::string cluster;
  // Pruned weights are stored as TFLite's sparse tensors where that saves a third of their bytes
  // and LiteRT reads them so.
  bool sparse_encoding = true;

  // Train for this recipe (int8, int16x8, static_wi4_ai8, or the .json of a mixed one) and leave the quantized model. Calibrated
  // on `num_calibration_samples` of the data first.
  std::string qat;
  TrainQatRanges qat_ranges = TrainQatRanges::kLearnt;
  int64_t num_calibration_samples = 300;
  ElementType input_type = ElementType::kFloat32, output_type = ElementType::kFloat32;
  bool allow_float = false;  // nodes that the recipe cannot quantize stay float

  // A folder for the state after every epoch; with `resume`, training goes on from the state found
  // there and ends with the same bytes as if it had never stopped.
  std::string checkpoint;
  bool resume = false;
};

// One pass over the training data.
struct EpochSummary {
  int epoch = 0;  // from 1
  double loss = 0.0;
  double accuracy = 0.0;  // over the training samples, as seen during the epoch
  double seconds = 0.0;
  std::string stage;         // "train", "prune", "cluster", "qat"
  int epochs = 0;            // of this stage
  bool has_accuracy = true;  // the loss knows right answers from wrong ones
  bool validated = false;    // the two below are there
  double validation_loss = 0.0, validation_accuracy = 0.0;
};

struct TrainedModel {
  Model model;
  // {"epochs": [...], …}, with "compression" and "channels" where weights were pruned or clustered
  // (docs/commands.md), and what the stages have to tell as tables
  Report report;
};

// Trains a copy of the model's float weights. Keras imports and float16 files become plain float
// first. The order of samples, and so the result, depends on the request and the instruction set
// alone, not on the number of threads. Errors name what cannot be trained: an operator without
// gradient with the layers it blocks, a quantized model, labels beyond the outputs; a loss that is
// no longer a number says where that began, and the checkpoint of the last good epoch stays.
absl::StatusOr<TrainedModel> Train(const Model& model, const TrainRequest& request,
                                   const Context& context = {},
                                   const std::function<void(const EpochSummary&)>& on_epoch = {});

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_H_
