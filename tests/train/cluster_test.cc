#include "train/cluster.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <set>
#include <vector>

#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "tests/train/small_network.h"
#include "train/prune.h"
#include "train/train.h"
#include "train/weights.h"

namespace litesmith {
namespace {

using testing::BlobPictures;
using ::testing::HasSubstr;
using testing::MemoryDataset;
using testing::SmallPictureNetwork;

std::set<float> DistinctOf(std::span<const float> values) { return {values.begin(), values.end()}; }

double SquaredError(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::pow(a[i] - b[i], 2.0);
  return sum;
}

std::vector<float> RandomValues(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> out(count);
  for (float& v : out) v = static_cast<float>(random.Normal());
  return out;
}

TEST(ParseCluster, ReadsAndRefuses) {
  for (const char* text : {"16", "32,density", "8,linear,per-channel", "4,per-channel"}) {
    ASSERT_OK_AND_ASSIGN(const ClusterSpec spec, ParseCluster(text));
    EXPECT_EQ(spec.ToString(), text);
  }
  for (const char* text : {"1", "0", "-3", "", "x", "16,random", "5000", "16.5", "2000000000000"}) {
    const absl::Status status = ParseCluster(text).status();
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_THAT(std::string(Message(status)), HasSubstr("--cluster")) << text;
  }
}

class ClusterInits : public ::testing::TestWithParam<ClusterInit> {};

TEST_P(ClusterInits, EveryValueBecomesItsNearestMean) {
  const std::vector<float> before = RandomValues(3000, 1);
  std::vector<float> after = before;
  ClusterValues(after, 16, GetParam(), 7);
  const std::set<float> centroids = DistinctOf(after);
  EXPECT_LE(centroids.size(), 16u);
  EXPECT_GE(centroids.size(), 14u);
  for (float c : centroids) {
    double sum = 0.0;
    int count = 0;
    for (size_t i = 0; i < before.size(); ++i) {
      if (after[i] != c) continue;
      sum += static_cast<double>(before[i]);
      ++count;
    }
    EXPECT_NEAR(sum / count, static_cast<double>(c), 2e-3);
  }
  for (size_t i = 0; i < before.size(); ++i) {
    for (float c : centroids) {
      ASSERT_LE(std::abs(after[i] - before[i]), std::abs(c - before[i]) + 2e-3f);
    }
  }
}

TEST_P(ClusterInits, ZerosStayAndCount) {
  std::vector<float> values = RandomValues(1000, 2);
  for (size_t i = 0; i < values.size(); i += 2) values[i] = 0.0f;
  std::vector<float> after = values;
  ClusterValues(after, 8, GetParam(), 0);
  EXPECT_LE(DistinctOf(after).size(), 8u);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i] == 0.0f, after[i] == 0.0f);
}

INSTANTIATE_TEST_SUITE_P(All, ClusterInits,
                         ::testing::Values(ClusterInit::kKMeansPlusPlus, ClusterInit::kDensity,
                                           ClusterInit::kLinear));

TEST(ClusterValues, FewValuesStay) {
  std::vector<float> values = {1.0f, 2.0f, 3.0f, 1.0f, 0.0f};
  const std::vector<float> before = values;
  ClusterValues(values, 4, ClusterInit::kLinear, 0);
  EXPECT_EQ(values, before);
}

TEST(ClusterValues, MoreClustersAreCloser) {
  const std::vector<float> before = RandomValues(2000, 3);
  double last = 1e9;
  for (const int clusters : {2, 4, 16, 64}) {
    std::vector<float> after = before;
    ClusterValues(after, clusters, ClusterInit::kKMeansPlusPlus, 0);
    const double error = SquaredError(before, after);
    EXPECT_LT(error, last / 3);
    last = error;
  }
}

// Counts distinct values after every step.
class Watch : public TrainHook {
 public:
  absl::Status Begin(const Start& start, std::span<float>) override {
    weights = FindWeights(start.graph, start.parameters);
    return absl::OkStatus();
  }
  absl::Status AfterStep(int64_t, std::span<float> values, ThreadPool*) override {
    for (const Weights& w : weights) {
      most = std::max(most, DistinctOf(values.subspan(w.offset, w.count)).size());
    }
    return absl::OkStatus();
  }
  bool Settled(int64_t) const override { return true; }
  std::string Describe() const override { return "watch"; }

  std::vector<Weights> weights;
  size_t most = 0;
};

std::span<const float> DenseWeights(const Graph& graph) {
  for (const Tensor& t : graph.main().tensors) {
    if (t.name == "dense/w") return t.data.As<float>();
  }
  return {};
}

TEST(ClusterTraining, NeverMoreThanTheClusters) {
  MemoryDataset data = BlobPictures(300, 3, 1);
  Graph graph = SmallPictureNetwork(3, 1);
  TrainOptions options;
  options.epochs = 5;
  options.batch_size = 20;
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  ClusterSpec spec;
  spec.clusters = 8;
  const std::unique_ptr<TrainHook> hook = MakeClustering(spec);
  Watch watch;
  options.hooks = {hook.get(), &watch};
  options.epochs = 2;
  Graph clustered = graph;
  ASSERT_OK(ClusterNow(spec, &clustered));
  double accuracy = 0.0;
  ASSERT_OK(Train(&graph, &data, options, Context{},
                  [&](const EpochResult& r) { accuracy = r.accuracy; }));
  EXPECT_LE(watch.most, 8u);
  EXPECT_GT(accuracy, 0.9);
  EXPECT_GE(DistinctOf(DenseWeights(graph)).size(), 7u);
  // The centroids moved.
  EXPECT_NE(DistinctOf(DenseWeights(graph)), DistinctOf(DenseWeights(clustered)));

  // Later stages keep them.
  const std::unique_ptr<TrainHook> keep = MakeKeepClusters(8);
  watch = {};
  options.hooks = {keep.get(), &watch};
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  EXPECT_LE(watch.most, 8u);
  EXPECT_LE(DistinctOf(DenseWeights(graph)).size(), 8u);
}

TEST(ClusterTraining, PerChannelAndSparse) {
  MemoryDataset data = BlobPictures(200, 3, 1);
  Graph graph = SmallPictureNetwork(3, 2);
  ASSERT_OK_AND_ASSIGN(const PruneSpec prune, ParsePrune("0.5"));
  ASSERT_OK(PruneNow(prune, &graph));
  const std::vector<float> before(DenseWeights(graph).begin(), DenseWeights(graph).end());
  ClusterSpec spec;
  spec.clusters = 4;
  spec.per_channel = true;
  const std::unique_ptr<TrainHook> hook = MakeClustering(spec), keep = MakeKeepZeros();
  TrainOptions options;
  options.epochs = 2;
  options.hooks = {keep.get(), hook.get()};
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  const auto after = DenseWeights(graph);
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i] == 0.0f, after[i] == 0.0f) << i;
  const size_t row = after.size() / 12;
  for (size_t c = 0; c < 12; ++c) {
    EXPECT_LE(DistinctOf(after.subspan(c * row, row)).size(), 4u);
  }
  EXPECT_GT(DistinctOf(after).size(), 12u);
}

TEST(ClusterTraining, ResumedEndsWithTheSameBytes) {
  MemoryDataset data = BlobPictures(150, 3, 1);
  ClusterSpec spec;
  spec.clusters = 4;
  TrainOptions options;
  options.epochs = 4;
  options.batch_size = 25;
  // `stop`: cancelled in the epoch after it; 0: never.
  const auto run = [&](const TrainOptions& with, int stop) {
    Graph graph = SmallPictureNetwork(3, 3);
    const std::unique_ptr<TrainHook> hook = MakeClustering(spec);
    TrainOptions own = with;
    own.hooks = {hook.get()};
    std::atomic<bool> cancel = false;
    Context context;
    context.cancel = &cancel;
    const absl::Status status = Train(&graph, &data, own, context, [&](const EpochResult& r) {
      if (r.epoch == stop) cancel = true;
    });
    EXPECT_EQ(status.ok(), stop == 0) << status.ToString();
    return ReadParameters(graph, FindParameters(graph));
  };
  const std::vector<float> whole = run(options, 0);
  options.checkpoint_dir = testing::TempDir();
  EXPECT_NE(run(options, 2), whole);
  options.resume = true;
  EXPECT_EQ(run(options, 0), whole);
}

}  // namespace
}  // namespace litesmith
