#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string model, output;
  DeployRequest request;
};

absl::Status DoDeploy(const Flags& flags, const Context& context) {
  const auto model = Model::Load(flags.model, context);
  if (!model.ok()) return model.status();
  const auto files = Deploy(*model, flags.request, context);
  if (!files.ok()) return files.status();
  if (absl::Status status = WriteProject(flags.output, *files); !status.ok()) return status;
  fmt::print("written: {} files in {}\n", files->size(), flags.output);
  for (const auto& [name, text] : *files) fmt::print("  {}\n", name);
  return absl::OkStatus();
}

}  // namespace

void AddDeploy(CLI::App* app, CommonFlags*, Action* chosen) {
  CLI::App* sub = app->add_subcommand("deploy", "Source code that carries a model to a board");
  auto flags = Declare<Flags>(sub, chosen, DoDeploy);
  sub->add_option("MODEL", flags->model, ".tflite, .keras or .h5")->required();
  sub->add_option("-o,--output", flags->output, "New or empty folder")
      ->required()
      ->type_name("DIR");
  sub->add_option(
         "--format", flags->request.format,
         "c-array: the file's bytes for C and C++ (default); tflm: a project for TensorFlow "
         "Lite Micro with CMake, Arduino and ESP-IDF")
      ->transform(CLI::CheckedTransformer(std::map<std::string, DeployFormat>{
          {"c-array", DeployFormat::kCArray}, {"tflm", DeployFormat::kTflm}}))
      ->option_text("c-array|tflm");
  sub->add_option("--symbol", flags->request.symbol, "The array's name (default g_model)")
      ->type_name("NAME");
  sub->add_option(
         "--labels", flags->request.labels,
         "tflm: text file with one class name a line (default: what the model's file notes)")
      ->type_name("FILE");
  sub->add_flag("--allow-float", flags->request.allow_float,
                "tflm: also models that compute in float");
  sub->footer(
      "Examples:\n"
      "  litesmith deploy model_int8.tflite -o board --format c-array\n"
      "  litesmith deploy model_int8.tflite -o board --symbol g_digits\n"
      "  litesmith deploy model_int8.tflite -o board --format tflm --labels digits.txt");
}

}  // namespace litesmith::cli
