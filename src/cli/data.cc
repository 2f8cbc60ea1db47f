#include <fmt/format.h>

#include "command.h"

namespace litesmith::cli {
namespace {

struct SyntheticFlags {
  std::string output;
  int64_t count = 60000;
  uint64_t seed = 0;
};

absl::Status Synthetic(const SyntheticFlags& flags, const Context& context) {
  // As many test digits as MNIST has for its training digits.
  const int64_t test = std::max<int64_t>(flags.count / 6, 1);
  if (absl::Status status =
          WriteSyntheticDigits(flags.output, flags.count, test, flags.seed, context);
      !status.ok()) {
    return status;
  }
  fmt::print("written: {} training and {} test digits in {}\n", flags.count, test, flags.output);
  return absl::OkStatus();
}

struct MnistFlags {
  std::string output, url;
};

absl::Status Mnist(const MnistFlags& flags, const Context& context) {
  if (absl::Status status = DownloadMnist(flags.output, flags.url, context); !status.ok()) {
    return status;
  }
  fmt::print("written: MNIST in {}\n", flags.output);
  return absl::OkStatus();
}

}  // namespace

void AddData(CLI::App* app, CommonFlags* common, Action* chosen) {
  CLI::App* data = app->add_subcommand("data", "Get or make data sets");
  data->require_subcommand(1);
  CLI::App* synthetic = data->add_subcommand("synthetic", "Draw digits, as IDX files like MNIST's");
  auto draw = Declare<SyntheticFlags>(synthetic, chosen, Synthetic);
  synthetic->add_option("--output", draw->output, "Folder to write to")
      ->required()
      ->type_name("DIR");
  synthetic
      ->add_option("--count", draw->count, "Training digits (default 60000); a sixth for tests")
      ->check(CLI::Range(int64_t{1}, int64_t{100000000}))
      ->type_name("N");
  synthetic->add_option("--seed", draw->seed, "Start of all random numbers (default 0)")
      ->type_name("N");
  AddThreads(synthetic, common);
  synthetic->footer("Examples:\n  litesmith data synthetic --output digits --count 1000 --seed 7");
  CLI::App* mnist = data->add_subcommand("mnist", "Download MNIST and check it");
  auto download = Declare<MnistFlags>(mnist, chosen, Mnist);
  mnist->add_option("--output", download->output, "Folder to write to")
      ->required()
      ->type_name("DIR");
  mnist
      ->add_option("--url", download->url,
                   "Where the four .gz files are (default: a public mirror)")
      ->type_name("URL");
  mnist->footer("Examples:\n  litesmith data mnist --output mnist");
  data->footer(
      "Examples:\n"
      "  litesmith data synthetic --output digits\n"
      "  litesmith data mnist --output mnist");
}

}  // namespace litesmith::cli
