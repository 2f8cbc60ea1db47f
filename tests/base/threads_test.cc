#include "base/threads.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>
#include <vector>

#include "base/thread_team.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

TEST(ThreadPoolTest, EveryItemOnce) {
  for (int threads : testing::ThreadCounts({1, 2, 5})) {
    ThreadPool pool(threads);
    for (size_t count : {0u, 1u, 2u, 7u, 100u, 1001u}) {
      for (size_t grain : {1u, 3u, 1000u}) {
        std::vector<std::atomic<int>> seen(count);
        pool.ParallelFor(count, grain, [&](size_t begin, size_t end) {
          for (size_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const auto& s : seen) EXPECT_EQ(s.load(), 1);
      }
    }
  }
}

// Each item once, and what one loop wrote is seen by the next.
void ExpectLoops(ThreadPool* pool, size_t count, size_t grain, int loops) {
  std::vector<int> items(count, 0);
  for (int loop = 0; loop < loops; ++loop) {
    pool->ParallelFor(count, grain, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        ++items[i];
      }
    });
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(items[i], loop + 1) << i << " of " << count;
  }
}

TEST(ThreadTeamTest, EveryItemOnce) {
  for (int threads : testing::ThreadCounts({1, 2, 3, 5})) {
    ThreadPool pool(threads);
    ThreadTeam team(&pool);
    for (size_t count : {1u, 2u, 3u, 7u, 100u, 1001u}) {
      team.Run([&] { ExpectLoops(&pool, count, 1, 8); });
      ExpectLoops(&pool, count, 3, 2);
    }
  }
}

TEST(ThreadTeamTest, RunWithinRunAndWithoutLoops) {
  ThreadPool pool(testing::ThreadCounts({3}).back());
  ThreadTeam team(&pool), other(&pool);
  int calls = 0;
  for (int i = 0; i < 10; ++i) {
    team.Run([&] { ++calls; });
    team.Run([&] {
      other.Run([&] { ExpectLoops(&pool, 10, 1, 1); });
      ExpectLoops(&pool, 10, 1, 1);
    });
  }
  EXPECT_EQ(calls, 10);
}

// Workers go to sleep while the body does something else, and are woken for its next loop.
TEST(ThreadTeamTest, WakesSleepers) {
  ThreadPool pool(testing::ThreadCounts({2}).back());
  ThreadTeam team(&pool);
  const size_t before = ThreadTeam::SharedLoops();
  team.Run([&] {
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ExpectLoops(&pool, 64, 1, 3);
    }
  });
  EXPECT_GE(ThreadTeam::SharedLoops() - before, pool.num_threads() > 1 ? 60u : 0u);
}

}  // namespace
}  // namespace litesmith
