// litesmith train, as a user runs it.

#include <algorithm>
#include <csignal>
#include <filesystem>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

class TrainCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    dir_ = TempDir();
    model_ = SharedDir() + "/golden/mnist/mnist_model_float32.tflite";
    keras_ = SharedDir() + "/golden/mnist/mnist_cnn_model.keras";
    data_ = File("digits");
    ASSERT_EQ(RunProgram({"data", "synthetic", "--output", data_, "--count", "600"}).exit_code, 0);
  }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }

  RunResult Train(const std::string& model, const std::string& out,
                  const std::vector<std::string>& flags, const RunOptions& options = {}) const {
    std::vector<std::string> words = {"train", model, "-o", File(out), "--data", data_};
    words.insert(words.end(), flags.begin(), flags.end());
    return RunProgram(words, options);
  }
  RunResult Ok(const std::string& model, const std::string& out,
               const std::vector<std::string>& flags) const {
    RunResult result = Train(model, out, flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }

  std::string dir_, model_, keras_, data_;
};

TEST_F(TrainCommand, FineTunesAndSaysHow) {
  const RunResult result =
      Ok(model_, "out.tflite", {"--epochs", "3", "--json", File("report.json")});
  for (const char* part :
       {"epoch 1/3: loss ", "epoch 3/3", "accuracy", "validation loss", "written: "}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
  }
  const nlohmann::json epochs = ReadJson(File("report.json"))["epochs"];
  ASSERT_EQ(epochs.size(), 3u);
  EXPECT_LT(epochs[2]["loss"], epochs[0]["loss"]);
  EXPECT_GT(epochs[2]["validation_accuracy"], 0.5);
  EXPECT_EQ(epochs[2]["stage"], "train");
  // What evaluate finds is what was said; the file notes how its inputs were made.
  const RunResult evaluated =
      RunProgram({"evaluate", File("out.tflite"), "--data", data_, "--json", "-"});
  EXPECT_NEAR(ParseJson(evaluated.out)["models"][0]["accuracy"].get<double>(),
              epochs[2]["validation_accuracy"].get<double>(), 0.011);
  const nlohmann::json inspected =
      ParseJson(RunProgram({"inspect", File("out.tflite"), "--json", "-"}).out);
  EXPECT_EQ(inspected["signatures"][0]["key"], "serving_default");
  bool noted = false;
  for (const auto& entry : inspected["metadata"]) {
    if (entry["name"] != "LITESMITH_METADATA") continue;
    noted = ParseJson(entry["text"])["preprocessing"]["std"] == nlohmann::json{255.0};
  }
  EXPECT_TRUE(noted);
}

TEST_F(TrainCommand, TheSameBytesOnAnyNumberOfThreadsAndFromTheKerasFile) {
  const std::vector<std::string> flags = {"--epochs",    "1",     "--augment",  "flip,crop",
                                          "--optimizer", "adamw", "--schedule", "cosine",
                                          "--clip-norm", "1"};
  std::vector<std::string> files;
  for (const char* threads : {"1", "3"}) {
    files.push_back(std::string("t") + threads + ".tflite");
    std::vector<std::string> words = flags;
    words.insert(words.end(), {"--num-threads", threads});
    Ok(keras_, files.back(), words);
  }
  EXPECT_EQ(ReadText(File(files[0])), ReadText(File(files[1])));
  std::vector<std::string> other = flags;
  other.insert(other.end(), {"--seed", "1"});
  Ok(keras_, "other.tflite", other);
  EXPECT_NE(ReadText(File(files[0])), ReadText(File("other.tflite")));
}

TEST_F(TrainCommand, ResumesAfterAKillWithTheSameBytes) {
  // So many epochs that the kill comes in the midst of one.
  const std::vector<std::string> flags = {"--epochs", "40", "--schedule", "cosine"};
  Ok(model_, "whole.tflite", flags);
  std::vector<std::string> kept = flags;
  kept.insert(kept.end(), {"--checkpoint", File("state"), "--resume"});
  RunOptions stop;
  stop.kill_after = "epoch 2/40";
  EXPECT_EQ(Train(model_, "killed.tflite", kept, stop).exit_code, 128 + SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(File("killed.tflite")));
  const RunResult resumed = Ok(model_, "resumed.tflite", kept);
  EXPECT_EQ(resumed.out.find("epoch 1/40"), std::string::npos) << resumed.out;
  EXPECT_NE(resumed.out.find("epoch 40/40"), std::string::npos) << resumed.out;
  EXPECT_EQ(ReadText(File("whole.tflite")), ReadText(File("resumed.tflite")));
  // Once more: nothing is left to do.
  Ok(model_, "again.tflite", kept);
  EXPECT_EQ(ReadText(File("whole.tflite")), ReadText(File("again.tflite")));
  // Other options do not go on from it.
  kept.insert(kept.end(), {"--batch-size", "32"});
  ExpectError(Train(model_, "x.tflite", kept), 1, {"checkpoint", "other training options"});
}

TEST_F(TrainCommand, AFullDiskKeepsTheCheckpointBefore) {
  const std::vector<std::string> flags = {"--epochs", "2", "--checkpoint", File("state")};
  std::vector<std::string> one = flags;
  one[1] = "1";
  Ok(model_, "one.tflite", one);
  const std::string state = ReadText(File("state/train/checkpoint.lsc"));
  RunOptions full;
  full.file_size_limit = 100000;
  const RunResult result = Train(model_, "two.tflite", flags, full);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("checkpoint.lsc"), std::string::npos) << result.err;
  EXPECT_EQ(ReadText(File("state/train/checkpoint.lsc")), state);
  EXPECT_EQ(ListFolder(File("state/train")).size(), 1u);
}

TEST_F(TrainCommand, QuantizationAwareByAMixedRecipe) {
  const std::string recipe = File("recipe.json");
  ASSERT_EQ(
      RunProgram({"quantize", model_, "-o", File("quantized.tflite"), "--recipe", "int8",
                  "--calibration-data", data_, "--keep-float", "dense_1", "--write-recipe", recipe})
          .exit_code,
      0);
  Ok(model_, "mixed.tflite", {"--qat", recipe, "--epochs", "1"});
  const auto types = [&](const std::string& name) {
    std::vector<std::string> out;
    const nlohmann::json json = ParseJson(RunProgram({"inspect", File(name), "--json", "-"}).out);
    for (const auto& tensor : json["subgraphs"][0]["tensors"]) out.push_back(tensor["type"]);
    std::sort(out.begin(), out.end());
    return out;
  };
  EXPECT_EQ(types("mixed.tflite"), types("quantized.tflite"));
  Ok(model_, "int8.tflite", {"--qat", "int8", "--epochs", "1"});
  EXPECT_NE(types("mixed.tflite"), types("int8.tflite"));
  ExpectError(Train(model_, "x.tflite", {"--qat", File("none.json")}), 1, {"none.json"});
}

TEST_F(TrainCommand, ATeacherNeedsNoLabels) {
  // The model learns its own answers from pictures without labels: there is nothing to change.
  const std::string digits = WriteDigits(200, dir_);
  const RunResult result =
      RunProgram({"train", model_, "-o", File("out.tflite"), "--data", digits, "--teacher", model_,
                  "--epochs", "1", "--learning-rate", "0.00001"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("loss 0.0"), std::string::npos) << result.out;
}

TEST_F(TrainCommand, WhatCannotBeTrainedIsSaid) {
  const std::string int8 = SharedDir() + "/golden/mnist/mnist_model_quant_int8.tflite";
  if (std::filesystem::exists(int8)) {
    ExpectError(Train(int8, "x.tflite", {}), 1, {int8, "quantized", "float model"});
  }
  ExpectError(Train(model_, "x.tflite", {"--freeze", "no_such_layer"}), 1,
              {"--freeze", "no layer"});
  ExpectError(Train(model_, "x.tflite", {"--freeze", "."}), 1, {"nothing is left to train"});
  ExpectError(Train(model_, "x.tflite", {"--freeze", "("}), 1, {"--freeze", "regular expression"});
  ExpectError(Train(model_, "x.tflite", {"--resume"}), 1, {"--checkpoint"});
  ExpectError(Train(model_, "x.tflite", {"--loss", "bce"}), 1, {"LOGISTIC"});
  ExpectError(Train(model_, "x.tflite", {"--learning-rate", "-1"}), 1, {"learning rate"});
  ExpectError(Train(model_, "x.tflite", {"--augment", "spin"}), 2, {"--augment", "spin"});
  ExpectError(Train(model_, "x.tflite", {"--epochs", "0"}), 2, {"--epochs"});
  ExpectError(Train(model_, "x.tflite", {"--teacher", keras_, "--temperature", "0"}), 1,
              {"--temperature"});
  ExpectError(
      Train(model_, "../" + std::filesystem::path(dir_).filename().string() + "/digits", {}), 1,
      {"digits"});
  EXPECT_FALSE(std::filesystem::exists(File("x.tflite")));
}

TEST_F(TrainCommand, DivergenceSaysWhere) {
  const RunResult result =
      Train(model_, "x.tflite", {"--optimizer", "sgd", "--learning-rate", "1e20", "--epochs", "2"});
  ExpectError(result, 1, {"epoch 1", "lower learning rate"});
  EXPECT_FALSE(std::filesystem::exists(File("x.tflite")));
}

}  // namespace
}  // namespace litesmith::testing
