#include "kernels/gemm_f32.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "base/random.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ForEachTarget;

std::vector<float> RandomFloats(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> out(count);
  for (float& x : out) x = static_cast<float>(random.Uniform(-1.0, 1.0));
  return out;
}

// Copies to a block that ends where its allocation ends, so that sanitizers see reads beyond it.
std::unique_ptr<float[]> Exact(const std::vector<float>& values) {
  auto out = std::make_unique<float[]>(values.size());
  std::copy(values.begin(), values.end(), out.get());
  return out;
}

struct Problem {
  size_t m, n, k;
};

// Sums in double, and the tolerance of a float sum of k products in any order.
void ExpectProduct(const Problem& p, const std::vector<float>& a, const std::vector<float>& b,
                   const std::vector<float>& start, const float* c, size_t stride) {
  for (size_t m = 0; m < p.m; ++m) {
    for (size_t n = 0; n < p.n; ++n) {
      double sum = start.empty() ? 0.0 : start[m * p.n + n];
      for (size_t k = 0; k < p.k; ++k) sum += double{a[m * p.k + k]} * b[k * p.n + n];
      const double tolerance = 1e-6 * (4.0 + std::sqrt(static_cast<double>(p.k)) * 4.0);
      ASSERT_NEAR(c[m * stride + n], sum, tolerance)
          << "at " << m << ", " << n << " of " << p.m << "x" << p.n << "x" << p.k;
    }
  }
}

std::vector<Problem> Problems() {
  std::vector<Problem> out;
  for (size_t m : {1, 2, 5, 11, 12, 13, 25}) {
    for (size_t n : {1, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 50}) {
      for (size_t k : {1, 2, 9, 40}) out.push_back({m, n, k});
    }
  }
  out.push_back({7, 19, 0});
  out.push_back({130, 140, 300});
  out.push_back({121, 129, 257});
  out.push_back({3, 1, 1000});
  // Several tiles of a call, and half a vector of columns alone and beside whole ones.
  for (size_t m : {17, 24, 37, 133}) {
    for (size_t n : {5, 8, 16, 24, 40, 70}) out.push_back({m, n, 27});
  }
  out.push_back({37, 8, 300});
  out.push_back({37, 23, 513});
  return out;
}

template <typename T>
std::vector<T> Transpose(const std::vector<T>& x, size_t rows, size_t columns) {
  std::vector<T> out(x.size());
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < columns; ++c) out[c * rows + r] = x[r * columns + c];
  }
  return out;
}

TEST(GemmF32, EveryLayoutAgreesWithPlainLoops) {
  ForEachTarget(GemmTargets(), [](const char*) {
    for (const Problem& p : Problems()) {
      const std::vector<float> a = RandomFloats(p.m * p.k, 1), b = RandomFloats(p.k * p.n, 2);
      const auto a_rows = Exact(a), a_columns = Exact(Transpose(a, p.m, p.k));
      const auto b_rows = Exact(b);
      const std::vector<float> b_turned = Transpose(b, p.k, p.n);
      std::vector<float> pack1(PackedFloats(p.k, p.n), NAN), pack2(PackedFloats(p.k, p.n), NAN);
      PackRowMajor(b.data(), p.k, p.n, p.n, pack1.data());
      PackTransposed(b_turned.data(), p.k, p.n, p.k, pack2.data());
      ASSERT_EQ(pack1, pack2);
      const auto packed = Exact(pack1);
      for (const GemmLeft& left : {GemmLeft::RowMajor(a_rows.get(), p.k, p.k),
                                   GemmLeft::Transposed(a_columns.get(), p.k, p.m)}) {
        for (const GemmRight& right :
             {GemmRight::Packed(packed.get(), p.k), GemmRight::RowMajor(b_rows.get(), p.n)}) {
          auto c = Exact(std::vector<float>(p.m * p.n, NAN));
          GemmResult result;
          result.data = c.get();
          result.stride = p.n;
          GemmF32(p.m, p.n, left, right, result, nullptr);
          ExpectProduct(p, a, b, {}, c.get(), p.n);
        }
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

TEST(GemmF32, BiasClampAccumulateAndStride) {
  ForEachTarget(GemmTargets(), [](const char*) {
    for (const Problem& p : Problems()) {
      const std::vector<float> a = RandomFloats(p.m * p.k, 3), b = RandomFloats(p.k * p.n, 4);
      const std::vector<float> bias = RandomFloats(p.n, 5);
      std::vector<float> start(p.m * p.n);
      for (size_t i = 0; i < start.size(); ++i) start[i] = bias[i % p.n];
      std::vector<float> packed(PackedFloats(p.k, p.n));
      PackRowMajor(b.data(), p.k, p.n, p.n, packed.data());
      for (const GemmRight& right :
           {GemmRight::RowMajor(b.data(), p.n), GemmRight::Packed(packed.data(), p.k)}) {
        const size_t stride = p.n + 3;
        std::vector<float> c(p.m * stride, 77.0f), clamped = c;
        GemmResult result;
        result.data = c.data();
        result.stride = stride;
        result.bias = bias.data();
        const GemmLeft left = GemmLeft::RowMajor(a.data(), p.k, p.k);
        GemmF32(p.m, p.n, left, right, result, nullptr);
        ExpectProduct(p, a, b, start, c.data(), stride);
        result.data = clamped.data();
        result.low = 0.0f;
        result.high = 0.5f;
        GemmF32(p.m, p.n, left, right, result, nullptr);
        for (size_t i = 0; i < c.size(); ++i) {
          const bool inside = i % stride < p.n;
          ASSERT_EQ(clamped[i], inside ? std::min(std::max(c[i], 0.0f), 0.5f) : 77.0f);
        }
        // C += A * B on top of the bias rows.
        result = {};
        result.data = c.data();
        result.stride = stride;
        result.accumulate = true;
        for (size_t m = 0; m < p.m; ++m) std::copy(bias.begin(), bias.end(), &c[m * stride]);
        GemmF32(p.m, p.n, left, right, result, nullptr);
        ExpectProduct(p, a, b, start, c.data(), stride);
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

// Columns of half a vector take the elements of A by two; the last of an odd run has none beside
// it.
TEST(GemmF32, AnInfiniteElementStaysInItsRow) {
  ForEachTarget(GemmTargets(), [](const char*) {
    const size_t k = 3, n = 5;
    const std::vector<float> a = {1.0f, 1.0f, INFINITY, INFINITY, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
    const std::vector<float> b(k * n, 2.0f);
    std::vector<float> packed(PackedFloats(k, n)), c(3 * n);
    PackRowMajor(b.data(), k, n, n, packed.data());
    GemmResult result;
    result.data = c.data();
    result.stride = n;
    GemmF32(3, n, GemmLeft::RowMajor(a.data(), k, k), GemmRight::Packed(packed.data(), k), result,
            nullptr);
    for (size_t i = 0; i < c.size(); ++i) EXPECT_EQ(c[i], i < 2 * n ? INFINITY : 6.0f) << i;
  });
}

TEST(GemmF32, NanPropagatesThroughTheClamp) {
  ForEachTarget(GemmTargets(), [](const char*) {
    const std::vector<float> a = {NAN, 1.0f}, b = {1.0f, -1.0f};
    std::vector<float> c(4);
    GemmResult result;
    result.data = c.data();
    result.stride = 2;
    result.low = 0.0f;
    GemmF32(2, 2, GemmLeft::RowMajor(a.data(), 1, 1), GemmRight::RowMajor(b.data(), 2), result,
            nullptr);
    EXPECT_TRUE(std::isnan(c[0]) && std::isnan(c[1]));
    EXPECT_EQ(c[2], 1.0f);
    EXPECT_EQ(c[3], 0.0f);
  });
}

TEST(GemmF32, ThreadsDoNotChangeABit) {
  ForEachTarget(GemmTargets(), [](const char*) {
    const Problem p{250, 150, 400};
    const std::vector<float> a = RandomFloats(p.m * p.k, 6), b = RandomFloats(p.k * p.n, 7);
    std::vector<float> first;
    for (int threads : testing::ThreadCounts({1, 2, 3, 7})) {
      ThreadPool pool(threads);
      std::vector<float> c(p.m * p.n);
      GemmResult result;
      result.data = c.data();
      result.stride = p.n;
      GemmF32(p.m, p.n, GemmLeft::RowMajor(a.data(), p.k, p.k), GemmRight::RowMajor(b.data(), p.n),
              result, &pool);
      if (first.empty()) {
        first = c;
        ExpectProduct(p, a, b, {}, c.data(), p.n);
      }
      ASSERT_EQ(std::memcmp(first.data(), c.data(), c.size() * sizeof(float)), 0) << threads;
    }
    // A row alone gives the bits it has in the whole: tiles and blocks do not show.
    std::vector<float> row(p.n);
    GemmResult result;
    result.data = row.data();
    result.stride = p.n;
    GemmF32(1, p.n, GemmLeft::RowMajor(a.data() + 77 * p.k, p.k, p.k),
            GemmRight::RowMajor(b.data(), p.n), result, nullptr);
    EXPECT_EQ(std::memcmp(row.data(), &first[77 * p.n], p.n * sizeof(float)), 0);
  });
}

}  // namespace
}  // namespace litesmith
