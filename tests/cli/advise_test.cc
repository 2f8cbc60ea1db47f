// `advise`: what it measures, decides and refuses; and that its commands make what it measured.

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Advise : public ::testing::Test {
 protected:
  // Digits in a folder whose name a shell must quote, and a network that has seen them.
  static void SetUpTestSuite() {
    dir_ = new std::string(TempDir());
    data_ = new std::string(*dir_ + "/it's data");
    model_ = new std::string(*dir_ + "/digits.tflite");
    ASSERT_EQ(RunProgram({"data", "synthetic", "--output", *data_, "--count", "600"}).exit_code, 0);
    const RunResult made = RunProgram({"demo", "--data", *data_, "--output", *dir_ + "/demo",
                                       "--epochs", "2", "--recipes", "float16"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    std::filesystem::copy_file(*dir_ + "/demo/mnist_tflite_models/mnist_model_float32.tflite",
                               *model_);
  }
  static void TearDownTestSuite() {
    delete dir_;
    delete data_;
    delete model_;
  }

  static nlohmann::json Run(std::vector<std::string> flags, int exit_code = 0) {
    const std::string file = TempDir() + "/advice.json";
    std::vector<std::string> words = {"advise", *model_, "--json", file};
    words.insert(words.end(), flags.begin(), flags.end());
    const RunResult result = RunProgram(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    return ReadJson(file);
  }

  static nlohmann::json Candidate(const nlohmann::json& advice, const std::string& name) {
    for (const auto& c : advice["candidates"]) {
      if (c["name"] == name) return c;
    }
    ADD_FAILURE() << "no candidate " << name;
    return {};
  }

  static std::string Refused(const nlohmann::json& advice, const std::string& name) {
    std::string out;
    const nlohmann::json candidate = Candidate(advice, name);
    for (const auto& why : candidate["refused"]) out += why.get<std::string>() + "\n";
    return out;
  }

  static std::string *dir_, *data_, *model_;
};
std::string *Advise::dir_ = nullptr, *Advise::data_ = nullptr, *Advise::model_ = nullptr;

TEST_F(Advise, ItsCommandsMakeTheSameBytes) {
  for (const char* target : {"cpu", "edgetpu", "gpu"}) {
    const std::string out = TempDir() + "/files";
    const nlohmann::json advice = Run({"--data", *data_, "--train-data", *data_, "--epochs", "1",
                                       "--target", target, "-o", out, "--mean", "0", "--std=255"});
    std::map<std::string, std::string> files;
    for (const auto& c : advice["candidates"]) {
      const std::string file = c["file"];
      files[file] = ReadText(file);
      EXPECT_NEAR(c["size_kb"].get<double>() * 1024, static_cast<double>(files[file].size()), 10);
      std::filesystem::remove(file);
    }
    EXPECT_GE(files.size(), 7u);
    const std::string path = std::filesystem::path(Program()).parent_path();
    const std::string command =
        "PATH='" + path + "':$PATH sh '" + out + "/commands.sh' >'" + out + "/log' 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << ReadText(out + "/log");
    for (const auto& [file, bytes] : files) EXPECT_EQ(ReadText(file) == bytes, true) << file;
  }
}

TEST_F(Advise, WalksTheTreeWithMeasurements) {
  const nlohmann::json advice = Run({"--data", *data_});
  std::vector<std::string> answers;
  for (const auto& q : advice["questions"]) answers.push_back(q["answer"]);
  EXPECT_THAT(answers, ElementsAre("yes", "no", "no", "no"));
  EXPECT_EQ(advice["tree_recommends"], nlohmann::json({"dynamic"}));
  EXPECT_EQ(advice["candidates"].size(), 5u);
  EXPECT_EQ(advice["this_machine"], true);
  // The rankings are those of the numbers.
  const auto sorted = [&](const char* ranking, auto key) {
    double before = -1e9;
    EXPECT_EQ(advice["rankings"][ranking].size(), 5u);
    for (const auto& name : advice["rankings"][ranking]) {
      const double value = key(Candidate(advice, name));
      EXPECT_GE(value, before) << ranking;
      before = value;
    }
  };
  sorted("size", [](const auto& c) { return c["size_kb"].template get<double>(); });
  sorted("speed", [](const auto& c) { return c["latency_ms"]["median"].template get<double>(); });
  sorted("accuracy", [](const auto& c) { return -c["accuracy"].template get<double>(); });
  // What is chosen was measured, is not refused, and is evaluated as by `evaluate`.
  const nlohmann::json chosen = Candidate(advice, advice["choice"]);
  EXPECT_TRUE(chosen["refused"].empty());
  const std::string file = TempDir() + "/again";
  Run({"--data", *data_, "-o", file});
  const RunResult evaluated = RunProgram({"evaluate", file, "--data", *data_, "--json", "-"});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
  const nlohmann::json models = ParseJson(evaluated.out)["models"];
  EXPECT_EQ(models.size(), 5u);
  for (const auto& model : models) {
    const std::string stem = std::filesystem::path(model["path"].get<std::string>()).stem();
    EXPECT_EQ(model["accuracy"], Candidate(advice, stem.substr(7))["accuracy"]) << stem;
  }
}

TEST_F(Advise, KeepsToTheLimits) {
  const nlohmann::json small = Run({"--data", *data_, "--max-size", "30"});
  EXPECT_THAT(Refused(small, "float32"), HasSubstr("KB are more than 30"));
  EXPECT_LE(Candidate(small, small["choice"])["size_kb"], 30.0);
  const nlohmann::json none =
      Run({"--data", *data_, "--max-size", "1", "--max-latency-ms", "0"}, 1);
  EXPECT_TRUE(none["choice"].is_null());
  EXPECT_THAT(Refused(none, "int8"), HasSubstr("KB are more than 1\n"));
  EXPECT_THAT(Refused(none, "int8"), HasSubstr("ms are more than 0\n"));
}

TEST_F(Advise, SaysWhatItCannotKnow) {
  const nlohmann::json advice = Run({});
  EXPECT_EQ(advice["choice"], "dynamic");
  EXPECT_TRUE(advice["rankings"]["accuracy"].is_null());
  EXPECT_TRUE(Candidate(advice, "float16")["accuracy"].is_null());
  EXPECT_THAT(Refused(advice, "int8"), HasSubstr("--calibration-data"));
  ASSERT_FALSE(advice["unknown"].empty());
  EXPECT_THAT(advice["unknown"][0], HasSubstr("--data"));
}

TEST_F(Advise, NeverGuessesAnotherMachinesLatency) {
  for (const char* target : {"edgetpu", "hexagon", "gpu", "mcu"}) {
    const std::string out = TempDir() + "/files";
    const nlohmann::json advice =
        Run({"--data", *data_, "--target", target, "--max-latency-ms", "0.0001", "-o", out});
    EXPECT_TRUE(advice["rankings"]["speed"].is_null());
    for (const auto& c : advice["candidates"]) EXPECT_TRUE(c["latency_ms"].is_null());
    EXPECT_EQ(advice["choice"], std::string(target) == "gpu" ? "float16" : "int8") << target;
    bool said = false;
    for (const std::string unknown : advice["unknown"]) {
      said = said || unknown.find("not measured") != std::string::npos;
    }
    EXPECT_TRUE(said) << target;
  }
}

TEST_F(Advise, NamesTheNodesThatAnAcceleratorLeaves) {
  const nlohmann::json edge = Run({"--data", *data_, "--target", "edgetpu"});
  const nlohmann::json fit = Candidate(edge, "int8")["on_target"];
  EXPECT_EQ(fit["taken"], fit["nodes"]) << fit;
  EXPECT_THAT(Refused(edge, "float16"), HasSubstr("nothing of it runs on the Edge TPU"));
  const nlohmann::json dsp = Candidate(Run({"--data", *data_, "--target", "hexagon"}), "int8");
  bool dense = false;
  for (const auto& o : dsp["on_target"]["obstacles"]) {
    dense = dense || (o["operator"] == "FULLY_CONNECTED" &&
                      o["why"].get<std::string>().find("one scale") != std::string::npos);
  }
  EXPECT_TRUE(dense) << dsp;
  const nlohmann::json board = Run({"--data", *data_, "--target", "mcu"});
  EXPECT_THAT(Refused(board, "float16"), HasSubstr("tflm"));
}

TEST_F(Advise, RefusesWhatItCannotAdviseOn) {
  const std::string int8 = TempDir() + "/int8.tflite";
  ASSERT_EQ(RunProgram(
                {"quantize", *model_, "-o", int8, "--recipe", "int8", "--calibration-data", *data_})
                .exit_code,
            0);
  ExpectError(RunProgram({"advise", int8}), 1, {int8, "quantized already"});
  ExpectError(RunProgram({"advise", *model_, "--target", "abacus"}), 2, {"--target"});
  ExpectError(RunProgram({"advise", *model_, "--data", "/nowhere"}), 1, {"/nowhere"});
  ExpectError(RunProgram({"advise", *model_, "--train-data", "/nowhere"}), 1, {"/nowhere"});
  // The model would be one of the files written.
  const std::string folder = TempDir();
  const std::string own = folder + "/a_float32.tflite";
  std::filesystem::copy_file(*model_, own);
  std::filesystem::create_symlink(own, folder + "/a.tflite");
  ExpectError(RunProgram({"advise", folder + "/a.tflite", "-o", folder}), 1, {"input"});
}

TEST_F(Advise, TheTimeLimitLeavesNothing) {
  const std::string out = TempDir() + "/files";
  ExpectError(RunProgram({"advise", *model_, "--data", *data_, "--train-data", *data_, "--epochs",
                          "1000000", "-o", out, "--time-limit", "0.3"}),
              1, {"time limit"});
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace litesmith::testing
