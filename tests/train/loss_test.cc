#include "train/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "train/train.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using testing::MemoryDataset;

// The gradient against finite differences, and the loss itself.
void CheckLoss(
    std::vector<float> z, size_t width, double expected,
    const std::function<void(std::span<const float>, std::span<float>, LossSum*)>& loss) {
  std::vector<float> gradient(z.size());
  LossSum sum;
  loss(z, gradient, &sum);
  EXPECT_NEAR(sum.loss, expected, 1e-5 * (1.0 + expected));
  for (size_t i = 0; i < z.size(); ++i) {
    LossSum up, down;
    const float kept = z[i];
    z[i] = kept + 1e-2f;
    loss(z, {}, &up);
    z[i] = kept - 1e-2f;
    loss(z, {}, &down);
    z[i] = kept;
    EXPECT_NEAR(gradient[i] * 2.0, (up.loss - down.loss) / 2e-2, 1e-3)
        << i << " of width " << width;
  }
}

TEST(Loss, ValuesAndGradients) {
  const std::vector<float> z = {0.2f, -1.0f, 0.7f, 2.0f, 0.1f, -0.3f};
  const std::vector<int32_t> labels = {2, 1};
  double cross = 0.0;
  for (size_t row = 0; row < 2; ++row) {
    double total = 0.0;
    for (size_t c = 0; c < 3; ++c) total += std::exp(0.5 * z[row * 3 + c]);
    cross += std::log(total) - 0.5 * z[row * 3 + static_cast<size_t>(labels[row])];
  }
  CheckLoss(z, 3, cross, [&](auto in, auto g, LossSum* sum) {
    CrossEntropy(in, 3, 0.5f, labels, 0.5f, g, sum);
  });

  const std::vector<float> targets = {1.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.25f};
  double binary = 0.0, squared = 0.0;
  for (size_t i = 0; i < 6; ++i) {
    const double p = 1.0 / (1.0 + std::exp(-double{z[i]}));
    binary -= (targets[i] * std::log(p) + (1.0 - targets[i]) * std::log(1.0 - p)) / 3.0;
    squared += std::pow(double{z[i]} - targets[i], 2) / 3.0;
  }
  CheckLoss(z, 3, binary, [&](auto in, auto g, LossSum* sum) {
    BinaryCrossEntropy(in, 3, targets, 0.5f, g, sum);
  });
  CheckLoss(z, 3, squared,
            [&](auto in, auto g, LossSum* sum) { SquaredError(in, 3, targets, 0.5f, g, sum); });
}

TEST(Loss, LargeLogitsStayFinite) {
  const std::vector<float> z = {1000.0f, -1000.0f};
  std::vector<float> gradient(2);
  LossSum sum;
  CrossEntropy(z, 2, 1.0f, std::vector<int32_t>{1}, 1.0f, gradient, &sum);
  EXPECT_EQ(sum.loss, 2000.0);
  EXPECT_EQ(gradient, (std::vector<float>{1.0f, -1.0f}));
  sum = {};
  BinaryCrossEntropy(z, 2, std::vector<float>{0.0f, 1.0f}, 1.0f, gradient, &sum);
  EXPECT_EQ(sum.loss, 1000.0);
  EXPECT_EQ(gradient, (std::vector<float>{0.5f, -0.5f}));
}

TEST(Loss, CountsRightAnswers) {
  LossSum sum;
  CrossEntropy(std::vector<float>{1, 2, 3, 3, 2, 1}, 3, 1.0f, std::vector<int32_t>{2, 1}, 1.0f, {},
               &sum);
  EXPECT_EQ(sum.correct, 1);
  sum = {};
  BinaryCrossEntropy(std::vector<float>{1, -1, 3, -2}, 2, std::vector<float>{1, 0, 1, 1}, 1.0f, {},
                     &sum);
  EXPECT_EQ(sum.correct, 1);
}

int32_t Dense(GraphBuilder* b, const std::string& name, int32_t x, int units, int depth,
              schema::ActivationFunctionType activation) {
  Random random(name.size());
  std::vector<float> weights(static_cast<size_t>(units) * static_cast<size_t>(depth));
  for (float& w : weights) w = static_cast<float>(random.Uniform(-0.5, 0.5));
  schema::FullyConnectedOptionsT options;
  options.fused_activation_function = activation;
  return b->Op(schema::BuiltinOperator_FULLY_CONNECTED, name,
               {x, b->Floats(name + "/w", {units, depth}, weights),
                b->Ramp(name + "/b", {units}, 0.0f, 0.0f)},
               {-1, units}, Options(options));
}

double LastLoss(Graph graph, MemoryDataset* data, int epochs, double* first,
                EpochResult* last = nullptr) {
  TrainOptions options;
  options.epochs = epochs;
  options.batch_size = 20;
  options.optimizer.learning_rate = 5e-3f;
  double loss = NAN;
  const absl::Status status = Train(&graph, data, options, Context{}, [&](const EpochResult& r) {
    if (r.epoch == 1) *first = r.loss;
    loss = r.loss;
    if (last != nullptr) *last = r;
  });
  EXPECT_OK(status);
  return loss;
}

// Without targets a model of its input's size learns to give it back.
TEST(Loss, AutoencoderLearnsItsInput) {
  MemoryDataset data;
  data.shape = {8};
  data.labelled = false;
  Random random(5);
  for (int i = 0; i < 200; ++i) {
    const float a = static_cast<float>(random.Normal()), c = static_cast<float>(random.Normal());
    data.inputs.push_back({a, c, a + c, a - c, -a, -c, 2 * a, 0.5f * c});  // two numbers in eight
  }
  GraphBuilder b;
  int32_t x = b.Input("x", {-1, 8});
  x = Dense(&b, "in", x, 3, 8, schema::ActivationFunctionType_NONE);
  b.Output(Dense(&b, "out", x, 8, 3, schema::ActivationFunctionType_NONE));
  double first = 0.0;
  const double last = LastLoss(b.graph(), &data, 60, &first);
  EXPECT_LT(last, 0.01);
  EXPECT_GT(first, 0.5);
}

TEST(Loss, RegressionOnTargets) {
  MemoryDataset data;
  data.shape = {3};
  data.labelled = false;
  Random random(6);
  for (int i = 0; i < 200; ++i) {
    const float a = static_cast<float>(random.Normal()), c = static_cast<float>(random.Normal());
    data.inputs.push_back({a, c, 1.0f});
    data.targets.push_back({2 * a - c + 0.5f, a * c});
  }
  GraphBuilder b;
  int32_t x = b.Input("x", {-1, 3});
  x = Dense(&b, "hidden", x, 16, 3, schema::ActivationFunctionType_RELU);
  b.Output(Dense(&b, "out", x, 2, 16, schema::ActivationFunctionType_NONE));
  double first = 0.0;
  const double last = LastLoss(b.graph(), &data, 80, &first);
  EXPECT_LT(last, first / 20.0);
}

TEST(Loss, BinaryByLabel) {
  MemoryDataset data;
  data.shape = {2};
  Random random(7);
  for (int i = 0; i < 300; ++i) {
    const float a = static_cast<float>(random.Normal()), c = static_cast<float>(random.Normal());
    data.inputs.push_back({a, c});
    data.labels.push_back(a * a + c * c > 1.2f ? 1 : 0);
  }
  GraphBuilder b;
  int32_t x = b.Input("x", {-1, 2});
  x = Dense(&b, "hidden", x, 16, 2, schema::ActivationFunctionType_RELU);
  x = Dense(&b, "out", x, 1, 16, schema::ActivationFunctionType_NONE);
  b.Output(b.Op(schema::BuiltinOperator_LOGISTIC, "p", {x}, {-1, 1}));
  double first = 0.0;
  EpochResult last;
  LastLoss(b.graph(), &data, 80, &first, &last);
  EXPECT_GT(last.accuracy, 0.95);
  data.labels[9] = 2;
  Graph graph = b.graph();
  EXPECT_THAT(Train(&graph, &data, {}, Context{}, nullptr).ToString(),
              ::testing::HasSubstr("label 2"));
}

TEST(Loss, TargetsThatDoNotFit) {
  MemoryDataset data;
  data.shape = {2};
  data.labelled = false;
  data.inputs = {{1, 2}, {3, 4}};
  GraphBuilder b;
  b.Output(Dense(&b, "out", b.Input("x", {-1, 2}), 3, 2, schema::ActivationFunctionType_NONE));
  const auto message = [&] {
    Graph graph = b.graph();
    return Train(&graph, &data, {}, Context{}, nullptr).ToString();
  };
  EXPECT_THAT(message(), ::testing::HasSubstr("has no targets"));
  data.targets = {{1}, {2}};
  EXPECT_THAT(message(), ::testing::HasSubstr("have 1 values, the model's output has 3"));
  data.targets = {{1, 2, 3}, {2, 3}};
  EXPECT_THAT(message(), ::testing::HasSubstr("differ in size"));
  data.targets = {{1, 2, 3}, {2, 3, NAN}};
  EXPECT_THAT(message(), ::testing::HasSubstr("not a finite number"));
}

TEST(Distillation, GradientIsThatOfTheLoss) {
  std::vector<float> z = {0.3f, -0.7f, 1.1f, 0.2f, 0.9f, -0.4f};
  const std::vector<float> teacher = {0.2f, 0.1f, 0.7f, 0.6f, 0.4f, 0.0f};
  const std::vector<int32_t> labels = {2, 1};
  for (const auto& given : {std::vector<int32_t>{}, labels}) {
    const Distillation distillation{0.7f, 3.0f};
    const auto loss = [&](std::span<float> gradient) {
      LossSum sum;
      DistilledCrossEntropy(distillation, z, 3, 1.5f, teacher, given, 0.5f, gradient, &sum);
      return sum;
    };
    std::vector<float> gradient(z.size());
    const LossSum sum = loss(gradient);
    // The second row answers 1: the label, but not the teacher's choice.
    EXPECT_EQ(sum.correct, given.empty() ? 1 : 2);
    for (size_t i = 0; i < z.size(); ++i) {
      const float kept = z[i];
      z[i] = kept + 1e-2f;
      const double up = loss({}).loss;
      z[i] = kept - 1e-2f;
      const double down = loss({}).loss;
      z[i] = kept;
      EXPECT_NEAR(gradient[i], 0.5 * (up - down) / 2e-2, 2e-3) << i;
    }
  }
}

TEST(Distillation, ATeacherOfTheSameOpinionCostsNothing) {
  const std::vector<float> z = {std::log(0.2f), std::log(0.5f), std::log(0.3f)};
  const std::vector<float> teacher = {0.2f, 0.5f, 0.3f};
  std::vector<float> gradient(3);
  LossSum sum;
  DistilledCrossEntropy({1.0f, 2.0f}, z, 3, 1.0f, teacher, {}, 1.0f, gradient, &sum);
  EXPECT_NEAR(sum.loss, 0.0, 1e-5);
  for (float g : gradient) EXPECT_NEAR(g, 0.0f, 1e-6f);
}

}  // namespace
}  // namespace litesmith
