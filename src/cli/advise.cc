#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string model, weights, json;
  AdviseRequest request;
};

absl::Status DoAdvise(const Flags& flags, const Context& context) {
  const auto model = Model::Load(flags.model, context, flags.weights);
  if (!model.ok()) return model.status();
  const std::vector<std::string> inputs = {flags.model,
                                           flags.weights,
                                           flags.request.data.path,
                                           flags.request.data.labels,
                                           flags.request.training,
                                           flags.request.calibration};
  if (absl::Status status = CheckJson(flags.json, inputs); !status.ok()) return status;
  const auto advice = Advise(*model, flags.request, context);
  if (!advice.ok()) return advice.status();
  if (absl::Status status = Deliver(advice->report, flags.json); !status.ok()) return status;
  if (!advice->choice.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "no candidate meets the limits and the target's rules; the report says what each breaks");
}

}  // namespace

void AddAdvise(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand(
      "advise", "Which quantization to take: makes the candidates, measures them, chooses");
  auto flags = Declare<Flags>(sub, chosen, DoAdvise);
  AdviseRequest& request = flags->request;
  sub->add_option("MODEL", flags->model, "Float model: .keras, .h5, architecture .json, .tflite")
      ->required();
  sub->add_option("--weights", flags->weights, "The .weights.h5 of an architecture .json")
      ->type_name("W.h5");
  sub->add_option("--data", request.data.path,
                  "Labelled samples to measure accuracy with: IDX folder, picture folder or "
                  ".tar[.gz], .npz")
      ->type_name("PATH");
  sub->add_option("--train-data", request.training,
                  "Labelled samples to train with: adds int8 trained for, with zeros, with few "
                  "values")
      ->type_name("PATH");
  sub->add_option("--calibration-data", request.calibration,
                  "Samples for the integer recipes (default: those to train with, else --data)")
      ->type_name("PATH");
  AddPreprocessing(sub, &request.data);
  sub->add_option("--target", request.target,
                  "What is to run the model (default cpu, this machine)")
      ->check(CLI::IsMember({"edgetpu", "hexagon", "gpu", "cpu", "pi4", "mcu"}))
      ->option_text("edgetpu|hexagon|gpu|cpu|pi4|mcu");
  sub->add_option("--max-size", request.max_size_kb, "Largest file, in KB of 1,024 bytes")
      ->option_text("KB");
  sub->add_option("--max-latency-ms", request.max_latency_ms,
                  "Longest inference, where this machine is the target")
      ->option_text("T");
  sub->add_option("--max-accuracy-drop", request.max_accuracy_drop,
                  "Most points of accuracy to lose against float32 (default 1)")
      ->option_text("P");
  sub->add_option("--epochs", request.epochs, "Passes over --train-data, of each stage (default 3)")
      ->check(CLI::Range(1, 1000000))
      ->option_text("N");
  sub->add_option("-o,--output", request.output,
                  "Folder for the candidates and commands.sh, which makes them again")
      ->type_name("DIR");
  AddJson(sub, &flags->json);
  AddThreads(sub, common);
  sub->footer(
      "Exits 1 when no candidate meets the limits. docs/advise.md has the questions, the rules of "
      "each target\nand where they are from.\n"
      "Examples:\n"
      "  litesmith advise model.keras --data mnist/\n"
      "  litesmith advise model.keras --data mnist/ --train-data mnist/ --max-size 30 \\\n"
      "      --max-accuracy-drop 0.5 -o candidates --json advice.json\n"
      "  litesmith advise model.tflite --data pictures/ --target edgetpu\n"
      "  litesmith advise model.tflite --max-size 100");
}

}  // namespace litesmith::cli
