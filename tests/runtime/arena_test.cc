#include "runtime/arena.h"

#include "base/random.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

bool Overlap(const ArenaBlock& a, const ArenaBlock& b) {
  const bool time = a.first <= b.last && b.first <= a.last;
  const bool space = a.offset < b.offset + b.bytes && b.offset < a.offset + a.bytes;
  return time && space;
}

TEST(ArenaTest, SharesMemoryBetweenBlocksThatNeverMeet) {
  std::vector<ArenaBlock> blocks = {{1000, 0, 1}, {1000, 2, 3}, {64, 1, 2}};
  EXPECT_EQ(PlanArena(&blocks), 1024u + 64u);
  EXPECT_EQ(blocks[0].offset, blocks[1].offset);
}

TEST(ArenaTest, EmptyBlocksTakeNothing) {
  std::vector<ArenaBlock> blocks = {{0, 0, 9}, {0, 0, 9}};
  EXPECT_EQ(PlanArena(&blocks), 0u);
}

TEST(ArenaTest, RandomBlocksDoNotOverlapAndAreAligned) {
  Random random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<ArenaBlock> blocks(1 + random.Below(40));
    size_t sum = 0;
    for (ArenaBlock& b : blocks) {
      b.bytes = random.Below(5000);
      b.first = static_cast<int>(random.Below(20));
      b.last = b.first + static_cast<int>(random.Below(6));
      sum += (b.bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
    }
    const size_t total = PlanArena(&blocks);
    EXPECT_LE(total, sum);
    for (size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(blocks[i].offset % kArenaAlignment, 0u);
      EXPECT_LE(blocks[i].offset + blocks[i].bytes, total);
      for (size_t j = i + 1; j < blocks.size(); ++j) {
        EXPECT_FALSE(blocks[i].bytes && blocks[j].bytes && Overlap(blocks[i], blocks[j]));
      }
    }
  }
}

}  // namespace
}  // namespace litesmith
