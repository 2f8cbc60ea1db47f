#include "kernels/pool_f32.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/reference/pool.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using testing::MakeConv;

// Blocks that end where their allocation ends: sanitizers see reads and writes beyond them.
void CheckMaxPool(const ConvGeometry& g) {
  SCOPED_TRACE(testing::Describe(g));
  const size_t size = testing::InputSize(g), outputs = testing::OutputSize(g);
  std::vector<float> values = testing::RandomFloats(size, 5);
  values[size / 2] = NAN;
  const auto input = std::make_unique<float[]>(size);
  std::copy(values.begin(), values.end(), input.get());
  const size_t rows = static_cast<size_t>(g.batches) * g.out_h, middle = rows / 2;
  std::vector<float> expected(outputs);
  reference::PoolRows(g, input.get(), expected.data(), 0, rows,
                      reference::MaxPool<float, float>{-0.5f, 0.9f});
  testing::ForEachTarget(PoolTargets(), [&](const char*) {
    const auto actual = std::make_unique<float[]>(outputs);
    // The rows below first: those above must not write into them.
    MaxPoolF32(g, input.get(), -0.5f, 0.9f, actual.get(), middle, rows);
    MaxPoolF32(g, input.get(), -0.5f, 0.9f, actual.get(), 0, middle);
    for (size_t i = 0; i < outputs; ++i) ASSERT_EQ(actual[i], expected[i]) << "at " << i;
  });
}

TEST(MaxPoolF32, IsTheReference) {
  for (const int channels : {1, 3, 8, 12, 16, 21}) {
    CheckMaxPool(MakeConv(2, 9, channels, channels, 2, 2, 1, false));
    CheckMaxPool(MakeConv(1, 6, channels, channels, 3, 1, 1, true));
    CheckMaxPool(MakeConv(1, 5, channels, channels, 3, 2, 1, true));
  }
}

}  // namespace
}  // namespace litesmith
