#include "base/fixed_point.h"

#include <cmath>

#include "base/random.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

TEST(QuantizeMultiplier, FactorsThatAreNotFiniteSaturate) {
  for (const double factor : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    const Multiplier m = QuantizeMultiplier(factor);
    EXPECT_EQ(m.multiplier, std::numeric_limits<int32_t>::max());
    EXPECT_EQ(m.shift, 31);
  }
}

TEST(FixedPointTest, QuantizeMultiplierKeepsTheFactor) {
  Random random(1);
  for (int i = 0; i < 10000; ++i) {
    const double factor = std::exp(random.Uniform(-15.0, 15.0));
    const Multiplier m = QuantizeMultiplier(factor);
    EXPECT_GE(m.multiplier, 1 << 30);
    EXPECT_NEAR(std::ldexp(m.multiplier, m.shift - 31) / factor, 1.0, 1e-9);
  }
}

TEST(FixedPointTest, QuantizeMultiplierAtItsEdges) {
  EXPECT_EQ(QuantizeMultiplier(0.0).multiplier, 0);
  // The mantissa rounds up to one: the next power of two.
  const Multiplier one = QuantizeMultiplier(1.0 - 1e-12);
  EXPECT_EQ(one.multiplier, 1 << 30);
  EXPECT_EQ(one.shift, 1);
  EXPECT_EQ(QuantizeMultiplier(1e-30).multiplier, 0);
  EXPECT_EQ(QuantizeMultiplier(1e30).multiplier, kMax);
  EXPECT_EQ(QuantizeMultiplier(1e30).shift, 31);
}

TEST(FixedPointTest, HighMulSaturatesItsOneOverflow) {
  EXPECT_EQ(SaturatingRoundingDoublingHighMul(kMin, kMin), kMax);
  EXPECT_EQ(SaturatingRoundingDoublingHighMul(kMax, kMax), kMax - 1);
  EXPECT_EQ(SaturatingRoundingDoublingHighMul(int16_t{-32768}, int16_t{-32768}), 32767);
}

TEST(FixedPointTest, DivisionRoundsTiesAwayFromZero) {
  EXPECT_EQ(RoundingDivideByPowerOfTwo(int32_t{5}, 1), 3);
  EXPECT_EQ(RoundingDivideByPowerOfTwo(int32_t{-5}, 1), -3);
  EXPECT_EQ(RoundingDivideByPowerOfTwo(int32_t{-4}, 3), -1);
  EXPECT_EQ(RoundingDivideByPowerOfTwo(int32_t{4}, 3), 1);
  EXPECT_EQ(RoundingDivideByPowerOfTwo(kMin, 31), -1);
}

TEST(FixedPointTest, MultiplyIsWithinOneOfTheRealProduct) {
  Random random(2);
  for (int i = 0; i < 20000; ++i) {
    const double factor = std::exp(random.Uniform(-12.0, 0.0));
    const auto x = static_cast<int32_t>(random.Below(1u << 24)) - (1 << 23);
    const Multiplier m = QuantizeMultiplier(factor);
    EXPECT_NEAR(MultiplyByQuantizedMultiplier(x, m), x * factor, 1.0);
  }
}

TEST(FixedPointTest, WideMultiplyReducesTheMultiplierAndRoundsOnce) {
  // Worked by hand: 0.75 is 0x60000000 with shift 0, reduced to 0x6000.
  const Multiplier m = QuantizeMultiplier(0.75);
  EXPECT_EQ(MultiplyByQuantizedMultiplier(int64_t{2}, m), 2);    // 1.5 rounds up
  EXPECT_EQ(MultiplyByQuantizedMultiplier(int64_t{-2}, m), -1);  // -1.5 rounds up, too
  EXPECT_EQ(MultiplyByQuantizedMultiplier(int64_t{1} << 30, m), 805306368);
}

}  // namespace
}  // namespace litesmith
