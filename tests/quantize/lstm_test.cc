// UNIDIRECTIONAL_SEQUENCE_LSTM through the recipes. Its kernels are compared with LiteRT's in
// tests/peers.

#include <cmath>

#include "ir/verify.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using testing::MemoryDataset;

constexpr int32_t kSteps = 6, kWidth = 5, kCells = 8, kOutputs = 4;

// Numbers between -1 and 1 that look random and are always the same.
std::vector<float> Noise(size_t count, uint32_t seed) {
  std::vector<float> out(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int32_t>(state)) * 0x1.0p-31f;
  }
  return out;
}

// With layer normalization and a projection, or with neither.
Graph Lstm(bool full) {
  GraphBuilder b;
  uint32_t seed = 1;
  const int32_t outputs = full ? kOutputs : kCells;
  const auto constant = [&](const std::string& name, Shape shape, float offset = 0.0f) {
    std::vector<float> values = Noise(static_cast<size_t>(NumElements(shape)), ++seed);
    for (float& v : values) v = 0.6f * v + offset;
    return b.Floats(name + std::to_string(seed), std::move(shape), values);
  };
  const auto state = [&](const std::string& name, int32_t width) {
    const int32_t t = b.Value(name, {1, width});
    b.graph().main().tensors[static_cast<size_t>(t)].is_variable = true;
    return t;
  };
  std::vector<int32_t> in = {b.Input("x", {1, kSteps, kWidth})};
  for (int g = 0; g < 4; ++g) in.push_back(constant("w", {kCells, kWidth}));
  for (int g = 0; g < 4; ++g) in.push_back(constant("r", {kCells, outputs}));
  for (int g = 0; g < 3; ++g) in.push_back(-1);
  for (int g = 0; g < 4; ++g) in.push_back(constant("b", {kCells}));
  in.push_back(full ? constant("projection", {outputs, kCells}) : -1);
  in.push_back(full ? constant("projection_bias", {outputs}) : -1);
  in.push_back(state("h", outputs));
  in.push_back(state("c", kCells));
  for (int g = 0; g < 4; ++g) in.push_back(full ? constant("norm", {kCells}, 1.0f) : -1);
  schema::UnidirectionalSequenceLSTMOptionsT options;
  options.fused_activation_function = schema::ActivationFunctionType_TANH;
  b.Output(b.Op(schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM, "y", in, {1, kSteps, outputs},
                Options(std::move(options))));
  return b.graph();
}

std::vector<float> RunOn(const Graph& graph, const std::vector<float>& values) {
  EXPECT_OK(Verify(graph));
  auto executor = Executor::Create(std::make_shared<Graph>(graph), {});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  std::memcpy((*executor)->input(0).data(), values.data(), values.size() * sizeof(float));
  EXPECT_OK((*executor)->Run());
  const auto bytes = (*executor)->output(0);
  const auto* out = reinterpret_cast<const float*>(bytes.data());
  return {out, out + bytes.size() / sizeof(float)};
}

double Sqnr(const std::vector<float>& wanted, const std::vector<float>& got) {
  double signal = 0.0, noise = 0.0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    signal += double{wanted[i]} * wanted[i];
    noise += (double{wanted[i]} - got[i]) * (double{wanted[i]} - got[i]);
  }
  return 10.0 * std::log10(signal / noise);
}

Graph Quantized(const Graph& graph, const char* recipe) {
  MemoryDataset data;
  for (uint32_t s = 0; s < 16; ++s) data.Add({1, kSteps, kWidth}, Noise(kSteps * kWidth, 100 + s));
  QuantizeOptions options;
  options.recipe = FindRecipe(recipe).value();
  auto out = Quantize(graph, &data, options, Context{});
  EXPECT_OK(out);
  return out.ok() ? *out : graph;
}

const Node* FindLstm(const Graph& graph) {
  for (const Node& node : graph.main().nodes) {
    if (node.op == schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM) return &node;
  }
  return nullptr;
}

class LstmTest : public ::testing::TestWithParam<bool> {};

TEST_P(LstmTest, Int8HasTheScalesThatItsKernelNeeds) {
  const Graph graph = Lstm(GetParam());
  const Graph quantized = Quantized(graph, "int8");
  const Node* node = FindLstm(quantized);
  ASSERT_NE(node, nullptr);
  const auto at = [&](int32_t t) -> const Tensor& {
    return quantized.main().tensors[static_cast<size_t>(t)];
  };
  const auto in = [&](size_t i) -> const Tensor& { return at(node->inputs[i]); };
  EXPECT_EQ(in(0).type, schema::TensorType_INT8);
  const Tensor& output = at(node->outputs[0]);
  EXPECT_EQ(in(18).type, schema::TensorType_INT8);
  EXPECT_EQ(in(18).quant.scale, output.quant.scale);
  EXPECT_EQ(in(18).quant.zero_point, output.quant.zero_point);
  EXPECT_EQ(in(19).type, schema::TensorType_INT16);
  const float exponent = std::log2(in(19).quant.scale[0]);
  EXPECT_EQ(exponent, std::round(exponent));
  ASSERT_EQ(node->intermediates.size(), 5u);
  for (size_t g = 0; g < 4; ++g) {
    const float unit = GetParam() ? in(20 + g).quant.scale[0] * 0x1.0p-10f
                                  : in(1 + g).quant.scale[0] * in(0).quant.scale[0];
    EXPECT_EQ(in(12 + g).type, schema::TensorType_INT32);
    EXPECT_FLOAT_EQ(in(12 + g).quant.scale[0], unit);
    if (GetParam()) {
      EXPECT_EQ(at(node->intermediates[g]).type, schema::TensorType_INT16);
    }
  }
  EXPECT_EQ(at(node->intermediates[4]).type, schema::TensorType_INT8);
}

TEST_P(LstmTest, EveryRecipeComputesWhatTheFloatModelDoes) {
  const Graph graph = Lstm(GetParam());
  const std::vector<float> x = Noise(kSteps * kWidth, 7);
  const std::vector<float> wanted = RunOn(graph, x);
  for (const char* recipe : {"float16", "dynamic", "int8"}) {
    const Graph quantized = Quantized(graph, recipe);
    ASSERT_OK_AND_ASSIGN(const std::vector<std::byte> bytes, SerializeTflite(quantized));
    ASSERT_FALSE(bytes.empty());
    EXPECT_GT(Sqnr(wanted, RunOn(quantized, x)), 25.0) << recipe;
  }
}

// Only tflite-micro has the kernel; tests/peers/test_tflm.py compares its bits.
TEST(Lstm16x8Test, ForTfliteMicroAndLitesmith) {
  const Graph graph = Lstm(false);
  MemoryDataset data;
  for (uint32_t s = 0; s < 16; ++s) data.Add({1, kSteps, kWidth}, Noise(kSteps * kWidth, 100 + s));
  QuantizeOptions options;
  options.recipe = FindRecipe("int16x8").value();
  EXPECT_THAT(std::string(Quantize(graph, &data, options, Context{}).status().message()),
              ::testing::HasSubstr("--target tflm"));
  options.target = Target::kTflm;
  ASSERT_OK_AND_ASSIGN(Graph quantized, Quantize(graph, &data, options, Context{}));
  FinishForWriting(&quantized);
  EXPECT_OK(CheckTarget(quantized, Target::kTflm));
  EXPECT_FALSE(CheckTarget(quantized, Target::kLitert).ok());
  const Node* node = FindLstm(quantized);
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->version, 5);
  const auto in = [&](size_t i) -> const Tensor& {
    return quantized.main().tensors[static_cast<size_t>(node->inputs[i])];
  };
  EXPECT_EQ(in(0).type, schema::TensorType_INT16);
  for (size_t i = 1; i <= 8; ++i) EXPECT_EQ(in(i).type, schema::TensorType_INT8);
  for (size_t i = 12; i <= 15; ++i) EXPECT_EQ(in(i).type, schema::TensorType_INT64);
  EXPECT_EQ(in(18).type, schema::TensorType_INT16);
  EXPECT_EQ(in(19).type, schema::TensorType_INT16);
  const std::vector<float> x = Noise(kSteps * kWidth, 7);
  EXPECT_GT(Sqnr(RunOn(graph, x), RunOn(quantized, x)), 35.0);
}

TEST(Lstm16x8Test, WhatItsKernelHasNot) {
  MemoryDataset data;
  data.Add({1, kSteps, kWidth}, Noise(kSteps * kWidth, 100));
  QuantizeOptions options;
  options.recipe = FindRecipe("int16x8").value();
  options.target = Target::kTflm;
  EXPECT_THAT(std::string(Quantize(Lstm(true), &data, options, Context{}).status().message()),
              ::testing::HasSubstr("the 16x8 LSTM has no"));
}

INSTANTIATE_TEST_SUITE_P(Forms, LstmTest, ::testing::Bool());

// Weights of 1,024 elements and more take the small ones with them: the hybrid kernel wants one
// type.
TEST(LstmDynamicTest, AllWeightsOrNone) {
  Graph small = Quantized(Lstm(false), "dynamic");
  const Node* node = FindLstm(small);
  ASSERT_NE(node, nullptr);
  for (size_t i = 1; i <= 8; ++i) {
    EXPECT_EQ(small.main().tensors[static_cast<size_t>(node->inputs[i])].type,
              schema::TensorType_FLOAT32);
  }
  Graph wide = Lstm(false);
  wide.main().tensors[0].shape = wide.main().tensors[0].shape_signature = {1, kSteps, 200};
  for (size_t i = 1; i <= 4; ++i) {
    Tensor& w = wide.main().tensors[static_cast<size_t>(wide.main().nodes[0].inputs[i])];
    w.shape = {kCells, 200};
    w.shape_signature.clear();
    w.data = Blob::Of(Noise(kCells * 200, static_cast<uint32_t>(i)));
  }
  QuantizeOptions options;
  options.recipe = FindRecipe("dynamic").value();
  ASSERT_OK_AND_ASSIGN(const Graph quantized, Quantize(wide, nullptr, options, Context{}));
  node = FindLstm(quantized);
  ASSERT_NE(node, nullptr);
  for (size_t i = 1; i <= 8; ++i) {
    EXPECT_EQ(quantized.main().tensors[static_cast<size_t>(node->inputs[i])].type,
              schema::TensorType_INT8);
  }
  RunOn(quantized, Noise(kSteps * 200, 3));
}

}  // namespace
}  // namespace litesmith
