#include "command.h"

#include <fmt/format.h>

#include <cstdio>

namespace litesmith::cli {

void AddLimits(CLI::App* sub, CommonFlags* common) {
  for (CLI::App* below : sub->get_subcommands({})) AddLimits(below, common);
  if (!sub->get_subcommands({}).empty()) return;
  sub->add_option(
         "--max-memory", common->max_memory,
         "Memory that a model or data set may ask for, such as 512MB or 2GB (default: half "
         "of the machine's)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{1} << 20, uint64_t{1} << 50))
      ->option_text("SIZE");
  sub->add_option("--time-limit", common->time_limit, "Stop after this many seconds")
      ->check(CLI::Range(0.001, 1e9))
      ->option_text("SECONDS");
}

void AddThreads(CLI::App* sub, CommonFlags* common) {
  sub->add_option("--num-threads", common->num_threads, "Threads to compute on; 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->option_text("N");
}

void AddLoadFlags(CLI::App* sub, LoadOptions* options) {
  sub->add_option("--weights", options->weights, "The .weights.h5 of an architecture .json")
      ->type_name("W.h5");
  sub->add_option("--signature", options->signature,
                  "The signature of a SavedModel (default: serving_default, or the only one)")
      ->type_name("S");
  sub->add_flag("--unroll-lstm", options->unroll_lstm,
                "Leave LSTM layers written out step by step, without state");
}

void AddPreprocessing(CLI::App* sub, DataSource* source) {
  sub->add_option("--split", source->split,
                  "Part of a data set, such as train or test (default: test to evaluate, train "
                  "otherwise)")
      ->type_name("NAME");
  sub->add_option(
         "--mean", source->mean,
         "Inputs are (value - MEAN) / STD: one number, or one per channel, comma-separated "
         "(default: what the model's file notes, else 0 for 8-bit pixels)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("M");
  sub->add_option("--std", source->std, "See --mean (default for 8-bit pixels: 255)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("S");
  sub->add_option("--labels", source->labels, "Text file with one class name a line")
      ->type_name("FILE");
}

void AddKernels(CLI::App* sub, KernelMode* kernels, Arithmetic* arithmetic) {
  sub->add_option("--kernels", *kernels, "reference: plain loops; best: the fastest for this CPU")
      ->transform(CLI::CheckedTransformer(std::map<std::string, KernelMode>{
          {"reference", KernelMode::kReference}, {"best", KernelMode::kBest}}))
      ->option_text("reference|best");
  if (arithmetic == nullptr) return;
  sub->add_option("--arithmetic", *arithmetic,
                  "Integer arithmetic of LiteRT (litert) or of microcontrollers (tflm)")
      ->transform(CLI::CheckedTransformer(std::map<std::string, Arithmetic>{
          {"litert", Arithmetic::kLitert}, {"tflm", Arithmetic::kTflm}}))
      ->option_text("litert|tflm");
}

void AddRuntime(CLI::App* sub, const std::string& what, RuntimeFlags* flags) {
  CLI::Option* runtime = sub->add_option("--runtime", flags->litert, what)
                             ->transform(CLI::CheckedTransformer(std::map<std::string, bool>{
                                 {"litesmith", false}, {"litert", true}}))
                             ->option_text("litesmith|litert");
  sub->add_option("--litert-library", flags->options.library,
                  "libLiteRt.so of the ai-edge-litert package (default: what the environment's "
                  "LITERT_LIBRARY names)")
      ->needs(runtime)
      ->option_text("FILE");
  sub->add_option("--litert-kernels", flags->options.kernels,
                  "Which of LiteRT's kernels: delegate (XNNPACK, the default), builtin, reference")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, LitertKernels>{{"delegate", LitertKernels::kDelegate},
                                               {"builtin", LitertKernels::kBuiltin},
                                               {"reference", LitertKernels::kReference}}))
      ->needs(runtime)
      ->option_text("NAME");
}

void AddJson(CLI::App* sub, std::string* path) {
  sub->add_option("--json", *path, "Write the result as JSON; - is standard output")
      ->type_name("FILE");
}

absl::Status CheckJson(const std::string& path, const std::vector<std::string>& inputs) {
  if (path.empty() || path == "-") return absl::OkStatus();
  return CheckWritable(path, inputs);
}

absl::Status Deliver(const Report& report, const std::string& json) {
  if (json == "-") {
    std::fputs(ToJson(report).c_str(), stdout);
    return absl::OkStatus();
  }
  if (!json.empty()) {
    const absl::Status written = WriteText(json, ToJson(report));
    if (!written.ok()) return written;
  }
  std::fputs(ToText(report).c_str(), stdout);
  if (!json.empty()) fmt::print("written: {}\n", json);
  return absl::OkStatus();
}

}  // namespace litesmith::cli
