#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string input, output;
  LoadOptions load;
};

absl::Status Convert(const Flags& flags, const Context& context) {
  const auto model = Model::Load(flags.input, flags.load, context);
  if (!model.ok()) return model.status();
  if (absl::Status status = model->CheckOutput(flags.output); !status.ok()) return status;
  const auto optimised = Optimise(*model, context);
  if (!optimised.ok()) return optimised.status();
  if (absl::Status status = optimised->Save(flags.output); !status.ok()) return status;
  fmt::print("written: {}\n", flags.output);
  return absl::OkStatus();
}

}  // namespace

void AddConvert(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand(
      "convert", "Make a .tflite of a Keras model or SavedModel (or tidy one up)");
  auto flags = Declare<Flags>(sub, chosen, Convert);
  sub->add_option("IN", flags->input,
                  "Model: .keras, .h5, architecture .json, SavedModel folder, .tflite")
      ->required();
  sub->add_option("-o,--output", flags->output, "The .tflite to write")
      ->required()
      ->type_name("OUT.tflite");
  AddLoadFlags(sub, &flags->load);
  sub->add_option("--batch-size", flags->load.batch_size,
                  "Fix the free first dimension of the inputs")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith convert model.keras -o model.tflite\n"
      "  litesmith convert saved_model_dir -o model.tflite --signature serve\n"
      "  litesmith convert model.json --weights model.weights.h5 -o model.tflite");
}

}  // namespace litesmith::cli
