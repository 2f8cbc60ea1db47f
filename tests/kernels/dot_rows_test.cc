#include "kernels/dot_rows.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/random.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

template <typename T>
std::vector<T> Values(Random* random, size_t count, int kind) {
  constexpr int64_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  std::vector<T> out(count);
  for (T& x : out) {
    const int64_t any = kLow + static_cast<int64_t>(random->Below(kHigh - kLow + 1));
    x = static_cast<T>(kind == 0 ? any : kind == 1 ? kLow : random->Below(2) == 0 ? kLow : kHigh);
  }
  return out;
}

template <typename X, typename Y, typename Sum>
void CheckDots() {
  Random random(3);
  for (size_t depth : {0, 1, 7, 16, 31, 64, 65, 5000}) {
    for (size_t units : {1, 3, 4, 9}) {
      for (int kind = 0; kind < 3; ++kind) {
        const std::vector<X> left = Values<X>(&random, depth, kind);
        const std::vector<Y> right = Values<Y>(&random, depth * units, kind);
        std::vector<Sum> expected(units, 0);
        for (size_t u = 0; u < units; ++u) {
          for (size_t k = 0; k < depth; ++k) {
            expected[u] += static_cast<Sum>(int64_t{left[k]} * right[u * depth + k]);
          }
        }
        testing::ForEachTarget(DotRowsTargets(), [&](const char*) {
          std::vector<Sum> got(units, 9);
          DotRows(left.data(), right.data(), depth, units, got.data());
          ASSERT_EQ(got, expected) << depth << " x " << units << ", kind " << kind;
        });
      }
    }
  }
}

TEST(DotRows, AreExact) {
  CheckDots<int8_t, int8_t, uint32_t>();
  CheckDots<int16_t, int8_t, uint64_t>();
  CheckDots<int16_t, int16_t, uint64_t>();
}

TEST(DotRows, OfFloats) {
  Random random(4);
  const auto values = [&](size_t count) {
    std::vector<float> out(count);
    for (float& x : out) x = static_cast<float>(random.Uniform(-1, 1));
    return out;
  };
  for (size_t depth : {0, 1, 7, 16, 33, 300}) {
    for (size_t rows : {1, 2, 4, 7, 8}) {
      for (size_t units : {1, 3, 4, 9}) {
        const std::vector<float> x = values(rows * depth), w = values(units * depth);
        const std::vector<float> bias = values(units);
        for (bool biased : {false, true}) {
          testing::ForEachTarget(DotRowsTargets(), [&](const char*) {
            std::vector<float> y(rows * units + 1, 9.0f), single = y;
            const float* added = biased ? bias.data() : nullptr;
            DotRowsF32(x.data(), rows, w.data(), units, depth, {y.data(), added, -0.5f, 2.0f});
            EXPECT_EQ(y.back(), 9.0f);
            for (size_t r = 0; r < rows; ++r) {
              DotRowsF32(x.data() + r * depth, 1, w.data(), units, depth,
                         {single.data() + r * units, added, -0.5f, 2.0f});
              for (size_t u = 0; u < units; ++u) {
                double sum = biased ? bias[u] : 0.0;
                for (size_t k = 0; k < depth; ++k)
                  sum += double{x[r * depth + k]} * w[u * depth + k];
                ASSERT_NEAR(y[r * units + u], std::clamp(sum, -0.5, 2.0), 2e-5)
                    << rows << " x " << units << " x " << depth;
              }
            }
            EXPECT_EQ(y, single) << "a row's results depend on the others";
          });
        }
      }
    }
  }
}

}  // namespace
}  // namespace litesmith
