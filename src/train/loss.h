#ifndef LITESMITH_TRAIN_LOSS_H_
#define LITESMITH_TRAIN_LOSS_H_

#include <cstdint>
#include <span>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

enum class LossKind {
  kAuto,          // by the operator that closes the first output: SOFTMAX cross-entropy, LOGISTIC
                  // binary cross-entropy, else mean squared error
  kCrossEntropy,  // classes by label; the output is a SOFTMAX
  kBinaryCrossEntropy,  // yes or no per output value, by label (one value) or targets; the output
                        // is a LOGISTIC
  kMeanSquaredError,  // against targets, or the input itself where the data has none and the sizes
                      // are equal
};

// Where the loss is formed: at the input of the closing SOFTMAX or LOGISTIC (their combined
// gradient, p - y, is exact where p rounds to 0 or 1), or at the output itself.
struct LossPlan {
  LossKind kind = LossKind::kCrossEntropy;
  int32_t target = -1;  // the tensor
  float beta = 1.0f;    // of SOFTMAX
};
absl::StatusOr<LossPlan> PlanLoss(const Graph& graph, LossKind kind);

// Learning from another model's probabilities (Hinton et al. 2015, arXiv:1503.02531): the loss is
// weight * T^2 * KL(teacher || student), both softened by the temperature T, and
// (1 - weight) * cross-entropy with the label where there are labels.
struct Distillation {
  float weight = 0.5f;
  float temperature = 2.0f;
};

// What a number of samples sums up to.
struct LossSum {
  double loss = 0.0;
  int64_t correct = 0;
};

// Rows of `width` values at `z` (logits or outputs), one per sample. Adds to *sum and, unless
// `gradient` is empty, writes d(loss)/dz * weight. A sample's loss is the mean over its values for
// the binary and squared kinds.
void CrossEntropy(std::span<const float> z, size_t width, float beta,
                  std::span<const int32_t> labels, float weight, std::span<float> gradient,
                  LossSum* sum);
// The same from `teacher` probabilities, and labels (none: empty). Right answers are the labels',
// else the teacher's.
void DistilledCrossEntropy(const Distillation& distillation, std::span<const float> z, size_t width,
                           float beta, std::span<const float> teacher,
                           std::span<const int32_t> labels, float weight, std::span<float> gradient,
                           LossSum* sum);
void BinaryCrossEntropy(std::span<const float> z, size_t width, std::span<const float> targets,
                        float weight, std::span<float> gradient, LossSum* sum);
void SquaredError(std::span<const float> z, size_t width, std::span<const float> targets,
                  float weight, std::span<float> gradient, LossSum* sum);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_LOSS_H_
