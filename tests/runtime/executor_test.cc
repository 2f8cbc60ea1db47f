#include "runtime/executor.h"

#include <cstring>
#include <thread>

#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;

std::unique_ptr<Executor> Make(const Graph& graph, ExecutorOptions options = {}) {
  auto executor = Executor::Create(std::make_shared<const Graph>(graph), options);
  EXPECT_OK(executor);
  return executor.ok() ? std::move(*executor) : nullptr;
}

void SetInput(Executor* executor, size_t i, const std::vector<float>& values) {
  ASSERT_EQ(executor->input(i).size(), values.size() * sizeof(float));
  std::memcpy(executor->input(i).data(), values.data(), values.size() * sizeof(float));
}

std::vector<float> Floats(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

// x -> relu -> (+1) -> (*2), and x read again at the end: in-place must not destroy x.
Graph Chain() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 3});
  const int32_t relu = b.Op(schema::BuiltinOperator_RELU, "relu", {x}, {1, 3});
  const int32_t one = b.Floats("one", {1}, {1.0f});
  const int32_t two = b.Floats("two", {1}, {2.0f});
  const int32_t plus = b.Op(schema::BuiltinOperator_ADD, "plus", {relu, one}, {1, 3},
                            Options(schema::AddOptionsT{}));
  const int32_t times = b.Op(schema::BuiltinOperator_MUL, "times", {plus, two}, {1, 3},
                             Options(schema::MulOptionsT{}));
  b.Output(
      b.Op(schema::BuiltinOperator_ADD, "sum", {times, x}, {1, 3}, Options(schema::AddOptionsT{})));
  return b.graph();
}

TEST(ExecutorTest, RunsAChainAndKeepsItsInput) {
  auto executor = Make(Chain());
  ASSERT_NE(executor, nullptr);
  for (int run = 0; run < 3; ++run) {
    if (run == 0) SetInput(executor.get(), 0, {-1.0f, 0.0f, 2.0f});
    ASSERT_OK(executor->Run());
    EXPECT_EQ(Floats(executor->output(0)), (std::vector<float>{1.0f, 2.0f, 8.0f}));
  }
}

TEST(ExecutorTest, ABatchOfMinusOneTakesTheGivenSize) {
  auto executor = Make(Chain(), {.input_shapes = {{2, 3}}});
  ASSERT_NE(executor, nullptr);
  SetInput(executor.get(), 0, {0, 1, 2, 3, 4, 5});
  ASSERT_OK(executor->Run());
  EXPECT_EQ(executor->output_shape(0), (Shape{2, 3}));
  EXPECT_EQ(Floats(executor->output(0)), (std::vector<float>{2, 5, 8, 11, 14, 17}));
}

TEST(ExecutorTest, AFixedDimensionRefusesAnotherSize) {
  auto executor =
      Executor::Create(std::make_shared<const Graph>(Chain()), {.input_shapes = {{2, 4}}});
  ASSERT_FALSE(executor.ok());
  EXPECT_THAT(std::string(Message(executor.status())),
              HasSubstr("'x' takes the shape [-1, 3], not [2, 4]"));
}

TEST(ExecutorTest, KeepAllKeepsEveryValue) {
  const Graph graph = Chain();
  auto executor = Make(graph, {.keep_all = true});
  ASSERT_NE(executor, nullptr);
  SetInput(executor.get(), 0, {-1.0f, 0.0f, 2.0f});
  ASSERT_OK(executor->Run());
  const std::vector<std::vector<float>> wanted = {{0, 0, 2}, {1, 1, 3}, {2, 2, 6}, {1, 2, 8}};
  for (size_t n = 0; n < 4; ++n) {
    EXPECT_EQ(Floats(executor->tensor(graph.main().nodes[n].outputs[0])), wanted[n]);
  }
}

TEST(ExecutorTest, ConstantsAreFolded) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1});
  const int32_t sum =
      b.Op(schema::BuiltinOperator_ADD, "constant",
           {b.Floats("a", {1}, {1}), b.Floats("b", {1}, {2})}, {1}, Options(schema::AddOptionsT{}));
  b.Output(b.Op(schema::BuiltinOperator_ADD, "y", {x, sum}, {1}, Options(schema::AddOptionsT{})));
  auto executor = Make(b.graph());
  ASSERT_NE(executor, nullptr);
  EXPECT_EQ(executor->kernel_name(0), "");
  EXPECT_NE(executor->kernel_name(1), "");
  SetInput(executor.get(), 0, {4});
  ASSERT_OK(executor->Run());
  EXPECT_EQ(Floats(executor->output(0)), (std::vector<float>{7}));
}

// RESHAPE to a shape that is an input: known at run time only.
Graph ReshapeToInput() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {6});
  const int32_t shape = b.Input("shape", {2}, schema::TensorType_INT32);
  const int32_t y = b.Op(schema::BuiltinOperator_RESHAPE, "y", {x, shape}, {1, 1});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "z", {y}, {1, 1}));
  return b.graph();
}

TEST(ExecutorTest, ShapesMayDependOnValues) {
  auto executor = Make(ReshapeToInput());
  ASSERT_NE(executor, nullptr);
  SetInput(executor.get(), 0, {-1, 1, -2, 2, -3, 3});
  for (const auto& dims : {std::vector<int32_t>{2, 3}, {6, 1}, {3, -1}}) {
    std::memcpy(executor->input(1).data(), dims.data(), 8);
    ASSERT_OK(executor->Run());
    EXPECT_EQ(executor->output_shape(0), (Shape{dims[0], 6 / dims[0]}));
    EXPECT_EQ(Floats(executor->output(0)), (std::vector<float>{0, 1, 0, 2, 0, 3}));
  }
  const int32_t wrong[] = {4, 4};
  std::memcpy(executor->input(1).data(), wrong, 8);
  const absl::Status status = executor->Run();
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(std::string(Message(status)), HasSubstr("RESHAPE 'y' (node 0)"));
}

TEST(ExecutorTest, ClonesRunIndependently) {
  auto first = Make(Chain());
  ASSERT_NE(first, nullptr);
  ASSERT_OK_AND_ASSIGN(auto second, first->Clone());
  SetInput(first.get(), 0, {1, 1, 1});
  SetInput(second.get(), 0, {2, 2, 2});
  ASSERT_OK(first->Run());
  ASSERT_OK(second->Run());
  EXPECT_EQ(Floats(first->output(0)), (std::vector<float>{5, 5, 5}));
  EXPECT_EQ(Floats(second->output(0)), (std::vector<float>{8, 8, 8}));
}

// Clones share the program and the packed weights; each thread has one.
TEST(ExecutorTest, ClonesRunAtTheSameTime) {
  if (testing::ThreadCounts({1, 3}).size() == 1) GTEST_SKIP() << "skipped: one thread only";
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 12, 12, 8});
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_SAME;
  conv.stride_h = conv.stride_w = 1;
  b.Output(b.Op(schema::BuiltinOperator_CONV_2D, "conv",
                {x, b.Ramp("w", {16, 3, 3, 8}, -0.5f, 0.001f)}, {1, 12, 12, 16}, Options(conv)));
  auto first = Make(b.graph());
  ASSERT_NE(first, nullptr);
  const auto input = [](int seed) {
    std::vector<float> values(12 * 12 * 8);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>((i * 7 + static_cast<size_t>(seed)) % 23) - 11.0f;
    }
    return values;
  };
  constexpr int kThreads = 3, kRuns = 20;
  std::vector<std::vector<float>> wanted;
  for (int t = 0; t < kThreads; ++t) {
    SetInput(first.get(), 0, input(t));
    ASSERT_OK(first->Run());
    wanted.push_back(Floats(first->output(0)));
  }
  std::vector<std::unique_ptr<Executor>> clones;
  for (int t = 0; t < kThreads; ++t) {
    ASSERT_OK_AND_ASSIGN(auto clone, first->Clone());
    clones.push_back(std::move(clone));
  }
  std::vector<int> right(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto n = static_cast<size_t>(t);
      for (int run = 0; run < kRuns; ++run) {
        SetInput(clones[n].get(), 0, input(t));
        right[n] += clones[n]->Run().ok() && Floats(clones[n]->output(0)) == wanted[n];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(kThreads, kRuns));
}

TEST(ExecutorTest, AnOperatorWithoutKernelIsNamed) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1});
  const int32_t y = b.Op(schema::BuiltinOperator_CUSTOM, "mystery", {x}, {1});
  b.graph().main().nodes[0].custom_code = "Strange";
  b.Output(y);
  auto executor = Executor::Create(std::make_shared<const Graph>(b.graph()), {});
  ASSERT_FALSE(executor.ok());
  EXPECT_THAT(std::string(Message(executor.status())), HasSubstr("Strange 'mystery' (node 0)"));
}

TEST(ExecutorTest, MoreMemoryThanAllowedIsAnError) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1 << 20});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {x}, {1 << 20}));
  auto executor =
      Executor::Create(std::make_shared<const Graph>(b.graph()), {.memory_budget = 1 << 20});
  ASSERT_FALSE(executor.ok());
  EXPECT_THAT(std::string(Message(executor.status())), HasSubstr("MB allowed"));
}

// Before the kernel makes a list of its columns, of four times their bytes.
TEST(ExecutorTest, ResultsAreHeldToTheMemoryBeforeKernelsArePrepared) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 1, 1, 1});
  const int32_t size = b.Ints("size", {2}, {1, 1 << 30});
  b.Output(b.Op(schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, "y", {x, size}, {1, 1, 1 << 30, 1},
                Options(schema::ResizeNearestNeighborOptionsT{})));
  auto executor =
      Executor::Create(std::make_shared<const Graph>(b.graph()), {.memory_budget = 1 << 20});
  ASSERT_FALSE(executor.ok());
  EXPECT_THAT(std::string(Message(executor.status())),
              HasSubstr("(node 0): the tensors need 4096 MB, more than the 1 MB"));
}

// 2^40 matrices and 2^30 columns without elements take no memory and no time.
TEST(ExecutorTest, ShapesWithoutElements) {
  constexpr int32_t kMany = 1 << 20;
  GraphBuilder b;
  const int32_t x = b.Input("x", {kMany, kMany, 0, 3});
  const int32_t ones = b.Floats("ones", {3, 2}, {1, 1, 1, 1, 1, 1});
  b.Output(b.Op(schema::BuiltinOperator_BATCH_MATMUL, "products", {x, ones}, {kMany, kMany, 0, 2},
                Options(schema::BatchMatMulOptionsT{})));
  const int32_t picture = b.Input("picture", {1, 2, 2, 0});
  const int32_t size = b.Ints("size", {2}, {1, 1 << 30});
  b.Output(b.Op(schema::BuiltinOperator_RESIZE_BILINEAR, "resized", {picture, size},
                {1, 1, 1 << 30, 0}, Options(schema::ResizeBilinearOptionsT{})));
  const int32_t none = b.Input("none", {0, 2, 2, 3});
  b.Output(b.Op(schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, "nearest", {none, size},
                {0, 1, 1 << 30, 3}, Options(schema::ResizeNearestNeighborOptionsT{})));
  auto executor = Make(b.graph(), {.memory_budget = 1 << 20});
  ASSERT_NE(executor, nullptr);
  ASSERT_OK(executor->Run());
  EXPECT_EQ(executor->output_shape(0), (Shape{kMany, kMany, 0, 2}));
  EXPECT_EQ(executor->output_shape(1), (Shape{1, 1, 1 << 30, 0}));
}

TEST(ExecutorTest, ObserverSeesEveryNodeAndCancelStops) {
  auto executor = Make(Chain());
  ASSERT_NE(executor, nullptr);
  std::vector<size_t> seen;
  executor->SetObserver([&](size_t node) { seen.push_back(node); });
  ASSERT_OK(executor->Run());
  EXPECT_EQ(seen, (std::vector<size_t>{0, 1, 2, 3}));
  std::atomic<bool> cancel = true;
  Context context;
  context.cancel = &cancel;
  EXPECT_TRUE(absl::IsCancelled(executor->Run(&context)));
}

TEST(ExecutorTest, AnInputMayBeAnOutput) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2});
  b.Output(x);
  auto executor = Make(b.graph());
  ASSERT_NE(executor, nullptr);
  SetInput(executor.get(), 0, {3, 4});
  ASSERT_OK(executor->Run());
  EXPECT_EQ(Floats(executor->output(0)), (std::vector<float>{3, 4}));
}

TEST(InferAllShapesTest, FollowsTheInputs) {
  ASSERT_OK_AND_ASSIGN(const InferredShapes out, InferAllShapes(Chain(), {{5, 3}}));
  const Graph graph = Chain();
  for (const Node& node : graph.main().nodes) {
    EXPECT_EQ(out.shapes[static_cast<size_t>(node.outputs[0])], (Shape{5, 3}));
  }
  ASSERT_OK_AND_ASSIGN(const InferredShapes unknown, InferAllShapes(ReshapeToInput(), {}));
  EXPECT_FALSE(unknown.known[static_cast<size_t>(ReshapeToInput().main().nodes[0].outputs[0])]);
}

}  // namespace
}  // namespace litesmith
