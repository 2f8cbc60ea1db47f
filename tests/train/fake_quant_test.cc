// The arithmetic of fake quantization, and its gradients, against their formulas.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/gradient/fake_quant_f32.h"
#include "ops/fake_quantize.h"
#include "tests/graph_builder.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"
#include "train/tape.h"

namespace litesmith {
namespace {

using gradient::FakeQuant;

std::vector<float> Randoms(size_t count, double limit, uint64_t seed) {
  Random random(seed);
  std::vector<float> out(count);
  for (float& v : out) v = static_cast<float>(random.Uniform(-limit, limit));
  return out;
}

float Clamped(const FakeQuant& q, float units) { return std::min(std::max(units, q.low), q.high); }
float Stored(const FakeQuant& q, float x) {
  return std::round(Clamped(q, x * q.inverse)) * q.scale;
}
bool Inside(const FakeQuant& q, float x) {
  return x * q.inverse >= q.low && x * q.inverse <= q.high;
}
double ScalePart(const FakeQuant& q, float x) {
  const double r = std::round(Clamped(q, x * q.inverse));
  return Inside(q, x) ? r - double{x * q.inverse} : r;
}

TEST(FakeQuant, RoundsHalfAwayAndClamps) {
  testing::ForEachTarget(gradient::FakeQuantTargets(), [](const char*) {
    const FakeQuant q{0.5f, 2.0f, -100.0f, 27.0f};
    std::vector<float> x = Randoms(1003, 60.0, 1);
    const float special[] = {0.25f,
                             -0.25f,
                             0.75f,
                             -0.75f,
                             0.0f,
                             -0.0f,
                             13.5f,
                             13.49f,
                             -50.f,
                             -50.25f,
                             1e30f,
                             -1e30f,
                             std::nextafter(0.25f, 0.0f)};
    x.insert(x.end(), std::begin(special), std::end(special));
    for (size_t count : {x.size(), size_t{7}, size_t{1}, size_t{0}}) {
      std::vector<float> y(x.size(), 77.0f);
      gradient::FakeQuantize(q, x.data(), count, y.data());
      for (size_t i = 0; i < x.size(); ++i) {
        ASSERT_EQ(y[i], i < count ? Stored(q, x[i]) : 77.0f) << x[i];
      }
    }
    std::vector<float> y = x;
    gradient::FakeQuantize(q, y.data(), y.size(), y.data());
    const std::vector<float> once = y;
    gradient::FakeQuantize(q, y.data(), y.size(), y.data());
    EXPECT_EQ(y, once) << "what is stored stays";
  });
}

// As an integer kernel averages: half away from the integer 0.
TEST(FakeQuant, AveragesOfIntegers) {
  testing::ForEachTarget(gradient::FakeQuantTargets(), [](const char*) {
    for (const int zero : {-128, 0, 37}) {
      for (const int count : {4, 9, 16, 49}) {
        FakeQuant q{0.0131f, 1.0f / 0.0131f, -128.0f - static_cast<float>(zero),
                    127.0f - static_cast<float>(zero), true};
        q.zero = static_cast<float>(zero);
        std::vector<float> x, y, expected;
        for (int sum = -128 * count; sum <= 127 * count; ++sum) {
          // The mean of `count` stored values.
          x.push_back(static_cast<float>(sum - count * zero) * q.scale / static_cast<float>(count));
          const int half = sum > 0 ? count / 2 : -(count / 2);
          expected.push_back(static_cast<float>((sum + half) / count - zero) * q.scale);
        }
        y.resize(x.size());
        gradient::FakeQuantize(q, x.data(), x.size(), y.data());
        ASSERT_EQ(y, expected) << zero << " " << count;
      }
    }
  });
}

TEST(FakeQuant, GradientGoesStraightThroughWithinTheLimits) {
  testing::ForEachTarget(gradient::FakeQuantTargets(), [](const char*) {
    const FakeQuant q{0.3f, 1.0f / 0.3f, -20.0f, 90.0f};
    const std::vector<float> x = Randoms(517, 40.0, 2), dy = Randoms(517, 1.0, 3);
    const std::vector<float> before = Randoms(517, 1.0, 4);
    double sum = 0.0;
    for (size_t i = 0; i < x.size(); ++i) sum += double{dy[i]} * ScalePart(q, x[i]);
    for (bool accumulate : {false, true}) {
      std::vector<float> dx = before;
      const float got =
          gradient::FakeQuantizeGradient(q, x.data(), dy.data(), x.size(), accumulate, dx.data());
      EXPECT_NEAR(got, sum, 1e-4 * std::abs(sum) + 1e-2);
      for (size_t i = 0; i < x.size(); ++i) {
        const float through = Inside(q, x[i]) ? dy[i] : 0.0f;
        ASSERT_EQ(dx[i], accumulate ? before[i] + through : through) << x[i];
      }
    }
    EXPECT_NEAR(gradient::FakeQuantizeGradient(q, x.data(), dy.data(), x.size(), false, nullptr),
                sum, 1e-4 * std::abs(sum) + 1e-2);
  });
}

TEST(FakeQuant, ColumnsAreRowsOfTheirOwn) {
  testing::ForEachTarget(gradient::FakeQuantTargets(), [](const char*) {
    constexpr size_t kRows = 9, kColumns = 21;
    const std::vector<float> x = Randoms(kRows * kColumns, 2.0, 5);
    const std::vector<float> dy = Randoms(kRows * kColumns, 1.0, 6);
    std::vector<float> scales(kColumns), inverses(kColumns);
    for (size_t c = 0; c < kColumns; ++c) {
      scales[c] = 0.1f + 0.02f * static_cast<float>(c);
      inverses[c] = 1.0f / scales[c];
    }
    std::vector<float> y(x.size()), dx(x.size(), 1.0f), sums(kColumns, 0.5f);
    gradient::FakeQuantizeColumns(scales.data(), inverses.data(), -7, 7, x.data(), kRows, kColumns,
                                  y.data());
    gradient::FakeQuantizeColumnsGradient(inverses.data(), -7, 7, x.data(), dy.data(), kRows,
                                          kColumns, true, dx.data(), sums.data());
    for (size_t c = 0; c < kColumns; ++c) {
      const FakeQuant q{scales[c], inverses[c], -7, 7};
      double sum = 0.5;
      for (size_t i = c; i < x.size(); i += kColumns) {
        ASSERT_EQ(y[i], Stored(q, x[i]));
        ASSERT_EQ(dx[i], 1.0f + (Inside(q, x[i]) ? dy[i] : 0.0f));
        sum += double{dy[i]} * ScalePart(q, x[i]);
      }
      EXPECT_NEAR(sums[c], sum, 1e-4);
    }
  });
}

// One operator on constants, its gradients for a loss of sum(weight * y).
struct OpRun {
  std::vector<float> y, weights, gradients;
  Parameters parameters;

  std::span<const float> gradient(size_t item) const {
    return {gradients.data() + parameters.items[item].offset, parameters.items[item].count};
  }
};
OpRun RunOp(const Shape& shape, const std::vector<float>& x, const std::vector<float>& scales,
            const std::vector<int32_t>& settings, const std::vector<float>& learnt) {
  testing::GraphBuilder b;
  Node node;
  node.op = schema::BuiltinOperator_CUSTOM;
  node.custom_code = kFakeQuantizeCode;
  node.inputs = {b.Floats("x", shape, x),
                 b.Floats("scale", {static_cast<int32_t>(scales.size())}, scales),
                 b.Ints("settings", {kFakeQuantSettings}, settings)};
  if (!learnt.empty()) {
    node.inputs.push_back(b.Floats("learnt", {static_cast<int32_t>(learnt.size())}, learnt));
  }
  node.outputs = {b.Value("y", shape)};
  b.graph().main().nodes.push_back(node);
  OpRun out;
  out.parameters = FindParameters(b.graph());
  const std::vector<float> values = ReadParameters(b.graph(), out.parameters);
  auto tape = Tape::Create(b.graph(), out.parameters, node.outputs[0], {}, 1 << 30);
  EXPECT_OK(tape);
  if (!tape.ok()) return out;
  TapeMemory memory(*tape, values.data());
  EXPECT_OK(memory.Forward(nullptr));
  out.y.assign(memory.target().begin(), memory.target().end());
  out.weights = Randoms(x.size(), 1.0, 9);
  std::copy(out.weights.begin(), out.weights.end(), memory.target_gradient().begin());
  out.gradients.assign(out.parameters.floats, 0.0f);
  EXPECT_OK(memory.Backward(out.gradients.data(), nullptr));
  return out;
}

constexpr auto kLearnt = static_cast<int32_t>(FakeQuantMode::kLearnt);

// Scales per channel, first and last dimension: values, and the gradients of the logarithms.
TEST(FakeQuantizeOp, LearntScalesPerChannel) {
  const Shape shape = {4, 3, 2, 4};
  const std::vector<float> x = Randoms(96, 1.0, 11);
  const std::vector<float> scales = {0.05f, 0.1f, 0.2f, 0.13f}, learnt = {0.1f, -0.3f, 0.0f, 0.5f};
  for (int axis : {0, 3}) {
    const OpRun run = RunOp(shape, x, scales, {kLearnt, axis, -7, 7, 0, 0}, learnt);
    ASSERT_EQ(run.parameters.items.size(), 2u) << "x and the logarithms are trained";
    double sums[4] = {};
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t c = axis == 0 ? i / 24 : i % 4;
      const float s = LearntScale(scales[c], learnt[c]);
      EXPECT_NEAR(s, scales[c] * std::exp(learnt[c]), 1e-7);
      const FakeQuant q{s, static_cast<float>(1.0 / double{s}), -7, 7};
      ASSERT_EQ(run.y[i], Stored(q, x[i]));
      ASSERT_EQ(run.gradient(0)[i], Inside(q, x[i]) ? run.weights[i] : 0.0f);
      sums[c] += double{run.weights[i]} * ScalePart(q, x[i]) * s;
    }
    for (size_t c = 0; c < 4; ++c) {
      EXPECT_NEAR(run.gradient(1)[c], sums[c] / std::sqrt(24.0 * 7.0), 1e-5) << axis;
    }
  }
}

// The gradient of the scale where rounding has no part: everything beyond the limits.
TEST(FakeQuantizeOp, ClippedValuesMoveTheScaleAsFiniteDifferencesSay) {
  const std::vector<float> x = {5.0f, -7.0f, 9.0f, -4.0f};
  const auto loss = [&](float learnt, OpRun* run) {
    *run = RunOp({2, 2}, x, {0.01f}, {kLearnt, -1, -128, 127, -28, 0}, {learnt});
    double sum = 0.0;
    for (size_t i = 0; i < x.size(); ++i) sum += double{run->weights[i]} * run->y[i];
    return sum;
  };
  OpRun at, other;
  loss(0.2f, &at);
  const double expected = (loss(0.201f, &other) - loss(0.199f, &other)) / 0.002;
  const double balance = 1.0 / std::sqrt(2.0 * (127.0 + 28.0));
  EXPECT_NEAR(at.gradient(1)[0], expected * balance, 1e-3 * std::abs(expected * balance));
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(at.gradient(0)[i], 0.0f);
}

TEST(FakeQuantizeOp, ScalesFromTheValues) {
  const std::vector<float> x = {0.5f, -1.27f, 0.01f, 3.0f, 2.0f, -1.0f, 0.0f, 0.0f, 0.0f};
  const OpRun run = RunOp({3, 3}, x, {1.0f, 1.0f, 1.0f},
                          {static_cast<int32_t>(FakeQuantMode::kValues), 0, -127, 127, 0, 0}, {});
  for (size_t i = 0; i < 6; ++i) {
    const float s = (i < 3 ? 1.27f : 3.0f) / 127.0f;
    EXPECT_EQ(run.y[i], std::round(x[i] * static_cast<float>(1.0 / double{s})) * s);
  }
  for (size_t i = 6; i < 9; ++i) EXPECT_EQ(run.y[i], 0.0f);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(run.gradient(0)[i], run.weights[i]);
}

TEST(FakeQuantizeOp, AveragedRangesReportWhatTheySaw) {
  const std::vector<float> x = {0.5f, -1.0f, 0.25f, 3.0f};
  const OpRun run =
      RunOp({4}, x, {1.0f}, {static_cast<int32_t>(FakeQuantMode::kAveraged), -1, -128, 127, 0, 0},
            {0.01f, -100.0f, 0.0f, 0.0f});
  const FakeQuant q{0.01f, static_cast<float>(1.0 / double{0.01f}), -28, 227};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(run.y[i], Stored(q, x[i]));
  const std::vector<float> seen(run.gradient(1).begin(), run.gradient(1).end());
  EXPECT_EQ(seen, (std::vector<float>{0.0f, 0.0f, -1.0f, 3.0f}));
}

// A bias: the scale is a product of two others, which get no gradient.
TEST(FakeQuantizeOp, Products) {
  const std::vector<float> x = {0.5f, -1.0f, 0.25f};
  const std::vector<float> scales = {0.1f, 0.2f, 0.3f};
  const OpRun run =
      RunOp({3}, x, scales,
            {static_cast<int32_t>(FakeQuantMode::kProduct), 0, -(1 << 30), 1 << 30, 0, 0}, {0.07f});
  for (size_t i = 0; i < 3; ++i) {
    const float s = 0.07f * scales[i];
    EXPECT_EQ(run.y[i], std::round(x[i] * static_cast<float>(1.0 / double{s})) * s);
    EXPECT_EQ(run.gradient(0)[i], run.weights[i]);
  }
  EXPECT_EQ(run.gradient(1)[0], 0.0f);
}

// Strangers' files may name the operator.
TEST(FakeQuantizeOp, BadSettingsAreErrors) {
  for (const std::vector<int32_t>& settings :
       std::vector<std::vector<int32_t>>{{9, -1, -128, 127, 0, 0},
                                         {0, 4, -128, 127, 0, 0},
                                         {0, -2, -128, 127, 0, 0},
                                         {0, -1, INT32_MIN, 127, 0, 0},
                                         {0, -1, -128, 127, 128, 0},
                                         {1, -1, -128, 127, 0, 0},
                                         {0, 0, -128, 127, 0, 0},
                                         {0, -1, -128, 127, 0}}) {
    testing::GraphBuilder b;
    Node node;
    node.op = schema::BuiltinOperator_CUSTOM;
    node.custom_code = kFakeQuantizeCode;
    node.inputs = {b.Ramp("x", {2, 3}, 0, 1), b.Floats("scale", {1}, {1.0f}),
                   b.Ints("settings", {static_cast<int32_t>(settings.size())}, settings)};
    node.outputs = {b.Value("y", {2, 3})};
    b.graph().main().nodes.push_back(node);
    const auto tape =
        Tape::Create(b.graph(), FindParameters(b.graph()), node.outputs[0], {}, 1 << 30);
    EXPECT_FALSE(tape.ok());
  }
}

}  // namespace
}  // namespace litesmith
