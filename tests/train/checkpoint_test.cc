#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "train/train.h"

namespace litesmith {
namespace {

using testing::BlobPictures;
using ::testing::HasSubstr;
using testing::MemoryDataset;
using testing::TempDir;

Graph Classifier() {
  Graph graph = MnistNetwork(1);
  return graph;
}

MemoryDataset Digits(int count) {
  MemoryDataset data = BlobPictures(count, 10, 1);
  data.shape = {28, 28, 1};
  for (auto& picture : data.inputs) {
    std::vector<float> large(28 * 28, 0.0f);
    for (size_t i = 0; i < picture.size(); ++i) large[(i / 12 + 8) * 28 + i % 12 + 8] = picture[i];
    picture = large;
  }
  return data;
}

std::vector<float> Values(const Graph& graph) {
  return ReadParameters(graph, FindParameters(graph));
}

TEST(Checkpoint, RoundTrip) {
  const std::string dir = TempDir() + "/a/b";
  TrainState state;
  state.epoch = 7;
  state.fingerprint = 0x1234567890abcdefu;
  state.optimizer_steps = 123;
  state.epochs_without_gain = 2;
  state.best_loss = 0.125;
  state.values = {1, 2, 3};
  state.best = {4, 5};
  state.optimizer = {6};
  ASSERT_OK(WriteCheckpoint(dir, state));
  ASSERT_OK_AND_ASSIGN(auto read, ReadCheckpoint(dir, Context{}));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->epoch, 7);
  EXPECT_EQ(read->fingerprint, state.fingerprint);
  EXPECT_EQ(read->optimizer_steps, 123);
  EXPECT_EQ(read->epochs_without_gain, 2);
  EXPECT_EQ(read->best_loss, 0.125);
  EXPECT_EQ(read->values, state.values);
  EXPECT_EQ(read->best, state.best);
  EXPECT_EQ(read->optimizer, state.optimizer);
  ASSERT_OK_AND_ASSIGN(auto none, ReadCheckpoint(TempDir(), Context{}));
  EXPECT_FALSE(none.has_value());
}

TEST(Checkpoint, DamagedFilesAreErrors) {
  const std::string dir = TempDir();
  TrainState state;
  state.epoch = 1;
  state.values = state.best = {1, 2, 3};
  state.optimizer = {1, 2, 3, 4, 5, 6};
  ASSERT_OK(WriteCheckpoint(dir, state));
  const std::string path = dir + "/checkpoint.lsc";
  std::ifstream in(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  const auto put = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  };
  for (size_t length = 1; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    ASSERT_FALSE(ReadCheckpoint(dir, Context{}).ok()) << length;
  }
  for (size_t i = 0; i < whole.size() * 8; ++i) {
    std::string bent = whole;
    bent[i / 8] = static_cast<char>(bent[i / 8] ^ (1 << (i % 8)));
    put(bent);
    const auto read = ReadCheckpoint(dir, Context{});
    ASSERT_FALSE(read.ok()) << i;
    ASSERT_THAT(read.status().ToString(), HasSubstr("not a whole checkpoint"));
  }
}

// Stopped at any epoch, by another process as it were, and resumed: the bytes of the uninterrupted
// run.
TEST(Checkpoint, ResumeGivesTheSameBytes) {
  MemoryDataset data = Digits(150);
  TrainOptions options;
  options.epochs = 5;
  options.schedule.kind = ScheduleKind::kCosine;
  options.keep_best = true;
  Graph whole = Classifier();
  ASSERT_OK(Train(&whole, &data, options, Context{}, nullptr));
  for (int stop = 1; stop < 5; ++stop) {
    options.checkpoint_dir = TempDir() + "/" + std::to_string(stop);
    options.resume = false;
    std::atomic<bool> cancel = false;
    Context context;
    context.cancel = &cancel;
    Graph part = Classifier();
    const absl::Status status = Train(&part, &data, options, context, [&](const EpochResult& r) {
      if (r.epoch == stop) cancel = true;
    });
    ASSERT_TRUE(absl::IsCancelled(status)) << status;
    options.resume = true;
    Graph rest = Classifier();
    int epochs = 0;
    ASSERT_OK(Train(&rest, &data, options, Context{}, [&](const EpochResult&) { ++epochs; }));
    EXPECT_EQ(epochs, 5 - stop);
    EXPECT_EQ(Values(rest), Values(whole)) << stop;
  }
}

TEST(Checkpoint, OfAnotherTrainingIsRefused) {
  MemoryDataset data = Digits(40);
  TrainOptions options;
  options.epochs = 1;
  options.checkpoint_dir = TempDir();
  Graph trained = Classifier();
  ASSERT_OK(Train(&trained, &data, options, Context{}, nullptr));
  options.resume = true;
  options.epochs = 2;
  // Other weights at the start make another model.
  EXPECT_THAT(Train(&trained, &data, options, Context{}, nullptr).ToString(),
              HasSubstr("of another model"));
  Graph graph = Classifier();
  options.seed = 5;
  EXPECT_THAT(Train(&graph, &data, options, Context{}, nullptr).ToString(),
              HasSubstr("of another model"));
  options.seed = 0;
  options.optimizer.learning_rate = 1e-2f;
  EXPECT_THAT(Train(&graph, &data, options, Context{}, nullptr).ToString(),
              HasSubstr("of another model"));
  options.optimizer.learning_rate = 1e-3f;
  EXPECT_OK(Train(&graph, &data, options, Context{}, nullptr));
  options.checkpoint_dir.clear();
  EXPECT_THAT(Train(&graph, &data, options, Context{}, nullptr).ToString(),
              HasSubstr("name the folder"));
}

TEST(Checkpoint, AFolderThatCannotBeWrittenIsAnError) {
  const std::string file = TempDir() + "/file";
  std::ofstream(file) << "x";
  MemoryDataset data = Digits(20);
  TrainOptions options;
  options.epochs = 1;
  options.checkpoint_dir = file;
  Graph graph = Classifier();
  EXPECT_FALSE(Train(&graph, &data, options, Context{}, nullptr).ok());
}

}  // namespace
}  // namespace litesmith
