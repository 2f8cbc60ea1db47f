// Quantization-aware training: what is exported is what was trained.

#include "train/qat.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "ops/fake_quantize.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "tflite/tflite.h"
#include "train/train.h"

namespace litesmith {
namespace {

using testing::BlobPictures;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::MemoryDataset;
using testing::TempDir;

constexpr int kClasses = 5;

// Small networks on 12x12 pictures.
class NetBuilder {
 public:
  NetBuilder() : random_(3) { x_ = b_.Input("x", {-1, 12, 12, 1}); }

  int32_t x() const { return x_; }
  int32_t Weights(const std::string& name, Shape shape, double limit = 0.6) {
    std::vector<float> values(static_cast<size_t>(NumElements(shape)));
    for (float& v : values) v = static_cast<float>(random_.Uniform(-limit, limit));
    return b_.Floats(name, std::move(shape), values);
  }
  int32_t Conv(const std::string& name, int32_t in, int size, int in_c, int out_c, bool relu) {
    schema::Conv2DOptionsT options;
    options.padding = schema::Padding_SAME;
    options.stride_h = options.stride_w = 1;
    if (relu) options.fused_activation_function = schema::ActivationFunctionType_RELU;
    return b_.Op(
        schema::BuiltinOperator_CONV_2D, name,
        {in, Weights(name + "/w", {out_c, 3, 3, in_c}), Weights(name + "/b", {out_c}, 0.1)},
        {-1, size, size, out_c}, Options(options));
  }
  int32_t Depthwise(const std::string& name, int32_t in, int size, int channels) {
    schema::DepthwiseConv2DOptionsT options;
    options.padding = schema::Padding_SAME;
    options.stride_h = options.stride_w = 1;
    options.depth_multiplier = 1;
    options.fused_activation_function = schema::ActivationFunctionType_RELU6;
    return b_.Op(
        schema::BuiltinOperator_DEPTHWISE_CONV_2D, name,
        {in, Weights(name + "/w", {1, 3, 3, channels}), Weights(name + "/b", {channels}, 0.1)},
        {-1, size, size, channels}, Options(options));
  }
  int32_t Pool(schema::BuiltinOperator op, const std::string& name, int32_t in, int size,
               int window, int channels) {
    schema::Pool2DOptionsT options;
    options.padding = schema::Padding_VALID;
    options.stride_h = options.stride_w = options.filter_height = options.filter_width = window;
    return b_.Op(op, name, {in}, {-1, size / window, size / window, channels}, Options(options));
  }
  int32_t Add(const std::string& name, int32_t a, int32_t b, Shape shape) {
    schema::AddOptionsT options;
    options.fused_activation_function = schema::ActivationFunctionType_RELU;
    return b_.Op(schema::BuiltinOperator_ADD, name, {a, b}, std::move(shape), Options(options));
  }
  int32_t Concat(const std::string& name, int32_t a, int32_t b, Shape shape) {
    schema::ConcatenationOptionsT options;
    options.axis = 3;
    return b_.Op(schema::BuiltinOperator_CONCATENATION, name, {a, b}, std::move(shape),
                 Options(options));
  }
  int32_t Dense(const std::string& name, int32_t in, int inputs, int units, bool relu = false) {
    schema::FullyConnectedOptionsT options;
    if (relu) options.fused_activation_function = schema::ActivationFunctionType_RELU;
    return b_.Op(schema::BuiltinOperator_FULLY_CONNECTED, name,
                 {in, Weights(name + "/w", {units, inputs}), Weights(name + "/b", {units}, 0.1)},
                 {-1, units}, Options(options));
  }
  int32_t Flat(int32_t in, int count) {
    return b_.Op(schema::BuiltinOperator_RESHAPE, "flat", {in, b_.Ints("shape", {2}, {-1, count})},
                 {-1, count});
  }
  Graph Softmax(int32_t in) {
    schema::SoftmaxOptionsT options;
    options.beta = 1.0f;
    b_.Output(
        b_.Op(schema::BuiltinOperator_SOFTMAX, "out", {in}, {-1, kClasses}, Options(options)));
    return b_.graph();
  }

 private:
  GraphBuilder b_;
  Random random_;
  int32_t x_ = -1;
};

Graph PlainNet() {
  NetBuilder n;
  int32_t t = n.Conv("conv", n.x(), 12, 1, 6, true);
  t = n.Pool(schema::BuiltinOperator_MAX_POOL_2D, "pool", t, 12, 2, 6);
  return n.Softmax(n.Dense("dense", n.Flat(t, 216), 216, kClasses));
}

Graph DepthwiseNet() {
  NetBuilder n;
  int32_t t = n.Conv("conv", n.x(), 12, 1, 8, true);
  t = n.Depthwise("depthwise", t, 12, 8);
  t = n.Conv("mix", t, 12, 8, 8, false);
  t = n.Pool(schema::BuiltinOperator_AVERAGE_POOL_2D, "pool", t, 12, 4, 8);
  return n.Softmax(n.Dense("dense", n.Flat(t, 72), 72, kClasses));
}

Graph ResidualNet() {
  NetBuilder n;
  const int32_t a = n.Conv("a", n.x(), 12, 1, 6, true);
  const int32_t b = n.Conv("b", a, 12, 6, 6, false);
  int32_t t = n.Add("sum", a, b, {-1, 12, 12, 6});
  t = n.Concat("both", t, a, {-1, 12, 12, 12});
  t = n.Pool(schema::BuiltinOperator_MAX_POOL_2D, "pool", t, 12, 4, 12);
  return n.Softmax(n.Dense("dense", n.Flat(t, 108), 108, kClasses));
}

QatOptions For(const std::string& recipe, QatRanges ranges) {
  QatOptions options;
  options.quantize.recipe = FindRecipe(recipe).value();
  options.quantize.num_calibration_samples = 32;
  options.ranges = ranges;
  return options;
}

// Three dense layers.
Graph DenseNet() {
  NetBuilder n;
  int32_t t = n.Dense("first", n.Flat(n.x(), 144), 144, 24, true);
  t = n.Dense("second", t, 24, 16, true);
  return n.Softmax(n.Dense("third", t, 16, kClasses));
}

TrainOptions Short(QatModel* qat, int epochs = 2) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch_size = 32;
  options.optimizer.learning_rate = 2e-3f;
  options.hooks = {qat->hook()};
  options.forward = qat->forward();
  return options;
}

// Output 0 for all samples at once, as floats.
absl::StatusOr<std::vector<float>> RunAll(const Graph& graph, const MemoryDataset& data) {
  ExecutorOptions options;
  Shape shape = graph.main().tensors[static_cast<size_t>(graph.main().inputs[0])].shape;
  shape[0] = static_cast<int32_t>(data.size());
  options.input_shapes = {shape};
  LS_ASSIGN_OR_RETURN(auto executor, Executor::Create(std::make_shared<Graph>(graph), options));
  auto* to = reinterpret_cast<float*>(executor->input(0).data());
  for (const std::vector<float>& sample : data.inputs) {
    to = std::copy(sample.begin(), sample.end(), to);
  }
  LS_RETURN_IF_ERROR(executor->Run());
  const std::span<const std::byte> bytes = executor->output(0);
  const auto* from = reinterpret_cast<const float*>(bytes.data());
  return std::vector<float>(from, from + bytes.size() / sizeof(float));
}

// The training graph alone, in floats, whose gradients are formed: outputs of the integer model
// differ from its own by at most one step of size `scale` in 99.5 % of the values. (SOFTMAX makes
// several steps of one step of its operand.)
void ExpectSameOutputs(const Graph& training, const Graph& integer, const MemoryDataset& data,
                       float scale) {
  ASSERT_OK_AND_ASSIGN(const std::vector<float> trained, RunAll(training, data));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> exported, RunAll(integer, data));
  ASSERT_EQ(trained.size(), exported.size());
  size_t off = 0;
  for (size_t i = 0; i < trained.size(); ++i) {
    const float stored = std::round(trained[i] / scale) * scale;
    off += std::abs(stored - exported[i]) > 1.001f * scale ? 1 : 0;
  }
  EXPECT_LE(static_cast<double>(off), 0.005 * static_cast<double>(trained.size()))
      << "of " << trained.size();
  const float spread = *std::max_element(trained.begin(), trained.end()) -
                       *std::min_element(trained.begin(), trained.end());
  EXPECT_GT(spread, 12 * scale) << "the comparison says nothing";
}

// Output 0 as a forward pass of the training computes it.
absl::StatusOr<std::vector<float>> Simulate(QatModel* qat, const MemoryDataset& data) {
  const Graph& graph = *qat->graph();
  Shape shape = graph.main().tensors[static_cast<size_t>(graph.main().inputs[0])].shape;
  shape[0] = static_cast<int32_t>(data.size());
  const Parameters parameters = FindParameters(graph);
  const std::vector<float> values = ReadParameters(graph, parameters);
  LS_RETURN_IF_ERROR(qat->forward()->Update(parameters, values));
  LS_ASSIGN_OR_RETURN(const auto tape,
                      Tape::Create(graph, parameters, graph.main().outputs[0], {shape}, 1 << 30));
  LS_ASSIGN_OR_RETURN(const auto given, qat->forward()->Open({shape}));
  TapeMemory memory(tape, values.data());
  auto to = memory.input(0).begin();
  for (const std::vector<float>& sample : data.inputs) {
    to = std::copy(sample.begin(), sample.end(), to);
  }
  LS_RETURN_IF_ERROR(memory.Forward(nullptr, given.get()));
  return std::vector<float>(memory.target().begin(), memory.target().end());
}

// What is exported computes what the training did: within one integer at 99.9 % of the values is
// what is asked, all values equal what the integer kernels in the forward passes give.
void ExpectTrainedOutputs(QatModel* qat, const MemoryDataset& data) {
  ASSERT_OK_AND_ASSIGN(const std::vector<float> trained, Simulate(qat, data));
  ASSERT_OK_AND_ASSIGN(const Graph integer, qat->Export(Context{}));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> exported, RunAll(integer, data));
  ASSERT_EQ(trained.size(), exported.size());
  size_t off = 0;
  for (size_t i = 0; i < trained.size(); ++i) off += trained[i] != exported[i] ? 1 : 0;
  EXPECT_EQ(off, 0u) << "of " << trained.size();
  const auto [least, most] = std::minmax_element(trained.begin(), trained.end());
  EXPECT_GT(*most - *least, 0.2f) << "the comparison says nothing";
}

size_t CountFakeQuants(const Graph& graph) {
  return static_cast<size_t>(
      std::count_if(graph.main().nodes.begin(), graph.main().nodes.end(),
                    [](const Node& n) { return n.custom_code == kFakeQuantizeCode; }));
}

// What follows a convolution, and its activation.
struct AfterConv {
  std::string next, last;
  schema::ActivationFunctionType activation = schema::ActivationFunctionType_MIN;
};
AfterConv FindAfterConv(const Graph& graph) {
  const std::vector<Node>& nodes = graph.main().nodes;
  const auto name = [&](size_t i) {
    const Node& node = nodes[std::min(i, nodes.size() - 1)];
    return node.custom_code.empty() ? schema::EnumNameBuiltinOperator(node.op) : node.custom_code;
  };
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].op != schema::BuiltinOperator_CONV_2D) continue;
    return {name(i + 1), name(i + 2),
            nodes[i].GetOptions<schema::Conv2DOptionsT>().fused_activation_function};
  }
  return {};
}

// Placed where the plan quantizes: nothing between a convolution and its RELU, nothing after what
// only moves integers. Learnt ranges end at 0 where a RELU does, which is left out then, and what
// is pooled is stored after that.
TEST(Qat, FakeQuantizationStandsWhereThePlanQuantizes) {
  MemoryDataset data = BlobPictures(40, kClasses, 5);
  for (const QatRanges ranges : {QatRanges::kLearnt, QatRanges::kAveraged}) {
    ASSERT_OK_AND_ASSIGN(const auto qat,
                         QatModel::Create(PlainNet(), &data, For("int8", ranges), Context{}));
    // The input, two weights and biases, the convolution's result and the logits.
    EXPECT_EQ(CountFakeQuants(*qat->graph()), 7u);
    const AfterConv after = FindAfterConv(*qat->graph());
    const bool learnt = ranges == QatRanges::kLearnt;
    EXPECT_EQ(after.activation,
              learnt ? schema::ActivationFunctionType_NONE : schema::ActivationFunctionType_RELU);
    EXPECT_EQ(after.next, learnt ? "MAX_POOL_2D" : kFakeQuantizeCode);
    EXPECT_EQ(after.last, learnt ? kFakeQuantizeCode : "MAX_POOL_2D");
  }
  // 16 bits reach below 0, where a RELU cuts.
  ASSERT_OK_AND_ASSIGN(
      const auto wide,
      QatModel::Create(PlainNet(), &data, For("int16x8", QatRanges::kLearnt), Context{}));
  EXPECT_EQ(FindAfterConv(*wide->graph()).activation, schema::ActivationFunctionType_RELU);
  // ADD and CONCATENATION: input, three weights and biases, four results, perhaps one once more in
  // the scale of the whole.
  ASSERT_OK_AND_ASSIGN(
      const auto residual,
      QatModel::Create(ResidualNet(), &data, For("int8", QatRanges::kLearnt), Context{}));
  EXPECT_GE(CountFakeQuants(*residual->graph()), 11u);
  EXPECT_LE(CountFakeQuants(*residual->graph()), 12u);
}

TEST(Qat, Int4WeightsAreStoredAsSuch) {
  MemoryDataset data = BlobPictures(60, kClasses, 5);
  Context context;
  ASSERT_OK_AND_ASSIGN(
      const auto qat,
      QatModel::Create(DepthwiseNet(), &data, For("static_wi4_ai8", QatRanges::kLearnt), context));
  ASSERT_OK(Train(qat->graph(), &data, Short(qat.get(), 1), context, nullptr));
  ASSERT_OK_AND_ASSIGN(const Graph integer, qat->Export(context));
  size_t weights = 0;
  for (const Tensor& tensor : integer.main().tensors) {
    if (!tensor.name.ends_with("/w")) continue;
    ++weights;
    EXPECT_EQ(tensor.type, schema::TensorType_INT4) << tensor.name;
    const bool dense = tensor.name == "dense/w";
    EXPECT_EQ(tensor.quant.scale.size(), dense ? size_t{kClasses} : 8u) << tensor.name;
    EXPECT_EQ(tensor.data.bytes.size(), static_cast<size_t>(NumElements(tensor.shape) + 1) / 2);
  }
  EXPECT_EQ(weights, 4u);
  ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(integer));
  EXPECT_OK(ParseTflite(bytes, nullptr, context));
}

absl::StatusOr<std::vector<std::byte>> TrainedBytes(QatRanges ranges, TrainOptions options,
                                                    int threads, bool resume = false) {
  MemoryDataset data = BlobPictures(101, kClasses, 5);
  Context context;
  context.num_threads = threads;
  LS_ASSIGN_OR_RETURN(const auto qat,
                      QatModel::Create(ResidualNet(), &data, For("int8", ranges), context));
  options.batch_size = 32;
  options.hooks = {qat->hook()};
  options.forward = qat->forward();
  options.resume = resume;
  LS_RETURN_IF_ERROR(Train(qat->graph(), &data, options, context, nullptr));
  LS_ASSIGN_OR_RETURN(const Graph integer, qat->Export(context));
  return SerializeTflite(integer);
}

TEST(Qat, ThreadsDoNotChangeAByte) {
  for (const QatRanges ranges : {QatRanges::kLearnt, QatRanges::kAveraged}) {
    TrainOptions options;
    options.epochs = 1;
    options.optimizer.kind = OptimizerKind::kAdamW;
    options.optimizer.weight_decay = 0.01f;
    options.optimizer.clip_norm = 1.0f;
    ASSERT_OK_AND_ASSIGN(const auto one, TrainedBytes(ranges, options, 1));
    for (int threads : testing::ThreadCounts({2, 3, 5})) {
      ASSERT_OK_AND_ASSIGN(const auto more, TrainedBytes(ranges, options, threads));
      EXPECT_EQ(one, more) << threads;
    }
  }
}

TEST(Qat, ResumeGivesTheSameBytes) {
  for (const QatRanges ranges : {QatRanges::kLearnt, QatRanges::kAveraged}) {
    TrainOptions options;
    options.epochs = 4;
    ASSERT_OK_AND_ASSIGN(const auto whole, TrainedBytes(ranges, options, 1));
    options.checkpoint_dir = TempDir();
    {
      // Stopped in the third epoch.
      std::atomic<bool> cancel = false;
      MemoryDataset data = BlobPictures(101, kClasses, 5);
      Context context;
      context.cancel = &cancel;
      ASSERT_OK_AND_ASSIGN(const auto qat,
                           QatModel::Create(ResidualNet(), &data, For("int8", ranges), context));
      options.batch_size = 32;
      options.hooks = {qat->hook()};
      options.forward = qat->forward();
      const absl::Status status = Train(qat->graph(), &data, options, context,
                                        [&](const EpochResult& r) { cancel = r.epoch == 2; });
      ASSERT_TRUE(absl::IsCancelled(status)) << status;
    }
    ASSERT_OK_AND_ASSIGN(const auto resumed, TrainedBytes(ranges, options, 1, /*resume=*/true));
    EXPECT_EQ(whole, resumed);
  }
}

// Averages move towards what is seen, and stand still after their share of the training.
TEST(Qat, AveragedRangesFollowTheValuesAndFreeze) {
  MemoryDataset data = BlobPictures(40, kClasses, 5);
  QatOptions options = For("int8", QatRanges::kAveraged);
  options.momentum = 0.5f;
  for (const double freeze_at : {0.0, 0.5, 1.0}) {
    options.freeze_at = freeze_at;
    ASSERT_OK_AND_ASSIGN(const auto qat, QatModel::Create(PlainNet(), &data, options, Context{}));
    // Results three times as large as calibrated.
    std::vector<Tensor>& tensors = qat->graph()->main().tensors;
    float before = 0.0f, after = 0.0f;
    for (Tensor& tensor : tensors) {
      if (tensor.name == "conv/range") before = tensor.data.As<float>()[3];
      if (tensor.name != "conv/w" && tensor.name != "conv/b") continue;
      std::vector<float> values(tensor.data.As<float>().begin(), tensor.data.As<float>().end());
      for (float& v : values) v *= 3.0f;
      tensor.data = Blob::Of(values);
    }
    ASSERT_GT(before, 0.0f);
    TrainOptions training = Short(qat.get(), 6);
    training.optimizer.learning_rate = 1e-5f;
    ASSERT_OK(Train(qat->graph(), &data, training, Context{}, nullptr));
    for (const Tensor& tensor : tensors) {
      if (tensor.name == "conv/range") after = tensor.data.As<float>()[3];
    }
    if (freeze_at == 0.0) {
      EXPECT_EQ(after, before);
    } else {
      EXPECT_GT(after, 2.0f * before);
      EXPECT_LT(after, 3.1f * before);
    }
    EXPECT_TRUE(qat->hook()->Settled(12));
    EXPECT_EQ(qat->hook()->Settled(11), freeze_at < 1.0);
  }
}

// The bar of quantization-aware training, for every recipe, network and kind of ranges.
TEST(Qat, TheExportedModelComputesWhatWasTrained) {
  MemoryDataset data = BlobPictures(64, kClasses, 5);
  for (const char* recipe : {"int8", "static_wi4_ai8", "int16x8"}) {
    for (const auto& net : {PlainNet, DepthwiseNet, ResidualNet, DenseNet}) {
      for (const QatRanges ranges : {QatRanges::kLearnt, QatRanges::kAveraged}) {
        ASSERT_OK_AND_ASSIGN(const auto qat,
                             QatModel::Create(net(), &data, For(recipe, ranges), Context{}));
        ASSERT_OK(Train(qat->graph(), &data, Short(qat.get(), 1), Context{}, nullptr));
        SCOPED_TRACE(recipe + std::string(" ") + net().main().nodes[0].name);
        ExpectTrainedOutputs(qat.get(), data);
      }
    }
  }
}

// Likewise where some nodes stay float, and where inputs and outputs are integers.
TEST(Qat, TheExportedMixedModelComputesWhatWasTrained) {
  MemoryDataset data = BlobPictures(64, kClasses, 5);
  const std::pair<Graph (*)(), const char*> cases[] = {
      {DepthwiseNet, "^depthwise"}, {ResidualNet, "^sum"}, {DenseNet, "^second"}};
  for (const auto& [net, kept] : cases) {
    for (const char* recipe : {"int8", "static_wi4_ai8"}) {
      QatOptions options = For(recipe, QatRanges::kLearnt);
      options.quantize.keep_float = {kept};
      ASSERT_OK_AND_ASSIGN(const auto qat, QatModel::Create(net(), &data, options, Context{}));
      ASSERT_OK(Train(qat->graph(), &data, Short(qat.get(), 1), Context{}, nullptr));
      SCOPED_TRACE(kept);
      const auto is_float = [](const NodePlan& node) { return node.mode == NodeMode::kFloat; };
      EXPECT_EQ(std::count_if(qat->plan().nodes.begin(), qat->plan().nodes.end(), is_float), 1);
      ExpectTrainedOutputs(qat.get(), data);
    }
  }
}

// Nodes that the plan leaves float stay float in training.
TEST(Qat, MixedPlans) {
  MemoryDataset data = BlobPictures(64, kClasses, 5);
  const QuantizeOptions options = For("int8", QatRanges::kAveraged).quantize;
  const Context context;
  ASSERT_OK_AND_ASSIGN(const Graph graph, PrepareForQuantization(DepthwiseNet(), options, context));
  ASSERT_OK_AND_ASSIGN(const Ranges ranges, Calibrate(graph, &data, options, context));
  ASSERT_OK_AND_ASSIGN(Plan plan, MakePlan(graph, &ranges, options, context));
  ASSERT_OK_AND_ASSIGN(const FakeQuantGraph whole,
                       MakeFakeQuantGraph(graph, plan, QatRanges::kAveraged));
  for (size_t n = 0; n < plan.nodes.size(); ++n) {
    const Node& node = graph.main().nodes[n];
    if (node.name != "depthwise") continue;
    plan.nodes[n].mode = NodeMode::kFloat;
    for (int32_t t : {node.inputs[1], node.inputs[2], node.outputs[0]}) {
      plan.tensors[static_cast<size_t>(t)].type = schema::TensorType_FLOAT32;
    }
  }
  ASSERT_OK_AND_ASSIGN(const FakeQuantGraph mixed,
                       MakeFakeQuantGraph(graph, plan, QatRanges::kAveraged));
  // Its weights and bias are not quantized; its result is, for the integer node that reads it.
  EXPECT_EQ(mixed.weights.size() + 1, whole.weights.size());
  EXPECT_EQ(CountFakeQuants(mixed.graph) + 2, CountFakeQuants(whole.graph));
  ASSERT_OK_AND_ASSIGN(const Graph integer, ApplyPlan(graph, plan));
  ExpectSameOutputs(mixed.graph, integer, data, 1.0f / 256);
}

TEST(Qat, WhatCannotBeTrained) {
  MemoryDataset data = BlobPictures(40, kClasses, 5);
  for (const char* recipe : {"dynamic", "float16"}) {
    const auto refused =
        QatModel::Create(PlainNet(), &data, For(recipe, QatRanges::kLearnt), Context{});
    EXPECT_THAT(refused.status().ToString(), HasSubstr("static_wi4_ai8"));
  }
  QuantizeOptions options = For("int8", QatRanges::kLearnt).quantize;
  ASSERT_OK_AND_ASSIGN(const Graph integer, Quantize(PlainNet(), &data, options, Context{}));
  const auto again = QatModel::Create(integer, &data, For("int8", QatRanges::kLearnt), Context{});
  EXPECT_THAT(again.status().ToString(), HasSubstr("quantized already"));
}

// The MNIST network, on digits, until its ranges have settled: after an epoch or two, up to 1.3 %
// of the values with 4-bit weights differ by more than an integer, fewer or more with every last
// bit of the sums.
TEST(Qat, MnistNetwork) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(
      const Graph graph,
      ReadTflite(testing::SharedDir() + "/golden/mnist/mnist_model_float32.tflite", Context{}));
  DatasetOptions dataset;
  dataset.split = "test";
  InputSpec input;
  input.shape = {28, 28, 1};
  ASSERT_OK_AND_ASSIGN(const auto all, OpenDataset(testing::SharedDir() + "/data/mnist", dataset,
                                                   DataUse::kTraining, {input}, Context{}));
  MemoryDataset data;
  data.shape = {28, 28, 1};
  Sample sample;
  for (int64_t i = 0; i < 320; ++i) {
    ASSERT_OK(all->Read(i, &sample));
    const auto values = sample.inputs[0].data<float>();
    data.inputs.emplace_back(values.begin(), values.end());
    data.labels.push_back(*sample.label);
  }
  for (const char* recipe : {"int8", "static_wi4_ai8"}) {
    ASSERT_OK_AND_ASSIGN(
        const auto qat, QatModel::Create(graph, &data, For(recipe, QatRanges::kLearnt), Context{}));
    ASSERT_OK(Train(qat->graph(), &data, Short(qat.get(), 5), Context{}, nullptr));
    ASSERT_OK_AND_ASSIGN(const Graph integer, qat->Export(Context{}));
    ExpectSameOutputs(*qat->graph(), integer, data, 1.0f / 256);
    ExpectTrainedOutputs(qat.get(), data);
  }
}

}  // namespace
}  // namespace litesmith
