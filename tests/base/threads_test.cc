#include "base/threads.h"

#include <atomic>
#include <vector>

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

}  // namespace
}  // namespace litesmith
