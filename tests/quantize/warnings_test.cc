#include "quantize/warnings.h"

#include <limits>

#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MemoryDataset;
using ::testing::Not;

QuantizeOptions For(const char* recipe) {
  QuantizeOptions options;
  options.recipe = FindRecipe(recipe).value();
  return options;
}

MemoryDataset Plain() {
  MemoryDataset data;
  data.Add({1, 4}, {-1.0f, -0.5f, 0.5f, 1.0f});
  data.Add({1, 4}, {0.9f, -0.75f, 0.25f, -1.0f});
  return data;
}

std::vector<std::string> WarningsOf(const Graph& graph, MemoryDataset data, const char* recipe) {
  std::vector<std::string> out;
  Context context;
  context.warn = [&](const std::string& w) { out.push_back(w); };
  QuantizeOptions options = For(recipe);
  options.num_calibration_samples = data.size();
  EXPECT_OK(Quantize(graph, &data, options, context));
  return out;
}

int32_t Times(GraphBuilder* b, int32_t x, const char* name, float factor) {
  return b->Op(schema::BuiltinOperator_MUL, name,
               {x, b->Floats(std::string(name) + "/factor", {}, {factor})}, {1, 4});
}

TEST(Warnings, NoneForASoundModel) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(Times(&b, x, "y", 2.0f));
  for (const char* recipe : {"int8", "int16x8"}) {
    EXPECT_THAT(WarningsOf(b.graph(), Plain(), recipe), IsEmpty());
  }
  EXPECT_THAT(FileWarnings(b.graph()), IsEmpty());
}

TEST(Warnings, AConcatenationOfRangesThatDiffer) {
  for (const float factor : {100.0f, 30.0f}) {
    GraphBuilder b;
    const int32_t x = b.Input("x", {1, 4});
    schema::ConcatenationOptionsT options;
    options.axis = 1;
    const int32_t both = b.Op(schema::BuiltinOperator_CONCATENATION, "both",
                              {Times(&b, x, "wide", factor), x}, {1, 8}, Options(options));
    b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {both}, {1, 8}));
    const auto warned =
        AllOf(HasSubstr("CONCATENATION 'both'"), HasSubstr("'wide'"), HasSubstr("--keep-float"));
    const auto int8 = WarningsOf(b.graph(), Plain(), "int8");
    if (factor > 50.0f) {
      EXPECT_THAT(int8, Contains(warned));
    } else {
      EXPECT_THAT(int8, Not(Contains(warned)));
    }
    EXPECT_THAT(WarningsOf(b.graph(), Plain(), "int16x8"), Not(Contains(warned)));
  }
}

TEST(Warnings, AnOutputThatInt8CannotHold) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(Times(&b, x, "price", 5000.0f));
  const auto warned = AllOf(HasSubstr("output 'price'"), HasSubstr("int16x8"));
  EXPECT_THAT(WarningsOf(b.graph(), Plain(), "int8"), Contains(warned));
  MemoryDataset data = Plain();
  QuantizeOptions options = For("int8");
  options.output_type = ElementType::kInt8;
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, options, Context{}));
  EXPECT_THAT(FileWarnings(out), Contains(HasSubstr("output 'price'")));
}

TEST(Warnings, DeadChannels) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t w = b.Floats("w", {3, 4}, {1, 2, 3, 4, 0, 0, 0, 0, -1, 1, -1, 1});
  b.Output(b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "fc", {x, w, -1}, {1, 3}));
  const auto warned = AllOf(HasSubstr("1 of 3 channels"), HasSubstr("FULLY_CONNECTED 'fc'"));
  EXPECT_THAT(WarningsOf(b.graph(), Plain(), "int8"), Contains(warned));
  EXPECT_THAT(FileWarnings(b.graph()), Contains(warned));
  MemoryDataset data = Plain();
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int8"), Context{}));
  EXPECT_THAT(FileWarnings(out), Contains(warned));
}

TEST(Warnings, ConstantTensors) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t low = Times(&b, x, "low", 1.0f);
  const int32_t none = b.Op(schema::BuiltinOperator_SUB, "none",
                            {b.Op(schema::BuiltinOperator_RELU, "up", {low}, {1, 4}),
                             b.Op(schema::BuiltinOperator_RELU, "again", {low}, {1, 4})},
                            {1, 4});
  b.Output(b.Op(schema::BuiltinOperator_ADD, "y", {none, x}, {1, 4}));
  EXPECT_THAT(WarningsOf(b.graph(), Plain(), "int8"),
              Contains(AllOf(HasSubstr("'none' is 0"), HasSubstr("samples"))));
}

TEST(Warnings, Outliers) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(Times(&b, x, "y", 2.0f));
  MemoryDataset data = Plain();
  data.Add({1, 4}, {30.0f, 0.0f, 0.0f, 0.0f});
  EXPECT_THAT(WarningsOf(b.graph(), data, "int8"),
              Contains(AllOf(HasSubstr("'x' reaches 30"), HasSubstr("outlier"))));
}

TEST(Warnings, APadValueThatWidensTheRange) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t padded =
      b.Op(schema::BuiltinOperator_PADV2, "padded",
           {x, b.Ints("around", {2, 2}, {0, 0, 1, 1}), b.Floats("value", {}, {-1000.0f})}, {1, 6});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {padded}, {1, 6}));
  EXPECT_THAT(WarningsOf(b.graph(), Plain(), "int8"),
              Contains(AllOf(HasSubstr("PADV2 'padded'"), HasSubstr("-1000"))));
}

}  // namespace
}  // namespace litesmith
