#include "train/unfold.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "train/train.h"

namespace litesmith {
namespace {

using testing::BlobPictures;
using testing::GraphBuilder;
using testing::MemoryDataset;

// 12x12 pictures -> convolution (no bias) relu -> depthwise -> pool -> dense -> softmax; the first
// weights are as small as those for inputs up to 255.
Graph Network(float scale) {
  GraphBuilder b;
  Random random(5);
  const auto weights = [&](const std::string& name, Shape shape, float factor) {
    std::vector<float> values(static_cast<size_t>(NumElements(shape)));
    for (float& v : values) v = factor * static_cast<float>(random.Uniform(-0.4, 0.4));
    return b.Floats(name, std::move(shape), values);
  };
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_SAME;
  conv.stride_h = conv.stride_w = 1;
  conv.fused_activation_function = schema::ActivationFunctionType_RELU;
  int32_t x = b.Input("x", {-1, 12, 12, 1});
  x = b.Op(schema::BuiltinOperator_CONV_2D, "conv", {x, weights("conv/w", {4, 3, 3, 1}, scale)},
           {-1, 12, 12, 4}, Options(conv));
  schema::DepthwiseConv2DOptionsT depthwise;
  depthwise.padding = schema::Padding_SAME;
  depthwise.stride_h = depthwise.stride_w = 2;
  depthwise.depth_multiplier = 1;
  x = b.Op(schema::BuiltinOperator_DEPTHWISE_CONV_2D, "depthwise",
           {x, weights("depthwise/w", {1, 3, 3, 4}, 1.0f), weights("depthwise/b", {4}, 1.0f)},
           {-1, 6, 6, 4}, Options(depthwise));
  x = b.Op(schema::BuiltinOperator_RESHAPE, "flat", {x, b.Ints("shape", {2}, {-1, 144})},
           {-1, 144});
  x = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "logits",
           {x, weights("logits/w", {3, 144}, 1.0f), weights("logits/b", {3}, 1.0f)}, {-1, 3},
           Options(schema::FullyConnectedOptionsT{}));
  schema::SoftmaxOptionsT softmax;
  softmax.beta = 1.0f;
  b.Output(b.Op(schema::BuiltinOperator_SOFTMAX, "out", {x}, {-1, 3}, Options(softmax)));
  return b.graph();
}

std::vector<float> Probabilities(const Graph& graph, const MemoryDataset& data) {
  auto executor = Executor::Create(std::make_shared<const Graph>(graph), {});
  EXPECT_OK(executor);
  std::vector<float> out;
  for (size_t i = 0; i < 40; ++i) {
    std::memcpy((*executor)->input(0).data(), data.inputs[i].data(),
                data.inputs[i].size() * sizeof(float));
    EXPECT_OK((*executor)->Run());
    const auto* values = reinterpret_cast<const float*>((*executor)->output(0).data());
    out.insert(out.end(), values, values + 3);
  }
  return out;
}

MemoryDataset Pictures(float scale) {
  MemoryDataset data = BlobPictures(320, 3, 1);
  for (auto& picture : data.inputs) {
    for (float& v : picture) v *= scale;
  }
  return data;
}

// With steps too small to matter, what is folded back is the function that was there.
TEST(Unfold, FoldsBackToTheSameFunction) {
  MemoryDataset data = Pictures(255.0f);
  const Graph before = Network(1.0f / 255.0f);
  Graph graph = before;
  TrainOptions options;
  options.epochs = 1;
  options.batch_norm = true;
  options.optimizer.learning_rate = 1e-9f;
  ASSERT_OK(Train(&graph, &data, options, {}, nullptr));
  const std::vector<float> was = Probabilities(before, data), is = Probabilities(graph, data);
  for (size_t i = 0; i < was.size(); ++i) ASSERT_NEAR(is[i], was[i], 2e-3) << i;
  EXPECT_EQ(graph.main().nodes.size(), before.main().nodes.size());
  EXPECT_EQ(graph.main().nodes[0].inputs.size(), 3u) << "the convolution has a bias now";
}

TEST(Unfold, ItLearns) {
  MemoryDataset data = Pictures(255.0f);
  std::vector<double> losses;
  Graph graph = Network(1.0f / 255.0f);
  TrainOptions options;
  options.epochs = 3;
  options.batch_norm = true;
  options.optimizer.learning_rate = 1e-2f;
  options.validation = &data;
  ASSERT_OK(Train(&graph, &data, options, {},
                  [&](const EpochResult& r) { losses.push_back(r.validation_loss); }));
  ASSERT_EQ(losses.size(), 3u);
  EXPECT_LT(losses[2], 0.5 * losses[0]);
}

TEST(Unfold, ResumesWithTheSameBytesOnAnyNumberOfThreads) {
  MemoryDataset data = Pictures(1.0f);
  TrainOptions options;
  options.epochs = 3;
  options.batch_norm = true;
  options.batch_size = 40;
  std::vector<std::vector<float>> results;
  const auto train = [&](int threads) {
    Graph graph = Network(1.0f);
    Context context;
    context.num_threads = threads;
    EXPECT_OK(Train(&graph, &data, options, context, nullptr));
    results.push_back(ReadParameters(graph, FindParameters(graph)));
  };
  for (int threads : testing::ThreadCounts({1, 3})) train(threads);
  options.checkpoint_dir = testing::TempDir();
  options.resume = true;
  options.epochs = 2;
  train(1);
  options.epochs = 3;
  train(1);
  train(1);  // at its end already
  results.erase(results.end() - 3);
  for (const auto& values : results) EXPECT_EQ(values, results[0]);
}

TEST(Unfold, FrozenConvolutionsStayAsTheyAre) {
  MemoryDataset data = Pictures(1.0f);
  const Graph before = Network(1.0f);
  Graph graph = before;
  TrainOptions options;
  options.epochs = 1;
  options.batch_norm = true;
  options.freeze = [](const std::string& name) { return name.starts_with("conv"); };
  ASSERT_OK(Train(&graph, &data, options, {}, nullptr));
  const auto same = [&](const char* name) {
    for (size_t t = 0; t < before.main().tensors.size(); ++t) {
      if (before.main().tensors[t].name != name) continue;
      const auto a = before.main().tensors[t].data.bytes, b = graph.main().tensors[t].data.bytes;
      return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }
    return false;
  };
  EXPECT_TRUE(same("conv/w"));
  EXPECT_FALSE(same("depthwise/w"));
}

}  // namespace
}  // namespace litesmith
