#include "runtime/fold_budget.h"

#include "passes/passes.h"
#include "runtime/program.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;

// A convolution of constants, side x side with a filter of the same size, and an ADD of its result.
Graph ConstantConvolution(int32_t side) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, side, side, 1});
  const int32_t data = b.Ramp("data", {1, side, side, 1}, 0.0f, 0.001f);
  const int32_t filter = b.Ramp("filter", {1, side, side, 1}, 0.0f, 0.001f);
  schema::Conv2DOptionsT conv;
  conv.padding = schema::Padding_SAME;
  conv.stride_h = conv.stride_w = 1;
  const int32_t y = b.Op(schema::BuiltinOperator_CONV_2D, "y", {data, filter, -1},
                         {1, side, side, 1}, Options(conv));
  b.Output(b.Op(schema::BuiltinOperator_ADD, "z", {x, y}, {1, side, side, 1},
                Options(schema::AddOptionsT())));
  return b.graph();
}

size_t StepsOf(const Graph& graph, uint64_t memory = uint64_t{1} << 30) {
  ExecutorOptions options;
  options.memory_budget = memory;
  const auto program = BuildProgram(std::make_shared<const Graph>(graph), options, 0);
  EXPECT_OK(program);
  return program.ok() ? (*program)->steps.size() : 0;
}

// A megabyte that asks for 7e10 products: preparing the model takes no time for it.
TEST(FoldBudget, HeavyConstantsAreLeftToTheRun) {
  EXPECT_EQ(StepsOf(ConstantConvolution(16)), 1u);
  EXPECT_EQ(StepsOf(ConstantConvolution(512)), 2u);
  Graph small = ConstantConvolution(16), large = ConstantConvolution(512);
  ASSERT_OK_AND_ASSIGN(const bool folded, FoldConstants(&small, Context(), false));
  EXPECT_TRUE(folded);
  EXPECT_EQ(small.main().nodes.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const bool heavy, FoldConstants(&large, Context(), false));
  EXPECT_FALSE(heavy);
}

// Many results that each are within the memory, and together are not.
TEST(FoldBudget, TheSumOfAllResultsIsBounded) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1000, 250});
  const int32_t shape = b.Ints("shape", {2}, {1000, 250});
  int32_t sum = x;
  for (int i = 0; i < 10; ++i) {
    const int32_t value = b.Floats(fmt::format("v{}", i), {}, {static_cast<float>(i)});
    const int32_t filled =
        b.Op(schema::BuiltinOperator_FILL, fmt::format("f{}", i), {shape, value}, {1000, 250});
    sum = b.Op(schema::BuiltinOperator_ADD, fmt::format("s{}", i), {sum, filled}, {1000, 250},
               Options(schema::AddOptionsT()));
  }
  b.Output(sum);
  EXPECT_EQ(StepsOf(b.graph()), 10u);
  EXPECT_EQ(StepsOf(b.graph(), 5'500'000), 15u);
}

TEST(FoldBudget, Work) {
  FoldBudget budget(100);
  EXPECT_FALSE(budget.Take(1, 101));
  EXPECT_TRUE(budget.Take(1, 60));
  EXPECT_FALSE(budget.Take(1, 60));
  EXPECT_FALSE(budget.Take(UINT64_MAX, 1));
  EXPECT_TRUE(budget.Take(1, 40));
}

}  // namespace
}  // namespace litesmith
