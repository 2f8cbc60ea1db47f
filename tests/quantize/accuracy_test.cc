// What quantization costs on the 10,000 MNIST test images.

#include <nlohmann/json.hpp>

#include "data/dataset.h"
#include "data/npy.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::MemoryDataset;
using testing::SharedDir;

struct TestSet {
  std::vector<float> pixels;
  std::vector<int64_t> labels;
};

absl::StatusOr<TestSet> ReadTestSet() {
  DatasetOptions options;
  options.split = "test";
  InputSpec input;
  input.shape = {28, 28, 1};
  LS_ASSIGN_OR_RETURN(auto data, OpenDataset(SharedDir() + "/data/mnist", options,
                                             DataUse::kEvaluation, {input}, Context{}));
  TestSet out;
  Sample sample;
  for (int64_t i = 0; i < data->size(); ++i) {
    LS_RETURN_IF_ERROR(data->Read(i, &sample));
    const auto values = sample.inputs[0].data<float>();
    out.pixels.insert(out.pixels.end(), values.begin(), values.end());
    out.labels.push_back(*sample.label);
  }
  return out;
}

// Right answers of a float-in, float-out model; the first of equal scores counts.
absl::StatusOr<int> CountRight(const Graph& graph, const TestSet& test) {
  constexpr size_t kBatch = 100, kPixels = 784, kClasses = 10;
  ExecutorOptions options;
  options.num_threads = 0;
  options.input_shapes = {{kBatch, 28, 28, 1}};
  LS_ASSIGN_OR_RETURN(auto executor, Executor::Create(std::make_shared<Graph>(graph), options));
  int right = 0;
  for (size_t start = 0; start < test.labels.size(); start += kBatch) {
    std::memcpy(executor->input(0).data(), test.pixels.data() + start * kPixels,
                kBatch * kPixels * sizeof(float));
    LS_RETURN_IF_ERROR(executor->Run());
    const auto* scores = reinterpret_cast<const float*>(executor->output(0).data());
    for (size_t i = 0; i < kBatch; ++i) {
      const float* row = scores + i * kClasses;
      right += std::max_element(row, row + kClasses) - row == test.labels[start + i] ? 1 : 0;
    }
  }
  return right;
}

TEST(MnistAccuracy, OfTenThousandImages) {
  REQUIRE_SHARED();
  const std::string dir = SharedDir() + "/golden/mnist/";
  ASSERT_OK_AND_ASSIGN(const TestSet test, ReadTestSet());
  ASSERT_EQ(test.labels.size(), 10000u);
  ASSERT_OK_AND_ASSIGN(const Array pixels, ReadNpy(dir + "calibration_u8.npy", Context{}));
  Array real = Array::Zeros(ElementType::kFloat32, {pixels.shape[0], 28, 28, 1});
  for (size_t i = 0; i < pixels.bytes.size(); ++i) {
    real.mutable_data<float>()[i] = static_cast<float>(pixels.data<uint8_t>()[i]) / 255.0f;
  }
  MemoryDataset data({real});
  ASSERT_OK_AND_ASSIGN(const Graph graph,
                       ReadTflite(dir + "mnist_model_float32.tflite", Context{}));
  ASSERT_OK_AND_ASSIGN(const int right, CountRight(graph, test));
  EXPECT_NEAR(right, 9774, 1);
  fmt::print("float32: {} of 10000\n", right);
  const std::pair<const char*, int> bars[] = {
      {"float16", 9773}, {"dynamic", 9773}, {"int8", 9771}, {"int16x8", 9774}};
  for (const auto& [recipe, least] : bars) {
    QuantizeOptions options;
    ASSERT_OK_AND_ASSIGN(options.recipe, FindRecipe(recipe));
    ASSERT_OK_AND_ASSIGN(const Graph quantized, Quantize(graph, &data, options, Context{}));
    ASSERT_OK_AND_ASSIGN(const int count, CountRight(quantized, test));
    fmt::print("{}: {} of 10000\n", recipe, count);
    EXPECT_GE(count, least) << recipe;
  }
}

}  // namespace
}  // namespace litesmith
