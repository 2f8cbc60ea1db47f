#include "kernels/gemm_s16.h"

#include <algorithm>
#include <vector>

#include "base/fixed_point.h"
#include "base/random.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ForEachTarget;

// Values over the whole range, or only its ends.
template <typename T>
std::vector<T> RandomIntegers(Random* random, size_t count, int64_t low, int64_t high,
                              bool extreme) {
  std::vector<T> out(count);
  for (T& x : out) {
    const int64_t span = high - low + 1;
    const int64_t inside = low + static_cast<int64_t>(random->Below(static_cast<uint64_t>(span)));
    x = static_cast<T>(extreme ? (random->Below(2) == 0 ? low : high) : inside);
  }
  return out;
}

struct Problem {
  size_t m, n, taps, run;
};

std::vector<Problem> Problems() {
  std::vector<Problem> out;
  for (size_t m : {1, 2, 3, 5, 7, 8, 9, 17}) {
    for (size_t n : {1, 5, 15, 16, 17, 31, 32, 33, 49}) {
      for (size_t run : {1, 2, 3, 8, 27}) out.push_back({m, n, 1, run});
    }
  }
  for (size_t taps : {2, 3, 9}) {
    for (size_t run : {1, 3, 16}) out.push_back({11, 40, taps, run});
  }
  out.push_back({3, 20, 1, 0});
  out.push_back({170, 140, 2, 601});
  return out;
}

// A with its taps, the weights and the exact sums.
struct Case {
  std::vector<int16_t> a;
  std::vector<ptrdiff_t> taps;
  std::vector<int8_t> weights;
  std::vector<int64_t> sums;
  int32_t weight_offset = 0;
  size_t stride = 0;

  Case(const Problem& p, uint64_t seed) {
    Random random(seed);
    const bool extreme = seed % 3 == 0;
    weight_offset = static_cast<int32_t>(random.Below(256)) - 128;
    // Taps overlap and leave gaps; rows lie `stride` apart.
    for (size_t t = 0; t < p.taps; ++t) taps.push_back(static_cast<ptrdiff_t>(t * (p.run + 1)));
    stride = 3;
    a = RandomIntegers<int16_t>(&random, p.m * stride + p.taps * (p.run + 1) + p.run + 2, -32768,
                                32767, extreme);
    weights = RandomIntegers<int8_t>(&random, p.n * p.taps * p.run, -128, 127, extreme);
    for (size_t m = 0; m < p.m; ++m) {
      for (size_t n = 0; n < p.n; ++n) {
        int64_t sum = 0;
        for (size_t t = 0; t < p.taps; ++t) {
          for (size_t r = 0; r < p.run; ++r) {
            sum += int64_t{a[m * stride + static_cast<size_t>(taps[t]) + r]} *
                   (weights[(n * p.taps + t) * p.run + r] + weight_offset);
          }
        }
        sums.push_back(sum);
      }
    }
  }

  GemmS16Left Left(const Problem& p) const {
    GemmS16Left left = GemmS16Left::RowMajor(a.data(), p.run, stride);
    left.taps = taps.data();
    left.num_taps = p.taps;
    return left;
  }
  std::vector<int16_t> Packed(const Problem& p) const {
    std::vector<int16_t> packed(PackedS16(p.taps, p.run, p.n));
    PackS16(weights.data(), p.taps, p.run, p.n, weight_offset, packed.data());
    return packed;
  }
};

template <typename T>
struct Grid {
  size_t stride;
  std::vector<T> values;

  static void Store(const void* context, size_t m, size_t n, const T* sums, size_t count) {
    auto* grid = static_cast<Grid*>(const_cast<void*>(context));
    std::copy(sums, sums + count,
              grid->values.begin() + static_cast<ptrdiff_t>(m * grid->stride + n));
  }
};

TEST(GemmS16, SumsAreExactOnEveryTarget) {
  ForEachTarget(GemmS16Targets(), [](const char*) {
    ThreadPool threads(2);
    uint64_t seed = 0;
    for (const Problem& p : Problems()) {
      const Case c(p, ++seed);
      const std::vector<int16_t> packed = c.Packed(p);
      Grid<int32_t> narrow{p.n, std::vector<int32_t>(p.m * p.n)};
      Grid<int64_t> wide{p.n, std::vector<int64_t>(p.m * p.n)};
      S16Result out;
      out.rows = Grid<int32_t>::Store;
      out.context = &narrow;
      GemmS16(p.m, p.n, c.Left(p), packed.data(), out, &threads);
      out.rows = nullptr;
      out.wide_rows = Grid<int64_t>::Store;
      out.context = &wide;
      GemmS16(p.m, p.n, c.Left(p), packed.data(), out, nullptr);
      for (size_t i = 0; i < c.sums.size(); ++i) {
        ASSERT_EQ(narrow.values[i], static_cast<int32_t>(c.sums[i]))
            << "at " << i << " of " << p.m << "x" << p.n << "x" << p.taps << "x" << p.run;
        ASSERT_EQ(wide.values[i], c.sums[i]);
      }
    }
  });
}

template <typename Out>
void ExpectRequantized(const Problem& p, uint64_t seed, S16FixedPoint::Type type) {
  const Case c(p, seed);
  const std::vector<int16_t> packed = c.Packed(p);
  Random random(seed + 1000);
  const size_t columns = PaddedColumns(p.n);
  std::vector<int32_t> multiplier(columns), left(columns), right(columns), bias(columns);
  for (size_t n = 0; n < columns; ++n) {
    const int shift = static_cast<int>(random.Below(64)) - 31;
    multiplier[n] = static_cast<int32_t>((uint32_t{1} << 30) + random.Below(uint32_t{1} << 30));
    if (random.Below(16) == 0) multiplier[n] = random.Below(2) == 0 ? 0 : 2147483647;
    left[n] = std::clamp(shift, 0, 31);
    right[n] = std::clamp(-shift, 0, 31);
    bias[n] = static_cast<int32_t>(random.Next());
  }
  S16FixedPoint f;
  f.bias = seed % 2 == 0 ? nullptr : bias.data();
  f.multiplier = multiplier.data();
  f.left_shift = left.data();
  f.right_shift = right.data();
  f.low = std::numeric_limits<Out>::min() + 3;
  f.high = std::numeric_limits<Out>::max() - 5;
  f.zero_point = sizeof(Out) == 1 ? 17 : 0;
  f.type = type;
  std::vector<Out> out(p.m * p.n);
  f.out = out.data();
  f.stride = p.n;
  S16Result result;
  result.fixed_point = &f;
  GemmS16(p.m, p.n, c.Left(p), packed.data(), result, nullptr);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t n = i % p.n;
    uint32_t sum = static_cast<uint32_t>(c.sums[i]);
    if (f.bias != nullptr) sum += static_cast<uint32_t>(bias[n]);
    const int32_t scaled = MultiplyByQuantizedMultiplier(static_cast<int32_t>(sum), multiplier[n],
                                                         left[n] > 0 ? left[n] : -right[n]);
    const auto shifted =
        static_cast<int32_t>(static_cast<uint32_t>(scaled) + static_cast<uint32_t>(f.zero_point));
    ASSERT_EQ(out[i], std::clamp(shifted, f.low, f.high)) << "at " << i << ", seed " << seed;
  }
}

TEST(GemmS16, RequantizesAsTheReferenceOnEveryTarget) {
  ForEachTarget(GemmS16Targets(), [](const char*) {
    uint64_t seed = 0;
    for (const Problem& p : Problems()) {
      ++seed;
      ExpectRequantized<int8_t>(p, seed, S16FixedPoint::Type::kInt8);
      ExpectRequantized<uint8_t>(p, seed, S16FixedPoint::Type::kUint8);
      ExpectRequantized<int16_t>(p, seed, S16FixedPoint::Type::kInt16);
    }
  });
}

}  // namespace
}  // namespace litesmith
