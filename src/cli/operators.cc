#include <cstdio>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string json;
  bool markdown = false;
};

absl::Status ShowOperators(const Flags& flags, const Context&) {
  if (absl::Status status = CheckJson(flags.json, {}); !status.ok()) return status;
  const Report report = OperatorSupport();
  if (!flags.markdown) return Deliver(report, flags.json);
  const std::string text = ToMarkdown(report);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddOperators(CLI::App* app, CommonFlags*, Action* chosen) {
  CLI::App* sub = app->add_subcommand("operators", "What can be done with each operator");
  auto flags = Declare<Flags>(sub, chosen, ShowOperators);
  AddJson(sub, &flags->json);
  sub->add_flag("--markdown", flags->markdown, "Print a Markdown table (docs/operators.md)");
  sub->footer(
      "Examples:\n"
      "  litesmith operators\n"
      "  litesmith operators --json -");
}

}  // namespace litesmith::cli
