#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/gradient/winograd_f32.h"
#include "kernels/reference/stage.h"
#include "kernels/winograd_f32.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using testing::Describe;
using testing::MakeConv;
using testing::RandomFloats;

// Sizes that are no multiples of a tile, both paddings, several images and passes.
std::vector<ConvGeometry> Cases() {
  return {MakeConv(1, 16, 16, 16, 3, 1, 1, true),  MakeConv(5, 9, 32, 16, 3, 1, 1, false),
          MakeConv(5, 7, 16, 48, 3, 1, 1, true),   MakeConv(2, 18, 16, 16, 3, 1, 1, false),
          MakeConv(16, 8, 64, 64, 3, 1, 1, true),  MakeConv(2, 40, 16, 32, 3, 1, 1, true),
          MakeConv(17, 6, 32, 32, 3, 1, 1, false), MakeConv(4, 6, 112, 32, 3, 1, 1, true)};
}

// The gradients in double, tap by tap.
struct Gradients {
  std::vector<double> dx, dw;
};
Gradients Reference(const ConvGeometry& g, const std::vector<float>& x, const std::vector<float>& w,
                    const std::vector<float>& dy) {
  Gradients out{std::vector<double>(x.size()), std::vector<double>(w.size())};
  const auto in = static_cast<size_t>(g.in_c), filters = static_cast<size_t>(g.out_c);
  for (size_t p = 0; p < dy.size() / filters; ++p) {
    const auto image = static_cast<int64_t>(p) / (int64_t{g.out_h} * g.out_w);
    const int64_t top = static_cast<int64_t>(p) / g.out_w % g.out_h - g.pad_h;
    const int64_t left = static_cast<int64_t>(p) % g.out_w - g.pad_w;
    for (int64_t tap = 0; tap < 9; ++tap) {
      const int64_t row = top + tap / 3, column = left + tap % 3;
      if (row < 0 || row >= g.in_h || column < 0 || column >= g.in_w) continue;
      const size_t at = static_cast<size_t>((image * g.in_h + row) * g.in_w + column) * in;
      for (size_t o = 0; o < filters; ++o) {
        const size_t taps = (o * 9 + static_cast<size_t>(tap)) * in;
        for (size_t c = 0; c < in; ++c) {
          out.dx[at + c] += double{dy[p * filters + o]} * w[taps + c];
          out.dw[taps + c] += double{dy[p * filters + o]} * x[at + c];
        }
      }
    }
  }
  return out;
}

void ExpectNear(const std::vector<float>& actual, const std::vector<double>& expected,
                double offset) {
  double greatest = 0.0;
  for (double v : expected) greatest = std::max(greatest, std::abs(v));
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i] + offset, 5e-6 * greatest) << "at " << i;
  }
}

TEST(WinogradGradient, AgreesWithTheReferenceLoop) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    ASSERT_TRUE(gradient::WinogradFits(g));
    const std::vector<float> x = RandomFloats(testing::InputSize(g), 1);
    const std::vector<float> w = RandomFloats(testing::WeightSize(g), 2);
    const std::vector<float> dy = RandomFloats(testing::OutputSize(g), 3);
    const Gradients expected = Reference(g, x, w, dy);
    testing::ForEachTarget(gradient::WinogradTargets(), [&](const char*) {
      AlignedVector<std::byte> scratch(gradient::WinogradScratchBytes(g));
      std::vector<float> dx(x.size(), NAN), dw(w.size(), NAN);
      gradient::WinogradConv(g, x.data(), w.data(), dy.data(), false, dx.data(), false, dw.data(),
                             scratch.data());
      ExpectNear(dx, expected.dx, 0.0);
      ExpectNear(dw, expected.dw, 0.0);
      // Added to what is there, and each alone.
      std::vector<float> again(x.size(), 0.5f), weights(w.size(), -0.5f);
      gradient::WinogradConv(g, x.data(), w.data(), dy.data(), true, again.data(), false, nullptr,
                             scratch.data());
      gradient::WinogradConv(g, x.data(), w.data(), dy.data(), false, nullptr, true, weights.data(),
                             scratch.data());
      ExpectNear(again, expected.dx, 0.5);
      ExpectNear(weights, expected.dw, -0.5);
    });
  }
}

TEST(WinogradGradient, FiltersTransformedAtEveryRunGiveTheSameConvolution) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    ASSERT_TRUE(WinogradF32FitsAnew(g));
    const std::vector<float> x = RandomFloats(testing::InputSize(g), 1);
    const std::vector<float> w = RandomFloats(testing::WeightSize(g), 2);
    std::vector<float> expected(testing::OutputSize(g));
    reference::Convolve<float>(
        g, {}, x.data(), w.data(), 0, static_cast<size_t>(g.batches) * g.out_h,
        reference::FloatStage{nullptr, -infinity, infinity, expected.data()});
    testing::ForEachTarget(WinogradF32Targets(), [&](const char*) {
      std::vector<float> taps(w.size()), actual(expected.size(), NAN);
      AlignedVector<float> packed(WinogradF32PackedFloats(g));
      AlignedVector<std::byte> scratch(WinogradF32ScratchBytes(g));
      PackWinogradF32Anew(g, w.data(), taps.data(), packed.data());
      WinogradF32(g, x.data(), packed.data(), {actual.data(), nullptr, -infinity, infinity, false},
                  scratch.data(), nullptr);
      ExpectNear(actual, std::vector<double>(expected.begin(), expected.end()), 0.0);
    });
  }
}

TEST(WinogradGradient, LeavesOtherConvolutionsAlone) {
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(16, 16, 32, 32, 3, 2, 1, true)));
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(16, 16, 32, 32, 3, 1, 2, true)));
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(16, 16, 32, 32, 3, 1, 1, true, 2)));
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(16, 16, 32, 32, 5, 1, 1, true)));
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(16, 16, 24, 32, 3, 1, 1, true)));
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(16, 16, 32, 17, 3, 1, 1, true)));
  EXPECT_FALSE(gradient::WinogradFits(MakeConv(1, 4, 32, 32, 3, 1, 1, true)));
}

}  // namespace
}  // namespace litesmith
