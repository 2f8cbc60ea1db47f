#include <algorithm>

#include "evaluate/evaluate.h"
#include "litesmith/litesmith.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::Contains;
using testing::GraphBuilder;
using ::testing::HasSubstr;

constexpr int32_t kSize = 64;

// y = relu(logistic(x)) in float.
std::shared_ptr<const Graph> Float() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, kSize, kSize, 4});
  const int32_t s = b.Op(schema::BuiltinOperator_LOGISTIC, "s", {x}, {1, kSize, kSize, 4});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {s}, {1, kSize, kSize, 4}));
  return std::make_shared<const Graph>(std::move(b.graph()));
}

// The same between QUANTIZE and DEQUANTIZE, after which `y` is float again.
std::shared_ptr<const Graph> Quantized() {
  GraphBuilder b;
  const auto quantize = [&](int32_t t, float scale, int64_t zero) {
    b.graph().main().tensors[static_cast<size_t>(t)].type = schema::TensorType_INT8;
    b.graph().main().tensors[static_cast<size_t>(t)].quant = QuantParams::PerTensor(scale, zero);
    return t;
  };
  const Shape shape = {1, kSize, kSize, 4};
  const int32_t x = b.Input("x", shape);
  const int32_t q =
      quantize(b.Op(schema::BuiltinOperator_QUANTIZE, "x_q", {x}, shape), 1.0f / 128, 0);
  const int32_t s =
      quantize(b.Op(schema::BuiltinOperator_LOGISTIC, "s", {q}, shape), 1.0f / 256, -128);
  const int32_t d = b.Op(schema::BuiltinOperator_DEQUANTIZE, "s_f", {s}, shape);
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {d}, shape));
  return std::make_shared<const Graph>(std::move(b.graph()));
}

const SlowNode* Find(const FloatComparison& comparison, const std::string& op) {
  const auto it = std::find_if(comparison.slow.begin(), comparison.slow.end(),
                               [&](const SlowNode& s) { return s.op == op; });
  return it == comparison.slow.end() ? nullptr : &*it;
}

// Which nodes have counterparts and what is said of those without does not depend on times.
TEST(CompareFloat, ConversionsSayWhatTheyAreFor) {
  BenchmarkOptions options;
  options.num_runs = 5;
  ASSERT_OK_AND_ASSIGN(const FloatComparison comparison,
                       CompareWithFloat(Quantized(), Float(), options, Context{}));
  EXPECT_EQ(comparison.nodes, 4);
  EXPECT_EQ(comparison.paired, 2);
  const SlowNode* quantize = Find(comparison, "QUANTIZE");
  ASSERT_NE(quantize, nullptr);
  EXPECT_FALSE(quantize->float_node.has_value());
  EXPECT_THAT(quantize->reasons, Contains(HasSubstr("the model's input")));
  const SlowNode* dequantize = Find(comparison, "DEQUANTIZE");
  ASSERT_NE(dequantize, nullptr);
  EXPECT_THAT(dequantize->reasons, Contains(HasSubstr("converts for RELU")));
  EXPECT_THAT(dequantize->reasons, Contains(HasSubstr("no counterpart")));
}

TEST(CompareFloat, PairsByNameBeforeOrder) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 64});
  const int32_t first = b.Op(schema::BuiltinOperator_LOGISTIC, "first", {x}, {1, 64});
  b.Output(b.Op(schema::BuiltinOperator_LOGISTIC, "second", {first}, {1, 64}));
  const auto graph = std::make_shared<const Graph>(std::move(b.graph()));
  ASSERT_OK_AND_ASSIGN(const FloatComparison same,
                       CompareWithFloat(graph, graph, BenchmarkOptions{}, Context{}));
  EXPECT_EQ(same.nodes, 2);
  EXPECT_EQ(same.paired, 2);
  for (const SlowNode& slow : same.slow) EXPECT_EQ(slow.float_node, slow.node);
}

TEST(CompareFloat, InABenchmark) {
  REQUIRE_SHARED();
  const std::string folder = testing::SharedDir() + "/golden/mnist/";
  BenchmarkRequest request;
  request.num_runs = 5;
  request.float_model = folder + "mnist_model_float32.tflite";
  ASSERT_OK_AND_ASSIGN(const Report report,
                       BenchmarkFiles({folder + "mnist_model_quant_int8.tflite"}, request));
  EXPECT_THAT(ToJson(report), HasSubstr("\"compare_float\""));
  EXPECT_THAT(ToText(report), HasSubstr("have a counterpart"));
  request.float_model = folder + "mnist_model_quant_int8.tflite";
  const auto wrong = BenchmarkFiles({request.float_model}, request);
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(wrong.status().ToString(), HasSubstr("is quantized itself"));
}

}  // namespace
}  // namespace litesmith
