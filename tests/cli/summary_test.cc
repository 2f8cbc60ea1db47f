// `litesmith summary` through the program.

#include <filesystem>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

class SummaryCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    mnist_ = SharedDir() + "/golden/mnist/mnist_";
    dir_ = TempDir();
  }
  RunResult Run(const std::string& int8) {
    return RunProgram({"summary", "--keras", mnist_ + "cnn_model.keras", "--float",
                       mnist_ + "model_float32.tflite", "--int8", mnist_ + int8, "--data",
                       SharedDir() + "/data/mnist", "-o", dir_ + "/part2_summary.json"});
  }
  std::string mnist_, dir_;
};

TEST_F(SummaryCommand, TheOfficialFilesPass) {
  const RunResult result = Run("model_quant_int8.tflite");
  ASSERT_EQ(result.exit_code, 0) << result.err << result.out;
  const auto json = ReadJson(dir_ + "/part2_summary.json");
  EXPECT_EQ(json["accuracy"]["tflite_float32"], 0.9774);
  EXPECT_EQ(json["accuracy"]["tflite_int8"], 0.9772);
  EXPECT_GT(json["compression_ratio"]["int8"], 10.0);
  EXPECT_EQ(json["quantization"]["input"]["type"], "INT8");
  EXPECT_EQ(json["quantization"]["input"]["zero_point"], -128);
  EXPECT_NEAR(json["quantization"]["input"]["scale"], 0.003922, 1e-6);
  EXPECT_EQ(json["quantization"]["output"]["shape"], (std::vector<int>{-1, 10}));
  EXPECT_EQ(json["tfl3_header"]["tflite_int8"], true);
  EXPECT_EQ(json["passed"], true);
  const auto bytes = std::filesystem::file_size(mnist_ + "model_quant_int8.tflite");
  EXPECT_NEAR(json["model_sizes_kb"]["tflite_int8"], static_cast<double>(bytes) / 1024.0, 0.01);
}

TEST_F(SummaryCommand, AFailedCheckExitsWithOneAndIsWritten) {
  const RunResult result = Run("model_quant_int8_float_io.tflite");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("a check of the summary failed"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("FAILED"), std::string::npos) << result.out;
  EXPECT_EQ(ReadJson(dir_ + "/part2_summary.json")["passed"], false);
}

}  // namespace
}  // namespace litesmith::testing
