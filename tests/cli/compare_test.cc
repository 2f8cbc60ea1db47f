// `litesmith compare` through the program.

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

class CompareCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    mnist_ = SharedDir() + "/golden/mnist/mnist_model_";
    data_ = SharedDir() + "/data/mnist";
  }
  std::string mnist_, data_;
};

TEST_F(CompareCommand, RanksTheLayersOfTheOfficialFiles) {
  const std::string dir = TempDir();
  const RunResult result =
      RunProgram({"compare", mnist_ + "float32.tflite", mnist_ + "quant_int8.tflite", "--data",
                  data_, "--json", dir + "/c.json", "--node-data", dir + "/nodes.json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("SQNR dB"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("Right answers"), std::string::npos) << result.out;
  const auto json = ReadJson(dir + "/c.json");
  EXPECT_EQ(json["samples"], 100);
  EXPECT_GE(json["agreement"], 0.98);
  const auto& tensors = json["tensors"];
  ASSERT_GE(tensors.size(), 4u);
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_GT(tensors[i]["sqnr_db"], 15.0) << tensors[i];
    const size_t before = i > 0 ? i - 1 : 0;
    EXPECT_GE(tensors[i]["sqnr_db"], tensors[before]["sqnr_db"]);
  }
  EXPECT_EQ(json["confusion"].size(), 10u);
  const auto nodes = ReadJson(dir + "/nodes.json");
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes.begin().value()["results"].size(), tensors.size());
}

TEST_F(CompareCommand, RefusesWhatIsNoPair) {
  ExpectError(RunProgram({"compare", mnist_ + "float32.tflite",
                          SharedDir() + "/models/bench/resnet8_int8.tflite", "--data", data_}),
              1, {"no pair", "resnet8_int8.tflite"});
  ExpectError(RunProgram({"compare", mnist_ + "float32.tflite", "--data", data_}), 2, {"MODEL"});
  ExpectError(RunProgram({"compare", mnist_ + "float32.tflite", mnist_ + "quant_int8.tflite",
                          "--data", data_, "--num-samples", "0"}),
              2, {"--num-samples"});
}

}  // namespace
}  // namespace litesmith::testing
