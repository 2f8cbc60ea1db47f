#include "kernels/table_int16.h"

#include <limits>
#include <vector>

#include "base/random.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ForEachTarget;

std::vector<int16_t> AllNumbers() {
  std::vector<int16_t> all;
  for (int32_t x = -32768; x <= 32767; ++x) all.push_back(static_cast<int16_t>(x));
  return all;
}

TEST(TableInt16, LookupIsTheReferences) {
  Random random(5);
  for (int kind = 0; kind < 4; ++kind) {
    Table16 table{};
    for (size_t i = 0; i < table.size(); ++i) {
      // Noise; the ends only, whose differences wrap; two smooth ones.
      const auto noise = static_cast<int32_t>(random.Below(65536)) - 32768;
      const int32_t ramp = static_cast<int32_t>(i) * 127 - 32768;
      table[i] = static_cast<int16_t>(kind == 0   ? noise
                                      : kind == 1 ? (noise < 0 ? -32768 : 32767)
                                      : kind == 2 ? ramp
                                                  : -ramp - 1);
    }
    const std::vector<int16_t> all = AllNumbers();
    ForEachTarget(TableInt16Targets(), [&](const char*) {
      std::vector<int16_t> got(all);
      LookupRow16(got.data(), got.size(), table, got.data());
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(got[i], reference::Lookup16(all[i], table.data())) << all[i];
      }
      for (size_t count : {0, 1, 7, 17}) {
        std::vector<int16_t> few(count + 1, 77);
        LookupRow16(all.data() + 3, count, table, few.data());
        ASSERT_EQ(few[count], 77);
        for (size_t i = 0; i < count; ++i) ASSERT_EQ(few[i], got[i + 3]);
      }
    });
  }
}

// Scales at the end of their range: infinite ends, and functions of what is no number.
TEST(TableInt16, EntriesThatAreNoNumbersAreZero) {
  Table16 table{};
  table.fill(7);
  const float most = std::numeric_limits<float>::max();
  reference::FillTable16<float>(
      most, 0, 1.0f, 0, [](float x) { return x; }, table.data());
  for (int i = 0; i + 1 < reference::kTable16Size; ++i) EXPECT_EQ(table[i], 0) << i;
  EXPECT_EQ(table[reference::kTable16Size - 1], 32767);  // infinity
}

TEST(TableInt16, SigmoidsAreTheReferences) {
  const std::vector<int16_t> all = AllNumbers();
  for (const reference::SigmoidScale scale :
       {reference::SigmoidScale{3, 0}, reference::SigmoidScale{6, 0},
        reference::SigmoidScale{24576, 13}, reference::SigmoidScale{32767, 30},
        reference::SigmoidScale{20000, 1}, reference::SigmoidScale{32767, 0},
        reference::SigmoidScale{2147483647, 0}, reference::SigmoidScale{65536, 0}}) {
    ForEachTarget(TableInt16Targets(), [&](const char*) {
      std::vector<int16_t> got(all.size());
      SigmoidRow16(true, all.data(), all.size(), scale, got.data());
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(got[i], reference::TanhInt16(all[i], scale)) << all[i];
      }
      SigmoidRow16(false, all.data(), all.size(), scale, got.data());
      for (size_t i = 0; i < all.size(); ++i) {
        ASSERT_EQ(got[i], reference::LogisticInt16(all[i], scale)) << all[i];
      }
    });
  }
}

}  // namespace
}  // namespace litesmith
