#include "evaluate/evaluate.h"

#include <limits>

#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;

// y = 2x over [batch, 3].
std::shared_ptr<const Graph> Doubler(int32_t batch) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {batch, 3});
  const int32_t two = b.Floats("two", {1}, {2.0f});
  b.Output(b.Op(schema::BuiltinOperator_MUL, "double", {x, two}, {batch, 3},
                Options(schema::MulOptionsT{})));
  return std::make_shared<const Graph>(std::move(b.graph()));
}

Array Row(const std::vector<float>& values) {
  Array array = Array::Zeros(ElementType::kFloat32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), array.mutable_data<float>().begin());
  return array;
}

// Samples of three values with labels and targets.
class Samples final : public Dataset {
 public:
  std::vector<Sample> samples;
  std::vector<std::string> names;
  bool labelled = true;
  int64_t fail_at = -1;

  // Sample i has its largest value at i % 3, and the target 2x + 1.
  explicit Samples(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      std::vector<float> x = {0.1f, 0.2f, 0.3f};
      x[static_cast<size_t>(i % 3)] = 1.0f + static_cast<float>(i);
      Sample sample;
      sample.inputs = {Row(x)};
      sample.label = i % 3;
      for (float& v : x) v = 2 * v + 1;
      sample.targets = {Row(x)};
      samples.push_back(std::move(sample));
    }
  }
  int64_t size() const override { return static_cast<int64_t>(samples.size()); }
  bool has_labels() const override { return labelled; }
  bool has_targets() const override { return true; }
  const std::vector<std::string>& class_names() const override { return names; }
  int64_t label(int64_t i) const override { return *samples[static_cast<size_t>(i)].label; }
  absl::Status Read(int64_t i, Sample* sample) override {
    if (i == fail_at) return Invalid("sample {} is broken", i);
    *sample = samples[static_cast<size_t>(i)];
    return absl::OkStatus();
  }
  std::vector<int64_t> sample_shape(size_t) const override { return {3}; }
  Preprocessing preprocessing() const override { return {}; }
  bool is_array() const override { return true; }
  std::string Describe() const override { return "memory"; }
};

EvaluateResult MustEvaluate(std::shared_ptr<const Graph> graph, Samples* data, Metric metric,
                            int threads) {
  Context context;
  context.num_threads = threads;
  EvaluateOptions options;
  options.metric = metric;
  auto result = Evaluate(std::move(graph), data, options, context);
  EXPECT_OK(result);
  return result.value_or(EvaluateResult{});
}

TEST(Evaluate, OpenAndFixedBatchesAgree) {
  Samples data(200);
  data.samples[7].label = 0;  // one wrong answer: sample 7 says 1
  for (const int32_t batch : {-1, 1}) {
    for (const int threads : {1, 3, 16}) {
      const EvaluateResult result = MustEvaluate(Doubler(batch), &data, Metric::kAccuracy, threads);
      EXPECT_EQ(result.total, 200);
      EXPECT_EQ(result.correct, 199);
      EXPECT_DOUBLE_EQ(result.accuracy, 0.995);
    }
  }
}

TEST(Evaluate, ErrorsAgainstTargets) {
  Samples data(130);
  data.samples[0].targets[0].mutable_data<float>()[0] += 3.0f;
  const double n = 130 * 3;
  for (const int threads : {1, 4}) {
    // All targets are one off, one of them four.
    EXPECT_NEAR(MustEvaluate(Doubler(-1), &data, Metric::kMae, threads).error, (n - 1 + 4) / n,
                1e-4);
    EXPECT_NEAR(MustEvaluate(Doubler(1), &data, Metric::kMse, threads).error, (n - 1 + 16) / n,
                1e-3);
  }
  EXPECT_EQ(MustEvaluate(Doubler(-1), &data, Metric::kMse, 1).error,
            MustEvaluate(Doubler(-1), &data, Metric::kMse, 5).error);
}

// A model that leaves the batch open and yet flattens to one row.
TEST(Evaluate, AModelForOneSampleIsRunOneByOne) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 3, 1});
  const int32_t shape = b.Ints("shape", {2}, {1, 3});
  b.Output(b.Op(schema::BuiltinOperator_RESHAPE, "flat", {x, shape}, {1, 3},
                Options(schema::ReshapeOptionsT{})));
  Samples data(10);
  for (Sample& s : data.samples) s.inputs[0].shape = {3, 1};
  const auto graph = std::make_shared<const Graph>(std::move(b.graph()));
  EXPECT_EQ(MustEvaluate(graph, &data, Metric::kAccuracy, 2).correct, 10);
}

absl::Status StatusOfEvaluation(std::shared_ptr<const Graph> graph, Samples* data,
                                Metric metric = Metric::kAccuracy, const Context& context = {}) {
  EvaluateOptions options;
  options.metric = metric;
  return Evaluate(std::move(graph), data, options, context).status();
}

TEST(Evaluate, BadDataIsAnError) {
  using ::testing::HasSubstr;
  const auto message = [](const absl::Status& s) { return std::string(Message(s)); };
  Samples data(20);
  data.samples[12].label = 3;
  EXPECT_THAT(message(StatusOfEvaluation(Doubler(-1), &data)), HasSubstr("label 3"));
  data.samples[12].label = 0;
  data.names = {"a", "b"};
  EXPECT_THAT(message(StatusOfEvaluation(Doubler(-1), &data)), HasSubstr("2 classes"));
  data.names.clear();
  data.fail_at = 5;
  EXPECT_THAT(message(StatusOfEvaluation(Doubler(1), &data)), HasSubstr("sample 5 is broken"));
  data.fail_at = -1;
  data.labelled = false;
  EXPECT_THAT(message(StatusOfEvaluation(Doubler(-1), &data)), HasSubstr("no labels"));
  data.samples[3].targets[0] = Row({1.0f});
  EXPECT_THAT(message(StatusOfEvaluation(Doubler(-1), &data, Metric::kMse)), HasSubstr("target"));
  Samples none(0);
  EXPECT_THAT(message(StatusOfEvaluation(Doubler(-1), &none)), HasSubstr("no samples"));
}

TEST(Evaluate, StopsWhenCancelled) {
  Samples data(1000);
  const std::atomic<bool> cancel = true;
  Context context;
  context.cancel = &cancel;
  EXPECT_TRUE(
      absl::IsCancelled(StatusOfEvaluation(Doubler(-1), &data, Metric::kAccuracy, context)));
}

TEST(InputSpecs, LeadingBatchIsDropped) {
  GraphBuilder b;
  b.Input("open", {-1, 4});
  b.Input("one", {1, 5});
  b.Input("fixed", {2, 6});
  b.Input("index", {1, 7}, schema::TensorType_INT32);
  const std::vector<InputSpec> specs = InputSpecs(b.graph());
  EXPECT_EQ(specs[0].shape, (std::vector<int64_t>{4}));
  EXPECT_EQ(specs[1].shape, (std::vector<int64_t>{5}));
  EXPECT_EQ(specs[2].shape, (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(specs[3].type, ElementType::kInt32);
}

TEST(MeasureLatency, TimesEveryRun) {
  BenchmarkOptions options;
  options.num_runs = 7;
  ASSERT_OK_AND_ASSIGN(const Latency latency, MeasureLatency(Doubler(-1), options, {}));
  EXPECT_GT(latency.min, 0.0);
  EXPECT_LE(latency.min, latency.median);
  EXPECT_LE(latency.median, latency.p95);
  EXPECT_LE(latency.p95, latency.max);
}

TEST(MeasureLatency, ProfileCountsEveryNode) {
  GraphBuilder b;
  const int32_t in = b.Input("in", {1, 8, 8, 4});
  const int32_t weights = b.Ramp("w", {6, 3, 3, 4}, 0.5f, 0.01f);
  schema::Conv2DOptionsT options;
  options.padding = schema::Padding_SAME;
  options.stride_h = options.stride_w = 1;
  b.Output(
      b.Op(schema::BuiltinOperator_CONV_2D, "conv", {in, weights}, {1, 8, 8, 6}, Options(options)));
  BenchmarkOptions runs;
  runs.num_runs = 3;
  ModelProfile profile;
  ASSERT_OK(MeasureLatency(std::make_shared<Graph>(b.graph()), runs, Context{}, &profile).status());
  ASSERT_EQ(profile.nodes.size(), 1u);
  EXPECT_EQ(profile.nodes[0].op, "CONV_2D");
  EXPECT_EQ(profile.nodes[0].kernel, "f32-f32-f32w-conv_2d");
  EXPECT_NEAR(profile.nodes[0].percent, 100.0, 1e-9);
  ASSERT_TRUE(profile.nodes[0].gmacs.has_value());
  // 8 * 8 * 6 outputs of 3 * 3 * 4 products.
  EXPECT_NEAR(*profile.nodes[0].gmacs * profile.nodes[0].ms * 1e6, 13824.0, 1e-3);
  EXPECT_GT(profile.peak_float32_gmacs, 0.0);
  EXPECT_GE(profile.peak_int8_gmacs, 0.0);
  EXPECT_GE(profile.arena_bytes, 8 * 8 * 10 * 4);
  EXPECT_GT(profile.first_run_ms, 0.0);
}

}  // namespace
}  // namespace litesmith
