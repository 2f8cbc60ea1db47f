#ifndef LITESMITH_API_TRAIN_COMPRESS_H_
#define LITESMITH_API_TRAIN_COMPRESS_H_

// Pruning and clustering as stages of `train`, and what they gained.

#include <memory>
#include <string_view>
#include <vector>

#include "api/train_stages.h"
#include "train/hook.h"

namespace litesmith {

bool WantsPruning(const TrainRequest& request);
bool WantsClustering(const TrainRequest& request);
absl::Status CheckCompression(const TrainRequest& request);

absl::Status PruneStage(Graph* graph, const StageArgs& args);
absl::Status ClusterStage(Graph* graph, const StageArgs& args);

// What keeps, in the stage of this name, the zeros and the clusters that the stages before it made:
// the first of its hooks.
std::vector<std::unique_ptr<TrainHook>> KeepingHooks(const TrainRequest& request,
                                                     std::string_view stage);

// Stores pruned weights sparse where the request allows.
void StoreSparse(const TrainRequest& request, Graph* graph);

// StoreSparse, and reports on what was pruned or
// clustered, beside the graph that the stages began with. Does nothing where neither was wanted.
absl::Status FinishCompression(const TrainRequest& request, const Graph& before,
                               const Context& context, Graph* graph, Report* report);

}  // namespace litesmith

#endif  // LITESMITH_API_TRAIN_COMPRESS_H_
