#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string model, json;
};

absl::Status DoInspect(const Flags& flags, const Context& context) {
  if (absl::Status status = CheckJson(flags.json, {flags.model}); !status.ok()) return status;
  const auto model = Model::Load(flags.model, context);
  if (!model.ok()) return model.status();
  const auto report = Inspect(*model, context);
  if (!report.ok()) return report.status();
  return Deliver(*report, flags.json);
}

}  // namespace

void AddInspect(CLI::App* app, CommonFlags*, Action* chosen) {
  CLI::App* sub = app->add_subcommand("inspect", "What is in a model");
  auto flags = Declare<Flags>(sub, chosen, DoInspect);
  sub->add_option("MODEL", flags->model, ".tflite, .keras or .h5")->required();
  sub->add_flag("--json{-}", flags->json, "Print JSON instead; --json=FILE writes it to a file");
  sub->footer(
      "Examples:\n"
      "  litesmith inspect model.tflite\n"
      "  litesmith inspect model.tflite --json");
}

}  // namespace litesmith::cli
