// The scripts of examples/quantization, with few digits: each ends in an evaluated model.

#include <filesystem>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

struct Example {
  const char* script;
  const char* model;
  const char* results;
  const char* weights;  // the type of most constants
};

constexpr Example kExamples[] = {
    {"01-float16.sh", "model_float16", "results_float16.json", "FLOAT16"},
    {"02-dynamic.sh", "model_dynamic", "results_dynamic.json", "INT8"},
    {"03-int8.sh", "model_int8", "results_int8.json", "INT8"},
    {"04-quantization-aware-training.sh", "model_qat", "results_qat.json", "INT8"},
    {"05-int16x8.sh", "model_int16x8", "results_int16x8.json", "INT8"},
};

RunResult RunScript(const std::string& script, std::vector<std::string> arguments) {
  RunOptions options;
  options.program = "/bin/bash";
  options.environment = {"LITESMITH=" + Program()};
  arguments.insert(arguments.begin(), SourceDir() + "/examples/quantization/" + script);
  return RunProgram(arguments, options);
}

TEST(Examples, EachMethodFromStartToEvaluation) {
  const std::string dir = TempDir();
  for (const Example& example : kExamples) {
    SCOPED_TRACE(example.script);
    const RunResult result =
        RunScript(example.script, {"--output", dir, "--count", "2000", "--epochs", "2"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    for (const char* step : {"$ litesmith evaluate ", "$ litesmith benchmark "}) {
      EXPECT_NE(result.out.find(step), std::string::npos) << step;
    }
    const auto json = ReadJson(dir + "/" + example.results);
    const auto& models = json["models"];
    ASSERT_TRUE(models.contains(example.model)) << json;
    const double small = models[example.model]["accuracy"];
    const double whole = models["mnist_model_float32"]["accuracy"];
    EXPECT_GT(small, whole - 0.05);
    const auto inspect =
        ParseJson(RunProgram({"inspect", dir + "/" + example.model + ".tflite", "--json"}).out);
    EXPECT_GT(inspect["bytes"]["constants " + std::string(example.weights)], 20000) << inspect;
  }
}

TEST(Examples, DataAndModelOfYourOwn) {
  const std::string dir = TempDir();
  ASSERT_EQ(RunProgram({"data", "synthetic", "--output", dir + "/d", "--count", "300"}).exit_code,
            0);
  ASSERT_EQ(RunProgram({"demo", "--data", dir + "/d", "--output", dir, "--epochs", "1", "--recipes",
                        "float16"})
                .exit_code,
            0);
  const std::string model = dir + "/mnist_tflite_models/mnist_model_float32.tflite";
  const RunResult result = RunScript(
      "02-dynamic.sh", {"--data", dir + "/d", "--model", model, "--output", dir + "/out"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ListFolder(dir + "/out"),
            (std::vector<std::string>{"model_dynamic.tflite", "results_dynamic.json"}));
  EXPECT_EQ(RunScript("01-float16.sh", {"--model", model}).exit_code, 2);
  EXPECT_EQ(RunScript("01-float16.sh", {"--wrong"}).exit_code, 2);
  EXPECT_EQ(RunScript("01-float16.sh", {"--help"}).exit_code, 0);
}

}  // namespace
}  // namespace litesmith::testing
