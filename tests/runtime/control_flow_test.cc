// IF, WHILE, CALL_ONCE and variables. Their results are compared with LiteRT's in tests/peers.

#include <atomic>
#include <chrono>
#include <cstring>

#include "ir/verify.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;

constexpr TensorType kBool = schema::TensorType_BOOL, kResource = schema::TensorType_RESOURCE;

Options WhileOf(int32_t condition, int32_t body) {
  schema::WhileOptionsT o;
  o.cond_subgraph_index = condition;
  o.body_subgraph_index = body;
  return Options(std::move(o));
}

Options IfOf(int32_t yes, int32_t no) {
  schema::IfOptionsT o;
  o.then_subgraph_index = yes;
  o.else_subgraph_index = no;
  return Options(std::move(o));
}

void AddNode(GraphBuilder* b, schema::BuiltinOperator op, std::vector<int32_t> inputs,
             std::vector<int32_t> outputs, Options options) {
  Node node;
  node.op = op;
  node.inputs = std::move(inputs);
  node.outputs = std::move(outputs);
  node.options = std::move(options);
  b->graph().main().nodes.push_back(std::move(node));
}

// x < limit; x is one number.
Subgraph Below(float limit) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1});
  b.Output(b.Op(schema::BuiltinOperator_LESS, "below", {x, b.Floats("limit", {1}, {limit})}, {1},
                {}, kBool));
  return b.graph().main();
}

// x * factor + term, of any shape.
Subgraph Affine(float factor, float term, Shape shape = {1}) {
  GraphBuilder b;
  const int32_t x = b.Input("x", shape);
  const int32_t scaled =
      b.Op(schema::BuiltinOperator_MUL, "scaled", {x, b.Floats("factor", {1}, {factor})}, shape,
           Options(schema::MulOptionsT{}));
  b.Output(b.Op(schema::BuiltinOperator_ADD, "moved", {scaled, b.Floats("term", {1}, {term})},
                shape, Options(schema::AddOptionsT{})));
  return b.graph().main();
}

// x doubled in length, along its only axis.
Subgraph Doubling() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1});
  b.Output(b.Op(schema::BuiltinOperator_CONCATENATION, "longer", {x, x}, {2},
                Options(schema::ConcatenationOptionsT{})));
  return b.graph().main();
}

// Always true, of whatever length.
Subgraph Always() {
  GraphBuilder b;
  b.Input("x", {1});
  const int32_t t = b.Value("true", {1}, kBool);
  b.graph().main().tensors[static_cast<size_t>(t)].data =
      Blob::Copy(std::as_bytes(std::span("\1", 1)));
  b.Output(t);
  return b.graph().main();
}

Graph Loop(Subgraph condition, Subgraph body) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1});
  b.Output(b.Op(schema::BuiltinOperator_WHILE, "loop", {x}, {1}, WhileOf(1, 2)));
  Graph graph = b.graph();
  graph.subgraphs.push_back(std::move(condition));
  graph.subgraphs.push_back(std::move(body));
  return graph;
}

std::unique_ptr<Executor> Make(const Graph& graph, ExecutorOptions options = {}) {
  EXPECT_OK(Verify(graph));
  auto executor = Executor::Create(std::make_shared<const Graph>(graph), options);
  EXPECT_OK(executor);
  return executor.ok() ? std::move(*executor) : nullptr;
}

void Feed(Executor* executor, size_t i, float value) {
  std::memcpy(executor->input(i).data(), &value, sizeof(value));
}

std::vector<float> Result(const Executor& executor, size_t i = 0) {
  std::vector<float> out(executor.output(i).size() / sizeof(float));
  std::memcpy(out.data(), executor.output(i).data(), executor.output(i).size());
  return out;
}

TEST(ControlFlowTest, ALoopRunsUntilItsConditionFails) {
  auto executor = Make(Loop(Below(100.0f), Affine(2.0f, 1.0f)));
  ASSERT_NE(executor, nullptr);
  for (int run = 0; run < 2; ++run) {
    Feed(executor.get(), 0, 1.0f);
    ASSERT_OK(executor->Run());
    EXPECT_EQ(Result(*executor), (std::vector<float>{127.0f}));
    Feed(executor.get(), 0, 200.0f);  // never entered
    ASSERT_OK(executor->Run());
    EXPECT_EQ(Result(*executor), (std::vector<float>{200.0f}));
  }
}

TEST(ControlFlowTest, AnEndlessLoopEndsAtTheDeadline) {
  auto executor = Make(Loop(Always(), Affine(1.0f, 0.0f)));
  ASSERT_NE(executor, nullptr);
  Context context;
  context.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  EXPECT_EQ(executor->Run(&context).code(), absl::StatusCode::kDeadlineExceeded);
  const std::atomic<bool> cancel = true;
  Context cancelled;
  cancelled.cancel = &cancel;
  EXPECT_EQ(executor->Run(&cancelled).code(), absl::StatusCode::kCancelled);
}

TEST(ControlFlowTest, AGrowingLoopEndsAtTheMemoryBudget) {
  auto executor = Make(Loop(Always(), Doubling()), {.memory_budget = 1 << 20});
  ASSERT_NE(executor, nullptr);
  const absl::Status status = executor->Run();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("allowed"));
}

TEST(ControlFlowTest, TheBranchThatTheConditionChooses) {
  GraphBuilder b;
  const int32_t choose = b.Input("choose", {1}, kBool);
  const int32_t x = b.Input("x", {1});
  const int32_t y = b.Op(schema::BuiltinOperator_IF, "chosen", {choose, x}, {1}, IfOf(1, 2));
  b.Output(b.Op(schema::BuiltinOperator_NEG, "negative", {y}, {1}));
  Graph graph = b.graph();
  graph.subgraphs.push_back(Affine(1.0f, 10.0f));
  graph.subgraphs.push_back(Doubling());
  auto executor = Make(graph);
  ASSERT_NE(executor, nullptr);
  for (int run = 0; run < 2; ++run) {
    Feed(executor.get(), 1, 3.0f);
    *executor->input(0).data() = std::byte{1};
    ASSERT_OK(executor->Run());
    EXPECT_EQ(Result(*executor), (std::vector<float>{-13.0f}));
    *executor->input(0).data() = std::byte{0};
    ASSERT_OK(executor->Run());
    EXPECT_EQ(Result(*executor), (std::vector<float>{-3.0f, -3.0f}));
    EXPECT_EQ(executor->output_shape(0), (Shape{2}));
  }
}

// Counts its runs in a variable that an initial subgraph sets to 5.
Graph Counter() {
  schema::VarHandleOptionsT name;
  name.shared_name = "count";
  schema::CallOnceOptionsT once;
  once.init_subgraph_index = 1;
  GraphBuilder init;
  const int32_t there = init.Op(schema::BuiltinOperator_VAR_HANDLE, "handle", {}, {},
                                Options(schema::VarHandleOptionsT(name)), kResource);
  AddNode(&init, schema::BuiltinOperator_ASSIGN_VARIABLE, {there, init.Floats("five", {1}, {5.0f})},
          {}, {});
  GraphBuilder b;
  AddNode(&b, schema::BuiltinOperator_CALL_ONCE, {}, {}, Options(std::move(once)));
  const int32_t here = b.Op(schema::BuiltinOperator_VAR_HANDLE, "handle", {}, {},
                            Options(std::move(name)), kResource);
  const int32_t old = b.Op(schema::BuiltinOperator_READ_VARIABLE, "old", {here}, {1});
  const int32_t next =
      b.Op(schema::BuiltinOperator_ADD, "next", {old, b.Floats("one", {1}, {1.0f})}, {1},
           Options(schema::AddOptionsT{}));
  AddNode(&b, schema::BuiltinOperator_ASSIGN_VARIABLE, {here, next}, {}, {});
  b.Output(next);
  Graph graph = b.graph();
  graph.subgraphs.push_back(init.graph().main());
  return graph;
}

TEST(ControlFlowTest, VariablesLiveUntilTheyAreReset) {
  auto executor = Make(Counter());
  ASSERT_NE(executor, nullptr);
  for (float expected : {6.0f, 7.0f}) {
    ASSERT_OK(executor->Run());
    EXPECT_EQ(Result(*executor), (std::vector<float>{expected}));
  }
  ASSERT_OK_AND_ASSIGN(auto clone, executor->Clone());
  ASSERT_OK(clone->Run());
  EXPECT_EQ(Result(*clone), (std::vector<float>{6.0f}));  // its own
  executor->ResetVariables();
  ASSERT_OK(executor->Run());
  EXPECT_EQ(Result(*executor), (std::vector<float>{6.0f}));
}

TEST(ControlFlowTest, AVariableWithoutAValueIsNamed) {
  Graph graph = Counter();
  graph.main().nodes.erase(graph.main().nodes.begin());
  auto executor = Make(graph);
  ASSERT_NE(executor, nullptr);
  EXPECT_THAT(std::string(executor->Run().message()),
              HasSubstr("the variable 'count' has no value yet"));
}

TEST(ControlFlowTest, ASubgraphThatDoesNotFitIsRefused) {
  Graph graph = Loop(Below(1.0f), Affine(1.0f, 1.0f));
  graph.subgraphs[1].inputs.clear();
  graph.subgraphs[1].nodes.clear();
  graph.subgraphs[1].tensors[static_cast<size_t>(graph.subgraphs[1].outputs[0])].data =
      Blob::Copy(std::as_bytes(std::span("\1", 1)));
  ASSERT_OK(Verify(graph));
  EXPECT_FALSE(Executor::Create(std::make_shared<const Graph>(graph), {}).ok());
  Graph typed = Loop(Below(1.0f), Affine(1.0f, 1.0f));
  typed.subgraphs[2].tensors[static_cast<size_t>(typed.subgraphs[2].inputs[0])].type =
      schema::TensorType_INT32;
  EXPECT_FALSE(Executor::Create(std::make_shared<const Graph>(typed), {}).ok());
}

// Each level runs the next one twice; without sharing, 2^40 programs would be built.
TEST(ControlFlowTest, ManyCallsAreNotBuiltManyTimes) {
  constexpr int32_t kLevels = 40;
  Graph graph;
  for (int32_t level = 0; level < kLevels; ++level) {
    GraphBuilder b;
    const int32_t x = b.Input("x", {1});
    const int32_t off = b.Value("off", {1}, kBool);
    b.graph().main().tensors[static_cast<size_t>(off)].data =
        Blob::Copy(std::as_bytes(std::span("\0", 1)));
    if (level + 1 == kLevels) {
      b.Output(b.Op(schema::BuiltinOperator_NEG, "y", {x}, {1}));
    } else {
      const Options next = IfOf(level + 1, kLevels - 1);
      const int32_t y = b.Op(schema::BuiltinOperator_IF, "first", {off, x}, {1}, next);
      b.Output(b.Op(schema::BuiltinOperator_IF, "second", {off, y}, {1}, next));
    }
    graph.subgraphs.push_back(b.graph().main());
  }
  auto executor = Make(graph);
  ASSERT_NE(executor, nullptr);
  Feed(executor.get(), 0, 2.0f);
  ASSERT_OK(executor->Run());
  EXPECT_EQ(Result(*executor), (std::vector<float>{2.0f}));
}

}  // namespace
}  // namespace litesmith
