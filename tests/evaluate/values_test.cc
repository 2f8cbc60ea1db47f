#include <cmath>
#include <limits>

#include "evaluate/evaluate.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

Tensor Quantized(TensorType type, float scale, int64_t zero_point) {
  Tensor tensor;
  tensor.name = "x";
  tensor.type = type;
  tensor.shape = {1, 4};
  tensor.quant = QuantParams::PerTensor(scale, zero_point);
  return tensor;
}

Array Floats(const std::vector<float>& values) {
  Array array = Array::Zeros(ElementType::kFloat32, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), array.mutable_data<float>().begin());
  return array;
}

TEST(StoreInput, QuantizesAsTheQuantizeOperator) {
  const Tensor tensor = Quantized(schema::TensorType_INT8, 0.003922f, -128);
  std::vector<int8_t> out(4);
  ASSERT_OK(StoreInput(Floats({0.0f, 1.0f, 2.0f, -1.0f}), tensor,
                       std::as_writable_bytes(std::span(out))));
  EXPECT_EQ(out, (std::vector<int8_t>{-128, 127, 127, -128}));
}

TEST(StoreInput, RoundsHalfAwayFromZero) {
  const Tensor tensor = Quantized(schema::TensorType_INT16, 1.0f, 0);
  std::vector<int16_t> out(4);
  ASSERT_OK(StoreInput(Floats({0.5f, -0.5f, 1.5f, -2.5f}), tensor,
                       std::as_writable_bytes(std::span(out))));
  EXPECT_EQ(out, (std::vector<int16_t>{1, -1, 2, -3}));
}

TEST(StoreInput, RefusesABadScaleByName) {
  std::vector<int8_t> out(4);
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    const absl::Status status =
        StoreInput(Floats({0, 0, 0, 0}), Quantized(schema::TensorType_INT8, scale, 0),
                   std::as_writable_bytes(std::span(out)));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(Message(status)).find("'x'"), std::string::npos) << status;
  }
}

TEST(StoreInput, RefusesOtherSizesAndTypes) {
  std::vector<int8_t> out(4);
  const Tensor tensor = Quantized(schema::TensorType_INT8, 1.0f, 0);
  EXPECT_FALSE(StoreInput(Floats({0, 0, 0}), tensor, std::as_writable_bytes(std::span(out))).ok());
  EXPECT_FALSE(StoreInput(Array::Zeros(ElementType::kInt16, {4}), tensor,
                          std::as_writable_bytes(std::span(out)))
                   .ok());
}

TEST(LoadOutput, GivesRealValues) {
  const std::vector<int8_t> bytes = {-128, 0, 127};
  ASSERT_OK_AND_ASSIGN(
      const std::vector<float> values,
      LoadOutput(std::as_bytes(std::span(bytes)), Quantized(schema::TensorType_INT8, 0.5f, -128)));
  EXPECT_EQ(values, (std::vector<float>{0.0f, 64.0f, 127.5f}));
}

TEST(Summarise, Statistics) {
  std::vector<double> ms;
  for (int i = 20; i >= 1; --i) ms.push_back(i);
  const Latency latency = Summarise(ms);
  EXPECT_DOUBLE_EQ(latency.avg, 10.5);
  EXPECT_DOUBLE_EQ(latency.median, 10.5);
  EXPECT_DOUBLE_EQ(latency.min, 1.0);
  EXPECT_DOUBLE_EQ(latency.max, 20.0);
  EXPECT_DOUBLE_EQ(latency.p95, 19.0);
  EXPECT_NEAR(latency.std, std::sqrt(35.0), 1e-12);
  EXPECT_DOUBLE_EQ(Summarise({3.0}).std, 0.0);
}

}  // namespace
}  // namespace litesmith
