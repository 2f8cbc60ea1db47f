#include "api/train_qat.h"

#include "api/state.h"
#include "api/train_compress.h"
#include "tflite/notes.h"
#include "train/qat.h"

namespace litesmith {
namespace {

// Sizes of the steps: what the weights know is to be kept, and 8 bits change little of it.
constexpr float kRate = 0.02f, kRateOfInt4 = 0.1f;

absl::StatusOr<QatOptions> OptionsOf(const TrainRequest& request) {
  QatOptions out;
  LS_RETURN_IF_ERROR(ReadRecipe(request.qat, &out.quantize));
  LS_RETURN_IF_ERROR(CheckQatRecipe(out.quantize.recipe));
  out.quantize.input_type = request.input_type;
  out.quantize.output_type = request.output_type;
  out.quantize.allow_float = request.allow_float;
  out.quantize.num_calibration_samples = request.num_calibration_samples;
  out.quantize.seed = request.seed;
  out.ranges =
      request.qat_ranges == TrainQatRanges::kAveraged ? QatRanges::kAveraged : QatRanges::kLearnt;
  if (request.num_calibration_samples <= 0) {
    return Invalid("--num-calibration-samples is {}; at least one is needed",
                   request.num_calibration_samples);
  }
  return out;
}

}  // namespace

absl::Status CheckQat(const TrainRequest& request) {
  if (!request.qat.empty()) return OptionsOf(request).status();
  const bool integer =
      request.input_type != ElementType::kFloat32 || request.output_type != ElementType::kFloat32;
  if (integer)
    return Invalid("integer inputs and outputs need a recipe to train for: --qat RECIPE");
  return absl::OkStatus();
}

absl::Status RunQat(Graph* graph, const StageArgs& args) {
  LS_ASSIGN_OR_RETURN(const QatOptions options, OptionsOf(args.request));
  LS_ASSIGN_OR_RETURN(const std::unique_ptr<QatModel> qat,
                      QatModel::Create(*graph, args.data, options, args.context));
  const bool narrow = options.quantize.recipe.weight_bits == 4;
  TrainOptions training = StageOptions(args, narrow ? kRateOfInt4 : kRate);
  training.hooks.push_back(qat->hook());
  training.forward = qat->forward();
  LS_RETURN_IF_ERROR(Train(qat->graph(), args.data, training, args.context, args.on_epoch));
  LS_ASSIGN_OR_RETURN(*graph, qat->Export(args.context));
  nlohmann::json notes = ReadNotes(*graph);
  notes["recipe"] = options.quantize.recipe.name;
  WriteNotes(notes, graph);
  Value data;
  data.Set("recipe", options.quantize.recipe.name)
      .Set("ranges", options.ranges == QatRanges::kAveraged ? "averaged" : "learnt");
  args.report->data.Set("qat", std::move(data));
  return absl::OkStatus();
}

}  // namespace litesmith
