#include "train/crew.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "tests/testing.h"

namespace litesmith {
namespace {

TEST(Crew, EveryItemIsDoneOnce) {
  for (int threads : testing::ThreadCounts({1, 2, 3, 7})) {
    Crew crew(threads);
    for (size_t count : {0u, 1u, 2u, 5u, 64u, 1000u}) {
      std::vector<std::atomic<int>> done(count);
      crew.ForEach(count, [&](size_t i) { done[i].fetch_add(1); });
      for (const auto& d : done) EXPECT_EQ(d.load(), 1);
    }
  }
}

// Helpers that come late find the next loop, or none, and never one that is over.
TEST(Crew, ManyShortLoops) {
  Crew crew(4);
  std::vector<size_t> sums(8, 0);
  for (size_t loop = 0; loop < 3000; ++loop) {
    std::vector<size_t> items(8, 0);
    crew.ForEach(items.size(), [&](size_t i) { items[i] = loop + i; });
    for (size_t i = 0; i < items.size(); ++i) sums[i] += items[i];
  }
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_EQ(sums[i], 3000u * 2999 / 2 + 3000 * i);
}

TEST(Crew, MayEndWithoutWork) {
  for (int i = 0; i < 20; ++i) Crew crew(3);
}

}  // namespace
}  // namespace litesmith
