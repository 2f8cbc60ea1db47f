// int4 weights beside float activations, and integer weights behind DEQUANTIZE: the LiteRT
// quantizer's recipes. tests/peers/test_int4_weights.py compares with its files and LiteRT's
// results.

#include <cmath>
#include <cstring>
#include <map>

#include "base/packed_int.h"
#include "ir/verify.h"
#include "quantize/params.h"
#include "quantize/quantize.h"
#include "quantize/recipe_file.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;
using testing::GraphBuilder;
using ::testing::HasSubstr;

std::vector<float> Noise(int64_t count, uint32_t seed) {
  std::vector<float> out(static_cast<size_t>(count));
  uint32_t state = seed * 2654435761u + 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int32_t>(state)) * 0x1.0p-31f;
  }
  return out;
}

int32_t Constant(GraphBuilder* b, const char* name, const Shape& shape, uint32_t seed) {
  return b->Floats(name, shape, Noise(NumElements(shape), seed));
}

// Every operator with weights that one of the recipes is for, and two tables.
Graph Network() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 6, 6, 5});
  const int32_t ids = b.Input("ids", {3}, schema::TensorType_INT32);
  schema::Conv2DOptionsT conv;
  conv.stride_h = conv.stride_w = 1;
  int32_t t = b.Op(schema::BuiltinOperator_CONV_2D, "conv",
                   {x, Constant(&b, "conv/w", {7, 3, 3, 5}, 1), Constant(&b, "conv/b", {7}, 2)},
                   {1, 6, 6, 7}, Options(std::move(conv)));
  schema::DepthwiseConv2DOptionsT depthwise;
  depthwise.stride_h = depthwise.stride_w = depthwise.depth_multiplier = 1;
  t = b.Op(schema::BuiltinOperator_DEPTHWISE_CONV_2D, "depthwise",
           {t, Constant(&b, "depthwise/w", {1, 3, 3, 7}, 3), Constant(&b, "depthwise/b", {7}, 4)},
           {1, 6, 6, 7}, Options(std::move(depthwise)));
  t = b.Op(schema::BuiltinOperator_RESHAPE, "flat", {t, b.Ints("shape", {2}, {1, 252})}, {1, 252});
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "dense",
                {t, Constant(&b, "dense/w", {10, 252}, 5), Constant(&b, "dense/b", {10}, 6)},
                {1, 10}));
  b.Output(b.Op(schema::BuiltinOperator_EMBEDDING_LOOKUP, "even",
                {ids, Constant(&b, "even/w", {20, 8}, 7)}, {3, 8}));
  b.Output(b.Op(schema::BuiltinOperator_EMBEDDING_LOOKUP, "odd",
                {ids, Constant(&b, "odd/w", {20, 9}, 8)}, {3, 9}));
  return b.graph();
}

Graph Quantized(const Graph& graph, const char* recipe) {
  QuantizeOptions options;
  options.recipe = FindRecipe(recipe).value();
  auto out = Quantize(graph, nullptr, options, Context{});
  EXPECT_OK(out);
  if (!out.ok()) return graph;
  EXPECT_OK(Verify(*out));
  FinishForWriting(&*out);
  return *out;
}

const Node* NodeOf(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.main().nodes) {
    const int32_t t = node.output(0);
    if (graph.main().tensors[static_cast<size_t>(t)].name == name) return &node;
  }
  return nullptr;
}
const Tensor& Operand(const Graph& graph, const Node& node, size_t i) {
  return graph.main().tensors[static_cast<size_t>(node.inputs[i])];
}

using Outputs = std::vector<std::vector<float>>;
Outputs RunOn(const Graph& graph, KernelMode kernels) {
  ExecutorOptions options;
  options.kernels = kernels;
  auto executor = Executor::Create(std::make_shared<Graph>(graph), options);
  EXPECT_OK(executor);
  Outputs out;
  if (!executor.ok()) return out;
  const std::vector<float> x = Noise(180, 77);
  const int32_t ids[3] = {0, 13, 19};
  std::memcpy((*executor)->input(0).data(), x.data(), x.size() * sizeof(float));
  std::memcpy((*executor)->input(1).data(), ids, sizeof(ids));
  EXPECT_OK((*executor)->Run());
  for (size_t i = 0; i < (*executor)->num_outputs(); ++i) {
    const auto bytes = (*executor)->output(i);
    const auto* y = reinterpret_cast<const float*>(bytes.data());
    out.emplace_back(y, y + bytes.size() / sizeof(float));
  }
  return out;
}

double Sqnr(const std::vector<float>& wanted, const std::vector<float>& got) {
  double signal = 0.0, noise = 1e-30;
  for (size_t i = 0; i < wanted.size(); ++i) {
    signal += double{wanted[i]} * wanted[i];
    noise += (double{wanted[i]} - got[i]) * (double{wanted[i]} - got[i]);
  }
  return 10.0 * std::log10(signal / noise);
}

void ExpectNear(const Graph& graph, const Graph& quantized, double decibels) {
  const Outputs wanted = RunOn(graph, KernelMode::kReference);
  const Outputs reference = RunOn(quantized, KernelMode::kReference);
  const Outputs best = RunOn(quantized, KernelMode::kBest);
  ASSERT_EQ(wanted.size(), reference.size());
  ASSERT_EQ(wanted.size(), best.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_GT(Sqnr(wanted[i], reference[i]), decibels) << i;
    EXPECT_GT(Sqnr(reference[i], best[i]), 50.0) << i;
  }
}

TEST(Int4Weights, DynamicRange) {
  const Graph graph = Network();
  const Graph quantized = Quantized(graph, "dynamic_wi4_afp32");
  const std::map<std::string, TensorType> wanted = {{"conv", schema::TensorType_INT4},
                                                    {"depthwise", schema::TensorType_FLOAT32},
                                                    {"dense", schema::TensorType_INT4},
                                                    {"even", schema::TensorType_INT4},
                                                    {"odd", schema::TensorType_INT8}};
  for (const auto& [name, type] : wanted) {
    const Node* node = NodeOf(quantized, name);
    ASSERT_NE(node, nullptr) << name;
    const Tensor& weights = Operand(quantized, *node, 1);
    EXPECT_EQ(weights.type, type) << name;
    if (type == schema::TensorType_FLOAT32) continue;
    EXPECT_EQ(weights.quant.scale.size(), static_cast<size_t>(weights.shape[0])) << name;
  }
  EXPECT_EQ(NodeOf(quantized, "conv")->version, 7);
  EXPECT_EQ(NodeOf(quantized, "dense")->version, 10);
  EXPECT_EQ(NodeOf(quantized, "even")->version, 4);
  // Range by range: 7 is the largest, and of channel 0 the scale is its largest over 7.
  const Node* dense = NodeOf(quantized, "dense");
  const Tensor& weights = Operand(quantized, *dense, 1);
  ASSERT_EQ(weights.data.bytes.size(), 10u * 252u / 2u);
  std::vector<int8_t> unpacked(10 * 252);
  UnpackInt4(weights.data.bytes.data(), unpacked.size(), unpacked.data());
  const auto values = Noise(10 * 252, 5);
  float most = 0.0f;
  for (size_t i = 0; i < 252; ++i) most = std::max(most, std::abs(values[i]));
  EXPECT_EQ(weights.quant.scale[0], most / 7.0f);
  for (size_t i = 0; i < 252; ++i) {
    EXPECT_EQ(unpacked[i], std::nearbyint(values[i] / weights.quant.scale[0])) << i;
  }
  EXPECT_OK(CheckTarget(quantized, Target::kLitert));
  EXPECT_THAT(std::string(Message(CheckTarget(quantized, Target::kTflm))), HasSubstr("f32/s4"));
  ExpectNear(graph, quantized, 14.0);
}

TEST(Int4Weights, ThePlanSaysWhatStaysAndWhy) {
  QuantizeOptions options;
  options.recipe = FindRecipe("dynamicw4").value();
  ASSERT_OK_AND_ASSIGN(const Graph graph, PrepareForQuantization(Network(), options, Context{}));
  ASSERT_OK_AND_ASSIGN(const Plan plan, MakePlan(graph, nullptr, options, Context{}));
  const std::string text = FormatPlan(graph, plan);
  EXPECT_THAT(text, HasSubstr("int4 weights, inputs quantized at run time"));
  EXPECT_THAT(text, HasSubstr("LiteRT reads int4 rows of even lengths only"));
  EXPECT_THAT(text, HasSubstr("its hybrid kernel reads no int4 weights"));
}

TEST(WeightOnly, StoredAsIntegersComputedInFloat) {
  const Graph graph = Network();
  for (const char* recipe : {"weight_only_wi8_afp32", "weight_only_wi4_afp32"}) {
    SCOPED_TRACE(recipe);
    const bool int4 = FindRecipe(recipe)->weight_bits == 4;
    const Graph quantized = Quantized(graph, recipe);
    for (const char* name : {"conv", "depthwise", "dense", "even", "odd"}) {
      const Node* node = NodeOf(quantized, name);
      ASSERT_NE(node, nullptr) << name;
      const Tensor& weights = Operand(quantized, *node, 1);
      EXPECT_EQ(weights.type, schema::TensorType_FLOAT32) << name;
      const bool left = int4 && std::string(name) == "depthwise";
      EXPECT_EQ(weights.is_constant(), left) << name;
      if (left) continue;
      const Node* before = NodeOf(quantized, weights.name);
      ASSERT_NE(before, nullptr) << name;
      EXPECT_EQ(before->op, schema::BuiltinOperator_DEQUANTIZE);
      EXPECT_EQ(Operand(quantized, *before, 0).type,
                int4 ? schema::TensorType_INT4 : schema::TensorType_INT8);
    }
    EXPECT_OK(CheckTarget(quantized, Target::kLitert));
    EXPECT_EQ(CheckTarget(quantized, Target::kTflm).ok(), !int4);
    ExpectNear(graph, quantized, int4 ? 14.0 : 38.0);
  }
}

// A table of positive numbers: all 16 integers are used.
TEST(WeightOnly, ZeroPoints) {
  std::vector<float> values = Noise(30 * 8, 9);
  for (float& v : values) v = 0.5f + 0.5f * v;
  GraphBuilder b;
  const int32_t ids = b.Input("ids", {3}, schema::TensorType_INT32);
  b.Output(b.Op(schema::BuiltinOperator_EMBEDDING_LOOKUP, "rows",
                {ids, b.Floats("table", {30, 8}, values)}, {3, 8}));
  constexpr char kText[] = R"([{"regex": ".*", "operation": "EMBEDDING_LOOKUP", "op_config": {
      "weight_tensor_config": {"num_bits": 4, "symmetric": false, "granularity": "CHANNELWISE"},
      "compute_precision": "FLOAT", "explicit_dequantize": true}}])";
  QuantizeOptions options;
  ASSERT_OK_AND_ASSIGN(options.entries, ParseRecipe(kText));
  EXPECT_FALSE(options.entries[0].symmetric);
  ASSERT_OK_AND_ASSIGN(options.entries, ParseRecipe(RecipeText(options.entries)));
  ASSERT_OK_AND_ASSIGN(options.recipe, LeadingRecipe(options.entries));
  EXPECT_EQ(options.recipe.alias, "weightsw4");
  ASSERT_OK_AND_ASSIGN(Graph quantized, Quantize(b.graph(), nullptr, options, Context{}));
  FinishForWriting(&quantized);
  const Node* node = NodeOf(quantized, "rows");
  ASSERT_NE(node, nullptr);
  const Node* before = NodeOf(quantized, Operand(quantized, *node, 1).name);
  ASSERT_NE(before, nullptr);
  const Tensor& table = Operand(quantized, *before, 0);
  EXPECT_EQ(table.type, schema::TensorType_INT4);
  EXPECT_THAT(table.quant.zero_point, ::testing::Each(-8));
  std::vector<int8_t> unpacked(values.size());
  UnpackInt4(table.data.bytes.data(), unpacked.size(), unpacked.data());
  for (size_t i = 0; i < values.size(); ++i) {
    const float scale = table.quant.scale[i / 8];
    EXPECT_NEAR(static_cast<float>(unpacked[i] + 8) * scale, values[i], 0.501f * scale);
  }
  EXPECT_OK(CheckTarget(quantized, Target::kLitert));
  // Static and dynamic kernels want symmetric weights.
  constexpr char kDynamic[] = R"([{"regex": ".*", "op_config": {
      "weight_tensor_config": {"num_bits": 4, "symmetric": false},
      "compute_precision": "INTEGER"}}])";
  EXPECT_THAT(std::string(Message(ParseRecipe(kDynamic).status())), HasSubstr("symmetric"));
}

// The files that the recipes are written as say the same again, and mix.
TEST(WeightOnly, RecipeFiles) {
  for (const char* recipe : {"dynamicw4", "weights", "weightsw4"}) {
    QuantizeOptions plain;
    plain.recipe = FindRecipe(recipe).value();
    ASSERT_OK_AND_ASSIGN(const auto entries, ParseRecipe(RecipeText(EntriesOf(plain))));
    EXPECT_EQ(LeadingRecipe(entries)->alias, recipe);
    QuantizeOptions read;
    read.entries = entries;
    read.recipe = LeadingRecipe(entries).value();
    ASSERT_OK_AND_ASSIGN(Graph a, Quantize(Network(), nullptr, plain, Context{}));
    ASSERT_OK_AND_ASSIGN(Graph b, Quantize(Network(), nullptr, read, Context{}));
    FinishForWriting(&a);
    FinishForWriting(&b);
    ASSERT_OK_AND_ASSIGN(const auto first, SerializeTflite(a));
    ASSERT_OK_AND_ASSIGN(const auto second, SerializeTflite(b));
    EXPECT_EQ(first, second);
  }
  QuantizeOptions mixed;
  mixed.entries.resize(2);
  mixed.entries[0].regex = ".*";
  mixed.entries[0].treatment = Treatment::kDynamic;
  mixed.entries[1].regex = "dense|depthwise";
  mixed.entries[1].treatment = Treatment::kWeightOnly;
  mixed.entries[1].weight_bits = 4;
  mixed.recipe = LeadingRecipe(mixed.entries).value();
  EXPECT_EQ(mixed.recipe.alias, "dynamic");
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(Network(), nullptr, mixed, Context{}));
  EXPECT_EQ(Operand(out, *NodeOf(out, "conv"), 1).type, schema::TensorType_INT8);
  // int4 weight-only is not for depthwise weights: the entry before counts.
  EXPECT_EQ(Operand(out, *NodeOf(out, "depthwise"), 1).type, schema::TensorType_INT8);
  const Tensor& dense = Operand(out, *NodeOf(out, "dense"), 1);
  EXPECT_EQ(NodeOf(out, dense.name)->op, schema::BuiltinOperator_DEQUANTIZE);
}

}  // namespace
}  // namespace litesmith
