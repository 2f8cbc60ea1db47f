#ifndef LITESMITH_TRAIN_CHECKPOINT_H_
#define LITESMITH_TRAIN_CHECKPOINT_H_

// The state of a training between two epochs, and its file. Orders of samples are drawn from the
// seed and the epoch's number, so this is all that a later process needs to end with the same
// bytes.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "litesmith/context.h"
#include "train/tape.h"

namespace litesmith {

struct TrainOptions;

struct TrainState {
  int epoch = 0;             // whole epochs done
  uint64_t fingerprint = 0;  // of the model and the options it belongs to
  int64_t optimizer_steps = 0;
  int epochs_without_gain = 0;
  double best_loss = std::numeric_limits<double>::infinity();
  std::vector<float> values, best, optimizer;
};

// Of the graph (operators, shapes, names of the parameters and their values at the start), the
// number of samples, and every option that changes the result, except the number of epochs where
// the schedule does not depend on it.
uint64_t Fingerprint(const Graph& graph, const Parameters& parameters, const TrainOptions& options,
                     int64_t samples = 0);

// DIR/checkpoint.lsc, replaced as a whole: a kill or a full disk leaves the one before.
absl::Status WriteCheckpoint(const std::string& directory, const TrainState& state);

// No value when there is no such file. Damaged files are errors.
absl::StatusOr<std::optional<TrainState>> ReadCheckpoint(const std::string& directory,
                                                         const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_CHECKPOINT_H_
