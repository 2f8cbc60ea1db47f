// The commands one after another, as a user goes from a Keras file to measured .tflite files.

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

class Journey : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    dir_ = TempDir();
    mnist_ = SharedDir() + "/golden/mnist/";
    data_ = SharedDir() + "/data/mnist";
  }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }

  RunResult Ok(const std::vector<std::string>& words, const RunOptions& options = {}) const {
    RunResult result = RunProgram(words, options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }

  nlohmann::json Inspect(const std::string& path) const {
    return ParseJson(Ok({"inspect", path, "--json"}).out);
  }

  // LITESMITH_METADATA of a file.
  nlohmann::json Notes(const std::string& path) const {
    const nlohmann::json json = Inspect(path);
    for (const auto& entry : json["metadata"]) {
      if (entry["name"] == "LITESMITH_METADATA") return ParseJson(entry["text"]);
    }
    return {};
  }

  int64_t Correct(const std::string& model, const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> words = {"evaluate", model, "--data", data_, "--json", "-"};
    words.insert(words.end(), flags.begin(), flags.end());
    return ParseJson(Ok(words).out)["models"][0]["correct"];
  }

  std::string dir_, mnist_, data_;
};

TEST_F(Journey, ConvertEveryKerasForm) {
  Ok({"convert", mnist_ + "mnist_cnn_model.keras", "-o", File("a.tflite")});
  Ok({"convert", mnist_ + "mnist_cnn_model.h5", "-o", File("b.tflite")});
  Ok({"convert", mnist_ + "mnist_cnn.json", "--weights", mnist_ + "mnist_cnn.weights.h5", "-o",
      File("c.tflite")});
  for (const char* name : {"a.tflite", "b.tflite", "c.tflite"}) {
    const int64_t correct = Correct(File(name));
    EXPECT_GE(correct, 9773) << name;
    EXPECT_LE(correct, 9775) << name;
    const nlohmann::json json = Inspect(File(name));
    EXPECT_EQ(json["signatures"][0]["key"], "serving_default");
    EXPECT_EQ(json["inputs"][0]["shape"], (nlohmann::json{-1, 28, 28, 1}));
    EXPECT_LE(json["file"]["bytes"], 91196 + 1024);
  }
  EXPECT_EQ(ListFolder(dir_).size(), 3u);
}

TEST_F(Journey, QuantizeEveryRecipe) {
  struct Case {
    const char* recipe;
    int64_t least;
    int64_t official_bytes;
  };
  for (const Case& c : {Case{"f16", 9773, 48368}, Case{"dynamic", 9773, 26560},
                        Case{"int8", 9771, 27160}, Case{"int16x8", 9774, 27792}}) {
    SCOPED_TRACE(c.recipe);
    const std::string out = File(std::string(c.recipe) + ".tflite");
    std::vector<std::string> words = {
        "quantize", mnist_ + "mnist_cnn_model.keras", "-o", out, "--recipe", c.recipe};
    const bool integer = std::string(c.recipe).starts_with("int");
    if (integer) {
      words.insert(words.end(), {"--calibration-data", mnist_ + "calibration_u8.npy"});
    }
    const RunResult result = Ok(words);
    EXPECT_EQ(result.err, "");
    EXPECT_GE(Correct(out), c.least);
    EXPECT_LE(static_cast<int64_t>(std::filesystem::file_size(out)), c.official_bytes + 1024);
    const nlohmann::json notes = Notes(out);
    EXPECT_TRUE(notes["recipe"].is_string());
    if (integer) {
      EXPECT_EQ(notes["preprocessing"]["mean"], nlohmann::json{0.0});
      EXPECT_EQ(notes["preprocessing"]["std"], nlohmann::json{255.0});
    }
  }
}

TEST_F(Journey, QuantizeTakesLittleMemory) {
  if (std::getenv("LITESMITH_SANITIZED") != nullptr) {
    GTEST_SKIP() << "skipped: a sanitizer's own memory would be measured";
  }
  const RunResult result =
      Ok({"quantize", mnist_ + "mnist_cnn_model.keras", "-o", File("q.tflite"), "--recipe", "int8",
          "--calibration-data", mnist_ + "calibration_u8.npy"});
  EXPECT_LE(result.peak_kilobytes, 60u * 1024);
}

TEST_F(Journey, IntegerBorders) {
  for (const char* type : {"int8", "uint8"}) {
    const std::string out = File(std::string(type) + ".tflite");
    Ok({"quantize", mnist_ + "mnist_cnn_model.keras", "-o", out, "--recipe", "static_wi8_ai8",
        "--calibration_data", data_, "--input_type", type, "--output-type", type,
        "--num_calibration_samples", "100"});
    const nlohmann::json json = Inspect(out);
    const std::string want = std::string(type) == "int8" ? "INT8" : "UINT8";
    EXPECT_EQ(json["inputs"][0]["type"], want);
    EXPECT_EQ(json["outputs"][0]["type"], want);
    EXPECT_GE(Correct(out), 9740);
  }
}

TEST_F(Journey, DryRunPrintsThePlanAndWritesNothing) {
  const RunResult result =
      Ok({"quantize", mnist_ + "mnist_cnn_model.keras", "-o", File("q.tflite"), "--recipe", "int8",
          "--calibration-data", mnist_ + "calibration_u8.npy", "--dry-run"});
  for (const char* part : {"CONV_2D", "INT8", "dense"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
  }
  EXPECT_EQ(ListFolder(dir_).size(), 0u);
}

TEST_F(Journey, TheSameCommandGivesTheSameBytes) {
  std::vector<std::string> files;
  for (const char* threads : {"1", "2", "5"}) {
    files.push_back(File(std::string("q") + threads + ".tflite"));
    Ok({"quantize", mnist_ + "mnist_cnn_model.keras", "-o", files.back(), "--recipe", "int8",
        "--calibration-data", data_, "--num-threads", threads});
  }
  EXPECT_EQ(ReadText(files[0]), ReadText(files[1]));
  EXPECT_EQ(ReadText(files[0]), ReadText(files[2]));
}

TEST_F(Journey, FewSamplesAreSaidSo) {
  const RunResult result =
      Ok({"quantize", mnist_ + "mnist_cnn_model.keras", "-o", File("q.tflite"), "--recipe", "int8",
          "--calibration-data", mnist_ + "calibration_u8.npy", "--num-calibration-samples", "500"});
  EXPECT_NE(result.err.find("300"), std::string::npos) << result.err;
}

// What a file was calibrated with is the default of later commands for pixels.
TEST_F(Journey, PreprocessingIsKeptInTheFile) {
  const std::string keras = mnist_ + "mnist_cnn_model.keras";
  Ok({"quantize", keras, "-o", File("inverted.tflite"), "--recipe", "int8", "--calibration-data",
      data_, "--mean", "255", "--std", "-255"});
  const nlohmann::json notes = Notes(File("inverted.tflite"));
  EXPECT_EQ(notes["preprocessing"]["mean"], nlohmann::json{255.0});
  EXPECT_EQ(notes["preprocessing"]["std"], nlohmann::json{-255.0});
  const int64_t by_default = Correct(File("inverted.tflite"));
  EXPECT_EQ(by_default, Correct(File("inverted.tflite"), {"--mean", "255", "--std=-255"}));
  EXPECT_NE(by_default, Correct(File("inverted.tflite"), {"--mean", "0", "--std", "255"}));
  // Converting the file again keeps its notes.
  Ok({"convert", File("inverted.tflite"), "-o", File("again.tflite")});
  EXPECT_EQ(Notes(File("again.tflite"))["preprocessing"], notes["preprocessing"]);
}

TEST_F(Journey, LabelsAreKeptInTheFile) {
  std::ofstream(File("labels.txt"))
      << "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
  Ok({"quantize", mnist_ + "mnist_cnn_model.keras", "-o", File("f16.tflite"), "--recipe", "f16",
      "--labels", File("labels.txt")});
  EXPECT_EQ(Notes(File("f16.tflite"))["preprocessing"]["labels"][3], "three");
}

TEST_F(Journey, RunTakesTheBatchOfTheArray) {
  for (const int64_t batch : {1, 7}) {
    const std::string digits = WriteDigits(batch, dir_);
    const RunResult result = Ok({"run", mnist_ + "mnist_model_float32.tflite", "--input", digits,
                                 "--output-dir", File("out")});
    EXPECT_NE(result.out.find("out0.npy"), std::string::npos);
    ASSERT_OK_AND_ASSIGN(const Array got, ReadNpy(File("out/out0.npy"), {}));
    EXPECT_EQ(got.shape, (std::vector<int64_t>{batch, 10}));
  }
}

TEST_F(Journey, InputsByName) {
  const std::string model = mnist_ + "mnist_model_float32.tflite";
  const std::string name = Inspect(model)["inputs"][0]["name"];
  const std::string digits = WriteDigits(3, dir_);
  Ok({"run", model, "--input", name + "=" + digits, "--output-dir", File("named")});
  Ok({"run", model, "--input", digits, "--output-dir", File("plain")});
  EXPECT_EQ(ReadText(File("named/out0.npy")), ReadText(File("plain/out0.npy")));
}

TEST_F(Journey, MultipleInputsAndOutputsOfAKerasModel) {
  const std::string keras = SharedDir() + "/golden/keras/";
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(keras)) {
    const std::string dir = entry.path().string();
    if (!std::filesystem::exists(dir + "/in1.npy")) continue;
    std::vector<std::string> words = {"run",         dir + "/model.keras", "--output-dir",
                                      File("multi"), "--kernels",          "reference"};
    for (int i = 0; std::filesystem::exists(dir + "/in" + std::to_string(i) + ".npy"); ++i) {
      words.insert(words.end(), {"--input", dir + "/in" + std::to_string(i) + ".npy"});
    }
    const RunResult result = RunProgram(words);
    if (result.exit_code != 0) continue;  // a layer that is not imported
    ASSERT_OK_AND_ASSIGN(const Array got, ReadNpy(File("multi/out0.npy"), {}));
    ASSERT_OK_AND_ASSIGN(const Array want, ReadNpy(dir + "/out0.npy", {}));
    ASSERT_EQ(got.shape, want.shape) << dir;
    for (size_t i = 0; i < want.data<float>().size(); ++i) {
      ASSERT_NEAR(got.data<float>()[i], want.data<float>()[i], 1e-5) << dir;
    }
    ++seen;
  }
  EXPECT_GT(seen, 0);
}

TEST_F(Journey, BenchmarkWritesTheJsonForm) {
  const RunResult result = Ok({"benchmark", mnist_ + "mnist_model_float32.tflite",
                               mnist_ + "mnist_model_quant_int8.tflite", "--data", data_,
                               "--num_runs", "5", "--warmup_runs", "1", "--json", File("b.json")});
  const nlohmann::json json = ReadJson(File("b.json"));
  EXPECT_TRUE(std::filesystem::exists(File("b.json")));
  EXPECT_EQ(json["timestamp"].get<std::string>().size(), 19u);
  for (const char* key :
       {"device", "arch", "cpu_model", "cores", "total_memory_gb", "available_memory_gb",
        "cpu_usage_percent", "isa", "governor", "temperature_c", "throttled"}) {
    EXPECT_TRUE(json["system_info"].contains(key)) << key;
  }
  EXPECT_EQ(json["system_info"].size(), 11u);
  EXPECT_NEAR(json["baseline_accuracy"], 0.9774, 1e-4);
  const nlohmann::json& int8 = json["models"]["mnist_model_quant_int8"];
  EXPECT_DOUBLE_EQ(int8["accuracy"], 0.9772);
  EXPECT_NEAR(int8["size_kb"], 26808 / 1024.0, 0.01);
  for (const char* key : {"avg", "std", "min", "max", "median", "p95"}) {
    EXPECT_GE(int8["latency_ms"][key].get<double>(), 0.0) << key;
  }
  EXPECT_NEAR(int8["fps"].get<double>() * int8["latency_ms"]["avg"].get<double>(), 1000.0, 1e-6);
  for (const char* part : {"% of float", "speed-up", "change", "-0.02"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
  }
}

TEST_F(Journey, BenchmarkWithoutDataHasNoAccuracy) {
  const RunResult result = Ok({"benchmark", mnist_, "--num_runs", "2", "--json", "-"});
  const nlohmann::json json = ParseJson(result.out);
  EXPECT_TRUE(json["baseline_accuracy"].is_null());
  EXPECT_EQ(json["models"].size(), 8u);
  EXPECT_TRUE(json["models"]["mnist_model_quant_f16"]["accuracy"].is_null());
}

TEST_F(Journey, TablesLineUp) {
  const RunResult result = Ok({"evaluate", mnist_ + "mnist_model_float32.tflite",
                               mnist_ + "mnist_model_quant_int8.tflite", "--data", data_});
  std::vector<std::string> lines;
  std::istringstream text(result.out);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  ASSERT_GE(lines.size(), 4u);
  for (const std::string& line : lines) EXPECT_EQ(line.size(), lines[0].size()) << result.out;
}

}  // namespace
}  // namespace litesmith::testing
