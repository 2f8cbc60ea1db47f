// TensorFlow's own outputs for small SavedModels, and MLPerf Tiny's keyword spotting.

#include <algorithm>
#include <filesystem>

#include "data/npy.h"
#include "passes/passes.h"
#include "tests/run_graph.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

namespace fs = std::filesystem;

constexpr double kRelative = 1e-5, kAbsolute = 1e-6;

std::string Root() { return testing::SharedDir() + "/golden/saved_model/"; }

absl::StatusOr<Graph> Import(const std::string& dir, const std::string& signature, bool optimise) {
  ImportOptions options;
  options.signature = signature;
  LS_ASSIGN_OR_RETURN(Graph graph, ImportModel(dir, options, Context()));
  if (optimise) LS_RETURN_IF_ERROR(Optimise(&graph, Context()));
  return graph;
}

// How far the model is from TensorFlow's outputs: up to 1 is agreement.
absl::StatusOr<double> Compare(const std::string& model, const std::string& data, bool optimise) {
  LS_ASSIGN_OR_RETURN(const Graph graph, Import(model, "", optimise));
  LS_ASSIGN_OR_RETURN(const auto inputs, testing::ReadArrays(data + "/in"));
  LS_ASSIGN_OR_RETURN(const auto expected, testing::ReadArrays(data + "/out"));
  LS_ASSIGN_OR_RETURN(const auto outputs, testing::RunGraph(graph, inputs));
  return testing::Disagreement(outputs, expected, kRelative, kAbsolute);
}

TEST(SavedModelGolden, KerasExports) {
  REQUIRE_SHARED();
  int count = 0;
  for (const auto& entry : fs::directory_iterator(Root())) {
    const std::string dir = entry.path().string();
    if (!fs::exists(dir + "/saved_model/saved_model.pb") || !fs::exists(dir + "/in0.npy")) continue;
    ++count;
    for (const bool optimise : {false, true}) {
      const auto worst = Compare(dir + "/saved_model", dir, optimise);
      ASSERT_TRUE(worst.ok()) << dir << ": " << worst.status().ToString();
      EXPECT_LE(*worst, 1.0) << dir << (optimise ? " optimised" : "");
    }
  }
  EXPECT_EQ(count, 16);
}

// The values of in_NAME.npy in the order of the graph's inputs, and SIGNATURE.out_NAME.npy.
absl::StatusOr<double> CompareByName(const std::string& dir, const std::string& signature,
                                     const std::string& recorded) {
  LS_ASSIGN_OR_RETURN(const Graph graph, Import(dir + "/saved_model", signature, true));
  std::vector<Array> inputs, expected;
  for (size_t i = 0; i < graph.main().inputs.size(); ++i) {
    LS_ASSIGN_OR_RETURN(inputs.emplace_back(),
                        ReadNpy(dir + "/in_" + InputName(graph, i) + ".npy", Context()));
  }
  for (size_t i = 0; i < graph.main().outputs.size(); ++i) {
    LS_ASSIGN_OR_RETURN(
        expected.emplace_back(),
        ReadNpy(dir + "/" + recorded + ".out_" + OutputName(graph, i) + ".npy", Context()));
  }
  LS_ASSIGN_OR_RETURN(const auto outputs, testing::RunGraph(graph, inputs));
  return testing::Disagreement(outputs, expected, kRelative, kAbsolute);
}

TEST(SavedModelGolden, ModulesBySignature) {
  REQUIRE_SHARED();
  const struct {
    const char *dir, *signature, *recorded;
  } kCases[] = {{"module_two_signatures", "", "serve"},
                {"module_two_signatures", "serving_default", "serve"},
                {"module_two_signatures", "resize_pad", "resize_pad"},
                {"module_einsum_two_inputs", "", "serve"}};
  for (const auto& c : kCases) {
    const auto worst = CompareByName(Root() + c.dir, c.signature, c.recorded);
    ASSERT_TRUE(worst.ok()) << c.dir << " " << c.signature << ": " << worst.status().ToString();
    EXPECT_LE(*worst, 1.0) << c.dir << " " << c.signature;
  }
}

TEST(SavedModelGolden, KeywordSpotting) {
  REQUIRE_SHARED();
  const std::string model =
      testing::SharedDir() + "/models/mlperf-tiny/keyword_spotting/kws_ref_model";
  for (const bool optimise : {false, true}) {
    ASSERT_OK_AND_ASSIGN(const double worst, Compare(model, Root() + "kws_ref_model", optimise));
    EXPECT_LE(worst, 1.0) << optimise;
  }
}

// tests/saved_model/data/make_two_signatures.py; needs no shared folder.
TEST(SavedModelGolden, TwoSignatures) {
  const std::string dir = testing::SourceDir() + "/tests/saved_model/data/two_signatures";
  const std::vector<float> x = {1, -2, 0.5f, 3, 0.25f, 1, -1, 0};
  Array input = Array::Zeros(ElementType::kFloat32, {2, 4});
  std::copy(x.begin(), x.end(), input.mutable_data<float>().begin());
  const std::vector<float> serve = {0.865253210067749f,  0.02351124957203865f,
                                    0.1112356185913086f, 0.10052815079689026f,
                                    0.5979050397872925f, 0.30156683921813965f};
  const std::vector<float> hidden = {2.8293654918670654f, 0, 0.7779937982559204f, 0,
                                     0.3667323887348175f, 0};
  for (const auto& [signature, expected] : {std::pair("", serve), std::pair("hidden", hidden)}) {
    ASSERT_OK_AND_ASSIGN(const Graph graph, Import(dir, signature, true));
    ASSERT_OK_AND_ASSIGN(const auto y, testing::RunGraph(graph, {input}));
    ASSERT_EQ(y[0].data<float>().size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(y[0].data<float>()[i], expected[i], 1e-6f) << signature << " " << i;
    }
  }
}

std::vector<std::string> Operators(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.main().nodes) names.push_back(OperatorName(node));
  return names;
}

// The seed network: the same six nodes as from its Keras file.
TEST(SavedModelGolden, MnistLikeItsKerasFile) {
  REQUIRE_SHARED();
  const std::string dir = testing::SharedDir() + "/golden/mnist/";
  ASSERT_OK_AND_ASSIGN(const Graph graph, Import(dir + "mnist_cnn_saved_model", "", true));
  ASSERT_OK_AND_ASSIGN(const Graph keras, Import(dir + "mnist_cnn_model.keras", "", true));
  EXPECT_EQ(Operators(graph), Operators(keras));
  ASSERT_OK_AND_ASSIGN(const double worst,
                       testing::DisagreementOnNoise(graph, keras, 4, kRelative, kAbsolute));
  EXPECT_LE(worst, 1.0);
}

TEST(SavedModelGolden, SignatureBatchAndNames) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(const Graph graph,
                       Import(Root() + "keras_multi_output/saved_model", "", true));
  ASSERT_EQ(graph.signatures.size(), 1u);
  EXPECT_EQ(graph.signatures[0].key, "serving_default");
  ASSERT_EQ(graph.main().outputs.size(), 2u);
  EXPECT_EQ(OutputName(graph, 0), "output_0");
  EXPECT_EQ(OutputName(graph, 1), "output_1");
  const Tensor& first = graph.main().tensors[static_cast<size_t>(graph.main().outputs[0])];
  EXPECT_EQ(first.shape_signature, (Shape{-1, 3}));
}

// Dilation and batch normalisation leave no operators behind.
TEST(SavedModelGolden, FusedToOneConvolution) {
  REQUIRE_SHARED();
  for (const char* name : {"keras_conv_bn_folding", "keras_conv2d_dilated"}) {
    ASSERT_OK_AND_ASSIGN(const Graph graph, Import(Root() + name + "/saved_model", "", true));
    EXPECT_THAT(Operators(graph), ::testing::ElementsAre("CONV_2D")) << name;
  }
}

}  // namespace
}  // namespace litesmith
