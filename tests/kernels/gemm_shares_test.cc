#include "kernels/gemm_shares.h"

#include <vector>

#include "tests/testing.h"

namespace litesmith {
namespace {

TEST(GemmShares, CoverEveryElementOnce) {
  for (int threads : testing::ThreadCounts({1, 2, 3, 7})) {
    ThreadPool pool(threads);
    for (size_t m : {1, 9, 49, 100, 196}) {
      for (size_t n : {1, 31, 33, 160}) {
        for (size_t least : {1, 1 << 24}) {
          std::vector<uint8_t> seen(m * n, 0);
          GemmShares(m, n, 5, 8, 32, least)
              .Run(&pool, [&](size_t m_begin, size_t m_end, size_t n_begin, size_t n_end) {
                EXPECT_EQ(n_begin % 32, 0u);
                for (size_t i = m_begin; i < m_end; ++i) {
                  for (size_t j = n_begin; j < n_end; ++j) ++seen[i * n + j];
                }
              });
          ASSERT_EQ(seen, std::vector<uint8_t>(m * n, 1)) << m << " x " << n << ", " << threads;
        }
      }
    }
  }
}

}  // namespace
}  // namespace litesmith
