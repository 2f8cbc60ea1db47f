// Pruning and clustering by `train`.

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "tests/cli/process.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"
#include "train/train.h"

namespace litesmith::testing {
namespace {

class Compress : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = TempDir();
    model_ = Write("model.tflite", MnistNetwork(1));
    data_ = dir_ + "/digits";
    WriteIdx(320);
  }

  std::string Write(const std::string& name, Graph graph) const {
    FinishForWriting(&graph);
    const auto bytes = SerializeTflite(graph);
    EXPECT_OK(bytes);
    const std::string path = dir_ + "/" + name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes->data()),
               static_cast<std::streamsize>(bytes->size()));
    return path;
  }

  // Pictures with a bright row that tells the class.
  void WriteIdx(int count) const {
    std::filesystem::create_directories(data_);
    const auto number = [](int value) {
      std::string out;
      for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 255);
      return out;
    };
    std::string pictures = number(0x803) + number(count) + number(28) + number(28);
    std::string labels = number(0x801) + number(count);
    Random random(1);
    for (int i = 0; i < count; ++i) {
      labels += static_cast<char>(i % 10);
      for (int y = 0; y < 28; ++y) {
        for (int x = 0; x < 28; ++x) {
          const uint64_t noise = random.Below(60);
          pictures += static_cast<char>(y / 2 == i % 10 + 2 ? 255 - noise : noise);
        }
      }
    }
    std::ofstream(data_ + "/train-images-idx3-ubyte", std::ios::binary) << pictures;
    std::ofstream(data_ + "/train-labels-idx1-ubyte", std::ios::binary) << labels;
  }

  nlohmann::json Train(const std::string& out, std::vector<std::string> flags) const {
    std::vector<std::string> words = {"train", model_,   "-o", dir_ + "/" + out, "--data",
                                      data_,   "--json", "-",  "--batch-size",   "32"};
    words.insert(words.end(), flags.begin(), flags.end());
    const RunResult result = RunProgram(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return ParseJson(result.out);
  }

  std::string dir_, model_, data_;
};

const nlohmann::json* Layer(const nlohmann::json& json, int64_t elements) {
  for (const auto& layer : json["compression"]["layers"]) {
    if (layer["elements"] == elements) return &layer;
  }
  ADD_FAILURE() << "no layer of " << elements;
  return nullptr;
}

constexpr int64_t kDense = 16 * 1352;

TEST_F(Compress, PruneThenClusterAndQuantize) {
  const nlohmann::json json =
      Train("small.tflite", {"--prune", "0.8", "--cluster", "8", "--epochs", "3"});
  const nlohmann::json* layer = Layer(json, kDense);
  ASSERT_NE(layer, nullptr);
  EXPECT_NEAR((*layer)["sparsity"], 0.81, 0.01);
  EXPECT_LE((*layer)["distinct_values"], 8);
  EXPECT_EQ((*layer)["stored"], "random");
  const nlohmann::json& all = json["compression"];
  EXPECT_NEAR(all["sparsity"], 0.8, 0.001);
  EXPECT_EQ(all["prune"], "0.8");
  EXPECT_EQ(all["cluster"], "8");
  EXPECT_LT(all["after"]["bytes"], all["before"]["bytes"].get<int64_t>() / 2);
  EXPECT_LT(all["after"]["gzip_bytes"], all["before"]["gzip_bytes"].get<int64_t>() / 4);
  EXPECT_EQ(all["gains"]["bytes"], true);
  EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size(dir_ + "/small.tflite")),
            all["after"]["bytes"].get<int64_t>());
  EXPECT_EQ(json["epochs"][0]["stage"], "prune");
  EXPECT_EQ(json["epochs"][3]["stage"], "cluster");

  // The sparse file is a model like any other.
  const RunResult quantized =
      RunProgram({"quantize", dir_ + "/small.tflite", "-o", dir_ + "/int8.tflite", "--recipe",
                  "int8", "--calibration-data", data_, "--split", "train"});
  EXPECT_EQ(quantized.exit_code, 0) << quantized.err;
  EXPECT_LT(std::filesystem::file_size(dir_ + "/int8.tflite"), 32000u);
  const RunResult evaluated = RunProgram(
      {"evaluate", dir_ + "/small.tflite", dir_ + "/int8.tflite", "--data", data_, "--json", "-"});
  EXPECT_EQ(evaluated.exit_code, 0) << evaluated.err;
  const nlohmann::json models = ParseJson(evaluated.out)["models"];
  EXPECT_NEAR(models[0]["accuracy"], models[1]["accuracy"], 0.03);
}

TEST_F(Compress, AMaskThatSavesNoBytesIsNotCalledAGain) {
  const nlohmann::json json =
      Train("plain.tflite", {"--prune", "0.8", "--epochs", "1", "--no-sparse-encoding"});
  EXPECT_EQ(json["compression"]["gains"]["bytes"], false);
  EXPECT_EQ(json["compression"]["gains"]["gzip_bytes"], true);
  EXPECT_EQ((*Layer(json, kDense))["stored"], "dense");
}

TEST_F(Compress, ChannelsMakeTheFileSmaller) {
  const nlohmann::json json = Train("slim.tflite", {"--prune", "channels=0.5", "--epochs", "1"});
  EXPECT_EQ(json["channels"][0]["after"], 4);
  EXPECT_EQ(json["channels"][1]["after"], 8);
  EXPECT_EQ(json["channels"][2]["after"], 10);
  EXPECT_LT(std::filesystem::file_size(dir_ + "/slim.tflite"), 30000u);
}

TEST_F(Compress, ImpossibleRequestsAreRefused) {
  const auto refuses = [&](const std::vector<std::string>& flags,
                           const std::vector<std::string>& parts, const std::string& model) {
    std::vector<std::string> words = {"train", model, "-o", dir_ + "/no.tflite", "--data", data_};
    words.insert(words.end(), flags.begin(), flags.end());
    ExpectError(RunProgram(words), 1, parts);
    EXPECT_FALSE(std::filesystem::exists(dir_ + "/no.tflite"));
  };
  refuses({"--prune", "1.5"}, {"--prune 1.5", "between 0 and 1"}, model_);
  refuses({"--prune", "4:2"}, {"--prune 4:2"}, model_);
  refuses({"--prune", "1x16=0.5"}, {"1352 is no multiple of 16"}, model_);
  refuses({"--cluster", "1"}, {"--cluster 1", "between 2 and"}, model_);
  refuses({"--cluster", "16,random"}, {"'random'"}, model_);

  GraphBuilder b;
  int32_t x = b.Input("x", {-1, 28, 28, 1});
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_SAME;
  conv.stride_h = conv.stride_w = 1;
  x = b.Op(schema::BuiltinOperator_CONV_2D, "stem",
           {x, b.Ramp("stem/w", {4, 3, 3, 1}, -0.5f, 0.03f), b.Ramp("b", {4}, 0.0f, 0.1f)},
           {-1, 28, 28, 4}, Options(conv));
  schema::DepthToSpaceOptionsT shuffle;
  shuffle.block_size = 2;
  x = b.Op(schema::BuiltinOperator_DEPTH_TO_SPACE, "shuffle", {x}, {-1, 56, 56, 1},
           Options(shuffle));
  x = b.Op(schema::BuiltinOperator_RESHAPE, "flat", {x, b.Ints("shape", {2}, {-1, 3136})},
           {-1, 3136});
  x = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "head",
           {x, b.Ramp("v", {10, 3136}, -0.1f, 1e-5f), b.Ramp("c", {10}, 0.0f, 0.0f)}, {-1, 10},
           Options(schema::FullyConnectedOptionsT{}));
  schema::SoftmaxOptionsT softmax;
  softmax.beta = 1.0f;
  b.Output(b.Op(schema::BuiltinOperator_SOFTMAX, "out", {x}, {-1, 10}, Options(softmax)));
  refuses({"--prune", "channels=0.5"}, {"'stem/w'", "DEPTH_TO_SPACE 'shuffle'"},
          Write("shuffle.tflite", b.graph()));
}

}  // namespace
}  // namespace litesmith::testing
