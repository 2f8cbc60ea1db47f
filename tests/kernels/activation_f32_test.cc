#include "kernels/activation_f32.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/reference/sigmoid_int16.h"
#include "kernels/reference/softmax.h"
#include "kernels/reference/unary.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"

namespace litesmith {
namespace {

using testing::ForEachTarget;

float Want(RowFunction function, float x) {
  switch (function) {
    case RowFunction::kLogistic:
      return reference::Logistic(x);
    case RowFunction::kTanh:
      return std::tanh(x);
    case RowFunction::kGelu:
      return reference::Gelu(x);
    case RowFunction::kGeluApproximate:
      return reference::GeluApproximate(x);
    case RowFunction::kHardSwish:
      return reference::HardSwish(x);
  }
  return NAN;
}

// From the smallest numbers to the largest that each function is not constant or linear at, in odd
// lengths, and what is no number.
std::vector<float> Inputs() {
  std::vector<float> out = {0.0f,   -0.0f,  1e-30f,  -1e-30f, 1e-5f,
                            -1e-5f, 100.0f, -100.0f, 1e30f,   -1e30f};
  for (float x = -20.0f; x < 20.0f; x += 0.0371f) out.push_back(x);
  out.push_back(std::numeric_limits<float>::infinity());
  out.push_back(NAN);
  return out;
}

TEST(ActivationF32, AgreesWithReference) {
  const std::vector<float> in = Inputs();
  for (RowFunction function : {RowFunction::kLogistic, RowFunction::kTanh, RowFunction::kGelu,
                               RowFunction::kGeluApproximate, RowFunction::kHardSwish}) {
    SCOPED_TRACE(static_cast<int>(function));
    ForEachTarget(ActivationTargets(), [&](const char*) {
      std::vector<float> out = in;
      FunctionRow(function, out.data(), out.size(), out.data());
      for (size_t i = 0; i < in.size(); ++i) {
        SCOPED_TRACE(in[i]);
        const float want = Want(function, in[i]);
        if (std::isnan(want)) {
          ASSERT_TRUE(std::isnan(out[i]));
        } else if (std::isinf(want) || std::isinf(out[i])) {
          ASSERT_EQ(out[i], want);
        } else {
          const bool gelu =
              function == RowFunction::kGelu || function == RowFunction::kGeluApproximate;
          const float slack = gelu && std::abs(in[i]) < 100.0f ? 3e-7f * std::abs(in[i]) : 0.0f;
          ASSERT_NEAR(out[i], want, 1e-6f * std::abs(want) + slack + 1e-37f);
        }
      }
      // The same bits one by one.
      for (size_t i = 0; i < in.size(); i += 7) {
        float one = in[i];
        FunctionRow(function, &one, 1, &one);
        if (!std::isnan(one)) {
          ASSERT_EQ(one, out[i]) << in[i];
        }
      }
    });
  }
}

TEST(ActivationF32, SoftmaxAgreesWithReference) {
  for (size_t depth : {1u, 2u, 10u, 16u, 33u, 1000u}) {
    std::vector<float> in = testing::RandomFloats(depth, depth);
    for (float& x : in) x *= 30.0f;
    ForEachTarget(ActivationTargets(), [&](const char*) {
      std::vector<float> want(depth), got(depth);
      reference::SoftmaxRow(in.data(), depth, 0.7f, want.data());
      SoftmaxRowF32(in.data(), depth, 0.7f, got.data());
      for (size_t i = 0; i < depth; ++i) {
        ASSERT_NEAR(got[i], want[i], 2e-6f * want[i] + 1e-37f) << depth << " " << i;
      }
    });
  }
}

TEST(ActivationF32, BilinearHasTheBitsOfTheReference) {
  for (int32_t channels : {1, 3, 21, 32}) {
    for (int mode = 0; mode < 3; ++mode) {
      reference::ResizeGeometry g;
      g.batches = 2;
      g.in_h = 5;
      g.in_w = 4;
      g.out_h = 9;
      g.out_w = 3;
      g.channels = channels;
      g.align_corners = mode == 1;
      g.half_pixel_centers = mode == 2;
      const auto in = testing::RandomFloats(size_t(2) * 5 * 4 * channels, 9);
      std::vector<reference::Between> columns;
      for (int32_t x = 0; x < g.out_w; ++x) columns.emplace_back(x, g.in_w, g.out_w, g);
      std::vector<float> want(size_t(2) * 9 * 3 * channels), got(want.size(), NAN);
      reference::ResizeBilinear(g, in.data(), 0, 18, want.data());
      ForEachTarget(ActivationTargets(), [&](const char*) {
        ResizeBilinearF32(g, columns.data(), in.data(), 0, 18, got.data());
        EXPECT_EQ(got, want);
      });
    }
  }
}

}  // namespace
}  // namespace litesmith
