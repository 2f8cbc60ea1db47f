#ifndef LITESMITH_TRAIN_CLUSTER_H_
#define LITESMITH_TRAIN_CLUSTER_H_

// Weight clustering: all values of a weight tensor (or of each of its output channels) come from a
// few centroids, so that files compress well.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "train/hook.h"
#include "train/weights.h"

namespace litesmith {

enum class ClusterInit {
  kKMeansPlusPlus,  // Arthur and Vassilvitskii 2007
  kDensity,         // at equal shares of the values in order
  kLinear,          // at equal steps from the smallest value to the largest
};

struct ClusterSpec {
  int clusters = 16;
  ClusterInit init = ClusterInit::kKMeansPlusPlus;
  bool per_channel = false;
  uint64_t seed = 0;

  std::string ToString() const;  // as ParseCluster reads it
};

// "16", "16,density", "32,linear,per-channel".
absl::StatusOr<ClusterSpec> ParseCluster(std::string_view text);

// An error where the graph has no weights to cluster.
absl::Status CheckClusterable(const Graph& graph);

// The values as centroids: Lloyd's algorithm on a line from `init` until nothing moves, each value
// then replaced by its centroid. Where there are zeros they stay, as a centroid of their own that
// counts among the `clusters`. Values that are `clusters` or fewer already stay as they are.
// REQUIRES: clusters >= 2; finite values.
void ClusterValues(std::span<float> values, int clusters, ClusterInit init, uint64_t seed);

// Clusters the weights before the first step, then moves each centroid by the mean of what its
// values' steps are (of plain gradient descent: by the mean of their gradients). Zeros stay zero.
std::unique_ptr<TrainHook> MakeClustering(const ClusterSpec& spec);

// Keeps weights clustered that are: those with at most `most` distinct values in all, or else in
// every output channel. Their centroids move as above, zeros stay.
std::unique_ptr<TrainHook> MakeKeepClusters(int most);

// All at once, without a training.
absl::Status ClusterNow(const ClusterSpec& spec, Graph* graph);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_CLUSTER_H_
