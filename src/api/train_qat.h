#ifndef LITESMITH_API_TRAIN_QAT_H_
#define LITESMITH_API_TRAIN_QAT_H_

#include "api/train_stages.h"

namespace litesmith {

// The stage that trains for a quantization recipe and leaves the integer model.
absl::Status CheckQat(const TrainRequest& request);
absl::Status RunQat(Graph* graph, const StageArgs& args);

}  // namespace litesmith

#endif  // LITESMITH_API_TRAIN_QAT_H_
