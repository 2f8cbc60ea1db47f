// Which matrices BATCH_MATMUL takes, also where there are very many of them.

#include <array>

#include "tests/ops/op_runner.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using schema::TensorType_FLOAT32;
using ::testing::ElementsAre;
using testing::OpRunner;

OpRunner Product() {
  return OpRunner(schema::BuiltinOperator_BATCH_MATMUL, Options(schema::BatchMatMulOptionsT()));
}

// Index of the matrix that output matrix (a, b, c) is made of in an operand with these sizes.
size_t MatrixOf(const Shape& sizes, const std::array<int32_t, 3>& at) {
  size_t index = 0;
  for (size_t d = 0; d < 3; ++d) {
    if (d + sizes.size() < 3) continue;
    const int32_t size = sizes[d + sizes.size() - 3];
    index = index * size + (size == 1 ? 0 : at[d]);
  }
  return index;
}

TEST(BatchMatMul, RepeatsOperandsAlongBatchDimensions) {
  constexpr int32_t kSizes[3] = {2, 3, 4};
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{2, 3, 4}, {2, 3, 4}}, {{2, 1, 4}, {1, 3, 1}}, {{1, 3, 4}, {2, 1, 1}},
      {{3, 1}, {2, 1, 4}},    {{2, 3, 4}, {}},        {{4}, {2, 3, 1}}};
  for (const auto& [left, right] : cases) {
    Shape x = left, y = right;  // matrices of one number each
    x.insert(x.end(), {1, 1});
    y.insert(y.end(), {1, 1});
    std::vector<float> a(NumElements(x)), b(NumElements(y));
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i + 1);
    for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(100 * i + 1);
    OpRunner runner = Product();
    runner.Fed(TensorType_FLOAT32, x, a).Fed(TensorType_FLOAT32, y, b).Out(TensorType_FLOAT32);
    ASSERT_OK(runner.Run());
    ASSERT_THAT(runner.ResultShape(), ElementsAre(2, 3, 4, 1, 1));
    std::vector<float> want;
    for (int32_t i = 0; i < kSizes[0]; ++i) {
      for (int32_t j = 0; j < kSizes[1]; ++j) {
        for (int32_t k = 0; k < kSizes[2]; ++k) {
          want.push_back(a[MatrixOf(left, {i, j, k})] * b[MatrixOf(right, {i, j, k})]);
        }
      }
    }
    EXPECT_EQ(runner.Result<float>(), want) << ShapeString(x) << ShapeString(y);
  }
}

}  // namespace
}  // namespace litesmith
