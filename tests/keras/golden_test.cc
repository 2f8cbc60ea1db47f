// Keras' own outputs for small models of one layer or idea each, in all three forms in which Keras
// saves them.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "import/keras/json.h"
#include "passes/passes.h"
#include "tests/run_graph.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kRelative = 1e-5, kAbsolute = 1e-6;

// What the main job promises (README, "Import").
const std::set<std::string> kPromisedLayers = {"InputLayer",
                                               "Conv2D",
                                               "DepthwiseConv2D",
                                               "SeparableConv2D",
                                               "Dense",
                                               "BatchNormalization",
                                               "ReLU",
                                               "LeakyReLU",
                                               "Activation",
                                               "Softmax",
                                               "MaxPooling2D",
                                               "AveragePooling2D",
                                               "GlobalAveragePooling2D",
                                               "GlobalMaxPooling2D",
                                               "Flatten",
                                               "Reshape",
                                               "Dropout",
                                               "Add",
                                               "Concatenate",
                                               "ZeroPadding2D",
                                               "Rescaling",
                                               "Sequential",
                                               "Functional"};
const std::set<std::string> kPromisedActivations = {"linear",  "relu", "relu6",  "leaky_relu",
                                                    "sigmoid", "tanh", "softmax"};

bool Promised(const json& model) {
  if (!kPromisedLayers.contains(model.value("class_name", ""))) return false;
  const json& config = model.at("config");
  if (config.contains("activation") &&
      !kPromisedActivations.contains(keras::ObjectName(config["activation"]))) {
    return false;
  }
  if (model["class_name"] == "Softmax" && config.value("axis", -1) != -1) return false;
  if (!config.contains("layers")) return true;
  return std::all_of(config["layers"].begin(), config["layers"].end(), Promised);
}

struct Case {
  std::string name, dir;
  bool promised = false;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const std::string root = testing::SharedDir() + "/golden/keras";
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string dir = entry.path().string();
    if (!fs::exists(dir + "/model.json")) continue;
    std::ifstream in(dir + "/model.json");
    const json model = json::parse(in, nullptr, false);
    cases.push_back({entry.path().filename().string(), dir, Promised(model)});
  }
  std::sort(cases.begin(), cases.end(),
            [](const Case& a, const Case& b) { return a.name < b.name; });
  return cases;
}

struct Form {
  const char* file;
  const char* weights;
};
constexpr Form kForms[] = {
    {"model.keras", ""}, {"model.h5", ""}, {"model.json", "model.weights.h5"}};

absl::StatusOr<Graph> Import(const std::string& dir, const Form& form) {
  ImportOptions options;
  if (*form.weights != '\0') options.weights = dir + "/" + form.weights;
  return ImportModel(dir + "/" + form.file, options, Context());
}

// How far the imported model is from Keras' outputs (up to 1 is agreement), over the three forms.
absl::StatusOr<double> Compare(const Case& c, bool optimise) {
  LS_ASSIGN_OR_RETURN(const auto inputs, testing::ReadArrays(c.dir + "/in"));
  LS_ASSIGN_OR_RETURN(const auto expected, testing::ReadArrays(c.dir + "/out"));
  double worst = 0.0;
  for (const Form& form : kForms) {
    LS_ASSIGN_OR_RETURN_IN(Graph graph, Import(c.dir, form), form.file);
    if (optimise) LS_RETURN_IF_ERROR_IN(Optimise(&graph, Context()), form.file);
    LS_ASSIGN_OR_RETURN_IN(const auto outputs, testing::RunGraph(graph, inputs), form.file);
    LS_ASSIGN_OR_RETURN_IN(
        const double d, testing::Disagreement(outputs, expected, kRelative, kAbsolute), form.file);
    worst = std::max(worst, d);
  }
  return worst;
}

TEST(KerasGolden, PromisedCasesAgreeWithKeras) {
  REQUIRE_SHARED();
  std::string names;
  int count = 0;
  for (const Case& c : Cases()) {
    if (!c.promised) continue;
    ++count;
    names += " " + c.name;
    for (const bool optimise : {false, true}) {
      const auto worst = Compare(c, optimise);
      ASSERT_TRUE(worst.ok()) << c.name << ": " << worst.status().ToString();
      EXPECT_LE(*worst, 1.0) << c.name << (optimise ? " optimised" : "");
    }
  }
  std::printf("%d cases of promised layers:%s\n", count, names.c_str());
  EXPECT_GE(count, 20);
}

TEST(KerasGolden, TheOtherCasesAgreeToo) {
  REQUIRE_SHARED();
  std::string names;
  int count = 0;
  for (const Case& c : Cases()) {
    if (c.promised) continue;
    ++count;
    names += " " + c.name;
    for (const bool optimise : {false, true}) {
      const auto worst = Compare(c, optimise);
      ASSERT_TRUE(worst.ok()) << c.name << ": " << worst.status().ToString();
      EXPECT_LE(*worst, 1.0) << c.name << (optimise ? " optimised" : "");
    }
  }
  std::printf("%d more cases:%s\n", count, names.c_str());
}

TEST(KerasGolden, SignatureAndNames) {
  REQUIRE_SHARED();
  const std::string dir = testing::SharedDir() + "/golden/keras/multi_output";
  ASSERT_OK_AND_ASSIGN(const Graph graph, Import(dir, kForms[0]));
  ASSERT_EQ(graph.signatures.size(), 1u);
  const Signature& signature = graph.signatures[0];
  EXPECT_EQ(signature.key, "serving_default");
  ASSERT_EQ(signature.inputs.size(), 1u);
  EXPECT_EQ(signature.inputs[0].name, "input_layer_59");
  ASSERT_EQ(signature.outputs.size(), 2u);
  EXPECT_EQ(signature.outputs[0].name, "output_0");
  EXPECT_EQ(signature.outputs[1].name, "output_1");
  // In the source's order: b_out with 3 units comes first.
  const auto& tensors = graph.main().tensors;
  const Tensor& first = tensors[static_cast<size_t>(graph.main().outputs[0])];
  EXPECT_EQ(first.shape_signature, (Shape{-1, 3}));
  EXPECT_EQ(first.shape, (Shape{1, 3}));
  EXPECT_EQ(graph.main().nodes[0].name, "dense_8");
}

TEST(KerasMnist, FourFormsAgreeWithTheOfficialModel) {
  REQUIRE_SHARED();
  const std::string dir = testing::SharedDir() + "/golden/mnist/";
  ASSERT_OK_AND_ASSIGN(const Graph official,
                       ImportModel(dir + "mnist_model_float32.tflite", {}, Context()));
  const std::pair<const char*, const char*> forms[] = {{"mnist_cnn_model.keras", ""},
                                                       {"mnist_cnn_model.h5", ""},
                                                       {"mnist_cnn.json", "mnist_cnn.weights.h5"},
                                                       {"mnist_cnn.json", "mnist_cnn_model.h5"}};
  for (const auto& [file, weights] : forms) {
    ImportOptions options;
    if (*weights != '\0') options.weights = dir + weights;
    ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(dir + file, options, Context()));
    ASSERT_OK_AND_ASSIGN(const double plain,
                         testing::DisagreementOnNoise(graph, official, 8, kRelative, kAbsolute));
    EXPECT_LE(plain, 1.0) << file;
    ASSERT_OK(Optimise(&graph, Context()));
    ASSERT_OK_AND_ASSIGN(const double optimised,
                         testing::DisagreementOnNoise(graph, official, 8, kRelative, kAbsolute));
    EXPECT_LE(optimised, 1.0) << file;
  }
}

// CONV_2D, MAX_POOL_2D, RESHAPE, FULLY_CONNECTED twice, SOFTMAX: one RESHAPE for Flatten.
TEST(KerasMnist, OptimisedToSixNodes) {
  REQUIRE_SHARED();
  const std::string dir = testing::SharedDir() + "/golden/mnist/";
  ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(dir + "mnist_cnn_model.keras", {}, Context()));
  ASSERT_OK(Optimise(&graph, Context()));
  std::vector<std::string> names;
  for (const Node& node : graph.main().nodes) names.push_back(OperatorName(node));
  EXPECT_THAT(names, ::testing::ElementsAre("CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED",
                                            "FULLY_CONNECTED", "SOFTMAX"));
}

struct Real {
  const char* keras;
  const char* tflite;
};

TEST(KerasModels, RealNetworksAgreeWithTheirOfficialConversions) {
  REQUIRE_SHARED();
  const std::string dir = testing::SharedDir() + "/models/";
  constexpr Real kModels[] = {
      {"mlperf-tiny/image_classification/pretrainedResnet.h5",
       "mlperf-tiny/image_classification/pretrainedResnet.tflite"},
      {"mlperf-tiny/visual_wake_words/vww_96.h5",
       "mlperf-tiny/visual_wake_words/vww_96_float.tflite"},
      {"cifar10_mobilenet/mobilenet_cifar10.keras",
       "cifar10_mobilenet/mobilenet_cifar10_float32.tflite"},
      {"bench/ds_cnn.h5", "bench/ds_cnn_float32.tflite"},
      {"bench/mobilenet_v2.keras", "bench/mobilenet_v2_float32.tflite"},
  };
  for (const Real& model : kModels) {
    ASSERT_OK_AND_ASSIGN(Graph graph, ImportModel(dir + model.keras, {}, Context()));
    ASSERT_OK_AND_ASSIGN(const Graph official, ImportModel(dir + model.tflite, {}, Context()));
    const int count = std::string(model.keras).find("mobilenet_v2") == std::string::npos ? 4 : 1;
    ASSERT_OK_AND_ASSIGN(const double plain,
                         testing::DisagreementOnNoise(graph, official, count, 1e-4, 1e-5));
    EXPECT_LE(plain, 1.0) << model.keras;
    const size_t before = graph.main().nodes.size();
    ASSERT_OK(Optimise(&graph, Context()));
    ASSERT_OK_AND_ASSIGN(const double optimised,
                         testing::DisagreementOnNoise(graph, official, count, 1e-4, 1e-5));
    EXPECT_LE(optimised, 1.0) << model.keras;
    std::printf("%s: %zu nodes, optimised %zu, official %zu; |a-b| / (1e-5 + 1e-4 |b|) <= %.3f\n",
                model.keras, before, graph.main().nodes.size(), official.main().nodes.size(),
                std::max(plain, optimised));
  }
}

}  // namespace
}  // namespace litesmith
