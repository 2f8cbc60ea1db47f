#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  DemoRequest request;
};

absl::Status DoDemo(const Flags& flags, const Context& context) {
  const std::string& data = flags.request.train.data.path;
  const auto report = RunDemo(flags.request, context, [&](const EpochSummary& e) {
    const bool qat = e.stage == "qat";
    if (e.epoch == 1 && !qat) {
      fmt::print("training on {}\n",
                 data.empty() ? "60,000 drawn digits (--data takes real ones)" : data);
    }
    fmt::print("{} {}/{}: loss {:.4f}, accuracy {:.2f} %, {:.2f} s\n",
               qat ? "for int8, epoch" : "epoch", e.epoch, e.epochs, e.loss, 100.0 * e.accuracy,
               e.seconds);
    std::fflush(stdout);
  });
  if (!report.ok()) return report.status();
  fmt::print("\n");
  return Deliver(*report, "");
}

}  // namespace

void AddDemo(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* sub = app->add_subcommand(
      "demo", "Train a digit network, quantize it five ways, evaluate and time the files");
  auto flags = Declare<Flags>(sub, chosen, DoDemo);
  sub->add_option("--data", flags->request.train.data.path,
                  "MNIST as IDX files, gzipped or not (default: digits drawn by a generator)")
      ->type_name("DIR");
  AddPreprocessing(sub, &flags->request.train.data);
  sub->add_option(
         "--output", flags->request.output,
         "Folder for mnist_tflite_models/, benchmark_results.json and report.html (default: here)")
      ->type_name("DIR");
  sub->add_option("--epochs", flags->request.train.epochs, "Passes over the data (default 5)")
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
  sub->add_option("--seed", flags->request.train.seed, "Start of all random numbers (default 0)")
      ->type_name("N");
  sub->add_option("--recipes", flags->request.recipes,
                  "Comma-separated (default: float16,dynamic,int8,int16x8,qat; qat: int8, trained)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAME,...");
  sub->add_flag("--all", flags->request.all, "Make pruned and clustered models too");
  AddThreads(sub, common);
  sub->footer(
      "Examples:\n"
      "  litesmith demo\n"
      "  litesmith demo --data mnist/ --output out --epochs 5 --seed 1");
}

}  // namespace litesmith::cli
