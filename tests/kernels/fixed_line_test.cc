#include "kernels/fixed_line.h"

#include <algorithm>
#include <cmath>

#include "base/fixed_point.h"
#include "base/random.h"
#include "kernels/int_stage.h"
#include "kernels/int_tile.h"
#include "kernels/reference/stage.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

constexpr size_t kColumns = kIntTileColumns;

struct Columns {
  std::vector<int32_t> multiplier, left, right;
  double bound;
};

// Scales as models have them, and odd ones: powers of two, tiny ones, one that is 0.
Columns RandomColumns(uint64_t seed) {
  Random random(seed);
  Columns c;
  c.bound = std::floor(std::ldexp(random.Uniform(0.5, 1.0), 10 + static_cast<int>(seed % 20)));
  for (size_t n = 0; n < kColumns; ++n) {
    double factor = std::ldexp(random.Uniform(0.5, 1.0), -static_cast<int>(random.Below(14)));
    if (seed % 4 == 3) factor = std::ldexp(factor, -static_cast<int>(random.Below(18)));
    if (random.Below(64) == 0) factor = std::ldexp(1.0, -static_cast<int>(1 + random.Below(12)));
    if (random.Below(64) == 0) factor = 0.0;
    const Multiplier m = QuantizeMultiplier(factor);
    c.multiplier.push_back(m.multiplier);
    c.left.push_back(std::max(m.shift, 0));
    c.right.push_back(std::max(-m.shift, 0));
  }
  return c;
}

// The first x whose result is at least `result`.
int64_t FirstOf(int32_t result, int32_t multiplier, int32_t right, int64_t bound) {
  int64_t low = -bound, high = bound;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    const int32_t got =
        MultiplyByQuantizedMultiplier(static_cast<int32_t>(middle), multiplier, -right);
    if (got >= result) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// Sums on both sides of where the results change, the ends, and any.
std::vector<int32_t> Sums(const Columns& c, int32_t most, uint64_t seed, size_t* rows) {
  Random random(seed);
  const auto bound = static_cast<int64_t>(c.bound);
  *rows = 2 * (2 * static_cast<size_t>(most) + 1) + 32;
  std::vector<int32_t> sums(*rows * kColumns);
  for (size_t n = 0; n < kColumns; ++n) {
    size_t row = 0;
    const auto put = [&](int64_t x) {
      sums[row++ * kColumns + n] = static_cast<int32_t>(std::clamp(x, -bound, bound));
    };
    for (int32_t k = -most; k <= most; ++k) {
      const int64_t x = FirstOf(k, c.multiplier[n], c.right[n], bound);
      put(x - 1);
      put(x);
    }
    put(0);
    put(bound);
    put(-bound);
    while (row < *rows) {
      put(static_cast<int64_t>(random.Below(static_cast<uint64_t>(2 * bound + 1))) - bound);
    }
  }
  return sums;
}

template <typename Out>
void ExpectSame(const Columns& c, const FixedLines& lines, int32_t low, int32_t high, int32_t zero,
                uint64_t seed) {
  size_t rows = 0;
  const std::vector<int32_t> sums = Sums(c, std::max(high - zero, zero - low), seed, &rows);
  for (size_t columns : {kColumns, kColumns - 5, size_t{3}}) {
    std::vector<Out> out(rows * columns);
    IntStage s;
    s.type = std::is_signed_v<Out> ? IntStage::Out::kInt8 : IntStage::Out::kUint8;
    s.out = out.data();
    s.stride = columns;
    s.zero_point = zero;
    s.low = low;
    s.high = high;
    s.multiplier = c.multiplier.data();
    s.left_shift = c.left.data();
    s.right_shift = c.right.data();
    s.lines = lines.kind.empty() ? nullptr : &lines;
    RunIntStage(s, 0, 0, rows, columns, sums.data());
    for (size_t i = 0; i < out.size(); ++i) {
      const size_t n = i % columns;
      const int32_t sum = sums[i / columns * kColumns + n];
      const int32_t scaled =
          MultiplyByQuantizedMultiplier(sum, c.multiplier[n], c.left[n] - c.right[n]);
      ASSERT_EQ(out[i], std::clamp(reference::WrappingAdd(scaled, zero), low, high))
          << "sum " << sum << ", multiplier " << c.multiplier[n] << ", shift " << c.right[n]
          << ", line " << (s.lines == nullptr ? 0 : static_cast<int>(lines.kind[n]));
    }
  }
}

FixedLines FitTo(const Columns& c, int32_t low, int32_t high, int32_t zero) {
  FixedLines lines;
  for (size_t n = 0; n < kColumns && UsesLines(); ++n) {
    lines.Add(FitLine({{c.multiplier[n], c.left[n] - c.right[n]},
                       0,
                       static_cast<int64_t>(c.bound),
                       std::max(high - zero, zero - low),
                       low >= zero}));
  }
  return lines;
}

TEST(FixedLine, HasTheBitsOfFixedPointWhereverItIsFoundOnEveryTarget) {
  testing::ForEachTarget(FixedLineTargets(), [](const char* target) {
    size_t found = 0, all = 0, twice = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const Columns c = RandomColumns(seed);
      const int32_t zero = seed % 3 == 0 ? -128 : seed % 3 == 1 ? -7 : 100;
      const FixedLines lines = FitTo(c, -128, 127, zero);
      ExpectSame<int8_t>(c, lines, -128, 127, zero, seed);
      // A ReLU, and one with an end.
      const int32_t end = std::min(zero + 90, 127);
      ExpectSame<int8_t>(c, FitTo(c, zero, end, zero), zero, end, zero, seed);
      ExpectSame<uint8_t>(c, FitTo(c, 0, 255, 128), 0, 255, 128, seed);
      if (::testing::Test::HasFatalFailure()) return;
      for (LineKind kind : lines.kind) {
        ++all;
        found += kind != LineKind::kNone;
        twice += kind == LineKind::kTwo;
      }
      if (lines.kind.empty()) return;
    }
    EXPECT_GT(found, all * 9 / 10) << target;
    EXPECT_GT(twice, 0u) << target;
  });
}

TEST(FixedLine, TiesOfTheHighProductAreLeftToFixedPoint) {
  testing::ForEachTarget(FixedLineTargets(), [](const char*) {
    // x * 2^30 / 2^31 is a tie for every odd x.
    Columns c;
    c.bound = 40000;
    c.multiplier.assign(kColumns, 1 << 30);
    c.left.assign(kColumns, 0);
    c.right.assign(kColumns, 6);
    const FixedLines lines = FitTo(c, -128, 127, 0);
    for (LineKind kind : lines.kind) EXPECT_EQ(kind, LineKind::kNone);
    ExpectSame<int8_t>(c, lines, -128, 127, 0, 1);
  });
}

TEST(FixedLine, ChannelsWithHardlyAnyWeightsAreConstant) {
  testing::ForEachTarget(FixedLineTargets(), [](const char*) {
    for (int64_t middle : {-900000000, -70000, 0, 123456, 900000000}) {
      for (bool positive : {false, true}) {
        const Multiplier m{1500000000, -21};
        const FixedLine line = FitLine({m, middle, 100, 255, positive});
        if (!UsesLines()) {
          EXPECT_EQ(line.kind, LineKind::kNone);
          continue;
        }
        const int32_t expected = MultiplyByQuantizedMultiplier(static_cast<int32_t>(middle), m);
        const float magnitude = positive && expected < 0 ? 0.0f : std::abs(float(expected));
        EXPECT_EQ(line.kind, LineKind::kOne);
        EXPECT_EQ(line.scale, 0.0f);
        EXPECT_EQ(line.add, std::min(magnitude, 256.0f) + 0.5f);
      }
    }
  });
}

}  // namespace
}  // namespace litesmith
