// Projects for tflite-micro: what is refused, the arena, and the emitted code, compiled against
// stub headers and run.

#include "deploy/tflm.h"

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "deploy/tflm_arena.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using ::testing::AllOf;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using ::testing::Not;

int System(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void Quantize(Graph* graph, int32_t t, float scale, int64_t zero_point) {
  graph->main().tensors[static_cast<size_t>(t)].quant = QuantParams::PerTensor(scale, zero_point);
}

// int8 [1,4] + int8 [1,4] -> RELU; and a second output from a third input, int32.
Graph TwoPaths() {
  GraphBuilder builder;
  const int32_t a = builder.Input("a\"b?\?/", {1, 4}, schema::TensorType_INT8);
  const int32_t b = builder.Input("b", {1, 4}, schema::TensorType_INT8);
  const int32_t c = builder.Input("c", {2, 3}, schema::TensorType_INT32);
  const int32_t sum = builder.Op(schema::BuiltinOperator_ADD, "sum", {a, b}, {1, 4},
                                 Options(schema::AddOptionsT{}), schema::TensorType_INT8);
  const int32_t relu =
      builder.Op(schema::BuiltinOperator_RELU, "relu", {sum}, {1, 4}, {}, schema::TensorType_INT8);
  const int32_t again = builder.Op(schema::BuiltinOperator_RELU, "again", {relu}, {1, 4}, {},
                                   schema::TensorType_INT8);
  const int32_t doubled = builder.Op(schema::BuiltinOperator_ADD, "doubled", {c, c}, {2, 3},
                                     Options(schema::AddOptionsT{}), schema::TensorType_INT32);
  builder.Output(again);
  builder.Output(doubled);
  Graph graph = builder.graph();
  for (int32_t t : {a, b, sum, relu, again}) Quantize(&graph, t, 0.5f, -3);
  return graph;
}

Graph Variable() {
  GraphBuilder builder;
  const int32_t x = builder.Input("x", {1, 4}, schema::TensorType_INT8);
  schema::VarHandleOptionsT options;
  options.shared_name = "state";
  const int32_t handle = builder.Op(schema::BuiltinOperator_VAR_HANDLE, "handle", {}, {1},
                                    Options(options), schema::TensorType_RESOURCE);
  Node assign;
  assign.op = schema::BuiltinOperator_ASSIGN_VARIABLE;
  assign.inputs = {handle, x};
  builder.graph().main().nodes.push_back(assign);
  const int32_t read = builder.Op(schema::BuiltinOperator_READ_VARIABLE, "read", {handle}, {1, 4},
                                  {}, schema::TensorType_INT8);
  builder.Output(read);
  Graph graph = builder.graph();
  for (int32_t t : {x, read}) Quantize(&graph, t, 0.25f, 0);
  return graph;
}

using Files = std::vector<std::pair<std::string, std::string>>;

std::string TextOf(const Files& files, const std::string& name) {
  for (const auto& [file, text] : files) {
    if (file == name) return text;
  }
  return "";
}

absl::StatusOr<Files> ProjectOf(const Graph& graph, const TflmOptions& options) {
  LS_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, SerializeTflite(graph));
  return MakeTflmProject(graph, bytes, options);
}

void WriteFiles(const Files& files, const std::string& folder) {
  for (const auto& [name, text] : files) {
    const std::filesystem::path path = std::filesystem::path(folder) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }
}

constexpr char kWarnings[] = " -std=c++17 -Wall -Wextra -Werror -fno-exceptions -fno-rtti";

// Compiles the project and the driver with the stubs, and runs the driver.
void CompileAndRun(const Files& files, const std::string& defines) {
  if (System("c++ --version > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "skipped: no C++ compiler here; the project was not compiled";
  }
  const std::string folder = testing::TempDir();
  const std::string tests = testing::SourceDir() + "/tests/deploy";
  WriteFiles(files, folder);
  const std::string flags = std::string(kWarnings) + " -I " + folder + "/src -isystem " + tests +
                            "/stubs " + defines + " ";
  const std::string sources = folder + "/src/model_data.cc " + folder + "/src/model_values.cc " +
                              folder + "/src/model_inference.cc ";
  const std::string program = folder + "/driver";
  ASSERT_EQ(System("c++" + flags + sources + "-x c++ " + tests + "/driver.txt -o " + program), 0);
  EXPECT_EQ(System(program), 0);
  EXPECT_EQ(System("c++" + flags + "-fsyntax-only " + folder + "/examples/host/main.cc"), 0);
}

TEST(TflmProject, SeveralInputsAndOutputs) {
  const Graph graph = TwoPaths();
  TflmOptions options;
  options.about = "x*/.tflite, \\ bytes";
  options.labels = {"zero", "\xc3\xa4\"\\", "two?", ""};
  ASSERT_OK_AND_ASSIGN(const Files files, ProjectOf(graph, options));
  const std::string source = TextOf(files, "src/model_inference.cc");
  EXPECT_THAT(source, AllOf(HasSubstr("MicroMutableOpResolver<2>"), HasSubstr("->AddAdd()"),
                            HasSubstr("->AddRelu()")));
  for (const auto& [name, text] : files) {
    EXPECT_THAT(text, Not(HasSubstr("@"))) << name;
  }
  EXPECT_THAT(TextOf(files, "src/model_values.cc"),
              HasSubstr("{\"a\\042b\\077\\077/\", Type::kInt8, 4, 4, 0.5f, -3},"));
  CompileAndRun(files,
                "-DMODEL=model_inference -DLABELS=4 -DOPERATORS=2 -DVARIABLES=0 -DSYMBOL=g_model");
}

TEST(TflmProject, VariablesAndAnotherSymbol) {
  TflmOptions options;
  options.symbol = "counter";
  ASSERT_OK_AND_ASSIGN(const Files files, ProjectOf(Variable(), options));
  CompileAndRun(
      files, "-DMODEL=counter_inference -DLABELS=0 -DOPERATORS=3 -DVARIABLES=1 -DSYMBOL=counter");
}

TEST(TflmProject, CompilesForABoard) {
  const std::string compiler = "arm-none-eabi-g++ -mcpu=cortex-m4 -mthumb";
  if (System(compiler + " --version > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "skipped: no arm-none-eabi-g++ here; nothing was compiled for a board";
  }
  ASSERT_OK_AND_ASSIGN(const Files files, ProjectOf(TwoPaths(), {}));
  const std::string folder = testing::TempDir();
  WriteFiles(files, folder);
  for (const char* source : {"model_data", "model_values"}) {
    EXPECT_EQ(System(compiler + kWarnings + " -Os -c " + folder + "/src/" + source + ".cc -o " +
                     folder + "/" + source + ".o"),
              0);
  }
}

TEST(TflmCheck, NamesWhatIsMissing) {
  Graph graph = TwoPaths();
  graph.main().nodes[1].op = schema::BuiltinOperator_RELU_0_TO_1;
  graph.main().nodes[2].version = 99;
  const absl::Status status = CheckTflm(graph, false);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("2 nodes"), HasSubstr("RELU_0_TO_1"), HasSubstr("no such operator"),
                    HasSubstr("RELU 'again' (node 2)"), HasSubstr("this is 99")));
  graph = TwoPaths();
  graph.main().nodes[0].op = schema::BuiltinOperator_CUSTOM;
  graph.main().nodes[0].custom_code = "Mine";
  EXPECT_THAT(std::string(CheckTflm(graph, false).message()), HasSubstr("Mine"));
}

TEST(TflmCheck, FloatOnlyWhenAsked) {
  GraphBuilder builder;
  const int32_t x = builder.Input("x", {-1, 4});
  builder.Output(builder.Op(schema::BuiltinOperator_RELU, "relu", {x}, {1, 4}));
  EXPECT_THAT(std::string(CheckTflm(builder.graph(), false).message()),
              AllOf(HasSubstr("RELU 'relu'"), HasSubstr("--allow-float")));
  EXPECT_OK(CheckTflm(builder.graph(), true));
}

TEST(TflmCheck, ShapesThatAreNotTheFiles) {
  Graph graph = TwoPaths();
  graph.main().tensors[static_cast<size_t>(graph.main().outputs[0])].shape = {1, 1};
  EXPECT_THAT(std::string(CheckTflm(graph, false).message()),
              AllOf(HasSubstr("'again'"), HasSubstr("[1,4]"), HasSubstr("dynamic shapes")));
  graph.main().nodes.clear();
  EXPECT_FALSE(CheckTflm(graph, false).ok());
}

TEST(TflmCheck, NumbersThatAreNone) {
  for (const float scale :
       {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    Graph graph = TwoPaths();
    Quantize(&graph, graph.main().inputs[0], scale, 0);
    EXPECT_FALSE(ProjectOf(graph, {}).ok()) << scale;
  }
  Graph graph = TwoPaths();
  Quantize(&graph, graph.main().inputs[0], 1.0f, int64_t{1} << 40);
  EXPECT_FALSE(CheckTflm(graph, false).ok());
  GraphBuilder builder;
  const int32_t x = builder.Input("x", {0, 4}, schema::TensorType_INT8);
  builder.Output(
      builder.Op(schema::BuiltinOperator_RELU, "relu", {x}, {0, 4}, {}, schema::TensorType_INT8));
  EXPECT_THAT(std::string(CheckTflm(builder.graph(), false).message()), HasSubstr("empty"));
}

TEST(TflmCheck, WarnsOfASoftmaxThatMayStop) {
  for (const int32_t classes : {511, 512}) {
    GraphBuilder builder;
    const int32_t x = builder.Input("x", {1, classes}, schema::TensorType_INT8);
    builder.Output(builder.Op(schema::BuiltinOperator_SOFTMAX, "classes", {x}, {1, classes}, {},
                              schema::TensorType_INT8));
    EXPECT_EQ(TflmWarnings(builder.graph()).size(), classes > 511 ? 1u : 0u);
  }
}

// Counted by hand from the rules: with pointers of 64 bits.
TEST(TflmArena, OneNode) {
  GraphBuilder builder;
  const int32_t x = builder.Input("x", {1, 1000}, schema::TensorType_INT8);
  builder.Output(builder.Op(schema::BuiltinOperator_RESHAPE, "r", {x}, {10, 100}, {},
                            schema::TensorType_INT8));
  ASSERT_OK_AND_ASSIGN(const TflmArena arena, PlanTflmArena(builder.graph()));
  // Allocators 104 + 72 + 272 + 16, subgraph 24, tensors 2 * 24, node 64, options 40 (36 to 8);
  // then inputs and outputs, each an aligned pointer and a tensor of 64.
  const size_t structures = 104 + 72 + 272 + 16 + 24 + 48 + 64 + 40;  // 640, a multiple of 16
  EXPECT_EQ(arena.bytes_64, structures + 2 * (16 + 64) + 2 * 1008);
  EXPECT_LT(arena.bytes_32, arena.bytes_64);
  EXPECT_EQ(arena.bytes_32 % 16, 0u);
}

// What tflite-micro's Python package reports as used (Interpreter.print_allocations, October 2026).
TEST(TflmArena, IsWhatTheInterpreterUses) {
  REQUIRE_SHARED();
  const std::map<std::string, size_t> used = {
      {"mnist_int8", 9472},           {"mnist_int16x8", 18480},
      {"resnet8_int8", 56080},        {"resnet8_int16x8", 107488},
      {"ds_cnn_int8", 24368},         {"ds_cnn_int16x8", 42624},
      {"vww_int8", 103712},           {"vww_int16x8", 198128},
      {"mobilenet_v2_int8", 1665344}, {"mobilenet_v2_int16x8", 3171936},
  };
  for (const auto& [name, bytes] : used) {
    ASSERT_OK_AND_ASSIGN(
        const Graph graph,
        ReadTflite(testing::SharedDir() + "/models/bench/" + name + ".tflite", {}));
    EXPECT_OK(CheckTflm(graph, false));
    ASSERT_OK_AND_ASSIGN(const TflmArena arena, PlanTflmArena(graph));
    EXPECT_GE(arena.bytes_64, bytes) << name;
    EXPECT_LE(static_cast<double>(arena.bytes_64), 1.15 * static_cast<double>(bytes)) << name;
    EXPECT_LT(arena.bytes_32, arena.bytes_64) << name;
  }
}

TEST(TflmArena, WhatCannotBeCounted) {
  GraphBuilder builder;
  const int32_t x = builder.Input("x", {1 << 20, 1 << 12}, schema::TensorType_INT8);
  builder.Output(builder.Op(schema::BuiltinOperator_RESHAPE, "r", {x}, {1 << 12, 1 << 20}, {},
                            schema::TensorType_INT8));
  EXPECT_THAT(std::string(PlanTflmArena(builder.graph()).status().message()), HasSubstr("count"));
  Graph graph = TwoPaths();
  graph.SetMetadata("OfflineMemoryAllocation", "0");
  EXPECT_THAT(std::string(PlanTflmArena(graph).status().message()), HasSubstr("memory plan"));
}

}  // namespace
}  // namespace litesmith
