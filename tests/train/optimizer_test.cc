#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::HasSubstr;

// One step of the published formulas, in double.
struct Reference {
  OptimizerOptions o;
  double w, m = 0.0, v = 0.0;
  int t = 0;

  void Step(double g, double factor, double clip) {
    ++t;
    g *= clip;
    const double rate = o.learning_rate * factor;
    if (o.kind != OptimizerKind::kAdamW) g += o.weight_decay * w;
    if (o.kind == OptimizerKind::kSgd) {
      m = o.momentum * m - rate * g;
      w += o.nesterov ? o.momentum * m - rate * g : m;
      return;
    }
    m = o.beta1 * m + (1.0 - o.beta1) * g;
    v = o.beta2 * v + (1.0 - o.beta2) * g * g;
    const double corrected =
        rate * std::sqrt(1.0 - std::pow(o.beta2, t)) / (1.0 - std::pow(o.beta1, t));
    if (o.kind == OptimizerKind::kAdamW) w -= rate * o.weight_decay * w;
    w -= corrected * m / (std::sqrt(v) + o.epsilon);
  }
};

void CheckAgainstReference(const OptimizerOptions& options) {
  constexpr size_t kCount = 10007;  // some blocks and an odd rest
  Random random(1);
  std::vector<float> values(kCount), a(kCount), b(kCount);
  std::vector<Reference> reference;
  for (float& w : values) {
    w = static_cast<float>(random.Uniform(-1.0, 1.0));
    reference.push_back({options, w});
  }
  Optimizer optimizer(options, kCount);
  for (int step = 0; step < 20; ++step) {
    double squares = 0.0;
    for (size_t i = 0; i < kCount; ++i) {
      a[i] = static_cast<float>(random.Normal());
      b[i] = static_cast<float>(random.Normal() * 0.1);
      squares += std::pow(double{a[i]} + b[i], 2);
    }
    const double norm = std::sqrt(squares);
    const double clip =
        options.clip_norm > 0.0f && norm > options.clip_norm ? options.clip_norm / norm : 1.0;
    const double factor = step < 10 ? 1.0 : 0.5;
    const std::vector<const float*> parts = {a.data(), b.data()};
    optimizer.Step(parts, factor, values, nullptr);
    for (size_t i = 0; i < kCount; ++i) reference[i].Step(double{a[i]} + b[i], factor, clip);
  }
  for (size_t i = 0; i < kCount; ++i) ASSERT_NEAR(values[i], reference[i].w, 2e-5) << i;
}

TEST(Optimizer, FollowsThePublishedFormulas) {
  for (const auto kind : {OptimizerKind::kAdam, OptimizerKind::kAdamW, OptimizerKind::kSgd}) {
    OptimizerOptions options;
    options.kind = kind;
    CheckAgainstReference(options);
    options.weight_decay = 0.05f;
    CheckAgainstReference(options);
    options.clip_norm = 3.0f;
    options.nesterov = true;
    CheckAgainstReference(options);
  }
}

TEST(Optimizer, GoesOnFromItsState) {
  OptimizerOptions options;
  const std::vector<float> gradient(100, 0.25f);
  const std::vector<const float*> parts = {gradient.data()};
  std::vector<float> one(100, 1.0f), two(100, 1.0f);
  Optimizer whole(options, 100);
  for (int i = 0; i < 6; ++i) whole.Step(parts, 1.0, one, nullptr);
  Optimizer first(options, 100), second(options, 100);
  for (int i = 0; i < 3; ++i) first.Step(parts, 1.0, two, nullptr);
  second.Restore(first.steps(), first.state());
  for (int i = 0; i < 3; ++i) second.Step(parts, 1.0, two, nullptr);
  EXPECT_EQ(one, two);
}

TEST(Optimizer, Errors) {
  OptimizerOptions options;
  EXPECT_OK(CheckOptimizer(options));
  options.learning_rate = 0.0f;
  EXPECT_THAT(CheckOptimizer(options).ToString(), HasSubstr("learning rate"));
  options = {};
  options.momentum = 1.0f;
  EXPECT_THAT(CheckOptimizer(options).ToString(), HasSubstr("[0, 1)"));
  options = {};
  options.weight_decay = -1.0f;
  EXPECT_THAT(CheckOptimizer(options).ToString(), HasSubstr("weight decay"));
  options = {};
  options.clip_norm = NAN;
  EXPECT_THAT(CheckOptimizer(options).ToString(), HasSubstr("norm"));
  options = {};
  options.epsilon = 0.0f;
  EXPECT_THAT(CheckOptimizer(options).ToString(), HasSubstr("epsilon"));
}

TEST(Schedule, Shapes) {
  Schedule s;
  for (int64_t step : {0, 50, 99}) EXPECT_EQ(s.Factor(step, 100), 1.0);
  s.kind = ScheduleKind::kCosine;
  EXPECT_DOUBLE_EQ(s.Factor(0, 100), 1.0);
  EXPECT_NEAR(s.Factor(50, 100), 0.5, 1e-12);
  EXPECT_NEAR(s.Factor(100, 100), 0.0, 1e-12);
  s.final_factor = 0.1;
  EXPECT_NEAR(s.Factor(100, 100), 0.1, 1e-12);
  s = {};
  s.kind = ScheduleKind::kStep;
  EXPECT_EQ(s.Factor(49, 100), 1.0);
  EXPECT_DOUBLE_EQ(s.Factor(50, 100), 0.1);
  EXPECT_DOUBLE_EQ(s.Factor(80, 100), 0.01);
  s = {};
  s.warmup = 0.1;
  EXPECT_LT(s.Factor(0, 100), 0.1);
  EXPECT_LT(s.Factor(5, 100), s.Factor(9, 100));
  EXPECT_EQ(s.Factor(10, 100), 1.0);
}

}  // namespace
}  // namespace litesmith
