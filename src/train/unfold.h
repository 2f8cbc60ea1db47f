#ifndef LITESMITH_TRAIN_UNFOLD_H_
#define LITESMITH_TRAIN_UNFOLD_H_

// Convolutions whose batch normalisation was folded into their weights train badly: a step moves
// channels of small and large weights alike. Here the normalisation comes back for the training
// (with the batch's own statistics), and is folded again afterwards.

#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "train/tape.h"

namespace litesmith {

// One convolution and its normalisation. Tensors of the original graph keep their numbers in the
// training graph.
struct UnfoldedConv {
  int32_t weights = -1, bias = -1;   // of both graphs
  int32_t gamma = -1, beta = -1;     // of the training graph, as are
  int32_t mean = -1, variance = -1;  // the batch's statistics
  int32_t settings = -1;
  int64_t channels = 0;
  bool depthwise = false;  // the channel is the weights' last axis, else the first

  size_t channel_of(int64_t index, int64_t count) const {
    return static_cast<size_t>(depthwise ? index % channels : index / (count / channels));
  }
};

struct UnfoldedGraph {
  Graph graph;
  std::vector<UnfoldedConv> convs;

  // The tensors with each convolution's statistics: means and variances in turn.
  std::vector<int32_t> StatisticTensors() const;
};

// Mean and variance of every channel of every convolution, in the order of `convs`.
struct ChannelStats {
  std::vector<double> mean, variance;
};

// Puts a normalisation behind every float CONV_2D and DEPTHWISE_CONV_2D whose weights and bias are
// constants of it alone and are `trained`; *graph gets a bias for those that have none. The
// result measures only: with the statistics of its run, StartNormalising makes it the same function
// by other parameters.
absl::StatusOr<UnfoldedGraph> UnfoldBatchNorm(const std::function<bool(int32_t)>& trained,
                                              Graph* graph);
void StartNormalising(const std::vector<ChannelStats>& stats, UnfoldedGraph* unfolded);

// The original graph's parameters that do what the training graph's do with these statistics.
void FoldParameters(const UnfoldedGraph& unfolded, const std::vector<ChannelStats>& stats,
                    const Parameters& from, std::span<const float> values, const Parameters& to,
                    std::span<float> folded);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_UNFOLD_H_
