// Every gradient of the operator records against finite differences of the operator's own kernel.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kernels/gradient/elementwise_f32.h"
#include "ops/fake_quantize.h"
#include "ops/op.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"
#include "tests/train/gradient_cases.h"
#include "train/tape.h"

namespace litesmith {
namespace {

using testing::GradientCase;
using testing::GradientCases;

// loss = sum of weight * target, in double.
class Problem {
 public:
  Problem(const Graph& graph, int32_t target, uint64_t seed) : graph_(graph) {
    for (size_t t = 0; t < graph.main().tensors.size(); ++t) {
      const Tensor& tensor = graph.main().tensors[t];
      if (!tensor.is_constant() || tensor.type != schema::TensorType_FLOAT32) continue;
      if (tensor.name.starts_with("fixed")) continue;
      const auto count = static_cast<size_t>(NumElements(tensor.shape));
      parameters_.items.push_back({static_cast<int32_t>(t), parameters_.floats, count});
      parameters_.floats += (count + 15) / 16 * 16;
    }
    values_ = ReadParameters(graph, parameters_);
    auto tape = Tape::Create(graph_, parameters_, target, {}, uint64_t{1} << 30);
    status_ = tape.status();
    if (!status_.ok()) return;
    memory_ = std::make_unique<TapeMemory>(*tape, values_.data());
    Random random(seed);
    weights_.resize(memory_->target().size());
    for (float& w : weights_) w = static_cast<float>(random.Uniform(-1.0, 1.0));
  }

  const absl::Status& status() const { return status_; }
  const Parameters& parameters() const { return parameters_; }
  std::vector<float>& values() { return values_; }

  double Loss() {
    EXPECT_OK(memory_->Forward(nullptr));
    double loss = 0.0;
    for (size_t i = 0; i < weights_.size(); ++i) loss += double{weights_[i]} * memory_->target()[i];
    return loss;
  }
  std::vector<float> Gradient() {
    std::vector<float> gradients(parameters_.floats, 0.0f);
    EXPECT_OK(memory_->Forward(nullptr));
    std::copy(weights_.begin(), weights_.end(), memory_->target_gradient().begin());
    EXPECT_OK(memory_->Backward(gradients.data(), nullptr));
    return gradients;
  }

 private:
  Graph graph_;
  Parameters parameters_;
  std::vector<float> values_, weights_;
  std::unique_ptr<TapeMemory> memory_;
  absl::Status status_;
};

void CheckGradient(const Graph& graph, int32_t target, double step) {
  Problem problem(graph, target, 7);
  ASSERT_OK(problem.status());
  const std::vector<float> gradient = problem.Gradient();
  const std::vector<float> again = problem.Gradient();
  ASSERT_EQ(gradient, again) << "the second run differs";
  size_t checked = 0;
  for (const Parameter& p : problem.parameters().items) {
    for (size_t i = p.offset; i < p.offset + p.count; ++i) {
      float& x = problem.values()[i];
      const float kept = x;
      x = kept + static_cast<float>(step);
      const double up = x, loss_up = problem.Loss();
      x = kept - static_cast<float>(step);
      const double down = x, loss_down = problem.Loss();
      x = kept;
      const double expected = (loss_up - loss_down) / (up - down);
      ASSERT_NEAR(gradient[i], expected, 2e-3 + 5e-3 * std::abs(expected))
          << "element " << i - p.offset << " of '"
          << graph.main().tensors[static_cast<size_t>(p.tensor)].name << "'";
      ++checked;
    }
  }
  ASSERT_GT(checked, 0u);
}

TEST(Gradient, FiniteDifferencesAgree) {
  testing::ForEachTarget(gradient::ElementwiseTargets(), [](const char*) {
    for (const GradientCase& c : GradientCases()) {
      SCOPED_TRACE(c.name);
      testing::GraphBuilder once;
      const int32_t target = c.build(&once);
      CheckGradient(once.graph(), target, c.step);
      if (HasFatalFailure()) return;
    }
  });
}

// The same node twice on the same inputs: the second one adds to their gradients.
TEST(Gradient, SecondUsesAdd) {
  for (const GradientCase& c : GradientCases()) {
    SCOPED_TRACE(c.name);
    testing::GraphBuilder b;
    const int32_t first = c.build(&b);
    Subgraph& main = b.graph().main();
    const size_t nodes = main.nodes.size();
    ASSERT_EQ(nodes, 1u) << "a case is one node";
    if (FindOp(main.nodes[0])->stateful) continue;  // the second would start where the first ended
    Node copy = main.nodes[0];
    int32_t second = -1;
    for (int32_t& t : copy.outputs) {
      Tensor tensor = main.tensors[static_cast<size_t>(t)];
      tensor.name += " again";
      const int32_t fresh = main.AddTensor(tensor);
      if (t == first) second = fresh;
      t = fresh;
    }
    main.nodes.push_back(copy);
    const Shape shape = main.tensors[static_cast<size_t>(first)].shape;
    const int32_t sum = b.Op(schema::BuiltinOperator_ADD, "sum", {first, second}, shape,
                             Options(schema::AddOptionsT{}));
    CheckGradient(b.graph(), sum, c.step);
    if (HasFatalFailure()) return;
  }
}

TEST(Gradient, EveryRecordWithAGradientHasACase) {
  std::set<std::string> covered, missing;
  for (const GradientCase& c : GradientCases()) {
    testing::GraphBuilder b;
    c.build(&b);
    covered.insert(OperatorName(b.graph().main().nodes[0]));
  }
  size_t count = 0;
  for (const OpRecord* op : AllOps()) {
    if (op->gradient == nullptr) continue;
    // Its gradient is not that of a step function: fake_quant_test.cc.
    if (op->custom_code == std::string_view(kFakeQuantizeCode)) continue;
    ++count;
    Node node;
    node.op = op->op;
    node.custom_code = op->custom_code;
    if (!covered.contains(OperatorName(node))) missing.insert(OperatorName(node));
  }
  EXPECT_GE(count, 25u);
  EXPECT_THAT(missing, ::testing::IsEmpty());
}

TEST(Gradient, OneTensorReadTwice) {
  for (const auto op :
       {schema::BuiltinOperator_MUL, schema::BuiltinOperator_ADD, schema::BuiltinOperator_SUB}) {
    testing::GraphBuilder b;
    const int32_t x = b.Ramp("x", {2, 3}, -0.4f, 0.3f);
    CheckGradient(b.graph(), b.Op(op, "y", {x, x}, {2, 3}), 1e-2);
  }
}

TEST(Gradient, AnOperatorWithoutGradientIsNamed) {
  testing::GraphBuilder b;
  const int32_t x = b.Ramp("x", {2, 3}, -0.4f, 0.3f);
  const int32_t y = b.Op(schema::BuiltinOperator_FLOOR, "rounded", {x}, {2, 3});
  Problem problem(b.graph(), y, 1);
  EXPECT_THAT(problem.status().ToString(), ::testing::HasSubstr("no gradient for FLOOR 'rounded'"));
}

TEST(Gradient, TheLayersThatItBlocksAreNamed) {
  testing::GraphBuilder b;
  const int32_t x = b.Ramp("fixed", {2, 3}, -0.4f, 0.3f);
  const int32_t w = b.Ramp("w", {2, 3}, 0.1f, 0.3f), v = b.Ramp("v", {2, 3}, 0.2f, 0.3f);
  const int32_t first = b.Op(schema::BuiltinOperator_MUL, "first", {x, w}, {2, 3});
  const int32_t rounded = b.Op(schema::BuiltinOperator_FLOOR, "rounded", {first}, {2, 3});
  const int32_t last = b.Op(schema::BuiltinOperator_MUL, "last", {rounded, v}, {2, 3});
  Problem problem(b.graph(), last, 1);
  EXPECT_THAT(problem.status().ToString(),
              ::testing::HasSubstr("cannot be trained, freeze them: MUL 'first'"));
}

}  // namespace
}  // namespace litesmith
