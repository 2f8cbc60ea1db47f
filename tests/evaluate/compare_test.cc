#include "evaluate/compare.h"

#include <cmath>

#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::SharedDir;

// y = relu(x + b), named after its layer.
std::shared_ptr<const Graph> Shifted(float b0, int32_t size = 4) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, size});
  const int32_t bias = b.Floats("b", {size}, std::vector<float>(static_cast<size_t>(size), b0));
  const int32_t sum = b.Op(schema::BuiltinOperator_ADD, "sum", {x, bias}, {1, size});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {sum}, {1, size}));
  return std::make_shared<const Graph>(b.graph());
}

testing::MemoryDataset Samples() {
  testing::MemoryDataset data;
  for (const std::vector<float>& row : {std::vector<float>{-1, 2, 3, 4}, {5, -6, 7, 8}}) {
    data.Add({4}, row);
    data.samples().back().label = 3;
  }
  return data;
}

const TensorComparison* Find(const Comparison& c, const std::string& name) {
  for (const TensorComparison& t : c.tensors) {
    if (t.name == name) return &t;
  }
  return nullptr;
}

TEST(Compare, NumbersAreTheirDefinitions) {
  testing::MemoryDataset data = Samples();
  ASSERT_OK_AND_ASSIGN(const Comparison c,
                       Compare(Shifted(0.0f), Shifted(0.5f), &data, {}, Context()));
  EXPECT_EQ(c.samples, 2);
  const TensorComparison* sum = Find(c, "sum");
  ASSERT_NE(sum, nullptr);
  // Signal 1+4+9+16 + 25+36+49+64 = 204; error 8 * 0.25.
  EXPECT_NEAR(sum->sqnr_db, 10.0 * std::log10(204.0 / 2.0), 1e-9);
  EXPECT_DOUBLE_EQ(sum->max_error, 0.5);
  EXPECT_DOUBLE_EQ(sum->min, -6.0);
  EXPECT_DOUBLE_EQ(sum->max, 8.0);
  double product = 0.0, other = 0.0;
  for (double x : {-1, 2, 3, 4, 5, -6, 7, 8}) {
    product += x * (x + 0.5);
    other += (x + 0.5) * (x + 0.5);
  }
  EXPECT_NEAR(sum->cosine, product / std::sqrt(204.0 * other), 1e-9);
  int64_t counted = 0;
  for (int64_t n : sum->other_histogram) counted += n;
  EXPECT_EQ(counted, 8);
  EXPECT_EQ(c.classes, 4);
  EXPECT_EQ(c.agree, 2);
  EXPECT_EQ(c.correct, 2);
  EXPECT_EQ(c.confusion[3 * 4 + 3], 2);
}

TEST(Compare, EqualModelsAreEqual) {
  testing::MemoryDataset data = Samples();
  ASSERT_OK_AND_ASSIGN(const Comparison c,
                       Compare(Shifted(0.0f), Shifted(0.0f), &data, {}, Context()));
  for (const TensorComparison& t : c.tensors) {
    EXPECT_TRUE(std::isinf(t.sqnr_db)) << t.name;
    EXPECT_NEAR(t.cosine, 1.0, 1e-12);
    EXPECT_EQ(t.max_error, 0.0);
  }
}

TEST(Compare, OtherShapesAreNoPair) {
  testing::MemoryDataset data = Samples();
  const auto c = Compare(Shifted(0.0f), Shifted(0.0f, 5), &data, {}, Context());
  ASSERT_FALSE(c.ok());
  EXPECT_THAT(std::string(Message(c.status())), HasSubstr("no pair"));
}

// The official int8 file beside the official float one: every layer is found, and none is far off.
TEST(Compare, OfficialFiles) {
  REQUIRE_SHARED();
  const std::string dir = SharedDir() + "/models/bench/resnet8_";
  ASSERT_OK_AND_ASSIGN(Graph reference, ReadTflite(dir + "float32.tflite", Context()));
  ASSERT_OK_AND_ASSIGN(Graph int8, ReadTflite(dir + "int8.tflite", Context()));
  testing::MemoryDataset data;
  std::vector<float> image(32 * 32 * 3);
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>((i * 37) % 256);
  data.Add({32, 32, 3}, image);
  ASSERT_OK_AND_ASSIGN(
      const Comparison c,
      Compare(std::make_shared<const Graph>(std::move(reference)),
              std::make_shared<const Graph>(std::move(int8)), &data, {}, Context()));
  EXPECT_EQ(c.tensors.size(), 16u);
  for (const TensorComparison& t : c.tensors) {
    EXPECT_GT(t.cosine, 0.8) << t.name;
    EXPECT_EQ(t.type, "INT8") << t.name;
    EXPECT_GT(t.scale, 0.0) << t.name;
  }
  EXPECT_FALSE(c.labelled);
}

}  // namespace
}  // namespace litesmith
