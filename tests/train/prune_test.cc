#include "train/prune.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "tests/train/small_network.h"
#include "train/train.h"
#include "train/weights.h"

namespace litesmith {
namespace {

using testing::BlobPictures;
using ::testing::HasSubstr;
using testing::MemoryDataset;
using testing::NetworkBuilder;
using testing::SmallPictureNetwork;

PruneSpec Spec(const std::string& text) {
  const absl::StatusOr<PruneSpec> spec = ParsePrune(text);
  EXPECT_OK(spec);
  return spec.ok() ? *spec : PruneSpec{};
}

// The values of the weights whose layer has this name.
std::vector<float> ValuesOf(const Graph& graph, const std::string& layer) {
  for (const Weights& w : FindWeights(graph)) {
    if (WeightsLabel(graph, w) != layer) continue;
    const auto values = graph.main().tensors[static_cast<size_t>(w.tensor)].data.As<float>();
    return {values.begin(), values.end()};
  }
  ADD_FAILURE() << "no layer " << layer;
  return {};
}

double Sparsity(const std::vector<float>& values) {
  return static_cast<double>(std::count(values.begin(), values.end(), 0.0f)) /
         static_cast<double>(values.size());
}

// Records what holds after every step: called after the hook under test.
class Watch : public TrainHook {
 public:
  absl::Status Begin(const Start& start, std::span<float> values) override {
    weights = FindWeights(start.graph, start.parameters);
    last.assign(values.begin(), values.end());
    return absl::OkStatus();
  }
  absl::Status AfterStep(int64_t, std::span<float> values, ThreadPool*) override {
    size_t zeros = 0;
    for (const Weights& w : weights) {
      for (size_t i = w.offset; i < w.offset + w.count; ++i) {
        zeros += values[i] == 0.0f ? 1 : 0;
        if (last[i] == 0.0f && values[i] != 0.0f) ++regrown;
      }
    }
    zeros_after.push_back(zeros);
    last.assign(values.begin(), values.end());
    return absl::OkStatus();
  }
  bool Settled(int64_t) const override { return true; }
  std::string Describe() const override { return "watch"; }

  std::vector<Weights> weights;
  std::vector<float> last;
  std::vector<size_t> zeros_after;
  int64_t regrown = 0;
};

TEST(ParsePrune, ReadsEveryForm) {
  EXPECT_EQ(Spec("0.8").kind, PruneKind::kElements);
  EXPECT_DOUBLE_EQ(Spec("0.8").sparsity, 0.8);
  EXPECT_EQ(Spec("2:4").kind, PruneKind::kGroups);
  EXPECT_DOUBLE_EQ(Spec("1:4").sparsity, 0.75);
  EXPECT_EQ(Spec("1x16=0.75").block, 16);
  EXPECT_EQ(Spec("channels=0.5").kind, PruneKind::kChannels);
  for (const char* text : {"0.8", "2:4", "1x4=0.5", "1x16=0.75", "channels=0.5"}) {
    EXPECT_EQ(Spec(text).ToString(), text);
  }
}

TEST(ParsePrune, RefusesTheImpossible) {
  for (const char* text : {"1.5", "1", "0", "-0.1", "nan", "", "abc", "4:2", "2:2", "0:4", "2:4:8",
                           "2:", "1x8=0.5", "channels", "channels=1", "channels=", "0.5x"}) {
    const absl::Status status = ParsePrune(text).status();
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("--prune")) << text;
  }
}

TEST(PruneSchedule, IsTheCubicOfZhuAndGupta) {
  EXPECT_DOUBLE_EQ(PruneSchedule(0.8, 0, 100), 0.0);
  EXPECT_DOUBLE_EQ(PruneSchedule(0.8, 50, 100), 0.8 * (1 - 0.125));
  EXPECT_DOUBLE_EQ(PruneSchedule(0.8, 100, 100), 0.8);
  EXPECT_DOUBLE_EQ(PruneSchedule(0.8, 500, 100), 0.8);
  EXPECT_DOUBLE_EQ(PruneSchedule(0.8, 0, 0), 0.8);
}

TEST(PruneNow, TakesTheSmallest) {
  Graph graph = SmallPictureNetwork(3, 1);
  const std::vector<float> before = ValuesOf(graph, "dense");
  ASSERT_OK(PruneNow(Spec("0.75"), &graph));
  const std::vector<float> after = ValuesOf(graph, "dense");
  float largest_gone = 0.0f, smallest_kept = 1e9f;
  for (size_t i = 0; i < before.size(); ++i) {
    if (after[i] == 0.0f) {
      largest_gone = std::max(largest_gone, std::abs(before[i]));
    } else {
      EXPECT_EQ(after[i], before[i]);
      smallest_kept = std::min(smallest_kept, std::abs(before[i]));
    }
  }
  EXPECT_LE(largest_gone, smallest_kept);
  EXPECT_DOUBLE_EQ(Sparsity(after), 0.75);
}

TEST(PruneNow, EveryRowKeepsItsLargestBlock) {
  NetworkBuilder b(3);
  b.Output(b.Dense("dense", b.Input("x", {-1, 32}), 10, false));
  Graph graph = b.graph();
  const std::vector<float> before = ValuesOf(graph, "dense");
  ASSERT_OK(PruneNow(Spec("1x4=0.95"), &graph));
  const std::vector<float> after = ValuesOf(graph, "dense");
  for (size_t row = 0; row < after.size(); row += 32) {
    double most = 0.0;
    size_t largest = row;
    for (size_t at = row; at < row + 32; at += 4) {
      double sum = 0.0;
      for (size_t i = at; i < at + 4; ++i) sum += std::abs(static_cast<double>(before[i]));
      if (sum > most) {
        most = sum;
        largest = at;
      }
    }
    for (size_t i = row; i < row + 32; ++i) {
      EXPECT_EQ(after[i], i - largest < 4 ? before[i] : 0.0f) << i;
    }
  }
}

TEST(PruneNow, GroupsKeepTheLargestOfEveryFour) {
  Graph graph = SmallPictureNetwork(3, 2);
  const std::vector<float> before = ValuesOf(graph, "dense");
  ASSERT_OK(PruneNow(Spec("2:4"), &graph));
  const std::vector<float> after = ValuesOf(graph, "dense");
  for (size_t g = 0; g < after.size(); g += 4) {
    float gone = 0.0f, kept = 1e9f;
    int zeros = 0;
    for (size_t i = g; i < g + 4; ++i) {
      if (after[i] == 0.0f) {
        ++zeros;
        gone = std::max(gone, std::abs(before[i]));
      } else {
        kept = std::min(kept, std::abs(before[i]));
      }
    }
    EXPECT_EQ(zeros, 2);
    EXPECT_LE(gone, kept);
  }
  // Nothing to choose from in a dimension of one.
  EXPECT_DOUBLE_EQ(Sparsity(ValuesOf(graph, "conv")), 0.0);
}

TEST(PruneNow, GroupsAtTheEndOfARowMayBeShort) {
  NetworkBuilder b(3);
  b.Output(b.Dense("dense", b.Input("x", {-1, 7}), 5, false));
  Graph graph = b.graph();
  ASSERT_OK(PruneNow(Spec("2:4"), &graph));
  const std::vector<float> after = ValuesOf(graph, "dense");
  for (size_t row = 0; row < 5; ++row) {
    const auto begin = after.begin() + static_cast<ptrdiff_t>(7 * row);
    EXPECT_EQ(std::count(begin, begin + 4, 0.0f), 2);
    EXPECT_EQ(std::count(begin + 4, begin + 7, 0.0f), 1);
  }
}

TEST(PruneNow, BlocksGoAsAWhole) {
  for (const int width : {4, 16}) {
    Graph graph = SmallPictureNetwork(3, 4);
    ASSERT_OK(PruneNow(Spec(fmt::format("1x{}=0.5", width)), &graph));
    const std::vector<float> after = ValuesOf(graph, "dense");
    EXPECT_NEAR(Sparsity(after), 0.5, 0.02);
    for (size_t g = 0; g < after.size(); g += static_cast<size_t>(width)) {
      const auto begin = after.begin() + static_cast<ptrdiff_t>(g);
      const auto zeros = std::count(begin, begin + width, 0.0f);
      EXPECT_TRUE(zeros == 0 || zeros == width);
    }
  }
}

TEST(PruneNow, SmallAndDepthwiseWeightsStayButCount) {
  NetworkBuilder b(9);
  int32_t x = b.Input("x", {-1, 4, 4, 16});
  schema::DepthwiseConv2DOptionsT options;
  options.padding = schema::Padding_SAME;
  options.stride_h = options.stride_w = options.depth_multiplier = 1;
  x = b.Op(schema::BuiltinOperator_DEPTHWISE_CONV_2D, "depthwise",
           {x, b.Random("d/w", {1, 3, 3, 16}), b.Random("d/b", {16})}, {-1, 4, 4, 16},
           Options(options));
  x = b.Dense("dense", b.Flatten("flat", x), 32);
  b.Output(b.Dense("logits", x, 2, false));
  Graph graph = b.graph();
  ASSERT_OK(PruneNow(Spec("0.5"), &graph));
  EXPECT_DOUBLE_EQ(Sparsity(ValuesOf(graph, "depthwise")), 0.0);
  EXPECT_DOUBLE_EQ(Sparsity(ValuesOf(graph, "logits")), 0.0);
  const double all = 16 * 9 + 32 * 256 + 64;
  EXPECT_NEAR(Sparsity(ValuesOf(graph, "dense")), 0.5 * all / (32 * 256), 1e-4);
}

TEST(PruneNow, NamesWhatDoesNotFit) {
  NetworkBuilder b(5);
  b.Output(b.Dense("head", b.Input("x", {-1, 6}), 3, false));
  Graph graph = b.graph();
  EXPECT_THAT(std::string(Message(PruneNow(Spec("1x4=0.5"), &graph))),
              HasSubstr("head: its input dimension of 6 is no multiple of 4"));
}

class PruneTraining : public ::testing::TestWithParam<std::string> {};

TEST_P(PruneTraining, ReachesTheTargetAndHoldsIt) {
  MemoryDataset data = BlobPictures(400, 3, 1);
  Graph graph = SmallPictureNetwork(3, 6);
  TrainOptions options;
  options.epochs = 6;
  options.batch_size = 20;
  options.optimizer.learning_rate = 3e-3f;
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  const std::unique_ptr<TrainHook> hook = MakePruning(Spec(GetParam()));
  Watch watch;
  options.hooks = {hook.get(), &watch};
  std::vector<double> accuracies;
  ASSERT_OK(Train(&graph, &data, options, Context{},
                  [&](const EpochResult& r) { accuracies.push_back(r.accuracy); }));
  EXPECT_NEAR(Sparsity(ValuesOf(graph, "dense")), Spec(GetParam()).sparsity, 0.01);
  EXPECT_EQ(watch.regrown, 0);
  EXPECT_TRUE(std::is_sorted(watch.zeros_after.begin(), watch.zeros_after.end()));
  EXPECT_LT(watch.zeros_after.front(), watch.zeros_after.back());
  EXPECT_FALSE(hook->Settled(1));
  EXPECT_TRUE(hook->Settled(120));
  EXPECT_GT(accuracies.back(), 0.9);

  // What is trained afterwards keeps the zeros.
  const std::vector<float> pruned = ValuesOf(graph, "dense");
  const std::unique_ptr<TrainHook> keep = MakeKeepZeros();
  options.hooks = {keep.get()};
  options.epochs = 1;
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  const std::vector<float> after = ValuesOf(graph, "dense");
  EXPECT_NE(pruned, after);
  for (size_t i = 0; i < after.size(); ++i) EXPECT_EQ(pruned[i] == 0.0f, after[i] == 0.0f) << i;
}

INSTANTIATE_TEST_SUITE_P(Forms, PruneTraining,
                         ::testing::Values("0.8", "2:4", "1x4=0.5", "1x16=0.5"));

TEST(KeepZeros, TensorsOfZerosAloneAreTrained) {
  MemoryDataset data = BlobPictures(60, 3, 1);
  Graph graph = SmallPictureNetwork(3, 7);
  for (Tensor& t : graph.main().tensors) {
    if (t.name == "logits/w") t.data = Blob::Of(std::vector<float>(36, 0.0f));
  }
  const std::unique_ptr<TrainHook> keep = MakeKeepZeros();
  TrainOptions options;
  options.epochs = 1;
  options.hooks = {keep.get()};
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  EXPECT_LT(Sparsity(ValuesOf(graph, "logits")), 0.5);
}

}  // namespace
}  // namespace litesmith
