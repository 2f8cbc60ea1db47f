#include "command.h"

namespace litesmith::cli {
namespace {

struct Flags {
  std::vector<std::string> models;
  BenchmarkRequest request;
  RuntimeFlags runtime;
  std::string json;
};

absl::Status DoBenchmark(const Flags& flags, const Context& context) {
  BenchmarkRequest request = flags.request;
  request.litert = flags.runtime.Chosen();
  const auto models = FindModels(flags.models);
  if (!models.ok()) return models.status();
  std::vector<std::string> inputs = *models;
  inputs.push_back(flags.request.float_model);
  inputs.push_back(flags.request.data.path);
  inputs.push_back(flags.request.data.labels);
  if (absl::Status status = CheckJson(flags.json, inputs); !status.ok()) return status;
  const auto report = BenchmarkFiles(*models, request, context);
  if (!report.ok()) return report.status();
  return Deliver(*report, flags.json);
}

}  // namespace

void AddBenchmark(CLI::App* app, CommonFlags*, Action* chosen) {
  CLI::App* sub = app->add_subcommand("benchmark", "Time models, and with data evaluate them");
  auto flags = Declare<Flags>(sub, chosen, DoBenchmark);
  sub->add_option("MODEL,--graph", flags->models, "Models; a folder means every .tflite in it");
  // Not required(), whose message would name the flag alone.
  sub->parse_complete_callback([models = &flags->models] {
    if (models->empty()) throw CLI::RequiredError("a model (MODEL, or --graph MODEL)");
  });
  sub->add_option("--num-runs", flags->request.num_runs, "Timed inferences (default 50)")
      ->check(CLI::Range(1, 1000000000))
      ->option_text("N");
  sub->add_option("--warmup-runs", flags->request.warmup_runs, "Inferences before (default 5)")
      ->check(CLI::Range(0, 1000000000))
      ->option_text("N");
  // Timing is on one thread unless told otherwise; evaluation uses all cores.
  sub->add_option("--num-threads", flags->request.num_threads,
                  "Threads of an inference (default 1); 0: one per core")
      ->check(CLI::Range(0, 1024))
      ->option_text("N");
  sub->add_option("--min-secs", flags->request.min_seconds,
                  "Time inferences for at least so many seconds (default 0)")
      ->check(CLI::Range(0.0, 86400.0))
      ->option_text("S");
  sub->add_flag("--profile,--enable-op-profiling", flags->request.profile,
                "Show where time and memory go: operators, kernels, share of the peak");
  sub->add_option("--cpu-affinity", flags->request.cpus, "Run on these CPUs only, such as 0,1")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->option_text("LIST");
  AddKernels(sub, &flags->request.kernels, nullptr);
  AddRuntime(sub, "litert: time the same models in LiteRT, too, in turns, and compare the outputs",
             &flags->runtime);
  sub->add_option("--compare-float", flags->request.float_model,
                  "The float model that the quantized ones were made of: say which of their nodes "
                  "are slower, and why")
      ->type_name("MODEL");
  sub->add_option("--data", flags->request.data.path, "Data set for the accuracy column")
      ->type_name("PATH");
  AddPreprocessing(sub, &flags->request.data);
  AddJson(sub, &flags->json);
  sub->footer(
      "Examples:\n"
      "  litesmith benchmark mnist_tflite_models --data mnist/ --json results.json\n"
      "  litesmith benchmark model.tflite --num-threads 4 --num-runs 200\n"
      "  litesmith benchmark model.tflite --profile --cpu-affinity 1\n"
      "  litesmith benchmark model_int8.tflite --compare-float model.tflite\n"
      "  litesmith benchmark model.tflite --runtime litert --min-secs 1\n"
      "The flags of TFLite's benchmark_model have the same meaning here: --graph, --num_threads,\n"
      "--warmup_runs, --num_runs, --min_secs, --enable_op_profiling.");
}

}  // namespace litesmith::cli
