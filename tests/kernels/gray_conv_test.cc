#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/aligned.h"
#include "kernels/gray_conv_f32.h"
#include "kernels/reference/stage.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using testing::Describe;
using testing::MakeConv;
using testing::RandomFloats;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Widths around whole vectors, both paddings, more taps than one group, dilation.
std::vector<ConvGeometry> Cases() {
  return {MakeConv(2, 28, 1, 8, 3, 1, 1, false), MakeConv(3, 15, 1, 8, 3, 1, 1, true),
          MakeConv(1, 14, 1, 8, 5, 1, 1, true),  MakeConv(2, 7, 1, 8, 1, 1, 1, false),
          MakeConv(1, 33, 1, 8, 4, 1, 2, true),  MakeConv(1, 31, 1, 8, 11, 1, 1, false)};
}

TEST(GrayConv, AgreesWithTheReferenceLoop) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    const std::vector<float> x = RandomFloats(testing::InputSize(g), 1);
    const std::vector<float> w = RandomFloats(testing::WeightSize(g), 2);
    const std::vector<float> bias = RandomFloats(8, 3);
    for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> expected(testing::OutputSize(g));
      reference::Convolve<float>(g, {}, x.data(), w.data(), 0,
                                 static_cast<size_t>(g.batches) * g.out_h,
                                 reference::FloatStage{b, 0.0f, 1.5f, expected.data()});
      testing::ForEachTarget(GrayConvTargets(), [&](const char*) {
        if (!GrayConvF32Fits(g)) return;  // short vectors
        AlignedVector<std::byte> scratch(GrayConvF32ScratchBytes(g));
        std::vector<float> actual(expected.size() + 1, NAN);
        GrayConvF32(g, x.data(), w.data(), {actual.data(), b, 0.0f, 1.5f, false}, scratch.data());
        for (size_t i = 0; i < expected.size(); ++i) {
          ASSERT_NEAR(actual[i], expected[i], 2e-5) << "at " << i;
        }
        ASSERT_TRUE(std::isnan(actual.back())) << "written beyond the end";
      });
    }
  }
}

struct Gradients {
  std::vector<double> dw, db;
};
Gradients Reference(const ConvGeometry& g, const gradient::GrayConvGradient& what) {
  const auto taps = static_cast<size_t>(g.filter_h) * g.filter_w;
  Gradients out{std::vector<double>(8 * taps), std::vector<double>(8)};
  for (size_t p = 0; p < testing::OutputSize(g) / 8; ++p) {
    const auto image = static_cast<int64_t>(p) / (int64_t{g.out_h} * g.out_w);
    for (size_t o = 0; o < 8; ++o) {
      const float y = what.y[p * 8 + o];
      if (!(y > what.low && y < what.high)) continue;
      const double dy = what.dy[p * 8 + o];
      out.db[o] += dy;
      for (size_t t = 0; t < taps; ++t) {
        const int64_t row = static_cast<int64_t>(p) / g.out_w % g.out_h - g.pad_h +
                            static_cast<int64_t>(t) / g.filter_w * g.dilation_h;
        const int64_t column = static_cast<int64_t>(p) % g.out_w - g.pad_w +
                               static_cast<int64_t>(t) % g.filter_w * g.dilation_w;
        if (row < 0 || row >= g.in_h || column < 0 || column >= g.in_w) continue;
        out.dw[o * taps + t] +=
            dy * what.x[static_cast<size_t>((image * g.in_h + row) * g.in_w + column)];
      }
    }
  }
  return out;
}

TEST(GrayConv, GradientsAgreeWithTheReferenceLoop) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    const std::vector<float> x = RandomFloats(testing::InputSize(g), 1);
    const std::vector<float> y = RandomFloats(testing::OutputSize(g), 2);
    const std::vector<float> dy = RandomFloats(testing::OutputSize(g), 3);
    for (const float low : {0.0f, -kInfinity}) {
      for (const bool add : {false, true}) {
        std::vector<float> dw(testing::WeightSize(g)), db(8);
        gradient::GrayConvGradient what{
            x.data(), y.data(), dy.data(), low,      low == 0.0f ? 0.9f : kInfinity,
            add,      add,      dw.data(), db.data()};
        const Gradients expected = Reference(g, what);
        testing::ForEachTarget(GrayConvTargets(), [&](const char*) {
          if (!GrayConvF32Fits(g)) return;
          AlignedVector<std::byte> scratch(GrayConvF32ScratchBytes(g));
          std::fill(dw.begin(), dw.end(), add ? 0.5f : NAN);
          std::fill(db.begin(), db.end(), add ? -0.5f : NAN);
          gradient::GrayConv(g, what, scratch.data());
          for (size_t i = 0; i < dw.size(); ++i) {
            ASSERT_NEAR(dw[i], expected.dw[i] + (add ? 0.5 : 0.0), 1e-4) << "at " << i;
          }
          for (size_t i = 0; i < 8; ++i) {
            ASSERT_NEAR(db[i], expected.db[i] - (add ? 0.5 : 0.0), 1e-4) << "at " << i;
          }
        });
      }
    }
  }
}

TEST(GrayConv, LeavesOtherLayersAlone) {
  EXPECT_FALSE(GrayConvF32Fits(MakeConv(1, 8, 3, 8, 3, 1, 1, true)));
  EXPECT_FALSE(GrayConvF32Fits(MakeConv(1, 8, 1, 16, 3, 1, 1, true)));
  EXPECT_FALSE(GrayConvF32Fits(MakeConv(1, 8, 1, 8, 3, 2, 1, true)));
}

}  // namespace
}  // namespace litesmith
