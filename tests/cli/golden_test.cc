// The golden MNIST models through the program, against LiteRT's recorded outputs and counts.

#include <cmath>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

const char* const kModels[] = {"mnist_model_float32",       "mnist_model_quant_f16",
                               "mnist_model_quant_dynamic", "mnist_model_quant_int8",
                               "mnist_model_quant_16x8",    "mnist_model_quant_int8_float_io",
                               "mnist_model_quant_qat",     "mnist_model_quant_uint8_io"};

bool IsInteger(const std::string& model) {
  return model != "mnist_model_float32" && model != "mnist_model_quant_f16" &&
         model != "mnist_model_quant_dynamic";
}

void CompareArrays(const Array& got, const Array& want, bool exact) {
  ASSERT_EQ(got.type, want.type);
  ASSERT_EQ(got.shape, want.shape);
  if (exact) {
    EXPECT_TRUE(got.bytes == want.bytes);
    return;
  }
  for (size_t i = 0; i < want.data<float>().size(); ++i) {
    const float a = got.data<float>()[i], b = want.data<float>()[i];
    ASSERT_LE(std::abs(a - b), 1e-6f + 1e-5f * std::abs(b)) << "value " << i;
  }
}

// With reference kernels, whose sums are taken in LiteRT's order; `best` is held to its own bound
// elsewhere.
TEST(Golden, RunGivesTheRecordedOutputs) {
  REQUIRE_SHARED();
  const std::string mnist = SharedDir() + "/golden/mnist/";
  const std::string dir = TempDir();
  const std::string digits = WriteDigits(100, dir);
  for (const std::string model : kModels) {
    SCOPED_TRACE(model);
    const std::string out = dir + "/" + model;
    const RunResult result =
        RunProgram({"run", mnist + model + ".tflite", "--input", digits, "--output-dir", out,
                    "--quantize-input", "--kernels", "reference"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_OK_AND_ASSIGN(const Array got, ReadNpy(out + "/out0.npy", {}));
    ASSERT_OK_AND_ASSIGN(const Array want, ReadNpy(mnist + model + ".first100.npy", {}));
    CompareArrays(got, want, IsInteger(model));
  }
}

TEST(Golden, BestKernelsGiveTheSameIntegers) {
  REQUIRE_SHARED();
  const std::string mnist = SharedDir() + "/golden/mnist/";
  const std::string dir = TempDir();
  const std::string digits = WriteDigits(100, dir);
  for (const std::string model : kModels) {
    if (!IsInteger(model)) continue;
    const RunResult result = RunProgram({"run", mnist + model + ".tflite", "--input", digits,
                                         "--output_dir", dir, "--quantize_input"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    ASSERT_OK_AND_ASSIGN(const Array got, ReadNpy(dir + "/out0.npy", {}));
    ASSERT_OK_AND_ASSIGN(const Array want, ReadNpy(mnist + model + ".first100.npy", {}));
    CompareArrays(got, want, true);
  }
}

TEST(Golden, EvaluateCountsWhatLiteRTCounts) {
  REQUIRE_SHARED();
  const std::string mnist = SharedDir() + "/golden/mnist";
  const std::string json = TempDir() + "/results.json";
  const RunResult result =
      RunProgram({"evaluate", mnist, "--data", SharedDir() + "/data/mnist", "--json", json});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json expected = ReadJson(mnist + "/expected.json");
  const nlohmann::json models = ReadJson(json)["models"];
  ASSERT_EQ(models.size(), std::size(kModels));
  for (const auto& entry : models) {
    std::string stem = entry["path"].get<std::string>();
    stem = stem.substr(stem.rfind('/') + 1);
    stem = stem.substr(0, stem.rfind('.'));
    SCOPED_TRACE(stem);
    const int64_t want = expected[stem]["correct_of_10000"];
    const int64_t got = entry["correct"];
    if (IsInteger(stem)) {
      EXPECT_EQ(got, want);
    } else {
      EXPECT_LE(std::abs(got - want), 1);
    }
    EXPECT_EQ(entry["total"], 10000);
    EXPECT_DOUBLE_EQ(entry["accuracy"], static_cast<double>(got) / 10000.0);
    EXPECT_NE(result.out.find(stem), std::string::npos);
  }
}

TEST(Golden, EvaluateDoesNotDependOnThreads) {
  REQUIRE_SHARED();
  const std::string model = SharedDir() + "/golden/mnist/mnist_model_quant_int8.tflite";
  std::vector<std::string> texts;
  for (const char* threads : {"1", "3"}) {
    const RunResult result = RunProgram({"evaluate", model, "--data", SharedDir() + "/data/mnist",
                                         "--num_threads", threads, "--json", "-"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    texts.push_back(result.out);
  }
  EXPECT_EQ(texts[0], texts[1]);
}

TEST(Golden, TflmArithmeticRuns) {
  REQUIRE_SHARED();
  const std::string dir = TempDir();
  const RunResult result =
      RunProgram({"run", SharedDir() + "/golden/mnist/mnist_model_quant_16x8.tflite", "--input",
                  WriteDigits(10, dir), "--arithmetic", "tflm", "--output-dir", dir + "/out"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ASSERT_OK_AND_ASSIGN(const Array got, ReadNpy(dir + "/out/out0.npy", {}));
  EXPECT_EQ(got.shape, (std::vector<int64_t>{10, 10}));
}

TEST(Golden, InspectNamesThePartsOfTheFile) {
  REQUIRE_SHARED();
  const std::string model = SharedDir() + "/golden/mnist/mnist_model_quant_int8.tflite";
  const RunResult text = RunProgram({"inspect", model});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  for (const char* part : {"TFL3 header", "CONV_2D", "INT8", "Bytes by part", "serving_default",
                           "min_runtime_version"}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part;
  }
  for (const std::vector<std::string>& flag :
       {std::vector<std::string>{"--json"}, std::vector<std::string>{"--json", "-"}}) {
    std::vector<std::string> words = {"inspect"};
    words.insert(words.end(), flag.begin(), flag.end());
    words.push_back(model);
    const RunResult result = RunProgram(words);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const nlohmann::json json = ParseJson(result.out);
    EXPECT_EQ(json["file"]["tfl3_header"], true);
    EXPECT_EQ(json["file"]["bytes"], 26808);
    EXPECT_EQ(json["inputs"][0]["type"], "INT8");
    EXPECT_NEAR(json["inputs"][0]["quantization"]["scale"][0].get<double>(), 1.0 / 255, 1e-6);
    int64_t sum = 0;
    for (const auto& [part, bytes] : json["bytes"].items()) sum += bytes.get<int64_t>();
    EXPECT_EQ(sum, 26808);
  }
}

}  // namespace
}  // namespace litesmith::testing
