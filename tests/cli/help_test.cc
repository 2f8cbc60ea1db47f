#include <sstream>

#include "tests/cli/process.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith::testing {
namespace {

TEST(Help, EveryCommandHasExamples) {
  const std::vector<std::vector<std::string>> commands = {
      {"convert"},      {"quantize"}, {"train"},     {"run"},     {"evaluate"},
      {"benchmark"},    {"inspect"},  {"operators"}, {"summary"}, {"deploy"},
      {"compare"},      {"advise"},   {"demo"},      {"data"},    {"data", "synthetic"},
      {"data", "mnist"}};
  for (std::vector<std::string> words : commands) {
    words.push_back("--help");
    const RunResult result = RunProgram(words);
    EXPECT_EQ(result.exit_code, 0) << words[0];
    EXPECT_EQ(result.err, "");
    EXPECT_NE(result.out.find("Examples:"), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("litesmith " + words[0]), std::string::npos) << result.out;
    // Flags fit a terminal, and are shown as they are typed.
    const std::string flags = result.out.substr(0, result.out.find("Examples:"));
    for (const char* noise : {"{", "TEXT", ":INT", "REQUIRED"}) {
      EXPECT_EQ(flags.find(noise), std::string::npos) << words[0] << ": " << noise;
    }
    std::istringstream lines(flags.substr(0, flags.find("Recipes:")));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 104u) << line;
  }
}

TEST(Help, TopListsCommands) {
  const RunResult result = RunProgram({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* name : {"convert", "quantize", "train", "run", "evaluate", "benchmark",
                           "inspect", "demo", "data"}) {
    EXPECT_NE(result.out.find(name), std::string::npos) << name;
  }
}

TEST(Help, QuantizeShowsTheMethods) {
  const RunResult result = RunProgram({"quantize", "--help"});
  for (const char* part :
       {"float16", "dynamic_wi8_afp32", "static_wi8_ai8", "static_wi8_ai16", "int16x8",
        "data needed", "size", "accuracy", "hardware", "quantization-aware"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  }
}

TEST(Help, Version) {
  const RunResult result = RunProgram({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out.starts_with("litesmith ")) << result.out;
}

TEST(Usage, ErrorsExitWithTwo) {
  ExpectError(RunProgram({}), 2, {"litesmith --help"});
  ExpectError(RunProgram({"frobnicate"}), 2, {"frobnicate"});
  ExpectError(RunProgram({"run"}), 2, {"run --help"});
  ExpectError(RunProgram({"run", "m.tflite", "--input", "x.npy", "--colour", "red"}), 2,
              {"--colour"});
  ExpectError(RunProgram({"benchmark", "m.tflite", "--num_runs", "0"}), 2, {"--num-runs"});
  ExpectError(RunProgram({"benchmark", "m.tflite", "--num-runs", "-3"}), 2, {"--num-runs"});
  ExpectError(RunProgram({"demo", "--epochs", "0"}), 2, {"--epochs"});
  ExpectError(RunProgram({"quantize", "m.keras", "--recipe", "int8"}), 2, {"--output"});
  ExpectError(RunProgram({"quantize", "m.keras", "-o", "x", "--recipe", "int8",
                          "--num-calibration-samples", "0"}),
              2, {"--num-calibration-samples"});
  ExpectError(RunProgram({"evaluate", "m.tflite", "--data", "d", "--metric", "beauty"}), 2,
              {"--metric", "beauty"});
  ExpectError(RunProgram({"data"}), 2, {"data --help"});
}

// A usage error of a flag named with '_' shows that the flag was understood.
TEST(Usage, UnderscoreAndDashAreTheSame) {
  ExpectError(RunProgram({"benchmark", "/nowhere.tflite", "--num_runs=5", "--warmup_runs", "0",
                          "--num_threads", "1"}),
              1, {"/nowhere.tflite"});
  ExpectError(RunProgram({"benchmark", "/no_where.tflite", "--num-runs=5", "--warmup-runs", "0"}),
              1, {"/no_where.tflite"});
}

// benchmark_model's names, and the profile's form.
TEST(Benchmark, TakesBenchmarkModelsFlags) {
  GraphBuilder b;
  const int32_t in = b.Input("in", {1, 4});
  const int32_t weights = b.Ramp("w", {3, 4}, 0.5f, 0.1f);
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "dense", {in, weights}, {1, 3},
                Options(schema::FullyConnectedOptionsT{})));
  const std::string model = TempDir() + "/model.tflite";
  ASSERT_OK(WriteTflite(model, b.graph()));
  const RunResult result =
      RunProgram({"benchmark", "--graph=" + model, "--num_threads=1", "--warmup_runs=1",
                  "--num_runs=2", "--min_secs=0", "--enable_op_profiling=true", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"\"profile\"", "\"first_run_ms\"", "\"percent_of_peak\"",
                           "\"arena_bytes\"", "\"FULLY_CONNECTED\""}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  }
  ExpectError(RunProgram({"benchmark", model, "--cpu-affinity", "9999999"}), 1, {"CPU"});
}

}  // namespace
}  // namespace litesmith::testing
