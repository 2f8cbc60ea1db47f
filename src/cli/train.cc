#include <fmt/format.h>

#include <algorithm>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string input, output, weights, json;
  std::vector<std::string> augment;
  TrainRequest request;
};

void PrintEpoch(std::FILE* to, const EpochSummary& e) {
  std::string line = fmt::format("{} {}/{}: loss {:.4f}", e.stage == "train" ? "epoch" : e.stage,
                                 e.epoch, e.epochs, e.loss);
  if (e.has_accuracy) line += fmt::format(", accuracy {:.2f} %", 100.0 * e.accuracy);
  if (e.validated) {
    line += fmt::format("; validation loss {:.4f}", e.validation_loss);
    if (e.has_accuracy) line += fmt::format(", accuracy {:.2f} %", 100.0 * e.validation_accuracy);
  }
  fmt::print(to, "{}; {:.2f} s\n", line, e.seconds);
  std::fflush(to);
}

absl::Status DoTrain(const Flags& flags, const Context& context) {
  TrainRequest request = flags.request;
  for (const std::string& name : flags.augment) {
    request.flip = request.flip || name == "flip";
    request.crop = request.crop || name == "crop";
  }
  const auto model = Model::Load(flags.input, context, flags.weights);
  if (!model.ok()) return model.status();
  if (absl::Status status = model->CheckOutput(flags.output); !status.ok()) return status;
  const std::vector<std::string> inputs = {request.data.path, request.data.labels,
                                           request.validation, request.teacher};
  if (absl::Status status = CheckWritable(flags.output, inputs); !status.ok()) return status;
  std::vector<std::string> files = inputs;
  files.insert(files.end(), {flags.input, flags.weights, flags.output});
  if (absl::Status status = CheckJson(flags.json, files); !status.ok()) return status;
  // Lines go beside the JSON where that is on standard output.
  std::FILE* lines = flags.json == "-" ? stderr : stdout;
  auto trained =
      Train(*model, request, context, [&](const EpochSummary& e) { PrintEpoch(lines, e); });
  if (!trained.ok()) return trained.status();
  if (absl::Status status = trained->model.Save(flags.output); !status.ok()) return status;
  trained->report.notes.push_back(fmt::format("written: {}", flags.output));
  return Deliver(trained->report, flags.json);
}

void AddTraining(CLI::App* sub, Flags* flags) {
  TrainRequest& request = flags->request;
  const CLI::Range count(1, 1000000000);
  sub->add_option("--epochs", request.epochs, "Passes over the data, of each stage (default 3)")
      ->check(count)
      ->option_text("N");
  sub->add_option("--batch-size", request.batch_size, "Samples of a step (default 64)")
      ->check(CLI::Range(1, 1000000))
      ->option_text("N");
  sub->add_option("--learning-rate", request.learning_rate,
                  "Size of the steps (default 0.001; sgd 0.01; to cluster and for int4 weights a "
                  "tenth, with other --qat a fiftieth)")
      ->option_text("R");
  sub->add_option("--optimizer", request.optimizer, "sgd has momentum 0.9 (default adam)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, TrainOptimizer>{{"adam", TrainOptimizer::kAdam},
                                                {"adamw", TrainOptimizer::kAdamW},
                                                {"sgd", TrainOptimizer::kSgd}}))
      ->option_text("sgd|adam|adamw");
  sub->add_option(
         "--schedule", request.schedule,
         "The learning rate stays (default), falls like a cosine to 0 (default with --prune, "
         "--cluster and --qat), or to a tenth after a half and again after three quarters")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, TrainSchedule>{{"constant", TrainSchedule::kConstant},
                                               {"cosine", TrainSchedule::kCosine},
                                               {"step", TrainSchedule::kStep}}))
      ->option_text("cosine|step|constant");
  sub->add_option("--weight-decay", request.weight_decay,
                  "How strongly weights are pulled to 0 (default 0; adamw 0.004)")
      ->option_text("R");
  sub->add_option("--clip-norm", request.clip_norm, "Largest norm of a step's gradient")
      ->option_text("R");
  sub->add_option("--loss", request.loss,
                  "Default: cross-entropy after a softmax, bce after a sigmoid, else mse (against "
                  "the inputs where the data has no targets)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, TrainLoss>{{"cross-entropy", TrainLoss::kCrossEntropy},
                                           {"bce", TrainLoss::kBinaryCrossEntropy},
                                           {"mse", TrainLoss::kMeanSquaredError}}))
      ->option_text("cross-entropy|bce|mse");
  sub->add_option("--augment", flags->augment,
                  "Change training pictures at random: flip (left to right), crop (shift)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"flip", "crop"}))
      ->option_text("flip,crop");
  sub->add_option("--teacher", request.teacher,
                  "Learn a model's answers too (distillation), with labels or without")
      ->type_name("MODEL");
  sub->add_option("--teacher-weight", request.teacher_weight,
                  "Share of the teacher in the loss where there are labels (default 0.5)")
      ->option_text("R");
  sub->add_option("--temperature", request.temperature,
                  "Softens the teacher's answers and the model's (default 2)")
      ->option_text("R");
  sub->add_option("--batch-norm", request.batch_norm,
                  "Train convolutions with batch normalization, folded into them at the end "
                  "(default: where the model was trained so)")
      ->transform(
          CLI::CheckedTransformer(std::map<std::string, bool>{{"on", true}, {"off", false}}))
      ->option_text("on|off");
  sub->add_option("--qat", request.qat,
                  "Train for this recipe and write the quantized model: int8, int16x8, "
                  "static_wi4_ai8 (int4 weights), or a mixed recipe's file")
      ->type_name("RECIPE");
  sub->add_option("--qat-ranges", request.qat_ranges,
                  "Scales are learnt with the weights (default), or follow the ranges seen")
      ->transform(CLI::CheckedTransformer(std::map<std::string, TrainQatRanges>{
          {"learnt", TrainQatRanges::kLearnt}, {"averaged", TrainQatRanges::kAveraged}}))
      ->option_text("learnt|averaged");
  const std::map<std::string, ElementType> types = {{"float32", ElementType::kFloat32},
                                                    {"int8", ElementType::kInt8},
                                                    {"uint8", ElementType::kUint8},
                                                    {"int16", ElementType::kInt16}};
  sub->add_option("--input-type", request.input_type, "Type of the quantized model's inputs")
      ->transform(CLI::CheckedTransformer(types))
      ->option_text("float32|int8|uint8|int16");
  sub->add_option("--output-type", request.output_type, "Type of the quantized model's outputs")
      ->transform(CLI::CheckedTransformer(types))
      ->option_text("float32|int8|uint8|int16");
  sub->add_option("--num-calibration-samples", request.num_calibration_samples,
                  "Samples to find the first ranges with (default 300)")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  sub->add_flag("--allow-float", request.allow_float,
                "Leave operators that the recipe cannot quantize in float, instead of failing");
  sub->add_option("--freeze", request.freeze,
                  "Keep the values of layers whose name matches (extended regular expression)")
      ->type_name("REGEX");
  sub->add_option("--patience", request.patience,
                  "Stop after N epochs without a lower (validation) loss")
      ->check(count)
      ->option_text("N");
  sub->add_flag("--keep-best", request.keep_best,
                "Keep the epoch with the lowest (validation) loss instead of the last");
  sub->add_option("--seed", request.seed, "Start of all random numbers (default 0)")
      ->option_text("N");
  sub->add_option("--prune", request.prune,
                  "Zeros: 0.8 (share of the weights), 2:4, 1x4=0.8, 1x16=0.8 (blocks); "
                  "channels=0.5 cuts that share of the channels out of the network")
      ->type_name("HOW");
  sub->add_option("--cluster", request.cluster,
                  "Distinct values per weight tensor: 16; or 16,density or 16,linear (how the "
                  "centroids begin) and ,per-channel")
      ->type_name("HOW");
  sub->add_flag_callback(
      "--no-sparse-encoding", [&request] { request.sparse_encoding = false; },
      "Store the zeros of --prune plainly, for runtimes without sparse tensors");
  sub->add_option("--checkpoint", request.checkpoint, "Folder for the state after every epoch")
      ->type_name("DIR");
  sub->add_flag("--resume", request.resume,
                "Go on from the checkpoint; the result has the bytes of an uninterrupted run");
}

}  // namespace

void AddTrain(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand("train", "Fine-tune a float model on your data");
  auto flags = Declare<Flags>(sub, chosen, DoTrain);
  sub->add_option("MODEL", flags->input, "Float model: .keras, .h5, architecture .json, .tflite")
      ->required();
  sub->add_option("-o,--output", flags->output, "The .tflite to write")
      ->required()
      ->type_name("OUT.tflite");
  sub->add_option("--weights", flags->weights, "The .weights.h5 of an architecture .json")
      ->type_name("W.h5");
  sub->add_option("--data", flags->request.data.path,
                  "Training samples: IDX folder, picture folder or .tar[.gz], .npy, .npz")
      ->required()
      ->type_name("PATH");
  sub->add_option("--validation-data", flags->request.validation,
                  "Samples to measure after each epoch (default: the val or test split of --data)")
      ->type_name("PATH");
  AddPreprocessing(sub, &flags->request.data);
  AddTraining(sub, flags.get());
  AddJson(sub, &flags->json);
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith train model.tflite -o tuned.tflite --data mnist/\n"
      "  litesmith train resnet8.h5 -o tuned.tflite --data cifar10/ --std 1 --epochs 6 \\\n"
      "      --schedule cosine --augment flip,crop\n"
      "  litesmith train model.tflite -o sparse.tflite --data mnist/ --prune 0.8\n"
      "  litesmith train model.tflite -o slim.tflite --data mnist/ --prune channels=0.5\n"
      "  litesmith train model.tflite -o few.tflite --data mnist/ --prune 0.5 --cluster 16\n"
      "  litesmith train model.tflite -o small.tflite --data mnist/ --qat int8\n"
      "  litesmith train model.tflite -o head.tflite --data pictures/ --freeze '^conv'\n"
      "  litesmith train model.tflite -o tuned.tflite --data mnist/ --epochs 20 --checkpoint ckpt "
      "\\\n"
      "      --resume");
}

}  // namespace litesmith::cli
