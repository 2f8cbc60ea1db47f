#include "api/train_stages.h"

#include "api/train_compress.h"
#include "api/train_qat.h"

namespace litesmith {
namespace {

absl::Status FineTune(Graph* graph, const StageArgs& args) {
  TrainOptions options = args.options;
  options.train_operands = true;
  return Train(graph, args.data, options, args.context, args.on_epoch);
}

// In the order in which they run; "train" is last, as it runs only where no other has.
constexpr Stage kStages[] = {
    {"prune", WantsPruning, PruneStage},
    {"cluster", WantsClustering, ClusterStage},
    {"qat", [](const TrainRequest& request) { return !request.qat.empty(); }, RunQat},
    {"train", [](const TrainRequest&) { return true; }, FineTune},
};

}  // namespace

std::span<const Stage> TrainStages() { return kStages; }

absl::Status CheckStages(const TrainRequest& request) {
  LS_RETURN_IF_ERROR(CheckCompression(request));
  LS_RETURN_IF_ERROR(CheckQat(request));
  return absl::OkStatus();
}

TrainOptions StageOptions(const StageArgs& args, float rate) {
  constexpr double kWarmup = 0.05;  // of the steps
  TrainOptions out = args.options;
  if (!args.request.learning_rate) out.optimizer.learning_rate *= rate;
  if (!args.request.schedule) out.schedule.kind = ScheduleKind::kCosine;
  out.schedule.warmup = kWarmup;
  return out;
}

EpochSummary Summarise(const EpochResult& result, const char* stage, const TrainOptions& options) {
  EpochSummary out;
  out.epoch = result.epoch;
  out.loss = result.loss;
  out.accuracy = result.accuracy;
  out.seconds = result.seconds;
  out.stage = stage;
  out.epochs = options.epochs;
  out.has_accuracy = result.has_accuracy;
  out.validated = result.validated;
  out.validation_loss = result.validation_loss;
  out.validation_accuracy = result.validation_accuracy;
  return out;
}

}  // namespace litesmith
