// What `train` says to data and models that cannot be trained on.

#include <filesystem>
#include <fstream>

#include "tests/cli/process.h"
#include "tests/data_files.h"
#include "tests/testing.h"
#include "tests/train/small_network.h"
#include "tflite/tflite.h"

namespace litesmith::testing {
namespace {

class TrainBadInput : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = TempDir();
    model_ = WriteModel("model.tflite", SmallPictureNetwork(3, 1));
    data_ = File("data");
    WriteIdxFolder(data_, "train", 90, 12, 12, 3, false);
  }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }

  std::string WriteModel(const std::string& name, Graph graph) const {
    FinishForWriting(&graph);
    const auto bytes = SerializeTflite(graph);
    EXPECT_OK(bytes);
    WriteFile(File(name), *bytes);
    return File(name);
  }

  RunResult Train(const std::string& model, const std::string& data,
                  const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> words = {"train", model, "-o", File("out.tflite"), "--data", data};
    words.insert(words.end(), flags.begin(), flags.end());
    return RunProgram(words);
  }
  void Refuses(const std::string& model, const std::string& data,
               const std::vector<std::string>& parts,
               const std::vector<std::string>& flags = {}) const {
    ExpectError(Train(model, data, flags), 1, parts);
    EXPECT_FALSE(std::filesystem::exists(File("out.tflite")));
  }

  std::string dir_, model_, data_;
};

TEST_F(TrainBadInput, LabelsOutOfRange) {
  WriteIdxFolder(File("four"), "train", 90, 12, 12, 4, false);
  Refuses(model_, File("four"), {"sample 3 of", "label 3", "3 outputs"});
  const Array pictures = Array::Zeros(ElementType::kFloat32, {3, 12, 12, 1});
  WriteNpz(File("negative.npz"),
           {{"in0", pictures}, {"labels", ArrayOf<int64_t>(ElementType::kInt64, {3}, {0, -1, 2})}});
  Refuses(model_, File("negative.npz"), {"'labels' has the value -1 at sample 1"});
}

TEST_F(TrainBadInput, MismatchedShapes) {
  WriteIdxFolder(File("small"), "train", 30, 10, 10, 3, false);
  Refuses(model_, File("small"), {"small", "10", "12"});
  const Array pictures = Array::Zeros(ElementType::kFloat32, {3, 12, 12, 1});
  WriteNpz(File("few.npz"),
           {{"in0", pictures}, {"labels", ArrayOf<int64_t>(ElementType::kInt64, {2}, {0, 1})}});
  Refuses(model_, File("few.npz"), {"few.npz", "3", "2"});
  // A teacher of other classes.
  Refuses(model_, data_, {"the teacher has 4 outputs a sample, the model 3"},
          {"--teacher", WriteModel("four.tflite", SmallPictureNetwork(4, 1))});
}

TEST_F(TrainBadInput, EmptyClassesAreNamed) {
  for (const char* name : {"cat", "dog", "newt"}) {
    std::filesystem::create_directories(File(std::string("pictures/train/") + name));
  }
  for (const char* name : {"cat/0.png", "cat/1.png", "newt/0.png"}) {
    WriteFile(File(std::string("pictures/train/") + name), FlatPng(12, 12, 90));
  }
  const RunResult result = Train(model_, File("pictures"), {"--epochs", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("no samples of 1 of the model's 3 classes (1 ('dog'))"),
            std::string::npos)
      << result.err;
}

TEST_F(TrainBadInput, ALossThatIsNoNumberKeepsTheCheckpoint) {
  const std::vector<std::string> kept = {"--checkpoint", File("state"), "--epochs"};
  std::vector<std::string> flags = kept;
  flags.push_back("1");
  ASSERT_EQ(Train(model_, data_, flags).exit_code, 0);
  std::filesystem::remove(File("out.tflite"));
  const std::string state = ReadText(File("state/train/checkpoint.lsc"));
  // The same number of samples, one of which is not a number.
  Array pictures = Array::Zeros(ElementType::kFloat32, {90, 12, 12, 1});
  pictures.mutable_data<float>()[5 * 144 + 3] = NAN;
  std::vector<int64_t> labels(90);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 3);
  WriteNpz(File("nan.npz"),
           {{"in0", pictures}, {"labels", ArrayOf<int64_t>(ElementType::kInt64, {90}, labels)}});
  flags = kept;
  flags.insert(flags.end(), {"2", "--resume"});
  Refuses(model_, File("nan.npz"),
          {"the loss is not a number in batch", "of epoch 2", "sample 5 of",
           "the state after epoch 1 is in " + File("state")},
          flags);
  EXPECT_EQ(ReadText(File("state/train/checkpoint.lsc")), state);
}

TEST_F(TrainBadInput, AnOperatorWithoutGradientIsNamedWithTheLayersItBlocks) {
  NetworkBuilder b(2);
  int32_t x = b.Conv("stem", b.Input("x", {-1, 12, 12, 1}), 4);
  x = b.Op(schema::BuiltinOperator_FLOOR, "rounded", {x}, {-1, 12, 12, 4});
  b.Output(b.Softmax("out", b.Dense("head", b.Flatten("flat", x), 3, false)));
  const std::string model = WriteModel("floor.tflite", b.graph());
  Refuses(model, data_, {"FLOOR 'rounded'", "cannot be trained, freeze them", "CONV_2D 'stem'"});
  // What comes behind it is trained.
  const RunResult result = Train(model, data_, {"--freeze", "^stem", "--epochs", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(TrainBadInput, ACheckpointOfAnotherModel) {
  const std::vector<std::string> flags = {"--checkpoint", File("state"), "--epochs", "1"};
  ASSERT_EQ(Train(model_, data_, flags).exit_code, 0);
  std::filesystem::remove(File("out.tflite"));
  std::vector<std::string> again = flags;
  again.push_back("--resume");
  Refuses(WriteModel("other.tflite", SmallPictureNetwork(3, 2)), data_,
          {File("state"), "another model"}, again);
  WriteFile(File("state/train/checkpoint.lsc"), BytesOf("no checkpoint"));
  Refuses(model_, data_, {"checkpoint.lsc", "not a whole checkpoint"}, again);
}

TEST_F(TrainBadInput, ChannelsThatCannotBeCut) {
  // The only layer makes the model's outputs.
  NetworkBuilder b(4);
  const int32_t x = b.Flatten("flat", b.Input("x", {-1, 12, 12, 1}));
  b.Output(b.Softmax("out", b.Dense("head", x, 3, false)));
  Refuses(WriteModel("head.tflite", b.graph()), data_,
          {"--prune channels=0.5", "'head", "the model's output"}, {"--prune", "channels=0.5"});
  // Every channel of it is normalised with its neighbours.
  NetworkBuilder n(5);
  int32_t y = n.Conv("stem", n.Input("x", {-1, 12, 12, 1}), 4);
  y = n.Op(schema::BuiltinOperator_DEPTH_TO_SPACE, "shuffle", {y}, {-1, 24, 24, 1}, [] {
    schema::DepthToSpaceOptionsT options;
    options.block_size = 2;
    return Options(options);
  }());
  n.Output(n.Softmax("out", n.Dense("head", n.Flatten("flat", y), 3, false)));
  Refuses(WriteModel("shuffle.tflite", n.graph()), data_,
          {"layer 'stem", "DEPTH_TO_SPACE 'shuffle'"}, {"--prune", "channels=0.5"});
}

TEST_F(TrainBadInput, ImpossibleShares) {
  for (const char* share : {"1.5", "0", "1", "-0.5", "nan", "channels=1", "1x4=2"}) {
    Refuses(model_, data_, {std::string("--prune ") + share, "between 0 and 1"},
            {"--prune", share});
  }
  Refuses(model_, data_, {"--prune 4:4", "N < M"}, {"--prune", "4:4"});
}

}  // namespace
}  // namespace litesmith::testing
