#include "base/half.h"

#include <cmath>
#include <limits>

#include "base/random.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

TEST(HalfTest, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float value = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(value))));
    } else {
      EXPECT_EQ(FloatToHalf(value), half) << value;
    }
  }
}

TEST(HalfTest, RoundsToNearestEven) {
  EXPECT_EQ(FloatToHalf(1.0f + 0x1.0p-11f), 0x3c00);  // tie, down to even
  EXPECT_EQ(FloatToHalf(1.0f + 0x1.8p-10f), 0x3c02);  // tie, up to even
  EXPECT_EQ(FloatToHalf(65519.0f), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(0x1.0p-25f), 0x0000);  // tie, down to zero
  EXPECT_EQ(FloatToHalf(0x1.8p-25f), 0x0001);
  EXPECT_EQ(FloatToHalf(-std::numeric_limits<float>::infinity()), 0xfc00);
}

TEST(HalfTest, ErrorIsAtMostHalfAStep) {
  Random random(3);
  for (int i = 0; i < 100000; ++i) {
    const auto value = static_cast<float>(random.Uniform(-60000.0, 60000.0));
    EXPECT_LE(std::fabs(HalfToFloat(FloatToHalf(value)) - value),
              std::ldexp(1.0f, std::ilogb(value) - 11));
  }
}

}  // namespace
}  // namespace litesmith
