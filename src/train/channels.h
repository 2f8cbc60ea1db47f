#ifndef LITESMITH_TRAIN_CHANNELS_H_
#define LITESMITH_TRAIN_CHANNELS_H_

// Structured pruning: whole output channels are taken out of the graph, and every tensor that
// depends on them becomes smaller. What is left is an ordinary dense network.

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

struct ChannelCut {
  std::string layer;  // as the source model calls it
  int32_t before = 0, after = 0;
  std::string why;  // why none were cut
};

// Takes the share `share` (rounded down, never all) of the channels out of every layer that makes
// some (CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV with constant weights); those with the smallest
// sums of squared weights go. Layers whose channels meet (residual additions) lose the same ones.
// Channels of inputs and outputs stay. Where the removed channels' values were zero, the results
// are the same but for the rounding of sums. An error, which names the first layer and what keeps
// it, where nothing can be cut; *graph is as before then.
absl::StatusOr<std::vector<ChannelCut>> CutChannels(double share, Graph* graph);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_CHANNELS_H_
