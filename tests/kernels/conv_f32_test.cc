#include "kernels/conv_f32.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/aligned.h"
#include "kernels/gemm_f32.h"
#include "kernels/reference/stage.h"
#include "kernels/winograd_f32.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using testing::ConvCases;
using testing::Describe;
using testing::MakeConv;
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

// Odd sizes, channels beyond whole vectors, several images, more tiles than a pass holds, and tiles
// of both sizes (more than 128 x 128 channels have the small ones).
std::vector<ConvGeometry> WinogradCases() {
  return {MakeConv(1, 8, 32, 32, 3, 1, 1, true),   MakeConv(1, 9, 16, 68, 3, 1, 1, false),
          MakeConv(3, 7, 35, 33, 3, 1, 1, true),   MakeConv(4, 4, 67, 16, 3, 1, 1, true),
          MakeConv(1, 24, 128, 80, 3, 1, 1, true), MakeConv(1, 18, 16, 16, 3, 1, 1, true),
          MakeConv(1, 9, 130, 131, 3, 1, 1, true), MakeConv(2, 7, 140, 129, 3, 1, 1, false),
          MakeConv(1, 13, 17, 24, 3, 1, 1, false)};
}

TEST(WinogradF32, AgreesWithTheReferenceLoop) {
  for (const ConvGeometry& g : WinogradCases()) {
    SCOPED_TRACE(Describe(g));
    ASSERT_TRUE(WinogradF32Fits(g));
    const std::vector<float> x = RandomFloats(testing::InputSize(g), 1);
    const std::vector<float> w = RandomFloats(testing::WeightSize(g), 2);
    const std::vector<float> bias = RandomFloats(static_cast<size_t>(g.out_c), 3);
    std::vector<float> packed(WinogradF32PackedFloats(g));
    PackWinogradF32(g, w.data(), packed.data());
    for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> expected(testing::OutputSize(g));
      const float infinity = std::numeric_limits<float>::infinity();
      reference::Convolve<float>(g, {}, x.data(), w.data(), 0,
                                 static_cast<size_t>(g.batches) * g.out_h,
                                 reference::FloatStage{b, -infinity, infinity, expected.data()});
      // A twentieth of what float kernels may differ by (1e-4 of the greatest).
      float greatest = 0.0f;
      for (float& v : expected) {
        greatest = std::max(greatest, std::abs(v));
        v = std::min(std::max(v, -2.0f), 6.0f);
      }
      testing::ForEachTarget(WinogradF32Targets(), [&](const char*) {
        std::vector<float> first;
        for (int threads : testing::ThreadCounts({1, 3})) {
          ThreadPool pool(threads);
          std::vector<float> actual(expected.size(), NAN);
          AlignedVector<std::byte> scratch(WinogradF32ScratchBytes(g));
          WinogradF32(g, x.data(), packed.data(), {actual.data(), b, -2.0f, 6.0f, false},
                      scratch.data(), &pool);
          for (size_t i = 0; i < expected.size(); ++i) {
            ASSERT_NEAR(actual[i], expected[i], 5e-6f * greatest) << "at " << i;
          }
          if (first.empty()) first = actual;
          ASSERT_EQ(std::memcmp(first.data(), actual.data(), actual.size() * sizeof(float)), 0);
        }
      });
    }
  }
}

TEST(WinogradF32, LeavesOtherFiltersAlone) {
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 16, 32, 32, 3, 2, 1, true)));
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 16, 32, 32, 3, 1, 2, true)));
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 16, 32, 32, 5, 1, 1, true)));
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 16, 32, 32, 3, 1, 1, true, 2)));
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 16, 3, 512, 3, 1, 1, true)));
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 16, 16, 15, 3, 1, 1, true)));
  EXPECT_FALSE(WinogradF32Fits(MakeConv(1, 4, 32, 32, 3, 1, 1, true)));
}

TEST(ConvF32, AbsurdDilationsAreLeftToTheReference) {
  ConvGeometry g = ConvCases()[0];
  g.dilation_h = g.dilation_w = 1 << 30;
  g.pad_h = g.pad_w = 1 << 30;
  EXPECT_FALSE(ConvF32Fits(g));
}

}  // namespace
}  // namespace litesmith
