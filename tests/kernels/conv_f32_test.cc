#include "kernels/conv_f32.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/gemm_f32.h"
#include "kernels/reference/stage.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using testing::ConvCases;
using testing::Describe;
using testing::RandomFloats;

TEST(ConvF32, AgreesWithTheReferenceLoop) {
  testing::ForEachTarget(GemmTargets(), [](const char*) {
    for (const ConvGeometry& g : ConvCases()) {
      SCOPED_TRACE(Describe(g));
      ASSERT_TRUE(ConvF32Fits(g));
      const std::vector<float> x = RandomFloats(testing::InputSize(g), 1);
      const std::vector<float> w = RandomFloats(testing::WeightSize(g), 2);
      const std::vector<float> bias = RandomFloats(static_cast<size_t>(g.out_c), 3);
      std::vector<float> expected(testing::OutputSize(g)), actual(expected.size(), NAN);
      reference::Convolve<float>(g, {}, x.data(), w.data(), 0,
                                 static_cast<size_t>(g.batches) * g.out_h,
                                 reference::FloatStage{bias.data(), 0.0f, 6.0f, expected.data()});
      std::vector<float> packed(PackedConvFloats(g));
      PackConvF32(g, w.data(), packed.data());
      std::vector<float> first;
      for (int threads : testing::ThreadCounts({1, 3})) {
        ThreadPool pool(threads);
        std::vector<std::byte> scratch(ConvF32ScratchBytes(g));
        ConvF32(g, x.data(), packed.data(), {actual.data(), bias.data(), 0.0f, 6.0f, false},
                scratch.data(), &pool);
        for (size_t i = 0; i < expected.size(); ++i) {
          ASSERT_NEAR(actual[i], expected[i], 1e-5) << "at " << i;
        }
        if (first.empty()) first = actual;
        ASSERT_EQ(std::memcmp(first.data(), actual.data(), actual.size() * sizeof(float)), 0);
      }
    }
  });
}

TEST(ConvF32, AbsurdDilationsAreLeftToTheReference) {
  ConvGeometry g = ConvCases()[0];
  g.dilation_h = g.dilation_w = 1 << 30;
  g.pad_h = g.pad_w = 1 << 30;
  EXPECT_FALSE(ConvF32Fits(g));
}

}  // namespace
}  // namespace litesmith
