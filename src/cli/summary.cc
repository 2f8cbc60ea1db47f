#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string keras, weights, float32, int8, output;
  SummaryRequest request;
};

absl::Status DoSummary(const Flags& flags, const Context& context) {
  const std::vector<std::string> inputs = {
      flags.keras, flags.weights,           flags.float32,
      flags.int8,  flags.request.data.path, flags.request.data.labels};
  if (absl::Status status = CheckJson(flags.output, inputs); !status.ok()) return status;
  const auto keras = Model::Load(flags.keras, context, flags.weights);
  if (!keras.ok()) return keras.status();
  const auto float32 = Model::Load(flags.float32, context);
  if (!float32.ok()) return float32.status();
  const auto int8 = Model::Load(flags.int8, context);
  if (!int8.ok()) return int8.status();
  const auto summary = Summarise(*keras, *float32, *int8, flags.request, context);
  if (!summary.ok()) return summary.status();
  if (absl::Status status = Deliver(summary->report, flags.output); !status.ok()) return status;
  if (summary->passed) return absl::OkStatus();
  return absl::FailedPreconditionError("a check of the summary failed; see the table");
}

}  // namespace

void AddSummary(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand(
      "summary", "Sizes, accuracies and checks of a Keras model and its .tflite files");
  auto flags = Declare<Flags>(sub, chosen, DoSummary);
  sub->add_option("--keras", flags->keras, "The source: .keras, .h5 or architecture .json")
      ->required()
      ->type_name("FILE");
  sub->add_option("--weights", flags->weights, "The .weights.h5 of an architecture .json")
      ->type_name("W.h5");
  sub->add_option("--float", flags->float32, "Its float32 .tflite")->required()->type_name("FILE");
  sub->add_option("--int8", flags->int8, "Its int8 .tflite")->required()->type_name("FILE");
  sub->add_option("--data", flags->request.data.path,
                  "IDX folder, picture folder or .tar[.gz], .npy, .npz")
      ->required()
      ->type_name("PATH");
  AddPreprocessing(sub, &flags->request.data);
  sub->add_option("-o,--output", flags->output, "The JSON to write; - is standard output")
      ->type_name("FILE");
  AddThreads(sub, common);
  sub->footer(
      "Exits 1 when a check fails: accuracies above 97 %, the Keras file more than 10 times the "
      "int8 file,\nint8 inputs and outputs, TFL3 headers.\n"
      "Examples:\n"
      "  litesmith summary --keras model.keras --float model.tflite --int8 model_int8.tflite \\\n"
      "      --data mnist/ -o part2_summary.json");
}

}  // namespace litesmith::cli
