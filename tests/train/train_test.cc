#include "train/train.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "train/tape.h"

namespace litesmith {
namespace {

using testing::BlobPictures;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::MemoryDataset;

// 12x12 pictures -> conv 4, relu -> max pool -> dense 8, relu -> dense `classes` -> softmax.
Graph SmallClassifier(int classes, uint64_t seed) {
  GraphBuilder b;
  Random random(seed);
  const auto weights = [&](const std::string& name, Shape shape) {
    std::vector<float> values(static_cast<size_t>(NumElements(shape)));
    for (float& v : values) v = static_cast<float>(random.Uniform(-0.3, 0.3));
    return b.Floats(name, std::move(shape), values);
  };
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_SAME;
  conv.stride_h = conv.stride_w = 1;
  conv.fused_activation_function = schema::ActivationFunctionType_RELU;
  int32_t x = b.Input("x", {-1, 12, 12, 1});
  x = b.Op(schema::BuiltinOperator_CONV_2D, "conv",
           {x, weights("conv/w", {4, 3, 3, 1}), weights("conv/b", {4})}, {-1, 12, 12, 4},
           Options(conv));
  schema::Pool2DOptionsT pool;
  pool.padding = schema::Padding_VALID;
  pool.stride_h = pool.stride_w = pool.filter_height = pool.filter_width = 2;
  x = b.Op(schema::BuiltinOperator_MAX_POOL_2D, "pool", {x}, {-1, 6, 6, 4}, Options(pool));
  x = b.Op(schema::BuiltinOperator_RESHAPE, "flat", {x, b.Ints("shape", {2}, {-1, 144})},
           {-1, 144});
  schema::FullyConnectedOptionsT dense;
  dense.fused_activation_function = schema::ActivationFunctionType_RELU;
  x = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "dense",
           {x, weights("dense/w", {8, 144}), weights("dense/b", {8})}, {-1, 8}, Options(dense));
  x = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "logits",
           {x, weights("logits/w", {classes, 8}), weights("logits/b", {classes})}, {-1, classes},
           Options(schema::FullyConnectedOptionsT{}));
  schema::SoftmaxOptionsT softmax;
  softmax.beta = 1.0f;
  b.Output(b.Op(schema::BuiltinOperator_SOFTMAX, "out", {x}, {-1, classes}, Options(softmax)));
  return b.graph();
}

std::vector<float> Values(const Graph& graph) {
  return ReadParameters(graph, FindParameters(graph));
}

struct Trained {
  std::vector<float> values;
  std::vector<EpochResult> epochs;
  absl::Status status;
};
Trained RunTraining(Graph graph, Dataset* data, const TrainOptions& options, int threads = 1) {
  Context context;
  context.num_threads = threads;
  Trained out;
  out.status =
      Train(&graph, data, options, context, [&](const EpochResult& r) { out.epochs.push_back(r); });
  out.values = Values(graph);
  return out;
}

TEST(Train, LossFallsAndTheClassesAreLearnt) {
  MemoryDataset data = BlobPictures(500, 3, 1);
  TrainOptions options;
  options.epochs = 8;
  options.batch_size = 32;
  options.optimizer.learning_rate = 4e-3f;
  const Trained trained = RunTraining(SmallClassifier(3, 1), &data, options);
  ASSERT_OK(trained.status);
  ASSERT_EQ(trained.epochs.size(), 8u);
  for (size_t e = 1; e < 8; ++e) EXPECT_LT(trained.epochs[e].loss, trained.epochs[e - 1].loss);
  EXPECT_GT(trained.epochs.back().accuracy, 0.97);
}

TEST(Train, OverfitsAFewSamples) {
  MemoryDataset data = BlobPictures(10, 3, 2);
  // Labels at random: nothing but the samples themselves can be learnt.
  for (int64_t i = 0; i < data.size(); ++i)
    data.labels[static_cast<size_t>(i)] = (i * 7 + i / 3) % 3;
  TrainOptions options;
  options.epochs = 300;
  options.batch_size = 10;
  options.optimizer.learning_rate = 1e-2f;
  const Trained trained = RunTraining(SmallClassifier(3, 1), &data, options);
  ASSERT_OK(trained.status);
  EXPECT_EQ(trained.epochs.back().accuracy, 1.0);
  EXPECT_LT(trained.epochs.back().loss, 0.01);
}

TEST(Train, ThreadsDoNotChangeAByte) {
  MemoryDataset data = BlobPictures(101, 3, 3);  // 101 = 3 batches of 32 and one of 5
  for (const auto kind : {OptimizerKind::kAdam, OptimizerKind::kAdamW, OptimizerKind::kSgd}) {
    TrainOptions options;
    options.epochs = 2;
    options.batch_size = 32;
    options.optimizer.kind = kind;
    options.optimizer.weight_decay = 1e-3f;
    options.optimizer.clip_norm = kind == OptimizerKind::kSgd ? 0.5f : 0.0f;
    const Trained one = RunTraining(SmallClassifier(3, 1), &data, options, 1);
    ASSERT_OK(one.status);
    for (int threads : {2, 3, 5}) {
      const Trained more = RunTraining(SmallClassifier(3, 1), &data, options, threads);
      ASSERT_OK(more.status);
      ASSERT_EQ(std::memcmp(one.values.data(), more.values.data(), one.values.size() * 4), 0)
          << threads;
      EXPECT_EQ(one.epochs[1].loss, more.epochs[1].loss);
    }
    options.seed = 1;
    EXPECT_NE(RunTraining(SmallClassifier(3, 1), &data, options, 1).values, one.values);
  }
}

// Data sets that cannot be read by several threads, held in memory or not, give the same bytes.
TEST(Train, TheWayToTheSamplesDoesNotMatter) {
  MemoryDataset data = BlobPictures(700, 3, 3);
  TrainOptions options;
  options.epochs = 1;
  const Trained direct = RunTraining(SmallClassifier(3, 1), &data, options, 2);
  ASSERT_OK(direct.status);
  data.concurrent = false;
  const Trained held = RunTraining(SmallClassifier(3, 1), &data, options, 2);
  ASSERT_OK(held.status);
  EXPECT_EQ(direct.values, held.values);
  Graph graph = SmallClassifier(3, 1);
  Context context;
  context.num_threads = 2;
  context.memory_budget = 1'500'000;  // the samples take 403,200 bytes: more than a quarter
  ASSERT_OK(Train(&graph, &data, options, context, nullptr));
  EXPECT_EQ(direct.values, Values(graph));
}

// Files made for one sample: a batch of 1 in the input's signature and in the RESHAPE. The trained
// graph keeps both.
TEST(Train, ModelsOfBatchOneAreTrained) {
  MemoryDataset data = BlobPictures(100, 3, 3);
  TrainOptions options;
  options.epochs = 1;
  const Trained open = RunTraining(SmallClassifier(3, 1), &data, options);
  ASSERT_OK(open.status);
  Graph fixed = SmallClassifier(3, 1);
  for (Tensor& tensor : fixed.main().tensors) {
    tensor.shape_signature.clear();
    if (tensor.name == "shape") tensor.data = Blob::Of(std::vector<int32_t>{1, 144});
  }
  const Trained closed = RunTraining(fixed, &data, options);
  ASSERT_OK(closed.status);
  EXPECT_EQ(open.values, closed.values);
}

TEST(Train, FrozenLayersKeepTheirValues) {
  MemoryDataset data = BlobPictures(64, 3, 4);
  TrainOptions options;
  options.epochs = 1;
  options.freeze = [](const std::string& name) { return name == "conv" || name == "dense/b"; };
  Graph graph = SmallClassifier(3, 1);
  const Graph before = graph;
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  for (size_t t = 0; t < graph.main().tensors.size(); ++t) {
    const Tensor &a = before.main().tensors[t], &b = graph.main().tensors[t];
    if (!a.is_constant() || a.type != schema::TensorType_FLOAT32) continue;
    const bool same = std::equal(a.data.bytes.begin(), a.data.bytes.end(), b.data.bytes.begin());
    EXPECT_EQ(same, a.name.starts_with("conv") || a.name == "dense/b") << a.name;
  }
  options.freeze = [](const std::string&) { return true; };
  EXPECT_THAT(Train(&graph, &data, options, Context{}, nullptr).ToString(),
              HasSubstr("all weights are frozen"));
}

TEST(Train, EarlyStoppingAndTheBestEpoch) {
  MemoryDataset data = BlobPictures(60, 3, 5);
  MemoryDataset other = BlobPictures(40, 3, 6);
  // The validation labels contradict the training's: its loss rises from the start.
  for (int64_t& label : other.labels) label = (label + 1) % 3;
  TrainOptions options;
  options.epochs = 50;
  options.optimizer.learning_rate = 1e-2f;
  options.validation = &other;
  options.patience = 3;
  options.keep_best = true;
  const Trained stopped = RunTraining(SmallClassifier(3, 1), &data, options);
  ASSERT_OK(stopped.status);
  ASSERT_LT(stopped.epochs.size(), 50u);
  ASSERT_GT(stopped.epochs.size(), 3u);
  size_t best = 0;
  for (size_t e = 0; e < stopped.epochs.size(); ++e) {
    EXPECT_TRUE(stopped.epochs[e].validated);
    if (stopped.epochs[e].validation_loss < stopped.epochs[best].validation_loss) best = e;
  }
  EXPECT_EQ(stopped.epochs.size() - 1 - best, 3u);
  options.patience = 0;
  options.keep_best = false;
  options.epochs = static_cast<int>(best) + 1;
  EXPECT_EQ(RunTraining(SmallClassifier(3, 1), &data, options).values, stopped.values);
}

TEST(Train, ProgressAndCancel) {
  MemoryDataset data = BlobPictures(300, 3, 7);
  TrainOptions options;
  options.epochs = 3;
  options.batch_size = 1;
  int64_t reports = 0, last = -1;
  std::atomic<bool> cancel = false;
  Context context;
  context.num_threads = 1;
  context.progress = [&](const Context::Progress& p) {
    if (std::string(p.what) != "training") return;
    EXPECT_GT(p.done, last);
    EXPECT_EQ(p.total, 900);
    EXPECT_THAT(p.note, HasSubstr("loss"));
    last = p.done;
    ++reports;
  };
  Graph graph = SmallClassifier(3, 1);
  ASSERT_OK(Train(&graph, &data, options, context, nullptr));
  EXPECT_GE(reports, 100);
  EXPECT_LE(reports, 400);

  // Cancelled within the second epoch: the graph has the first one's values.
  options.epochs = 1;
  Graph one = SmallClassifier(3, 1);
  ASSERT_OK(Train(&one, &data, options, Context{}, nullptr));
  options.epochs = 3;
  context.cancel = &cancel;
  context.progress = [&](const Context::Progress& p) {
    if (p.done > 450) cancel = true;
  };
  Graph cancelled = SmallClassifier(3, 1);
  const absl::Status status = Train(&cancelled, &data, options, context, nullptr);
  EXPECT_TRUE(absl::IsCancelled(status)) << status;
  EXPECT_EQ(Values(cancelled), Values(one));
}

TEST(Train, Errors) {
  const Graph graph = SmallClassifier(3, 1);
  const TrainOptions plain;
  const auto message = [&](MemoryDataset data, TrainOptions options = {}) {
    options.epochs = options.epochs == 5 ? 1 : options.epochs;
    Graph copy = graph;
    return Train(&copy, &data, options, Context{}, nullptr).ToString();
  };
  MemoryDataset bad = BlobPictures(20, 3, 8);
  bad.labels[13] = 3;
  EXPECT_THAT(message(bad),
              HasSubstr("sample 13 of test data has the label 3, the model has 3 outputs"));
  bad.labels[13] = -1;
  EXPECT_THAT(message(bad), HasSubstr("label -1"));
  bad = BlobPictures(20, 3, 8);
  bad.classes = {"a", "b", "c", "d"};
  EXPECT_THAT(message(bad), HasSubstr("has 4 classes, the model has 3 outputs"));
  bad = BlobPictures(20, 3, 8);
  bad.labelled = false;
  EXPECT_THAT(message(bad), HasSubstr("no labels"));
  EXPECT_THAT(message(BlobPictures(0, 3, 8)), HasSubstr("no samples"));
  bad = BlobPictures(100, 3, 8);
  bad.inputs[77][5] = NAN;
  EXPECT_THAT(message(bad),
              HasSubstr("sample 77 of test data has values that are not finite numbers"));
  bad = BlobPictures(20, 3, 8);
  for (auto& x : bad.inputs) x.resize(100);
  bad.shape = {10, 10, 1};
  EXPECT_THAT(message(bad), HasSubstr("100 values"));

  TrainOptions options;
  options.epochs = 0;
  EXPECT_THAT(message(BlobPictures(20, 3, 8), options), HasSubstr("number of epochs is 0"));
  options = {};
  options.batch_size = 0;
  EXPECT_THAT(message(BlobPictures(20, 3, 8), options), HasSubstr("batch size is 0"));
  options = {};
  options.optimizer.learning_rate = NAN;
  EXPECT_THAT(message(BlobPictures(20, 3, 8), options), HasSubstr("learning rate is nan"));
  options = {};
  options.optimizer.learning_rate = 1e30f;
  EXPECT_THAT(message(BlobPictures(200, 3, 8), options), HasSubstr("lower learning rate"));
  options = {};
  options.loss = LossKind::kBinaryCrossEntropy;
  EXPECT_THAT(message(BlobPictures(20, 3, 8), options), HasSubstr("not a LOGISTIC"));

  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 4});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {x}, {-1, 4}));
  Graph no_softmax = b.graph();
  MemoryDataset data = BlobPictures(20, 3, 8);
  EXPECT_THAT(TrainClassifier(&no_softmax, &data, plain, Context{}, nullptr).ToString(),
              HasSubstr("is not a SOFTMAX"));
}

// A loss that leaves the numbers says where the last good state is.
TEST(Train, DivergenceNamesTheStateBefore) {
  MemoryDataset data = BlobPictures(64, 3, 8);
  TrainOptions options;
  options.epochs = 1;
  options.checkpoint_dir = testing::TempDir();
  Graph graph = SmallClassifier(3, 1);
  ASSERT_OK(Train(&graph, &data, options, Context{}, nullptr));
  data.inputs[7][3] = NAN;
  options.epochs = 2;
  options.resume = true;
  graph = SmallClassifier(3, 1);
  const std::string message = Train(&graph, &data, options, Context{}, nullptr).ToString();
  EXPECT_THAT(message, HasSubstr("not a number"));
  EXPECT_THAT(message, HasSubstr("sample 7"));
  EXPECT_THAT(message, HasSubstr("the state after epoch 1 is in " + options.checkpoint_dir));
}

TEST(Train, ClassesWithoutSamplesAreNamed) {
  std::string warnings;
  Context context;
  context.warn = [&](const std::string& warning) { warnings += warning; };
  TrainOptions options;
  options.epochs = 1;
  MemoryDataset data = BlobPictures(30, 3, 8);
  data.classes = {"left", "middle", "right"};
  Graph graph = SmallClassifier(3, 1);
  ASSERT_OK(Train(&graph, &data, options, context, nullptr));
  EXPECT_EQ(warnings, "");
  for (int64_t& label : data.labels) label = label == 1 ? 0 : label;
  ASSERT_OK(Train(&graph, &data, options, context, nullptr));
  EXPECT_THAT(warnings, HasSubstr("no samples of 1 of the model's 3 classes (1 ('middle'))"));
}

TEST(MnistNetwork, HasTheSeedsShapeAndGlorotWeights) {
  const Graph graph = MnistNetwork(3);
  const Parameters parameters = FindParameters(graph);
  size_t count = 0;
  for (const Parameter& p : parameters.items) count += p.count;
  EXPECT_EQ(count, 8 * 9 + 8 + 16 * 1352 + 16 + 10 * 16 + 10u);
  EXPECT_EQ(ReadParameters(MnistNetwork(3), parameters), ReadParameters(graph, parameters));
  EXPECT_NE(ReadParameters(MnistNetwork(4), parameters), ReadParameters(graph, parameters));
  for (const Parameter& p : parameters.items) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(p.tensor)];
    const auto values = tensor.data.As<float>();
    const float most = *std::max_element(values.begin(), values.end());
    if (tensor.shape.size() == 1) {
      EXPECT_EQ(most, 0.0f);
    } else if (tensor.name == "dense/kernel") {
      const double limit = std::sqrt(6.0 / (1352 + 16));
      EXPECT_LE(most, limit);
      EXPECT_GT(most, 0.99 * limit);
    }
  }
}

// One epoch of the real thing; the whole of it is measured in bench/.
TEST(MnistNetwork, LearnsDigits) {
  REQUIRE_SHARED();
  Context context;
  DatasetOptions split;
  split.split = "train";
  const std::vector<InputSpec> inputs = {{"image", "image", {28, 28, 1}, ElementType::kFloat32}};
  ASSERT_OK_AND_ASSIGN(auto data, OpenDataset(testing::SharedDir() + "/data/mnist", split,
                                              DataUse::kTraining, inputs, context));
  split.split = "test";
  ASSERT_OK_AND_ASSIGN(auto test, OpenDataset(testing::SharedDir() + "/data/mnist", split,
                                              DataUse::kEvaluation, inputs, context));
  TrainOptions options;
  options.epochs = 1;
  options.validation = test.get();
  EpochResult result;
  Graph graph = MnistNetwork(0);
  context.num_threads = 1;
  ASSERT_OK(TrainClassifier(&graph, data.get(), options, context,
                            [&](const EpochResult& r) { result = r; }));
  EXPECT_GT(result.validation_accuracy, 0.94);
}

}  // namespace
}  // namespace litesmith
