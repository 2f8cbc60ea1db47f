#ifndef LITESMITH_TRAIN_OPTIMIZER_H_
#define LITESMITH_TRAIN_OPTIMIZER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/threads.h"

namespace litesmith {

enum class OptimizerKind {
  kAdam,   // Kingma and Ba 2015, arXiv:1412.6980
  kAdamW,  // Loshchilov and Hutter 2019, arXiv:1711.05101
  kSgd,    // with momentum
};

// Defaults and arithmetic are Keras'.
struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdam;
  float learning_rate = 1e-3f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-7f;  // Adam
  float momentum = 0.9f;                                // SGD
  bool nesterov = false;
  float weight_decay = 0.0f;  // AdamW: decoupled; Adam and SGD: added to the gradient
  float clip_norm = 0.0f;     // the largest norm of the whole gradient; 0: any
};

enum class ScheduleKind { kConstant, kCosine, kStep };

// The learning rate's factor over the steps of the training.
struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  double warmup = 0.0;        // share of the steps in which it rises from 0
  double final_factor = 0.0;  // what cosine falls to
  double step_factor = 0.1;   // by which step falls, at each of:
  std::vector<double> step_at = {0.5, 0.75};

  double Factor(int64_t step, int64_t total) const;
};

// Errors name the option: rates that are not positive numbers and the like.
absl::Status CheckOptimizer(const OptimizerOptions& options);

// Updates a flat array of parameters. The state (moments, step count) is plain data, for
// checkpoints.
class Optimizer {
 public:
  Optimizer(const OptimizerOptions& options, size_t count);

  // `gradients`: parts to be summed, in this order, each as long as the parameters. `factor` scales
  // the learning rate. Allocates nothing.
  void Step(std::span<const float* const> gradients, double factor, std::span<float> parameters,
            ThreadPool* threads);

  int64_t steps() const { return steps_; }
  std::span<const float> state() const { return state_; }
  // REQUIRES: `state` is as long as state().
  void Restore(int64_t steps, std::span<const float> state);

 private:
  OptimizerOptions options_;
  size_t count_;
  int64_t steps_ = 0;
  std::vector<float> state_;           // first moments or velocities; then (Adam) second moments
  std::vector<float> sum_;             // clip_norm: the summed gradient
  std::vector<double> block_squares_;  // clip_norm: sums of squares, by block
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_OPTIMIZER_H_
