// Small graphs at the edges of the quantizer.

#include <cmath>
#include <limits>

#include "ir/verify.h"
#include "quantize/params.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;
using testing::GraphBuilder;
using testing::MemoryDataset;

constexpr auto kAdd = schema::BuiltinOperator_ADD;
constexpr auto kMul = schema::BuiltinOperator_MUL;
constexpr auto kRelu = schema::BuiltinOperator_RELU;
constexpr auto kFullyConnected = schema::BuiltinOperator_FULLY_CONNECTED;
constexpr auto kConcatenation = schema::BuiltinOperator_CONCATENATION;
constexpr auto kQuantize = schema::BuiltinOperator_QUANTIZE;
constexpr auto kDequantize = schema::BuiltinOperator_DEQUANTIZE;

QuantizeOptions For(const char* recipe) {
  QuantizeOptions options;
  options.recipe = FindRecipe(recipe).value();
  return options;
}

// Samples of one input with these values at both ends.
MemoryDataset Between(std::vector<int64_t> shape, float low, float high) {
  size_t count = 1;
  for (int64_t d : shape) count *= static_cast<size_t>(d);
  MemoryDataset data;
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) {
    values[i] = low + (high - low) * static_cast<float>(i) /
                          static_cast<float>(std::max<size_t>(count - 1, 1));
  }
  data.Add(shape, values);
  return data;
}

std::vector<BuiltinOperator> Operators(const Graph& graph) {
  std::vector<BuiltinOperator> out;
  for (const Node& node : graph.main().nodes) out.push_back(node.op);
  return out;
}

const Tensor& TensorAt(const Graph& graph, int32_t t) {
  return graph.main().tensors[static_cast<size_t>(t)];
}
const Tensor& Output(const Graph& graph, size_t i) {
  return TensorAt(graph, graph.main().outputs[i]);
}
const Tensor& Input(const Graph& graph, size_t i) {
  return TensorAt(graph, graph.main().inputs[i]);
}

// Runs on one input; float in and out.
std::vector<float> RunOn(const Graph& graph, const std::vector<float>& values) {
  auto executor = Executor::Create(std::make_shared<Graph>(graph), {});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  std::memcpy((*executor)->input(0).data(), values.data(), values.size() * sizeof(float));
  EXPECT_OK((*executor)->Run());
  const auto bytes = (*executor)->output(0);
  const auto* out = reinterpret_cast<const float*>(bytes.data());
  return {out, out + bytes.size() / sizeof(float)};
}

GraphBuilder Doubling() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(b.Op(kAdd, "y", {x, x}, {1, 4}));
  return b;
}

// ---- Recipes and options
// ---------------------------------------------------------------------------

TEST(Recipes, ByNameAndAlias) {
  for (const Recipe& recipe : AllRecipes()) {
    ASSERT_OK_AND_ASSIGN(const Recipe by_name, FindRecipe(recipe.name));
    ASSERT_OK_AND_ASSIGN(const Recipe by_alias, FindRecipe(recipe.alias));
    EXPECT_EQ(by_name.kind, recipe.kind);
    EXPECT_EQ(by_alias.kind, recipe.kind);
  }
  const auto unknown = FindRecipe("int3");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(std::string(Message(unknown.status())),
              ::testing::AllOf(::testing::HasSubstr("'int3'"),
                               ::testing::HasSubstr("static_wi8_ai16 (int16x8)")));
}

TEST(Options, TypesThatARecipeDoesNotHave) {
  GraphBuilder b = Doubling();
  MemoryDataset data = Between({1, 4}, -1, 1);
  const std::pair<const char*, ElementType> bad[] = {{"float16", ElementType::kInt8},
                                                     {"dynamic", ElementType::kUint8},
                                                     {"int8", ElementType::kInt16},
                                                     {"int16x8", ElementType::kInt8}};
  for (const auto& [recipe, type] : bad) {
    QuantizeOptions options = For(recipe);
    options.input_type = type;
    const auto out = Quantize(b.graph(), &data, options, Context{});
    ASSERT_FALSE(out.ok());
    EXPECT_THAT(std::string(Message(out.status())), ::testing::HasSubstr("input type"));
  }
}

TEST(Options, AQuantizedModelIsRefused) {
  GraphBuilder b = Doubling();
  MemoryDataset data = Between({1, 4}, -1, 1);
  ASSERT_OK_AND_ASSIGN(const Graph once, Quantize(b.graph(), &data, For("int8"), Context{}));
  for (const char* recipe : {"int8", "int16x8", "dynamic", "float16"}) {
    const auto twice = Quantize(once, &data, For(recipe), Context{});
    ASSERT_FALSE(twice.ok());
    EXPECT_THAT(std::string(Message(twice.status())), ::testing::HasSubstr("quantized already"));
  }
}

TEST(Options, AFloat16ModelIsQuantizedAgain) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(b.Op(kMul, "y", {x, b.Floats("c", {4}, {1, 2, 3, 4})}, {1, 4}));
  MemoryDataset data = Between({1, 4}, -1, 1);
  ASSERT_OK_AND_ASSIGN(const Graph half, Quantize(b.graph(), nullptr, For("f16"), Context{}));
  EXPECT_NE(half.FindMetadata("reduced_precision_support"), nullptr);
  ASSERT_OK_AND_ASSIGN(const Graph integer, Quantize(half, &data, For("int8"), Context{}));
  EXPECT_EQ(Operators(integer), (std::vector<BuiltinOperator>{kQuantize, kMul, kDequantize}));
  EXPECT_EQ(integer.FindMetadata("reduced_precision_support"), nullptr);
}

// ---- Calibration
// -------------------------------------------------------------------------------------

TEST(Calibration, NamesTheSampleAndTheInputWithNan) {
  GraphBuilder b;
  const int32_t x = b.Input("pixels", {-1, 4});
  b.Output(b.Op(kAdd, "y", {x, x}, {-1, 4}));
  MemoryDataset data;
  for (int i = 0; i < 40; ++i) data.Add({4}, {0, 1, 2, i == 23 || i == 31 ? std::nanf("") : 3.0f});
  for (const int threads : {1, 2, 5}) {
    Context context;
    context.num_threads = threads;
    const auto ranges = Calibrate(b.graph(), &data, For("int8"), context);
    ASSERT_FALSE(ranges.ok());
    EXPECT_THAT(
        std::string(Message(ranges.status())),
        ::testing::AllOf(::testing::HasSubstr("sample 23 "), ::testing::HasSubstr("'pixels'")));
  }
}

TEST(Calibration, NamesTheTensorWithoutANumber) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 2});
  const int32_t root = b.Op(schema::BuiltinOperator_SQRT, "root", {x}, {1, 2});
  b.Output(b.Op(kAdd, "y", {root, x}, {1, 2}));
  MemoryDataset data;
  data.Add({1, 2}, {1, 2});
  data.Add({1, 2}, {1, -2});
  const auto ranges = Calibrate(b.graph(), &data, For("int8"), Context{});
  ASSERT_FALSE(ranges.ok());
  EXPECT_THAT(std::string(Message(ranges.status())),
              ::testing::AllOf(::testing::HasSubstr("sample 1 "), ::testing::HasSubstr("'root'")));
}

TEST(Calibration, RefusesRangesBeyondFloat) {
  GraphBuilder b = Doubling();
  MemoryDataset data;
  data.Add({1, 4}, {-3e38f, 0, 0, 3e38f});
  const auto ranges = Calibrate(b.graph(), &data, For("int8"), Context{});
  ASSERT_FALSE(ranges.ok());
  EXPECT_THAT(std::string(Message(ranges.status())), ::testing::HasSubstr("no scale covers"));
}

TEST(Calibration, ConstantWrongAndMissingData) {
  GraphBuilder b = Doubling();
  MemoryDataset constant;
  constant.Add({1, 4}, {2, 2, 2, 2});
  MemoryDataset wrong;
  wrong.Add({1, 5}, {1, 2, 3, 4, 5});
  MemoryDataset empty;
  const std::pair<MemoryDataset*, const char*> cases[] = {{&constant, "constant"},
                                                          {&wrong, "takes the shape [1, 4]"},
                                                          {&empty, "no calibration samples"}};
  for (const auto& [data, text] : cases) {
    const auto out = Quantize(b.graph(), data, For("int8"), Context{});
    ASSERT_FALSE(out.ok());
    EXPECT_THAT(std::string(Message(out.status())), ::testing::HasSubstr(text));
  }
  EXPECT_FALSE(Quantize(b.graph(), nullptr, For("int8"), Context{}).ok());
}

TEST(Calibration, DoesNotDependOnThreads) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 16});
  const int32_t fc = b.Op(kFullyConnected, "fc", {x, b.Ramp("w", {8, 16}, -0.5f, 0.013f)}, {-1, 8});
  b.Output(b.Op(schema::BuiltinOperator_TANH, "y", {fc}, {-1, 8}));
  MemoryDataset data;
  for (int i = 0; i < 77; ++i) {
    std::vector<float> values(16);
    for (size_t k = 0; k < 16; ++k)
      values[k] = std::sin(static_cast<float>(i) * 1.3f + static_cast<float>(k));
    data.Add({16}, values);
  }
  std::vector<std::byte> first;
  for (const int threads : {1, 2, 3, 8}) {
    Context context;
    context.num_threads = threads;
    ASSERT_OK_AND_ASSIGN(Graph out, Quantize(b.graph(), &data, For("int8"), context));
    ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(out));
    if (first.empty()) first = bytes;
    EXPECT_EQ(bytes, first) << threads;
  }
}

TEST(Calibration, TakesTheSamplesItIsTold) {
  GraphBuilder b = Doubling();
  MemoryDataset data;
  data.Add({1, 4}, {-1, 0, 0, 1});
  data.Add({4}, {-2, 0, 0, 1});  // without the leading 1
  data.Add({1, 4}, {-9, 0, 0, 9});
  QuantizeOptions options = For("int8");
  options.num_calibration_samples = 2;
  ASSERT_OK_AND_ASSIGN(const Ranges ranges, Calibrate(b.graph(), &data, options, Context{}));
  EXPECT_EQ(ranges.tensors[0].min, -2.0f);
  EXPECT_EQ(ranges.tensors[0].max, 1.0f);
  EXPECT_EQ(ranges.tensors[1].min, -4.0f);
}

TEST(Calibration, StopsWhenCancelled) {
  GraphBuilder b = Doubling();
  MemoryDataset data = Between({1, 4}, -1, 1);
  std::atomic<bool> cancel = true;
  Context context;
  context.cancel = &cancel;
  const auto ranges = Calibrate(b.graph(), &data, For("int8"), context);
  EXPECT_TRUE(absl::IsCancelled(ranges.status()));
}

// ---- Scales
// --------------------------------------------------------------------------------------------

TEST(Params, RangesAreWidenedToZero) {
  QuantParams p = ActivationParams(RecipeKind::kInt8, -6.0f, -2.0f);
  EXPECT_FLOAT_EQ(p.scale[0], 6.0f / 255.0f);
  EXPECT_EQ(p.zero_point[0], 127);
  p = ActivationParams(RecipeKind::kInt8, 2.0f, 6.0f);
  EXPECT_FLOAT_EQ(p.scale[0], 6.0f / 255.0f);
  EXPECT_EQ(p.zero_point[0], -128);
  p = ActivationParams(RecipeKind::kInt16x8, -6.0f, 2.0f);
  EXPECT_FLOAT_EQ(p.scale[0], 6.0f / 32767.0f);
  EXPECT_EQ(p.zero_point[0], 0);
}

TEST(Params, AnEmptyRangeKeepsAPositiveScale) {
  for (const RecipeKind kind : {RecipeKind::kInt8, RecipeKind::kInt16x8}) {
    EXPECT_GT(ActivationParams(kind, 0.0f, 0.0f).scale[0], 0.0f);
    EXPECT_GT(ConstantParams(kind, std::vector<float>{0.0f, 0.0f}).scale[0], 0.0f);
    const float denormal = std::numeric_limits<float>::denorm_min();
    EXPECT_GT(ActivationParams(kind, -denormal, denormal).scale[0], 0.0f);
    EXPECT_GT(ConstantParams(kind, std::vector<float>{denormal}).scale[0], 0.0f);
  }
  const QuantParams weights = WeightParams(std::vector<float>{0, 0, 1, -2}, {2, 2}, 0);
  EXPECT_GT(weights.scale[0], 0.0f);
  EXPECT_FLOAT_EQ(weights.scale[1], 2.0f / 127.0f);
}

TEST(Params, WeightsAreSymmetricAndNarrow) {
  const std::vector<float> values = {-1.0f, 0.5f, 1.0f, -0.25f};
  const QuantParams params = WeightParams(values, {1, 1, 2, 2}, 3);
  ASSERT_EQ(params.scale.size(), 2u);
  const Blob q = QuantizeWeights(RecipeKind::kInt8, values, {1, 1, 2, 2}, params);
  EXPECT_THAT(q.As<int8_t>(), ::testing::ElementsAre(-127, 127, 127, -64));
}

// Weights of mobilenet_v2 whose quotient by the scale of the file is a tie or beyond one: in
// TensorFlow's dynamic-range file they are what the quotient in double gives.
TEST(Params, DynamicWeightsAreDividedByTheUnroundedScale) {
  struct Case {
    float half, value;
    int8_t expected;
  };
  for (const Case& c : {Case{0x1.2e137ep-3f, -0x1.235f66p-3f, -122},
                        {0x1.a7f1f2p-4f, -0x1.8d3d6ap-5f, -60},
                        {0x1.0a1578p-3f, -0x1.0a1578p-4f, -63},
                        {0x1.b05de8p-5f, 0x1.4bef66p-5f, 97},
                        {0x1.d252bap-4f, 0x1.72dafcp-5f, 50}}) {
    const std::vector<float> values = {c.half, c.value};
    for (const int axis : {-1, 0}) {
      const QuantParams params = WeightParams(values, {1, 2}, axis);
      const Blob q = QuantizeWeights(RecipeKind::kDynamic, values, {1, 2}, params);
      EXPECT_THAT(q.As<int8_t>(), ::testing::ElementsAre(127, c.expected)) << axis;
    }
  }
}

TEST(Params, ABiasTooLargeWidensItsWeights) {
  const std::vector<float> bias = {1.0e6f, 1.0f};
  for (const RecipeKind kind : {RecipeKind::kInt8, RecipeKind::kInt16x8}) {
    QuantParams weights;
    weights.scale = {1e-6f, 1e-2f};
    weights.zero_point = {0, 0};
    WidenForBias(kind, bias, 1e-3f, &weights);
    EXPECT_GT(weights.scale[0], 1e-6f);
    EXPECT_EQ(weights.scale[1], 1e-2f);
    const Blob q = QuantizeBias(bias, schema::TensorType_INT32, BiasParams(1e-3f, weights));
    EXPECT_LT(q.As<int32_t>()[0], std::numeric_limits<int32_t>::max());
    EXPECT_GT(q.As<int32_t>()[0], std::numeric_limits<int32_t>::max() / 4);
  }
}

TEST(Params, Float16IsClamped) {
  const Blob half = ToFloat16(std::vector<float>{1.0f, 1e6f, -1e6f});
  EXPECT_THAT(half.As<uint16_t>(), ::testing::ElementsAre(0x3c00, 0x7bff, 0xfbff));
}

// ---- Graphs
// --------------------------------------------------------------------------------------------

TEST(Borders, EveryTypeOfInputAndOutput) {
  GraphBuilder b = Doubling();
  b.graph().signatures.push_back({"serving_default", {{"in", 0}}, {{"out", 1}}, 0});
  MemoryDataset data = Between({1, 4}, -1, 3);
  const struct {
    const char* recipe;
    ElementType type;
    size_t nodes;
    int64_t zero_point;
  } cases[] = {{"int8", ElementType::kFloat32, 3, 0},
               {"int8", ElementType::kInt8, 1, -64},
               {"int8", ElementType::kUint8, 3, 64},
               {"int16x8", ElementType::kFloat32, 3, 0},
               {"int16x8", ElementType::kInt16, 1, 0}};
  for (const auto& c : cases) {
    QuantizeOptions options = For(c.recipe);
    options.input_type = options.output_type = c.type;
    ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, options, Context{}));
    ASSERT_OK(Verify(out));
    EXPECT_EQ(out.main().nodes.size(), c.nodes);
    EXPECT_EQ(Input(out, 0).type, ToTensorType(c.type));
    EXPECT_EQ(Output(out, 0).type, ToTensorType(c.type));
    EXPECT_EQ(Input(out, 0).name, "x");
    EXPECT_EQ(Output(out, 0).name, "y");
    EXPECT_EQ(out.signatures[0].inputs[0].tensor, out.main().inputs[0]);
    EXPECT_EQ(out.signatures[0].outputs[0].tensor, out.main().outputs[0]);
    if (c.type != ElementType::kFloat32) {
      EXPECT_EQ(Input(out, 0).quant.zero_point[0], c.zero_point);
    }
  }
}

TEST(Borders, AnInputThatIsAnOutput) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(b.Op(kAdd, "y", {x, x}, {1, 4}));
  b.Output(x);
  MemoryDataset data = Between({1, 4}, -1, 1);
  for (const auto type : {ElementType::kFloat32, ElementType::kInt8, ElementType::kUint8}) {
    QuantizeOptions options = For("int8");
    options.input_type = options.output_type = type;
    ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, options, Context{}));
    ASSERT_OK(Verify(out));
    EXPECT_EQ(out.main().outputs[1], out.main().inputs[0]);
    EXPECT_EQ(Input(out, 0).name, "x");
  }
  QuantizeOptions options = For("int8");
  options.output_type = ElementType::kInt8;
  ASSERT_OK_AND_ASSIGN(const Graph mixed, Quantize(b.graph(), &data, options, Context{}));
  EXPECT_EQ(Input(mixed, 0).type, schema::TensorType_FLOAT32);
  EXPECT_EQ(Output(mixed, 1).type, schema::TensorType_INT8);
}

TEST(Borders, OneTensorTwiceAmongTheOutputs) {
  GraphBuilder b = Doubling();
  b.Output(1);
  MemoryDataset data = Between({1, 4}, -1, 1);
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int8"), Context{}));
  ASSERT_OK(Verify(out));
  EXPECT_EQ(out.main().outputs[0], out.main().outputs[1]);
  EXPECT_EQ(Operators(out), (std::vector<BuiltinOperator>{kQuantize, kAdd, kDequantize}));
}

TEST(Scales, ConcatenationHandsItsScaleBackAndRequantizesWhatIsFixed) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t fixed = b.Op(schema::BuiltinOperator_LOGISTIC, "fixed", {x}, {1, 4});
  const int32_t twice = b.Op(kAdd, "twice", {x, x}, {1, 4});
  schema::ConcatenationOptionsT axis;
  axis.axis = 1;
  b.Output(b.Op(kConcatenation, "both", {fixed, twice}, {1, 8}, Options(std::move(axis))));
  MemoryDataset data = Between({1, 4}, -1, 1);
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int8"), Context{}));
  ASSERT_OK(Verify(out));
  const Node* concat = nullptr;
  for (const Node& node : out.main().nodes) {
    if (node.op == kConcatenation) concat = &node;
  }
  ASSERT_NE(concat, nullptr);
  const QuantParams& result = TensorAt(out, concat->outputs[0]).quant;
  for (int32_t t : concat->inputs) {
    EXPECT_EQ(TensorAt(out, t).quant.scale, result.scale);
    EXPECT_EQ(TensorAt(out, t).quant.zero_point, result.zero_point);
  }
  // Input, LOGISTIC's requantization: two; the other branch has the scale already.
  const auto operators = Operators(out);
  EXPECT_EQ(std::count(operators.begin(), operators.end(), kQuantize), 2);
  const std::vector<float> y = RunOn(out, {-1, -0.5f, 0.5f, 1});
  ASSERT_EQ(y.size(), 8u);
  EXPECT_NEAR(y[0], 1.0f / (1.0f + std::exp(1.0f)), 0.03f);
  EXPECT_NEAR(y[7], 2.0f, 0.03f);
}

TEST(Scales, ATensorWithManyReaders) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t a = b.Op(kRelu, "a", {x}, {1, 4});
  const int32_t p = b.Op(kMul, "p", {a, x}, {1, 4});
  const int32_t q = b.Op(kAdd, "q", {a, p}, {1, 4});
  b.Output(q);
  b.Output(a);
  MemoryDataset data = Between({1, 4}, -2, 2);
  for (const char* recipe : {"int8", "int16x8"}) {
    ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For(recipe), Context{}));
    ASSERT_OK(Verify(out));
    EXPECT_EQ(Operators(out), (std::vector<BuiltinOperator>{kQuantize, kRelu, kMul, kAdd,
                                                            kDequantize, kDequantize}));
    const std::vector<float> y = RunOn(out, {-2, -1, 1, 2});
    EXPECT_NEAR(y[3], 6.0f, 0.05f);
    EXPECT_NEAR(y[2], 2.0f, 0.05f);
  }
}

TEST(Constants, SharedBetweenDifferentRoles) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t w = b.Floats("w", {4, 4}, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2});
  const int32_t bias = b.Floats("bias", {4}, {0.5f, -0.5f, 0.25f, 1});
  const int32_t first = b.Op(kFullyConnected, "first", {x, w, bias}, {1, 4});
  const int32_t second = b.Op(kFullyConnected, "second", {first, w, bias}, {1, 4});
  const int32_t summed = b.Op(kAdd, "summed", {second, bias}, {1, 4});
  b.Output(b.Op(kRelu, "y", {summed}, {1, 4}));
  const std::vector<float> probe = {0.5f, -0.5f, 1, -1};
  MemoryDataset data = Between({1, 4}, -1, 1);
  for (const float v : {0.3f, -0.8f, 0.9f}) data.Add({1, 4}, {v, -v, 1, -1});
  for (const char* recipe : {"int8", "int16x8"}) {
    ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For(recipe), Context{}));
    ASSERT_OK(Verify(out));
    const std::vector<float> expected = RunOn(b.graph(), probe);
    const std::vector<float> y = RunOn(out, probe);
    ASSERT_EQ(y.size(), expected.size());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], expected[i], 0.06f) << recipe;
    // One copy of the weights, one bias for each of the two layers.
    std::vector<int32_t> weights, biases;
    for (const Node& node : out.main().nodes) {
      if (node.op != kFullyConnected) continue;
      weights.push_back(node.inputs[1]);
      biases.push_back(node.inputs[2]);
    }
    ASSERT_EQ(weights.size(), 2u);
    EXPECT_EQ(weights[0], weights[1]);
    EXPECT_NE(biases[0], biases[1]);
  }
}

TEST(Constants, NanIsAnError) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 2});
  b.Output(
      b.Op(kFullyConnected, "fc", {x, b.Floats("kernel", {1, 2}, {1, std::nanf("")})}, {1, 1}));
  for (const char* recipe : {"float16", "dynamic"}) {
    const auto out = Quantize(b.graph(), nullptr, For(recipe), Context{});
    ASSERT_FALSE(out.ok());
    EXPECT_THAT(std::string(Message(out.status())), ::testing::HasSubstr("'kernel'"));
  }
}

TEST(Constants, SmallWeightsStayFloatInDynamicModels) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 32});
  const int32_t large =
      b.Op(kFullyConnected, "large", {x, b.Ramp("w1", {32, 32}, -1, 0.002f)}, {1, 32});
  b.Output(b.Op(kFullyConnected, "small", {large, b.Ramp("w2", {31, 32}, -1, 0.002f)}, {1, 31}));
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), nullptr, For("dynamic"), Context{}));
  ASSERT_OK(Verify(out));
  EXPECT_EQ(TensorAt(out, out.main().nodes[0].inputs[1]).type, schema::TensorType_INT8);
  EXPECT_EQ(TensorAt(out, out.main().nodes[1].inputs[1]).type, schema::TensorType_FLOAT32);
  using Fc = schema::FullyConnectedOptionsT;
  EXPECT_TRUE(out.main().nodes[0].GetOptions<Fc>().asymmetric_quantize_inputs);
  EXPECT_FALSE(out.main().nodes[1].GetOptions<Fc>().asymmetric_quantize_inputs);
}

// ---- Nodes that stay float
// ---------------------------------------------------------------------------

// x -> ADD -> custom -> MUL -> y: the custom operator has no kernel.
GraphBuilder WithUnknownOperator() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t a = b.Op(kAdd, "a", {x, x}, {1, 4});
  const int32_t c = b.Op(schema::BuiltinOperator_CUSTOM, "mystery", {a}, {1, 4});
  b.graph().main().nodes.back().custom_code = "Mystery";
  b.Output(b.Op(kMul, "y", {c, a}, {1, 4}));
  return b;
}

TEST(AllowFloat, ListsEveryNodeThatCannotBeQuantized) {
  GraphBuilder b = WithUnknownOperator();
  MemoryDataset data = Between({1, 4}, -1, 1);
  const auto refused = Quantize(b.graph(), &data, For("int8"), Context{});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(
      std::string(Message(refused.status())),
      ::testing::AllOf(::testing::HasSubstr("Mystery 'mystery'"), ::testing::HasSubstr("MUL 'y'"),
                       ::testing::HasSubstr("--allow-float"), ::testing::HasSubstr("2 nodes")));

  QuantizeOptions options = For("int8");
  options.allow_float = true;
  std::vector<std::string> warnings;
  Context context;
  context.warn = [&](const std::string& w) { warnings.push_back(w); };
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, options, context));
  ASSERT_OK(Verify(out));
  EXPECT_EQ(Operators(out), (std::vector<BuiltinOperator>{kQuantize, kAdd, kDequantize,
                                                          schema::BuiltinOperator_CUSTOM, kMul}));
  EXPECT_THAT(warnings, ::testing::Contains(::testing::HasSubstr("2 of 3 nodes stay float")));
  EXPECT_EQ(Output(out, 0).name, "y");

  options.output_type = ElementType::kInt8;
  const auto typed = Quantize(b.graph(), &data, options, context);
  ASSERT_FALSE(typed.ok());
  EXPECT_THAT(std::string(Message(typed.status())), ::testing::HasSubstr("output 'y'"));
}

// LiteRT ends the program where the operands' scales are too far above the result's.
TEST(Scales, ADifferenceIsNoFinerThanItsOperands) {
  for (const auto op :
       {kAdd, schema::BuiltinOperator_SUB, schema::BuiltinOperator_SQUARED_DIFFERENCE}) {
    for (const char* recipe : {"int8", "int16x8"}) {
      GraphBuilder b;
      const int32_t x = b.Input("x", {1, 4});
      const int32_t minus = b.Op(kMul, "minus", {x, b.Floats("factor", {}, {-1})}, {1, 4});
      b.Output(b.Op(op, "y", {x, op == kAdd ? minus : x}, {1, 4}));
      MemoryDataset data = Between({1, 4}, -2, 2);
      ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For(recipe), Context{}));
      const bool wide = For(recipe).recipe.kind == RecipeKind::kInt16x8;
      for (const Node& node : out.main().nodes) {
        const bool squared = node.op == schema::BuiltinOperator_SQUARED_DIFFERENCE;
        if (node.op != kAdd && node.op != schema::BuiltinOperator_SUB && !squared) continue;
        const double in = 2.0 * TensorAt(out, node.inputs[0]).quant.scale[0];
        const double to = TensorAt(out, node.outputs[0]).quant.scale[0];
        EXPECT_LT(squared ? in * in / (to * 0x1p14) : in / (to * (wide ? 0x1p15 : 0x1p20)), 1.0)
            << OperatorName(node) << " " << recipe;
      }
    }
  }
}

// Kernels with 64-bit sums scale them by less than 128.
TEST(Scales, AProductThatIsAboutZeroCanBeRun) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t both =
      b.Op(schema::BuiltinOperator_CONCATENATION, "both", {x, x}, {1, 8}, Options([] {
             schema::ConcatenationOptionsT options;
             options.axis = 1;
             return options;
           }()));
  const int32_t weights = b.Floats("w", {1, 8}, {9, 5, -3, 1, -9, -5, 3, -1});
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "y",
                {both, weights, b.Floats("bias", {1}, {1e-7f})}, {1, 1},
                Options(schema::FullyConnectedOptionsT{})));
  MemoryDataset data = Between({1, 4}, -2, 2);
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int16x8"), Context{}));
  ASSERT_OK_AND_ASSIGN(auto executor,
                       Executor::Create(std::make_shared<const Graph>(out), ExecutorOptions{}));
  ASSERT_OK(executor->Run());
}

TEST(AllowFloat, GoesBackToIntegersAfterAFloatNode) {
  // FLOOR_MOD by what is computed stays float; what follows it need not.
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t a = b.Op(kAdd, "a", {x, x}, {1, 4});
  const int32_t d = b.Op(kAdd, "d", {x, b.Floats("four", {1, 4}, {4, 4, 4, 4})}, {1, 4});
  const int32_t c = b.Op(schema::BuiltinOperator_FLOOR_MOD, "c", {a, d}, {1, 4});
  b.Output(b.Op(kMul, "y", {c, a}, {1, 4}));
  MemoryDataset data = Between({1, 4}, -1, 1);
  QuantizeOptions options = For("int16x8");
  EXPECT_THAT(std::string(Message(Quantize(b.graph(), &data, options, Context{}).status())),
              ::testing::HasSubstr("FLOOR_MOD 'c' (node 2): its divisor 'd' is computed"));
  options.allow_float = true;
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, options, Context{}));
  ASSERT_OK(Verify(out));
  EXPECT_EQ(Operators(out), (std::vector<BuiltinOperator>{
                                kQuantize, kAdd, kAdd, kDequantize, kDequantize,
                                schema::BuiltinOperator_FLOOR_MOD, kQuantize, kMul, kDequantize}));
  const std::vector<float> y = RunOn(out, {-1, -0.4f, 0.7f, 1});
  EXPECT_NEAR(y[1], -2.24f, 1e-3f);
  EXPECT_NEAR(y[3], 4.0f, 1e-2f);
}

// ---- The plan
// ---------------------------------------------------------------------------------------------

TEST(Plan, IsPrintedInAlignedColumns) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t fc = b.Op(kFullyConnected, "dense", {x, b.Ramp("w", {2, 4}, -1, 0.2f)}, {1, 2});
  b.Output(b.Op(schema::BuiltinOperator_LOGISTIC, "y", {fc}, {1, 2}));
  MemoryDataset data = Between({1, 4}, -1, 1);
  ASSERT_OK_AND_ASSIGN(const Ranges ranges, Calibrate(b.graph(), &data, For("int8"), Context{}));
  ASSERT_OK_AND_ASSIGN(const Plan plan, MakePlan(b.graph(), &ranges, For("int8"), Context{}));
  EXPECT_EQ(plan.nodes[0].mode, NodeMode::kInteger);
  EXPECT_EQ(plan.tensors[3].why, "fixed by LOGISTIC");
  EXPECT_EQ(plan.tensors[1].quant.scale.size(), 2u);
  const std::string text = FormatPlan(b.graph(), plan);
  EXPECT_THAT(text, ::testing::AllOf(::testing::HasSubstr("static_wi8_ai8"),
                                     ::testing::HasSubstr("(2 channels)"),
                                     ::testing::HasSubstr("weights, per channel")));
  EXPECT_EQ(text.find(" \n"), std::string::npos);
}

TEST(Plan, AnEditedPlanIsApplied) {
  GraphBuilder b = Doubling();
  MemoryDataset data = Between({1, 4}, -1, 1);
  ASSERT_OK_AND_ASSIGN(const Ranges ranges, Calibrate(b.graph(), &data, For("int8"), Context{}));
  ASSERT_OK_AND_ASSIGN(Plan plan, MakePlan(b.graph(), &ranges, For("int8"), Context{}));
  plan.tensors[1].quant = QuantParams::PerTensor(0.5f, 3);
  ASSERT_OK_AND_ASSIGN(const Graph out, ApplyPlan(b.graph(), plan));
  EXPECT_EQ(TensorAt(out, out.main().nodes[1].outputs[0]).quant.scale[0], 0.5f);
  Plan other = plan;
  other.tensors.pop_back();
  EXPECT_FALSE(ApplyPlan(b.graph(), other).ok());
}

}  // namespace
}  // namespace litesmith
