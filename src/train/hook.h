#ifndef LITESMITH_TRAIN_HOOK_H_
#define LITESMITH_TRAIN_HOOK_H_

// What pruning, clustering and quantization-aware training add to the training loop.

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "base/threads.h"
#include "ir/graph.h"
#include "train/tape.h"

namespace litesmith {

// One object serves one training; all calls come from the training's own thread. A hook keeps no
// state that cannot be formed again from the step's number and the parameters' values: that is
// what makes a resumed training end with the bytes of an uninterrupted one.
class TrainHook {
 public:
  struct Start {
    const Graph& graph;            // the trained one
    const Parameters& parameters;  // where each tensor lies in `values`
    int64_t step = 0;              // the first to come: 0, or more when resumed
    int64_t steps_per_epoch = 0;
    int64_t total_steps = 0;
  };

  virtual ~TrainHook() = default;

  // Once, before the first step. May change the values.
  virtual absl::Status Begin(const Start& start, std::span<float> values) = 0;

  // Before that step: `parts`, each as long as `values`, sum up to the gradient. May change them.
  virtual absl::Status BeforeStep(int64_t /*step*/, std::span<float* const> /*parts*/) {
    return absl::OkStatus();
  }

  // After the optimizer's step number `step`, counted from 0. May change the values (masks,
  // centroids).
  virtual absl::Status AfterStep(int64_t step, std::span<float> values, ThreadPool* threads) = 0;

  // Whether the model after `step` steps is what the training is meant to produce (the target
  // sparsity is reached …): the best epoch is chosen among such.
  virtual bool Settled(int64_t step) const = 0;

  // Every setting that changes the result, for the checkpoint's fingerprint.
  virtual std::string Describe() const = 0;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_HOOK_H_
