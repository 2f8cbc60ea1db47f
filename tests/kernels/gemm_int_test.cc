#include "kernels/gemm_int.h"

#include <algorithm>
#include <cmath>

#include "base/fixed_point.h"
#include "base/random.h"
#include "kernels/conv_f32.h"
#include "kernels/conv_int.h"
#include "kernels/quantize_rows.h"
#include "kernels/reference/dynamic_range.h"
#include "kernels/reference/stage.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
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
  for (size_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 17}) {
    for (size_t n : {1, 8, 15, 16, 17, 32, 33}) {
      for (size_t run : {1, 3, 8, 27}) out.push_back({m, n, 1, run});
    }
  }
  for (size_t taps : {2, 3, 9}) {
    for (size_t run : {1, 3, 16}) out.push_back({11, 40, taps, run});
  }
  out.push_back({16, 16, 3, 27});
  out.push_back({17, 8, 3, 9});
  for (size_t n : {16, 28, 32}) out.push_back({16, n, 1, 24});
  for (size_t n : {12, 16, 32, 64}) out.push_back({41, n, 2, 8});
  out.push_back({40, 16, 1, 200});
  out.push_back({24, 8, 2, 9});
  out.push_back({3, 20, 1, 0});
  out.push_back({1, 20, 1, 1352});
  out.push_back({50, 140, 2, 601});
  return out;
}

// Every kernel of this machine with every target of Highway, which has the stages.
template <typename Body>
void ForEachKernel(const Body& body) {
  ForEachTarget(GemmIntTargets(), [&](const char*) {
    for (const IntKernel& kernel : IntKernels()) {
      SCOPED_TRACE(kernel.name);
      body(kernel);
    }
  });
}

// A with its taps, the weights and the exact sums. In is int8_t, uint8_t or int16_t.
template <typename In>
struct Case {
  Problem p;
  std::vector<In> a;
  std::vector<ptrdiff_t> taps;
  std::vector<int8_t> weights;
  std::vector<int64_t> sums;
  int32_t weight_offset = 0;
  IntWeights packed;
  IntLeft left;

  Case(const Problem& problem, const IntKernel& kernel, bool bytes, uint64_t seed) : p(problem) {
    Random random(seed);
    const bool extreme = seed % 3 == 0;
    if (!bytes) weight_offset = static_cast<int32_t>(random.Below(256)) - 128;
    // Taps overlap and leave gaps; rows lie `stride` apart.
    const size_t stride = 3;
    for (size_t t = 0; t < p.taps; ++t) {
      taps.push_back(static_cast<ptrdiff_t>(t * (p.run + 1) * sizeof(In)));
    }
    a = RandomIntegers<In>(&random, p.m * stride + p.taps * (p.run + 1) + p.run + 8,
                           std::numeric_limits<In>::min(), std::numeric_limits<In>::max(), extreme);
    weights = RandomIntegers<int8_t>(&random, p.n * p.taps * p.run, -128, 127, extreme);
    for (size_t m = 0; m < p.m; ++m) {
      for (size_t n = 0; n < p.n; ++n) {
        int64_t sum = 0;
        for (size_t k = 0; k < p.taps * p.run; ++k) {
          const size_t at = m * stride + k / p.run * (p.run + 1) + k % p.run;
          sum += int64_t{a[at]} * (weights[n * p.taps * p.run + k] + weight_offset);
        }
        sums.push_back(sum);
      }
    }
    packed = IntWeights::Pack(kernel, bytes, weights.data(), p.n, p.taps, p.run, weight_offset);
    left.data = a.data();
    left.step = stride * sizeof(In);
    if (seed % 5 == 0) {  // the same places, told as short rows
      left.width = 3;
      left.height = p.m;
      left.row_stride = 3 * left.step;
    }
    left.taps = taps.data();
    left.flip = bytes && std::is_signed_v<In> ? kSignedFlip : 0;
  }

  // `bias` less what the exclusive or adds.
  std::vector<int32_t> Init(const std::vector<int32_t>& bias) const {
    std::vector<int32_t> init(packed.sums.size());
    for (size_t n = 0; n < p.n; ++n) {
      const uint32_t flipped = left.flip != 0 ? 128u * static_cast<uint32_t>(packed.sums[n]) : 0;
      init[n] = static_cast<int32_t>(static_cast<uint32_t>(bias[n]) - flipped);
    }
    return init;
  }
};

struct Columns {
  std::vector<int32_t> multiplier, left, right, bias;
  std::vector<double> factor;

  Columns(size_t n, bool bounded, uint64_t seed) {
    Random random(seed);
    for (size_t i = 0; i < n + 2 * kIntPanel; ++i) {
      const int shift = bounded ? -1 - static_cast<int>(random.Below(20))
                                : static_cast<int>(random.Below(63)) - 31;
      multiplier.push_back(
          static_cast<int32_t>((uint32_t{1} << 30) + random.Below(uint32_t{1} << 30)));
      if (random.Below(16) == 0) multiplier.back() = random.Below(2) == 0 ? 0 : 2147483647;
      left.push_back(std::clamp(shift, 0, 31));
      right.push_back(std::clamp(-shift, 0, 31));
      bias.push_back(static_cast<int32_t>(random.Next()) / (bounded ? 4096 : 1));
      // Halves, so that ties occur.
      factor.push_back(random.Below(4) == 0 ? 0.5 : std::ldexp(random.Uniform(0.5, 1.0), shift));
    }
  }
};

template <typename Out>
constexpr IntStage::Out OutOf() {
  return std::is_same_v<Out, int8_t>    ? IntStage::Out::kInt8
         : std::is_same_v<Out, uint8_t> ? IntStage::Out::kUint8
                                        : IntStage::Out::kInt16;
}

template <typename In, typename Out>
void ExpectFixed(const Problem& p, const IntKernel& kernel, bool bytes, bool bounded, uint64_t seed,
                 bool with_lines = false) {
  const Case<In> c(p, kernel, bytes, seed);
  const Columns columns(p.n, bounded, seed + 1000);
  const std::vector<int32_t> init = c.Init(columns.bias);
  IntStage s;
  s.type = OutOf<Out>();
  s.bounded = bounded;
  s.multiplier = columns.multiplier.data();
  s.left_shift = columns.left.data();
  s.right_shift = columns.right.data();
  s.low = std::numeric_limits<Out>::min() + 3;
  s.high = std::numeric_limits<Out>::max() - 5;
  s.zero_point = sizeof(Out) == 1 ? -17 : 0;
  if (with_lines && seed % 2 == 0) s.low = s.zero_point;  // ReLU
  if (with_lines && seed % 4 == 0) s.low = s.zero_point = std::numeric_limits<Out>::min();
  FixedLines lines;
  for (size_t n = 0; with_lines && n < p.n + 2 * kIntPanel; ++n) {
    LineSpec spec;
    spec.multiplier = {columns.multiplier[n], columns.left[n] - columns.right[n]};
    spec.middle = n < p.n ? columns.bias[n] : 0;
    spec.reach = n < p.n ? 255 * c.packed.absolute[n] : 0;
    spec.positive = s.low >= s.zero_point;
    lines.Add(FitLine(spec));
  }
  if (with_lines && UsesLines()) s.lines = &lines;
  std::vector<Out> out(p.m * p.n);
  s.out = out.data();
  s.stride = p.n;
  GemmInt(p.m, c.left, c.packed, init.data(), false, s, nullptr);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t n = i % p.n;
    const auto sum = static_cast<int32_t>(static_cast<uint32_t>(c.sums[i]) +
                                          static_cast<uint32_t>(columns.bias[n]));
    const int32_t scaled = MultiplyByQuantizedMultiplier(sum, columns.multiplier[n],
                                                         columns.left[n] - columns.right[n]);
    ASSERT_EQ(out[i], std::clamp(reference::WrappingAdd(scaled, s.zero_point), s.low, s.high))
        << "at " << i << " of " << p.m << "x" << p.n << "x" << p.taps << "x" << p.run << ", bytes "
        << bytes << ", bounded " << bounded;
  }
}

TEST(GemmInt, FixedPointHasTheReferenceBitsOnEveryTarget) {
  ForEachKernel([](const IntKernel& kernel) {
    uint64_t seed = 0;
    for (const Problem& p : Problems()) {
      ++seed;
      for (bool bounded : {false, true}) {
        // Sums of 16-bit extremes pass what `bounded` allows.
        if (!bounded) ExpectFixed<int16_t, int16_t>(p, kernel, false, false, seed);
        if (kernel.bytes != nullptr) {
          ExpectFixed<int8_t, int8_t>(p, kernel, true, bounded, seed);
          ExpectFixed<int8_t, int8_t>(p, kernel, true, bounded, seed, true);
          ExpectFixed<uint8_t, uint8_t>(p, kernel, true, bounded, seed);
        }
      }
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

// Of 64-bit sums: the stage's right shifts.
struct ShiftRange {
  int32_t first, last;
};

// 16x8: 64-bit sums, whether they fit 32 bits (and are taken so) or not.
void ExpectWide(const Problem& p, const IntKernel& kernel, ShiftRange range, uint64_t seed,
                ThreadPool* threads) {
  const Case<int16_t> c(p, kernel, false, seed);
  Columns columns(p.n, true, seed + 1000);
  const bool fits = static_cast<double>(c.packed.largest) * 32768.0 + 0x1p20 < 0x1p31;
  const std::vector<int32_t> init = c.Init(columns.bias);
  const std::vector<int64_t> wide_bias(columns.bias.begin(), columns.bias.end());
  std::vector<int32_t> shifts;
  Random random(seed + 2000);
  for (int32_t& multiplier : columns.multiplier) {
    shifts.push_back(range.first + static_cast<int32_t>(random.Below(
                                       static_cast<uint64_t>(range.last - range.first + 1))));
    // Ties with the smaller shifts.
    if (random.Below(4) == 0) multiplier = 1 << 30;
    // A factor of 0 has a shift of its own.
    if (multiplier == 0 && random.Below(2) == 0) shifts.back() = 15;
  }
  IntStage s;
  s.kind = IntStage::Kind::kWide;
  s.type = IntStage::Out::kInt16;
  s.bounded = range.first >= 17 && range.last <= 32;
  s.multiplier = columns.multiplier.data();
  s.right_shift = shifts.data();
  s.low = seed % 2 == 0 ? 0 : -32768;  // ReLU
  s.high = seed % 4 == 0 ? 20000 : 32767;
  s.wide_bias = fits ? nullptr : wide_bias.data();
  std::vector<int16_t> out(p.m * p.n);
  s.out = out.data();
  s.stride = p.n;
  GemmInt(p.m, c.left, c.packed, init.data(), !fits, s, threads);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t n = i % p.n;
    const int32_t scaled = MultiplyByQuantizedMultiplier(c.sums[i] + columns.bias[n],
                                                         columns.multiplier[n], 15 - shifts[n]);
    ASSERT_EQ(out[i], std::clamp(scaled, s.low, s.high))
        << "at " << i << " of " << p.m << "x" << p.n << "x" << p.taps << "x" << p.run << ", shift "
        << shifts[n];
  }
}

TEST(GemmInt, WideSumsAreExactOnEveryTarget) {
  ForEachKernel([](const IntKernel& kernel) {
    ThreadPool threads(testing::ThreadCounts({2}).back());
    uint64_t seed = 0;
    for (const Problem& p : Problems()) {
      ++seed;
      for (const ShiftRange& range : {ShiftRange{16, 35}, {17, 32}, {17, 46}, {8, 62}}) {
        ExpectWide(p, kernel, range, seed, &threads);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST(GemmInt, DoubleFactorsRoundAsTheReferenceOnEveryTarget) {
  ForEachKernel([](const IntKernel& kernel) {
    uint64_t seed = 0;
    for (const Problem& p : Problems()) {
      ++seed;
      const bool bounded = seed % 2 == 0;
      const Case<int16_t> c(p, kernel, false, seed);
      const Columns columns(p.n, bounded, seed + 1000);
      const std::vector<int32_t> init = c.Init(columns.bias);
      IntStage s;
      s.kind = IntStage::Kind::kDouble;
      s.type = IntStage::Out::kInt16;
      s.bounded = bounded;
      s.factor = columns.factor.data();
      s.zero_point = 5;
      s.low = -32768;
      s.high = 32767;
      std::vector<int16_t> out(p.m * p.n);
      s.out = out.data();
      s.stride = p.n;
      GemmInt(p.m, c.left, c.packed, init.data(), false, s, nullptr);
      for (size_t i = 0; i < out.size(); ++i) {
        const size_t n = i % p.n;
        const auto sum = static_cast<int32_t>(static_cast<uint32_t>(c.sums[i]) +
                                              static_cast<uint32_t>(columns.bias[n]));
        const int32_t scaled = RoundToInt32(sum * columns.factor[n]);
        ASSERT_EQ(out[i], std::clamp(reference::WrappingAdd(scaled, 5), s.low, s.high));
      }
    }
  });
}

TEST(GemmInt, ConvolutionsHaveTheReferenceBitsOnEveryTarget) {
  ForEachKernel([](const IntKernel& kernel) {
    ThreadPool threads(testing::ThreadCounts({2}).back());
    uint64_t seed = 0;
    for (const ConvGeometry& g : testing::ConvCases()) {
      SCOPED_TRACE(testing::Describe(g));
      Random random(++seed);
      const bool bytes = kernel.bytes != nullptr;
      const auto input =
          RandomIntegers<int8_t>(&random, testing::InputSize(g), -128, 127, seed % 3 == 0);
      const auto weights =
          RandomIntegers<int8_t>(&random, testing::WeightSize(g), -127, 127, seed % 3 == 0);
      const auto zero = static_cast<int32_t>(seed % 2 == 0 ? -128 : 127);
      const IntConv conv = IntConv::Prepare(g, kernel, bytes, 1, weights.data(), 0);
      std::vector<int32_t> init;
      for (const IntWeights& w : conv.groups) {
        for (int32_t sum : w.sums) init.push_back(-(zero + (bytes ? 128 : 0)) * sum);
      }
      const Columns columns(static_cast<size_t>(g.out_c), true, seed);
      IntStage s;
      s.multiplier = columns.multiplier.data();
      s.left_shift = columns.left.data();
      s.right_shift = columns.right.data();
      s.low = -128;
      s.high = 127;
      std::vector<int8_t> out(testing::OutputSize(g)), expected(out.size());
      s.out = out.data();
      s.stride = static_cast<size_t>(g.out_c);
      // Groups of 4 bytes are read up to the last byte there is, and not beyond.
      AlignedVector<std::byte> scratch(conv.scratch_bytes);
      ConvInt<int8_t>(g, conv, {input.data(), &zero, false}, init.data(), false, s, scratch.data(),
                      &threads);
      std::vector<Multiplier> multipliers;
      for (int32_t n = 0; n < g.out_c; ++n) {
        multipliers.push_back({columns.multiplier[n], -columns.right[n]});
      }
      const reference::FixedPointStage<int32_t, int8_t> stage{
          {nullptr, 0, -128, 127, expected.data()}, multipliers.data(), 1};
      reference::Convolve<uint32_t>(g, {-zero, 0, nullptr}, input.data(), weights.data(), 0,
                                    size_t(g.batches) * g.out_h, stage);
      ASSERT_EQ(out, expected);
    }
  });
}

// Images quantized on their way into the copy give what images quantized before give.
TEST(GemmInt, FloatImagesAreQuantizedAsRowsAreOnEveryTarget) {
  ForEachKernel([](const IntKernel& kernel) {
    if (kernel.bytes == nullptr) return;
    ThreadPool threads(testing::ThreadCounts({2}).back());
    uint64_t seed = 0;
    for (const ConvGeometry& g : testing::ConvCases()) {
      SCOPED_TRACE(testing::Describe(g));
      if (g.filter_c != g.in_c) continue;
      const auto images = static_cast<size_t>(g.batches);
      const size_t size = testing::InputSize(g) / images;
      Random random(++seed);
      std::vector<float> input = testing::RandomFloats(images * size, seed);
      const auto weights =
          RandomIntegers<int8_t>(&random, testing::WeightSize(g), -127, 127, false);
      std::vector<RowQuantizer> quantizers;
      std::vector<int8_t> quantized(images * size);
      std::vector<int32_t> zeros(images);
      std::vector<float> scales(images);
      for (size_t i = 0; i < images; ++i) {
        for (size_t k = 0; k < size; ++k) input[i * size + k] *= static_cast<float>(i + 1);
        const float* row = input.data() + i * size;
        quantizers.push_back(seed % 2 == 0 ? FindSymmetric(row, size) : FindAsymmetric(row, size));
        int8_t* to = quantized.data() + i * size;
        scales[i] = seed % 2 == 0 ? QuantizeRowSymmetric(row, size, to)
                                  : QuantizeRowAsymmetric(row, size, to, &zeros[i]);
        ASSERT_FALSE(quantizers[i].plain);
        ASSERT_EQ(quantizers[i].zero_point, zeros[i]);
      }
      const IntConv conv = IntConv::Prepare(g, kernel, true, sizeof(float), weights.data(), 0);
      std::vector<int32_t> init;
      for (int32_t sum : conv.groups[0].sums) init.push_back(-128 * sum);
      IntStage s;
      s.kind = IntStage::Kind::kFloat;
      s.row_scale = scales.data();
      s.row_zero = zeros.data();
      s.column_sum = conv.groups[0].sums.data();
      s.positions = size_t(g.out_h) * g.out_w;
      s.float_low = -1e9f;
      s.float_high = 1e9f;
      s.stride = static_cast<size_t>(g.out_c);
      AlignedVector<std::byte> scratch(conv.scratch_bytes);
      std::vector<float> out(testing::OutputSize(g)), expected(out.size());
      s.out = expected.data();
      ConvInt<int8_t>(g, conv, {quantized.data(), zeros.data(), true}, init.data(), false, s,
                      scratch.data(), &threads);
      s.out = out.data();
      ConvInt<float>(g, conv, {input.data(), zeros.data(), true, quantizers.data()}, init.data(),
                     false, s, scratch.data(), &threads);
      ASSERT_EQ(out, expected);
    }
  });
}

TEST(GemmInt, HybridSumsBecomeTheReferenceFloatsOnEveryTarget) {
  ForEachKernel([](const IntKernel& kernel) {
    uint64_t seed = 0;
    for (const Problem& p : Problems()) {
      ++seed;
      if (kernel.bytes == nullptr) return;
      const Case<int8_t> c(p, kernel, true, seed);
      const std::vector<int32_t> init = c.Init(std::vector<int32_t>(p.n));
      Random random(seed);
      std::vector<float> scales(p.n + 2 * kIntPanel), bias(p.n + 2 * kIntPanel), rows(p.m);
      std::vector<int32_t> zeros(p.m);
      for (float& x : scales) x = static_cast<float>(random.Uniform(0.001, 0.1));
      for (float& x : bias) x = static_cast<float>(random.Uniform(-1.0, 1.0));
      for (float& x : rows) x = static_cast<float>(random.Uniform(0.001, 0.1));
      for (int32_t& x : zeros) x = static_cast<int32_t>(random.Below(256)) - 128;
      IntStage s;
      s.kind = IntStage::Kind::kFloat;
      s.column_scale = seed % 3 == 0 ? nullptr : scales.data();
      s.columns_first = seed % 2 == 0;
      s.row_scale = rows.data();
      s.row_zero = zeros.data();
      s.column_sum = c.packed.sums.data();
      s.bias = seed % 5 == 0 ? nullptr : bias.data();
      s.positions = seed % 4 == 0 ? 1 : p.m;  // the rows of an image share a scale
      s.float_low = -3.0f;
      s.float_high = 50.0f;
      std::vector<float> out(p.m * p.n), expected(p.m * p.n);
      s.out = out.data();
      s.stride = p.n;
      GemmInt(p.m, c.left, c.packed, init.data(), false, s, nullptr);
      const reference::HybridStage stage{s.bias, s.row_scale, s.column_scale, 1, s.columns_first,
                                         -3.0f,  50.0f,       expected.data()};
      for (size_t i = 0; i < out.size(); ++i) {
        const size_t row = i / p.n / s.positions, n = i % p.n;
        stage(i, static_cast<int32_t>(n), static_cast<int32_t>(row),
              static_cast<uint32_t>(c.sums[i] - int64_t{zeros[row]} * c.packed.sums[n]));
      }
      ASSERT_EQ(out, expected);
    }
  });
}

TEST(QuantizeRows, HaveTheReferenceBitsOnEveryTarget) {
  ForEachTarget(QuantizeRowsTargets(), [](const char*) {
    const float inf = std::numeric_limits<float>::infinity();
    for (size_t count : {0, 1, 3, 15, 16, 17, 33, 200}) {
      for (uint64_t seed = 0; seed < 12; ++seed) {
        std::vector<float> values = testing::RandomFloats(count, seed);
        for (float& x : values) {
          if (seed % 4 == 1) x = std::round(x * 254.0f) / 254.0f;  // ties
          if (seed % 4 == 2) x *= 1e-41f;                          // no finite inverse
          if (seed % 4 == 3) x = std::abs(x);
        }
        if (seed == 4 && count > 2) values[count / 2] = std::nanf("");
        if (seed == 8 && count > 2) values[count - 1] = -inf;
        std::vector<int8_t> fast(count), plain(count);
        ASSERT_EQ(QuantizeRowSymmetric(values.data(), count, fast.data()),
                  reference::QuantizeSymmetric(values.data(), count, plain.data()));
        ASSERT_EQ(fast, plain) << count << ", seed " << seed;
        int32_t fast_zero = 0, plain_zero = 0;
        const float scale = QuantizeRowAsymmetric(values.data(), count, fast.data(), &fast_zero);
        const float expected =
            reference::QuantizeAsymmetric(values.data(), count, plain.data(), &plain_zero);
        ASSERT_TRUE(scale == expected || (std::isnan(scale) && std::isnan(expected)));
        ASSERT_EQ(fast_zero, plain_zero);
        ASSERT_EQ(fast, plain) << count << ", seed " << seed;
        const RowQuantizer q = FindAsymmetric(values.data(), count);
        if (q.plain) continue;
        std::vector<uint8_t> flipped(count);
        const size_t cut = count / 3;
        QuantizeFlipped(q, values.data(), cut, flipped.data());
        QuantizeFlipped(q, values.data() + cut, count - cut, flipped.data() + cut);
        for (size_t i = 0; i < count; ++i) ASSERT_EQ(flipped[i], plain[i] + 128);
      }
    }
  });
}

}  // namespace
}  // namespace litesmith
