#include "ops/target.h"

#include "quantize/quantize.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::SharedDir;

Graph One(schema::BuiltinOperator op, TensorType type, int32_t version) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4}, type);
  b.Output(b.Op(op, "y", {x}, {1, 4}, {}, type));
  b.graph().main().nodes[0].version = version;
  return b.graph();
}

TEST(Targets, ByName) {
  for (const char* name : {"litert", "tflm", "litesmith"}) EXPECT_OK(FindTarget(name));
  EXPECT_THAT(std::string(Message(FindTarget("edgetpu").status())), HasSubstr("litert, tflm"));
}

TEST(Targets, TypesAndVersions) {
  const struct {
    schema::BuiltinOperator op;
    TensorType type;
    int32_t version;
    bool litert, tflm;
  } cases[] = {
      {schema::BuiltinOperator_RELU, schema::TensorType_INT8, 2, true, true},
      {schema::BuiltinOperator_RELU, schema::TensorType_INT16, 3, true, true},
      {schema::BuiltinOperator_RELU, schema::TensorType_INT16, 99, false, false},
      {schema::BuiltinOperator_RELU, schema::TensorType_INT64, 1, false, false},
      {schema::BuiltinOperator_EXP, schema::TensorType_INT8, 2, true, false},
      {schema::BuiltinOperator_EXP, schema::TensorType_FLOAT32, 1, true, true},
      {schema::BuiltinOperator_GELU, schema::TensorType_FLOAT32, 1, true, false},
      {schema::BuiltinOperator_ELU, schema::TensorType_INT16, 1, false, false},
  };
  for (const auto& c : cases) {
    const Graph graph = One(c.op, c.type, c.version);
    EXPECT_EQ(CheckTarget(graph, Target::kLitert).ok(), c.litert)
        << EnumNameBuiltinOperator(c.op) << " " << TypeName(c.type);
    EXPECT_EQ(CheckTarget(graph, Target::kTflm).ok(), c.tflm)
        << EnumNameBuiltinOperator(c.op) << " " << TypeName(c.type);
  }
  EXPECT_THAT(
      std::string(Message(CheckTarget(
          One(schema::BuiltinOperator_GELU, schema::TensorType_FLOAT32, 1), Target::kTflm))),
      HasSubstr("GELU 'y' (node 0)"));
}

TEST(Targets, WeightsAndBiases) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 32});
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "fc",
                {x, b.Ramp("w", {40, 32}, -1, 0.001f), b.Ramp("b", {40}, 0, 0.1f)}, {1, 40}));
  QuantizeOptions options;
  options.recipe = FindRecipe("dynamic").value();
  ASSERT_OK_AND_ASSIGN(Graph hybrid, Quantize(b.graph(), nullptr, options, Context{}));
  FinishForWriting(&hybrid);
  EXPECT_OK(CheckTarget(hybrid, Target::kLitert));
  EXPECT_OK(CheckTarget(hybrid, Target::kLitesmith));
  EXPECT_THAT(std::string(Message(CheckTarget(hybrid, Target::kTflm))), HasSubstr("f32/s8"));
}

TEST(Targets, EveryGoldenFileRunsInLitert) {
  REQUIRE_SHARED();
  for (const char* name :
       {"conv2d_1x1_relu6", "net_attention", "transpose_conv", "split_v", "svdf"}) {
    for (const char* mode : {"float32", "f16", "dynamic", "int8", "int16x8"}) {
      const std::string path = SharedDir() + "/golden/ops/" + name + "/" + mode + ".tflite";
      const auto graph = ReadTflite(path, Context{});
      if (!graph.ok()) continue;
      SCOPED_TRACE(path);
      EXPECT_OK(CheckTarget(*graph, Target::kLitert));
    }
  }
}

}  // namespace
}  // namespace litesmith
