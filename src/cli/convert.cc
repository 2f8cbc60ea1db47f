#include <fmt/format.h>

#include "command.h"
#include "litesmith/saved_model.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string input, output, weights, signature;
};

absl::Status Convert(const Flags& flags, const Context& context) {
  const auto model = flags.signature.empty() ? Model::Load(flags.input, context, flags.weights)
                                             : LoadSignature(flags.input, flags.signature, context);
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
  sub->add_option("--weights", flags->weights, "The .weights.h5 of an architecture .json")
      ->type_name("W.h5");
  sub->add_option("--signature", flags->signature,
                  "The signature of a SavedModel (default: serving_default, or the only one)")
      ->type_name("S");
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith convert model.keras -o model.tflite\n"
      "  litesmith convert saved_model_dir -o model.tflite --signature serve\n"
      "  litesmith convert model.json --weights model.weights.h5 -o model.tflite");
}

}  // namespace litesmith::cli
