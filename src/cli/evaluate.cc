#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::vector<std::string> models;
  EvaluateRequest request;
  std::string json;
};

absl::Status DoEvaluate(const Flags& flags, const Context& context) {
  const auto models = FindModels(flags.models);
  if (!models.ok()) return models.status();
  std::vector<std::string> inputs = *models;
  inputs.push_back(flags.request.data.path);
  inputs.push_back(flags.request.data.labels);
  if (absl::Status status = CheckJson(flags.json, inputs); !status.ok()) return status;
  const auto report = EvaluateFiles(*models, flags.request, context);
  if (!report.ok()) return report.status();
  return Deliver(*report, flags.json);
}

}  // namespace

void AddEvaluate(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand("evaluate", "Accuracy (or error) of models on a data set");
  auto flags = Declare<Flags>(sub, chosen, DoEvaluate);
  sub->add_option("MODEL", flags->models, "Models; a folder means every .tflite in it")->required();
  sub->add_option("--data", flags->request.data.path,
                  "IDX folder, picture folder or .tar[.gz], .npy, .npz")
      ->required()
      ->type_name("PATH");
  AddPreprocessing(sub, &flags->request.data);
  sub->add_option("--metric", flags->request.metric, "accuracy needs labels, mse and mae targets")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Metric>{
          {"accuracy", Metric::kAccuracy}, {"mse", Metric::kMse}, {"mae", Metric::kMae}}))
      ->option_text("accuracy|mse|mae");
  AddKernels(sub, &flags->request.kernels, &flags->request.arithmetic);
  AddJson(sub, &flags->json);
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith evaluate model.tflite --data mnist/\n"
      "  litesmith evaluate mnist_tflite_models --data mnist/ --json results.json\n"
      "  litesmith evaluate model.tflite --data pictures/ --split val --mean 127.5 --std 127.5");
}

}  // namespace litesmith::cli
