#include "kernels/reference/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "base/fixed_point.h"

namespace litesmith {
namespace {

// Scale for inputs of 2^-4, which the 5.26 fixed point holds exactly.
reference::SoftmaxScale Sixteenths() {
  reference::SoftmaxScale s;
  s.scale = QuantizeMultiplier(0x1p22);
  s.diff_min = -248;  // 31 * 2^26 / 2^23
  return s;
}

// Many classes that are nearly equal: up to 511 of them share one step or more; from 1,000 on each
// has less than half a step, which the exponent 32 of the fixed point must not change.
TEST(SoftmaxInt8, ManyEqualClasses) {
  for (const size_t depth : {2u, 100u, 256u, 400u, 511u, 513u, 1000u, 1023u, 1024u, 2000u, 4000u}) {
    const std::vector<int8_t> in(depth, 5);
    std::vector<int8_t> out(depth);
    reference::SoftmaxRow(in.data(), depth, Sixteenths(), out.data());
    const double want = std::round(256.0 / static_cast<double>(depth)) - 128;
    for (const int8_t value : out) ASSERT_EQ(value, want) << depth;
  }
}

TEST(SoftmaxInt8, SixteenBitsKeepTheShares) {
  for (const size_t depth : {1000u, 1024u, 4000u}) {
    const std::vector<int8_t> in(depth, -7);
    std::vector<int16_t> out(depth);
    reference::SoftmaxRow(in.data(), depth, Sixteenths(), out.data());
    const double want = 65536.0 / static_cast<double>(depth) - 32768;
    for (const int16_t value : out) ASSERT_NEAR(value, want, 1.0) << depth;
  }
}

}  // namespace
}  // namespace litesmith
