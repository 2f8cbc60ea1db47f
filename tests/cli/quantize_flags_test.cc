// Flags of `quantize` that the journey does not use: mixed recipes, other borders, targets.

#include <fstream>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ExpectError;
using ::testing::HasSubstr;
using testing::ReadText;
using testing::RunProgram;
using testing::RunResult;
using testing::SharedDir;

class QuantizeFlags : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    model_ = SharedDir() + "/golden/mnist/mnist_model_float32.tflite";
    data_ = SharedDir() + "/golden/mnist/calibration_u8.npy";
  }
  RunResult Quantize(std::vector<std::string> args) {
    args.insert(args.begin(), "quantize");
    return RunProgram(args);
  }
  RunResult Int8(const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> args = {
        model_, "-o", out, "--calibration-data", data_, "--num-calibration-samples", "20"};
    args.insert(args.end(), more.begin(), more.end());
    return Quantize(args);
  }

  std::string temp_ = testing::TempDir();
  std::string model_, data_;
};

TEST_F(QuantizeFlags, AWrittenRecipeGivesTheSameFile) {
  const std::string a = temp_ + "/a.tflite", b = temp_ + "/b.tflite",
                    recipe = temp_ + "/recipe.json";
  ASSERT_EQ(Int8(a, {"--recipe", "int8", "--keep-float", "no such layer", "--write-recipe", recipe})
                .exit_code,
            0);
  EXPECT_THAT(ReadText(recipe), HasSubstr("no such layer"));
  ASSERT_EQ(Int8(b, {"--recipe", recipe}).exit_code, 0);
  EXPECT_EQ(ReadText(a), ReadText(b));
}

TEST_F(QuantizeFlags, AnErrorInARecipeNamesFileAndEntry) {
  const std::string recipe = temp_ + "/recipe.json";
  std::ofstream(recipe) << R"([{"regex": ".*", "algorithm_key": "oscar", "op_config": {}}])";
  ExpectError(Int8(temp_ + "/out.tflite", {"--recipe", recipe}), 1,
              {"recipe.json", "entry 1 ('.*')", "oscar"});
}

TEST_F(QuantizeFlags, AQuantizedModelGetsOtherTypes) {
  const std::string a = temp_ + "/a.tflite", b = temp_ + "/b.tflite";
  ASSERT_EQ(Int8(a, {"--recipe", "int8"}).exit_code, 0);
  ASSERT_EQ(Quantize({a, "-o", b, "--input-type", "uint8", "--output-type", "int8"}).exit_code, 0);
  const RunResult inspect = RunProgram({"inspect", b});
  EXPECT_THAT(inspect.out, HasSubstr("UINT8"));
  ExpectError(Quantize({a, "-o", b}), 1, {"quantized already", "--input-type"});
  ExpectError(Quantize({model_, "-o", b}), 1, {"--recipe is missing"});
  ExpectError(Quantize({a, "-o", b, "--recipe", "float16"}), 1, {"quantized already"});
}

TEST_F(QuantizeFlags, ATargetRefusesWhatItCannotRun) {
  const std::string out = temp_ + "/out.tflite";
  ExpectError(Quantize({model_, "-o", out, "--recipe", "dynamic", "--target", "tflm"}), 1,
              {"tflm", "f32/s8"});
  EXPECT_EQ(Quantize({model_, "-o", out, "--recipe", "dynamic"}).exit_code, 0);
}

TEST_F(QuantizeFlags, TheBatchIsFixed) {
  const std::string out = temp_ + "/out.tflite";
  ASSERT_EQ(Int8(out, {"--recipe", "int8", "--batch-size", "4"}).exit_code, 0);
  EXPECT_THAT(RunProgram({"inspect", out}).out, HasSubstr("[4, 28, 28, 1]"));
}

}  // namespace
}  // namespace litesmith
