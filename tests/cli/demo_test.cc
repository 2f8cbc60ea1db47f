// The main job through the program, on drawn digits; and what happens when it is interrupted.

#include <algorithm>
#include <filesystem>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

const std::vector<std::string> kFiles = {
    "mnist_model_float32.tflite",       "mnist_model_quant_16x8.tflite",
    "mnist_model_quant_dynamic.tflite", "mnist_model_quant_f16.tflite",
    "mnist_model_quant_int8.tflite",    "mnist_model_quant_qat.tflite"};

// A small set of digits, the same for all tests.
std::string DigitFolder() {
  static const std::string folder = [] {
    const std::string dir = TempDir() + "/digits";
    const RunResult result =
        RunProgram({"data", "synthetic", "--output", dir, "--count", "3000", "--seed", "3"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return dir;
  }();
  return folder;
}

TEST(Data, SyntheticWritesFourIdxFiles) {
  EXPECT_EQ(ListFolder(DigitFolder()),
            (std::vector<std::string>{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
                                      "train-images-idx3-ubyte", "train-labels-idx1-ubyte"}));
  EXPECT_EQ(std::filesystem::file_size(DigitFolder() + "/train-images-idx3-ubyte"),
            16u + 3000u * 784u);
  EXPECT_EQ(std::filesystem::file_size(DigitFolder() + "/t10k-labels-idx1-ubyte"), 8u + 500u);
  const std::string again = TempDir() + "/again";
  RunProgram({"data", "synthetic", "--output", again, "--count", "3000", "--seed", "3",
              "--num-threads", "1"});
  for (const std::string& name : ListFolder(again)) {
    EXPECT_EQ(ReadText(again + "/" + name), ReadText(DigitFolder() + "/" + name)) << name;
  }
}

TEST(Demo, WritesTheModelsTheTableAndTheJson) {
  const std::string dir = TempDir();
  const RunResult result = RunProgram(
      {"demo", "--data", DigitFolder(), "--output", dir, "--epochs", "2", "--seed", "1"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ListFolder(dir + "/mnist_tflite_models"), kFiles);
  for (const char* part : {"epoch 1/2", "epoch 2/2", "loss", "model", "KB", "% of float",
                           "accuracy", "change", "ms", "speed-up"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos) << "plain lines in a pipe";
  const nlohmann::json json = ReadJson(dir + "/benchmark_results.json");
  const std::string page = ReadText(dir + "/report.html");
  for (const std::string& file : kFiles) {
    EXPECT_NE(page.find("\"" + file.substr(0, file.find('.')) + "\""), std::string::npos) << file;
  }
  EXPECT_NE(page.find(" --epochs 2 --seed 1\""), std::string::npos) << "the command is there";
  EXPECT_NE(page.find("machine: "), std::string::npos);
  EXPECT_EQ(json["models"].size(), kFiles.size());
  EXPECT_EQ(json["baseline_accuracy"], json["models"]["mnist_model_float32"]["accuracy"]);
  for (const auto& [name, model] : json["models"].items()) {
    EXPECT_GT(model["accuracy"].get<double>(), 0.6) << name;
    EXPECT_NEAR(model["size_kb"].get<double>() * 1024,
                static_cast<double>(
                    std::filesystem::file_size(dir + "/mnist_tflite_models/" + name + ".tflite")),
                10.0);
  }
  // The files say the same when they are evaluated again, with the preprocessing they note.
  const RunResult again = RunProgram(
      {"evaluate", dir + "/mnist_tflite_models", "--data", DigitFolder(), "--json", "-"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  const nlohmann::json evaluated = ParseJson(again.out);
  for (const auto& entry : evaluated["models"]) {
    const std::string stem = std::filesystem::path(entry["path"].get<std::string>()).stem();
    EXPECT_EQ(entry["accuracy"], json["models"][stem]["accuracy"]) << stem;
  }
}

TEST(Demo, AllMakesPrunedAndClusteredModelsToo) {
  const std::string dir = TempDir();
  const RunResult result =
      RunProgram({"demo", "--data", DigitFolder(), "--output", dir, "--epochs", "2", "--all"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::vector<std::string> files = kFiles;
  for (const char* name : {"channels", "clustered", "clustered_int8", "pruned", "pruned_2x4"}) {
    files.push_back(std::string("mnist_model_") + name + ".tflite");
  }
  std::sort(files.begin(), files.end());
  EXPECT_EQ(ListFolder(dir + "/mnist_tflite_models"), files);
  const nlohmann::json models = ReadJson(dir + "/benchmark_results.json")["models"];
  EXPECT_EQ(models.size(), files.size());
  for (const auto& [name, model] : models.items()) {
    // Half of the channels of a network that was trained for two epochs.
    EXPECT_GT(model["accuracy"].get<double>(), name == "mnist_model_channels" ? 0.4 : 0.6) << name;
  }
  const double whole = models["mnist_model_float32"]["size_kb"].get<double>();
  EXPECT_LT(models["mnist_model_pruned"]["size_kb"].get<double>(), 0.4 * whole);
  EXPECT_LT(models["mnist_model_channels"]["size_kb"].get<double>(), 0.4 * whole);
}

TEST(Demo, Int8FileHasInt8Borders) {
  const std::string dir = TempDir();
  const RunResult result = RunProgram(
      {"demo", "--data", DigitFolder(), "--output", dir, "--epochs", "1", "--recipes", "int8"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ListFolder(dir + "/mnist_tflite_models"),
            (std::vector<std::string>{kFiles[0], kFiles[4]}));
  const RunResult inspect =
      RunProgram({"inspect", dir + "/mnist_tflite_models/" + kFiles[4], "--json"});
  const nlohmann::json json = ParseJson(inspect.out);
  EXPECT_EQ(json["inputs"][0]["type"], "INT8");
  EXPECT_EQ(json["outputs"][0]["type"], "INT8");
}

TEST(Demo, TheSameSeedGivesTheSameFiles) {
  std::vector<std::string> dirs;
  for (const char* threads : {"1", "2", "3"}) {
    dirs.push_back(TempDir());
    const RunResult result = RunProgram({"demo", "--data", DigitFolder(), "--output", dirs.back(),
                                         "--epochs", "1", "--seed", "4", "--num_threads", threads});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  for (const std::string& name : kFiles) {
    const std::string file = "/mnist_tflite_models/" + name;
    EXPECT_EQ(ReadText(dirs[0] + file), ReadText(dirs[1] + file)) << name;
    EXPECT_EQ(ReadText(dirs[0] + file), ReadText(dirs[2] + file)) << name;
  }
}

TEST(Demo, InterruptEndsItWithoutFiles) {
  const std::string dir = TempDir();
  RunOptions options;
  options.interrupt_after = "epoch 1/";
  const RunResult result =
      RunProgram({"demo", "--data", DigitFolder(), "--output", dir, "--epochs", "100000"}, options);
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_NE(result.err.find("interrupted"), std::string::npos) << result.err;
  EXPECT_TRUE(ListFolder(dir).empty());
}

TEST(Demo, UnknownRecipe) {
  const RunResult result = RunProgram({"demo", "--output", TempDir(), "--recipes", "f16,int3"});
  ExpectError(result, 1, {"int3", "float16"});
}

}  // namespace
}  // namespace litesmith::testing
