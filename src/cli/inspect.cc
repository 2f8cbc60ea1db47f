#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string model, json, html;
};

absl::Status DoInspect(const Flags& flags, const Context& context) {
  if (absl::Status status = CheckJson(flags.json, {flags.model}); !status.ok()) return status;
  if (absl::Status status = CheckJson(flags.html, {flags.model}); !status.ok()) return status;
  const auto model = Model::Load(flags.model, context);
  if (!model.ok()) return model.status();
  if (!flags.html.empty()) {
    const auto page = InspectPage(*model, context);
    if (!page.ok()) return page.status();
    if (absl::Status status = WriteText(flags.html, *page); !status.ok()) return status;
    if (flags.json.empty()) {
      fmt::print("written: {}; open it in a browser\n", flags.html);
      return absl::OkStatus();
    }
  }
  const auto report = Inspect(*model, context);
  if (!report.ok()) return report.status();
  return Deliver(*report, flags.json);
}

}  // namespace

void AddInspect(CLI::App* app, CommonFlags*, Action* chosen) {
  CLI::App* sub = app->add_subcommand("inspect", "What is in a model");
  auto flags = Declare<Flags>(sub, chosen, DoInspect);
  sub->add_option("MODEL", flags->model, ".tflite, .keras or .h5")->required();
  sub->add_flag("--json{-}", flags->json,
                "Print JSON instead; --json FILE.json writes it to a file");
  sub->add_option("--html", flags->html,
                  "Write a page instead: the graph, weights, where bytes and work are")
      ->type_name("FILE");
  sub->footer(
      "Examples:\n"
      "  litesmith inspect model.tflite\n"
      "  litesmith inspect model.tflite --json\n"
      "  litesmith inspect model.tflite --html model.html");
}

}  // namespace litesmith::cli
