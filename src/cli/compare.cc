#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::string reference, model, json, node_data, html;
  CompareRequest request;
};

absl::Status DoCompare(const Flags& flags, const Context& context) {
  const std::vector<std::string> inputs = {flags.reference, flags.model, flags.request.data.path,
                                           flags.request.data.labels};
  for (const std::string& path : {flags.json, flags.node_data, flags.html}) {
    if (absl::Status status = CheckJson(path, inputs); !status.ok()) return status;
  }
  const auto reference = Model::Load(flags.reference, context);
  if (!reference.ok()) return reference.status();
  const auto model = Model::Load(flags.model, context);
  if (!model.ok()) return model.status();
  const auto result = Compare(*reference, *model, flags.request, context);
  if (!result.ok()) return result.status();
  if (!flags.node_data.empty()) {
    if (absl::Status status = WriteText(flags.node_data, ToJson(result->node_data)); !status.ok()) {
      return status;
    }
  }
  if (!flags.html.empty()) {
    const auto page = ComparePage(*model, *result, context);
    if (!page.ok()) return page.status();
    if (absl::Status status = WriteText(flags.html, *page); !status.ok()) return status;
  }
  if (absl::Status status = Deliver(result->report, flags.json); !status.ok()) return status;
  if (flags.json == "-") return absl::OkStatus();
  for (const std::string& file : {flags.html, flags.node_data}) {
    if (!file.empty()) fmt::print("written: {}\n", file);
  }
  return absl::OkStatus();
}

}  // namespace

void AddCompare(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub =
      app->add_subcommand("compare", "Which layer lost the accuracy: two models, tensor by tensor");
  auto flags = Declare<Flags>(sub, chosen, DoCompare);
  sub->add_option("FLOAT", flags->reference, "The model that is right")->required();
  sub->add_option("MODEL", flags->model, "The quantized (or otherwise changed) one")->required();
  sub->add_option("--data", flags->request.data.path,
                  "IDX folder, picture folder or .tar[.gz], .npy, .npz")
      ->required()
      ->type_name("PATH");
  AddPreprocessing(sub, &flags->request.data);
  sub->add_option(
         "--num-samples", flags->request.num_samples,
         "Samples to run: the first of arrays, else a draw balanced over the classes (default 100)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("N");
  AddKernels(sub, &flags->request.kernels, nullptr);
  AddJson(sub, &flags->json);
  sub->add_option("--html", flags->html,
                  "Also write a page: the graph in colours, distributions, confusions")
      ->type_name("FILE");
  sub->add_option("--node-data", flags->node_data, "Write Model Explorer's node data for MODEL")
      ->type_name("FILE");
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith compare model.tflite model_int8.tflite --data mnist/\n"
      "  litesmith compare model.tflite model_int8.tflite --data mnist/ --num-samples 1000 --json "
      "layers.json");
}

}  // namespace litesmith::cli
