#ifndef LITESMITH_TRAIN_PRUNE_H_
#define LITESMITH_TRAIN_PRUNE_H_

// Pruning by magnitude: small weights become zero during a training and stay zero after it. Whole
// channels are cut by channels.h.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ir/graph.h"
#include "train/hook.h"
#include "train/weights.h"

namespace litesmith {

enum class PruneKind {
  kElements,  // any weights
  kGroups,    // all but N of every M neighbours along the input dimension (2:4)
  kBlocks,    // whole blocks of 1 x `block` along the input dimension
  kChannels,  // whole output channels; see channels.h
};

struct PruneSpec {
  PruneKind kind = PruneKind::kElements;
  double sparsity = 0.5;    // share of zeros (or of channels cut); kGroups: 1 - keep / group
  int keep = 0, group = 0;  // kGroups
  int block = 0;            // kBlocks: 4 or 16

  std::string ToString() const;  // as ParsePrune reads it
};

// "0.8", "2:4", "1x4=0.8", "1x16=0.8", "channels=0.5".
absl::StatusOr<PruneSpec> ParsePrune(std::string_view text);

// An error where no weights of the graph can be pruned so, saying why. Not for kChannels.
absl::Status CheckPrunable(const Graph& graph, const PruneSpec& spec);

// Why these weights stay as they are; "" where they are pruned. `all`: elements of all weights.
// Depthwise kernels, and tensors with less than a hundredth of all elements, are left alone: they
// would save next to nothing, and each of their values counts.
std::string WhyNotPruned(const Graph& graph, const PruneSpec& spec, const Weights& weights,
                         size_t all);

// Reaches the sparsity along the cubic of Zhu and Gupta 2017 (arXiv:1710.01878) over the first part
// of the steps (15 % for half of the weights, 38 % for 80 % of them), in at most 100 updates, and
// holds it. Every pruned tensor loses the same share: with kElements as much that `sparsity` of all
// weights are zero (but at most half of what would be left), otherwise `sparsity`. What is zero
// stays zero, from the beginning.
// REQUIRES: not kChannels.
std::unique_ptr<TrainHook> MakePruning(const PruneSpec& spec);

// Zeros stay zeros in weights that are partly zero: for what is trained after a pruning. Tensors of
// zeros alone (a kernel that starts at zero) are trained freely.
std::unique_ptr<TrainHook> MakeKeepZeros();

// All at once, without a training.
absl::Status PruneNow(const PruneSpec& spec, Graph* graph);

// The share of zeros of the schedule above at `step` of `ramp`.
double PruneSchedule(double target, int64_t step, int64_t ramp);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_PRUNE_H_
