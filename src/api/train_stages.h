#ifndef LITESMITH_API_TRAIN_STAGES_H_
#define LITESMITH_API_TRAIN_STAGES_H_

// The stages of `train`. Each takes the graph that the one before leaves and leaves another.

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/report.h"
#include "litesmith/train.h"
#include "train/train.h"

namespace litesmith {

struct StageArgs {
  const TrainRequest& request;
  Dataset* data;
  // The request's flags, this stage's checkpoint folder, and validation; hooks are the stage's to
  // add.
  TrainOptions options;
  const Context& context;
  // To be given to Train.
  std::function<void(const EpochResult&)> on_epoch;
  // What the stage has to tell: tables, notes, and a member of `data` named like the stage.
  Report* report;
};

struct Stage {
  const char* name;  // in reports, and the name of its folder in the checkpoint
  bool (*wanted)(const TrainRequest& request);
  absl::Status (*run)(Graph* graph, const StageArgs& args);
};

// In the order in which they run. The plain training runs where no other stage is wanted.
std::span<const Stage> TrainStages();

// Checks a request before any long work: each stage's part is a line in CheckStages.
absl::Status CheckStages(const TrainRequest& request);

// The options of a stage that starts from a trained model. What the caller left open: steps of
// `rate` times the usual size, which rise from 0 (an optimizer's first steps are as long as any,
// and its directions at their worst) and fall like a cosine.
TrainOptions StageOptions(const StageArgs& args, float rate);

EpochSummary Summarise(const EpochResult& result, const char* stage, const TrainOptions& options);

}  // namespace litesmith

#endif  // LITESMITH_API_TRAIN_STAGES_H_
