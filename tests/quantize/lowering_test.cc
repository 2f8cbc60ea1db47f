// Operators without an integer kernel that are quantized all the same: by other operators, on
// int32, by tables.

#include <cmath>
#include <cstring>

#include "ir/verify.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;
using testing::GraphBuilder;
using testing::MemoryDataset;

constexpr int64_t kCount = 240;
const Shape kShape = {1, 12, 20};

std::vector<float> Wave(float amplitude, float phase) {
  std::vector<float> out(kCount);
  for (size_t i = 0; i < out.size(); ++i) {
    const auto x = static_cast<float>(i);
    out[i] = amplitude * std::sin(0.37f * x + phase) * std::cos(0.011f * x * x);
  }
  return out;
}

QuantizeOptions For(const char* recipe) {
  QuantizeOptions options;
  options.recipe = FindRecipe(recipe).value();
  return options;
}

struct Values {
  std::vector<std::byte> bytes;
  TensorType type;
};

Values RunOn(const Graph& graph, const std::vector<float>& x) {
  auto executor = Executor::Create(std::make_shared<Graph>(graph), {});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  std::memcpy((*executor)->input(0).data(), x.data(), x.size() * sizeof(float));
  EXPECT_OK((*executor)->Run());
  const auto bytes = (*executor)->output(0);
  const int32_t out = graph.main().outputs[0];
  return {{bytes.begin(), bytes.end()}, graph.main().tensors[static_cast<size_t>(out)].type};
}

// Signal to quantization noise of float results; equal integers count as 200.
double Decibels(const Values& expected, const Values& actual) {
  EXPECT_EQ(expected.type, actual.type);
  EXPECT_EQ(expected.bytes.size(), actual.bytes.size());
  if (expected.type != schema::TensorType_FLOAT32) {
    return expected.bytes == actual.bytes ? 200.0 : 0.0;
  }
  double signal = 0.0, noise = 1e-30;
  for (size_t i = 0; i < expected.bytes.size(); i += sizeof(float)) {
    float a = 0.0f, b = 0.0f;
    std::memcpy(&a, &expected.bytes[i], sizeof(float));
    std::memcpy(&b, &actual.bytes[i], sizeof(float));
    signal += static_cast<double>(a) * a;
    noise += std::pow(static_cast<double>(a) - b, 2.0);
  }
  return 10.0 * std::log10(signal / noise);
}

struct Case {
  const char* name;
  float amplitude;
  int32_t (*build)(GraphBuilder*, int32_t x);
  double int16x8;  // least SQNR
  double int8;     // 0: the int8 recipe has a kernel of its own
};

template <BuiltinOperator op>
int32_t Unary(GraphBuilder* b, int32_t x) {
  return b->Op(op, "y", {x}, kShape);
}

int32_t Power(GraphBuilder* b, int32_t x) {
  return b->Op(schema::BuiltinOperator_POW, "y", {x, b->Floats("three", {}, {3.0f})}, kShape);
}
int32_t Prelu(GraphBuilder* b, int32_t x) {
  return b->Op(schema::BuiltinOperator_PRELU, "y", {x, b->Ramp("alpha", {1, 20}, 0.1f, 0.02f)},
               kShape);
}
int32_t Cumsum(GraphBuilder* b, int32_t x) {
  schema::CumsumOptionsT options;
  options.exclusive = true;
  return b->Op(schema::BuiltinOperator_CUMSUM, "y", {x, b->Ints("axis", {}, {2})}, kShape,
               Options(options));
}
int32_t Sum(GraphBuilder* b, int32_t x) {
  return b->Op(schema::BuiltinOperator_SUM, "y", {x, b->Ints("axis", {}, {2})}, {1, 12},
               Options(schema::ReducerOptionsT{}));
}
int32_t CastToIntAndBack(GraphBuilder* b, int32_t x) {
  const int32_t integers =
      b->Op(schema::BuiltinOperator_CAST, "i", {x}, kShape, {}, schema::TensorType_INT32);
  return b->Op(schema::BuiltinOperator_CAST, "y", {integers}, kShape);
}
int32_t ArgMax(GraphBuilder* b, int32_t x) {
  schema::ArgMaxOptionsT options;
  options.output_type = schema::TensorType_INT32;
  return b->Op(schema::BuiltinOperator_ARG_MAX, "y", {x, b->Ints("axis", {}, {1})}, {1, 20},
               Options(options), schema::TensorType_INT32);
}
template <BuiltinOperator op>
int32_t Compare(GraphBuilder* b, int32_t x) {
  const int32_t half =
      b->Op(schema::BuiltinOperator_MUL, "half", {x, b->Floats("factor", {}, {-0.5f})}, kShape);
  const int32_t mask = b->Op(op, "mask", {x, half}, kShape, {}, schema::TensorType_BOOL);
  return b->Op(schema::BuiltinOperator_CAST, "y", {mask}, kShape);
}

int32_t AddN(GraphBuilder* b, int32_t x) {
  const int32_t half =
      b->Op(schema::BuiltinOperator_MUL, "half", {x, b->Floats("factor", {}, {-0.4f})}, kShape);
  const int32_t ramp = b->Ramp("ramp", kShape, -0.3f, 0.002f);
  return b->Op(schema::BuiltinOperator_ADD_N, "y", {x, half, ramp, x}, kShape);
}
int32_t LocalResponse(GraphBuilder* b, int32_t x) {
  const int32_t picture = b->Op(schema::BuiltinOperator_RESHAPE, "picture",
                                {x, b->Ints("shape", {4}, {1, 3, 4, 20})}, {1, 3, 4, 20});
  schema::LocalResponseNormalizationOptionsT options;
  options.radius = 2;
  options.bias = 1.5f;
  options.alpha = 0.4f;
  options.beta = 0.75f;
  return b->Op(schema::BuiltinOperator_LOCAL_RESPONSE_NORMALIZATION, "y", {picture}, {1, 3, 4, 20},
               Options(options));
}
template <BuiltinOperator op>
int32_t ByConstant(GraphBuilder* b, int32_t x) {
  return b->Op(op, "y", {x, b->Floats("divisor", {}, {-1.75f})}, kShape);
}
int32_t ReverseSequence(GraphBuilder* b, int32_t x) {
  schema::ReverseSequenceOptionsT options;
  options.seq_dim = 2;
  options.batch_dim = 0;
  return b->Op(schema::BuiltinOperator_REVERSE_SEQUENCE, "y", {x, b->Ints("lengths", {1}, {13})},
               kShape, Options(options));
}
int32_t ScatterNd(GraphBuilder* b, int32_t x) {
  return b->Op(schema::BuiltinOperator_SCATTER_ND, "y",
               {b->Ints("at", {1, 1}, {2}), x, b->Ints("shape", {3}, {4, 12, 20})}, {4, 12, 20});
}
int32_t TopK(GraphBuilder* b, int32_t x) {
  const int32_t values =
      b->Op(schema::BuiltinOperator_TOPK_V2, "y", {x, b->Ints("k", {}, {5})}, {1, 12, 5});
  b->graph().main().nodes.back().outputs.push_back(
      b->Value("indices", {1, 12, 5}, schema::TensorType_INT32));
  return values;
}
int32_t OneHot(GraphBuilder* b, int32_t x) {
  const int32_t most = ArgMax(b, x);
  schema::OneHotOptionsT options;
  options.axis = -1;
  const int32_t hot = b->Op(schema::BuiltinOperator_ONE_HOT, "hot",
                            {most, b->Ints("depth", {}, {12}), b->Floats("on", {}, {2.5f}),
                             b->Floats("off", {}, {-0.5f})},
                            {1, 20, 12}, Options(options));
  return b->Op(schema::BuiltinOperator_ABS, "y2", {hot}, {1, 20, 12});
}

class Lowered : public ::testing::TestWithParam<Case> {};

TEST_P(Lowered, ComputesOnIntegersNearFloat) {
  const Case& c = GetParam();
  GraphBuilder b;
  const int32_t x = b.Input("x", kShape);
  b.Output(c.build(&b, x));
  MemoryDataset data;
  for (const float phase : {0.0f, 0.7f, 1.9f}) data.Add({1, 12, 20}, Wave(c.amplitude, phase));
  const std::vector<float> probe = Wave(c.amplitude, 0.7f);
  const Values expected = RunOn(b.graph(), probe);
  for (const char* recipe : {"int16x8", "int8"}) {
    const double least = recipe == std::string("int8") ? c.int8 : c.int16x8;
    if (least == 0) continue;
    ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For(recipe), Context{}));
    ASSERT_OK(Verify(out));
    int64_t floats = 0;
    for (const Node& node : out.main().nodes) {
      const bool border = node.op == schema::BuiltinOperator_QUANTIZE ||
                          node.op == schema::BuiltinOperator_DEQUANTIZE;
      for (int32_t t : node.outputs) {
        floats += !border &&
                  out.main().tensors[static_cast<size_t>(t)].type == schema::TensorType_FLOAT32;
      }
    }
    EXPECT_EQ(floats, 0) << recipe;
    EXPECT_GE(Decibels(expected, RunOn(out, probe)), least) << recipe;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Operators, Lowered,
    ::testing::Values(
        Case{"HardSwish", 5, Unary<schema::BuiltinOperator_HARD_SWISH>, 70, 0},
        Case{"Elu", 3, Unary<schema::BuiltinOperator_ELU>, 70, 0}, Case{"Prelu", 3, Prelu, 70, 0},
        Case{"L2Normalization", 2, Unary<schema::BuiltinOperator_L2_NORMALIZATION>, 50, 0},
        Case{"LogSoftmax", 4, Unary<schema::BuiltinOperator_LOG_SOFTMAX>, 70, 0},
        Case{"Sin", 4, Unary<schema::BuiltinOperator_SIN>, 70, 25},
        Case{"Cos", 4, Unary<schema::BuiltinOperator_COS>, 70, 25},
        Case{"Sign", 4, Unary<schema::BuiltinOperator_SIGN>, 40, 15},
        Case{"Floor", 40, Unary<schema::BuiltinOperator_FLOOR>, 50, 20},
        Case{"Ceil", 40, Unary<schema::BuiltinOperator_CEIL>, 50, 20},
        Case{"Round", 40, Unary<schema::BuiltinOperator_ROUND>, 50, 20},
        Case{"Pow", 2, Power, 70, 25}, Case{"Cumsum", 2, Cumsum, 70, 25},
        Case{"CastToIntAndBack", 50, CastToIntAndBack, 50, 15}, Case{"ArgMax", 3, ArgMax, 200, 0},
        Case{"AddN", 3, AddN, 70, 25}, Case{"Sum", 2, Sum, 70, 25},
        Case{"ReluN1To1", 3, Unary<schema::BuiltinOperator_RELU_N1_TO_1>, 70, 0},
        Case{"Relu0To1", 3, Unary<schema::BuiltinOperator_RELU_0_TO_1>, 70, 0},
        Case{"LocalResponse", 2, LocalResponse, 60, 25},
        Case{"FloorDiv", 40, ByConstant<schema::BuiltinOperator_FLOOR_DIV>, 50, 20},
        Case{"FloorMod", 2, ByConstant<schema::BuiltinOperator_FLOOR_MOD>, 40, 10},
        Case{"ReverseSequence", 2, ReverseSequence, 70, 30},
        Case{"ScatterNd", 2, ScatterNd, 70, 30}, Case{"TopK", 2, TopK, 70, 30},
        Case{"OneHot", 3, OneHot, 60, 30},
        Case{"Less", 3, Compare<schema::BuiltinOperator_LESS>, 60, 0},
        Case{"LessEqual", 3, Compare<schema::BuiltinOperator_LESS_EQUAL>, 60, 0},
        Case{"Greater", 3, Compare<schema::BuiltinOperator_GREATER>, 60, 0},
        Case{"GreaterEqual", 3, Compare<schema::BuiltinOperator_GREATER_EQUAL>, 60, 15}),
    [](const ::testing::TestParamInfo<Case>& c) { return std::string(c.param.name); });

TEST(LoweredCast, IntegersStayTheIntegersTheyWere) {
  for (const TensorType type : {schema::TensorType_INT32, schema::TensorType_INT64}) {
    GraphBuilder b;
    const int32_t x = b.Input("x", {1, 41});
    b.Output(b.Op(schema::BuiltinOperator_CAST, "y", {x}, {1, 41}, {}, type));
    std::vector<float> values(41);
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 20.0f;
    MemoryDataset data;
    data.Add({1, 41}, values);
    for (const char* recipe : {"int16x8", "int8"}) {
      ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For(recipe), Context{}));
      ASSERT_OK(Verify(out));
      EXPECT_EQ(RunOn(out, values).bytes, RunOn(b.graph(), values).bytes) << recipe;
    }
  }
}

TEST(LoweredL2Normalization, ZerosStayZeros) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(b.Op(schema::BuiltinOperator_L2_NORMALIZATION, "y", {x}, {1, 4}));
  MemoryDataset data;
  data.Add({1, 4}, {1, -2, 3, -4});
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int16x8"), Context{}));
  const Values zeros = RunOn(out, {0, 0, 0, 0});
  EXPECT_EQ(zeros.bytes, std::vector<std::byte>(16));
}

// Samples of nothing but zeros neither fail nor cost the others their steps.
TEST(LoweredL2Normalization, SamplesOfZeros) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(b.Op(schema::BuiltinOperator_L2_NORMALIZATION, "y", {x}, {1, 4}));
  MemoryDataset data;
  data.Add({1, 4}, {1, -2, 3, -4});
  data.Add({1, 4}, {0, 0, 0, 0});
  data.Add({1, 4}, {0.5f, 0.4f, -0.7f, 1});
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int16x8"), Context{}));
  const std::vector<float> point = {1, -1.5f, 2, -2.5f};
  EXPECT_GT(Decibels(RunOn(b.graph(), point), RunOn(out, point)), 40.0);
}

}  // namespace
}  // namespace litesmith
