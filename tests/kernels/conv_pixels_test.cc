#include "kernels/conv_pixels.h"

#include <algorithm>

#include "base/fixed_point.h"
#include "base/random.h"
#include "kernels/conv_int.h"
#include "kernels/isa.h"
#include "kernels/reference/stage.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;

// Few channels: rows that 16 outputs divide and do not, one unit and several, bytes that the
// filter's rows leave over and none.
std::vector<ConvGeometry> Cases() {
  std::vector<ConvGeometry> out = {
      testing::MakeConv(1, 27, 1, 8, 3, 1, 1, false),
      testing::MakeConv(2, 16, 3, 16, 3, 1, 1, true),
      testing::MakeConv(1, 35, 3, 8, 3, 2, 1, true),
      testing::MakeConv(1, 33, 3, 16, 3, 2, 1, true),
      testing::MakeConv(1, 21, 2, 16, 5, 1, 1, true),
      testing::MakeConv(2, 40, 2, 8, 4, 2, 1, true),
      testing::MakeConv(1, 49, 3, 8, 4, 3, 1, true),
      testing::MakeConv(1, 20, 1, 16, 7, 1, 1, true),
      testing::MakeConv(1, 18, 4, 8, 3, 1, 1, true),
      testing::MakeConv(1, 64, 4, 16, 3, 4, 1, true),
      testing::MakeConv(1, 34, 3, 32, 3, 2, 1, true),
      testing::MakeConv(1, 19, 3, 24, 3, 1, 1, true),
  };
  // Rows further apart than columns.
  ConvGeometry g = testing::MakeConv(1, 24, 3, 16, 3, 1, 2, true);
  g.dilation_w = 1;
  g.pad_w = 1;
  out.push_back(g);
  return out;
}

// The columns' arrays, and what the sums start with.
struct Columns {
  std::vector<Multiplier> multipliers;
  std::vector<int32_t> multiplier, left, right, bias, init;
  FixedLines lines;
};

Columns MakeColumns(const IntConv& conv, bool bytes, int32_t zero, const IntStage& s, Random* r) {
  Columns c;
  const IntWeights& w = conv.groups[0];
  for (size_t n = 0; n < w.sums.size() + 2 * kIntPanel; ++n) {
    FixedLine line;
    const bool real = n < w.columns;
    c.bias.push_back(real ? static_cast<int32_t>(r->Below(20000)) - 10000 : 0);
    do {  // until a line serves
      const int shift = -2 - static_cast<int>(r->Below(bytes ? 9 : 29));
      const auto m = static_cast<int32_t>((uint32_t{1} << 30) + r->Below(uint32_t{1} << 30));
      LineSpec spec;
      spec.multiplier = {m, shift};
      spec.middle = c.bias[n];
      spec.reach = real ? 255 * w.absolute[n] : 0;
      spec.positive = s.low >= s.zero_point;
      line = FitLine(spec);
      c.multipliers.resize(n + 1);
      c.multipliers[n] = spec.multiplier;
    } while (bytes && UsesLines() && line.kind == LineKind::kNone);
    c.lines.Add(line);
    c.multiplier.push_back(c.multipliers[n].multiplier);
    c.left.push_back(0);
    c.right.push_back((bytes ? 0 : 15) - c.multipliers[n].shift);
  }
  for (size_t n = 0; n < w.sums.size(); ++n) {
    c.init.push_back(c.bias[n] - (zero + (bytes ? 128 : 0)) * w.sums[n]);
  }
  return c;
}

template <typename In, typename Acc, typename Bias>
void Check(const ConvGeometry& g, uint64_t seed, bool positive) {
  constexpr bool kBytes = sizeof(In) == 1;
  Random random(seed);
  std::vector<In> input(testing::InputSize(g));
  for (In& x : input) x = static_cast<In>(random.Next());
  std::vector<int8_t> weights(testing::WeightSize(g));
  for (int8_t& x : weights) x = static_cast<int8_t>(static_cast<int>(random.Below(255)) - 127);
  IntStage s;
  s.kind = kBytes ? IntStage::Kind::kFixed : IntStage::Kind::kWide;
  s.type = kBytes ? IntStage::Out::kInt8 : IntStage::Out::kInt16;
  s.zero_point = !kBytes ? 0 : positive ? -128 : 9;
  s.low = positive ? s.zero_point : std::numeric_limits<In>::min() + 3;
  s.high = std::numeric_limits<In>::max() - 5;
  const int32_t zero = kBytes ? -7 : 0;
  const IntKernel& kernel = IntKernels()[0];
  if (kBytes && kernel.bytes == nullptr) return;
  const IntConv conv = IntConv::Prepare(g, kernel, kBytes, sizeof(In), weights.data(), 0);
  const Columns c = MakeColumns(conv, kBytes, zero, s, &random);
  s.multiplier = c.multiplier.data();
  s.left_shift = c.left.data();
  s.right_shift = c.right.data();
  s.lines = kBytes && UsesLines() ? &c.lines : nullptr;
  std::vector<In> out(testing::OutputSize(g)), expected(out.size());
  s.out = out.data();
  s.stride = static_cast<size_t>(g.out_c);
  const bool serves = HasDotIsa(DotIsa::kAvx512Bytes) && PixelsBuilt() &&
                      (!kBytes || g.out_c == 8 || g.out_c == 16);
  ASSERT_EQ(conv.pixels.fits(), serves);
  PixelStage stage;
  if (serves) {
    ASSERT_EQ(FindPixelStage(conv.pixels, kBytes, s, &stage), !kBytes || UsesLines());
  }
  AlignedVector<std::byte> scratch(conv.scratch_bytes);
  ThreadPool threads(testing::ThreadCounts({2}).back());
  ConvInt<In>(g, conv, {input.data(), &zero, false}, c.init.data(), false, s, scratch.data(),
              &threads);
  const std::vector<Bias> bias(c.bias.begin(), c.bias.end());
  const reference::FixedPointStage<Bias, In> reference_stage{
      {bias.data(), s.zero_point, s.low, s.high, expected.data()}, c.multipliers.data(), 1};
  reference::Convolve<Acc>(g, {-zero, 0, nullptr}, input.data(), weights.data(), 0,
                           size_t(g.batches) * g.out_h, reference_stage);
  ASSERT_EQ(out, expected);
}

TEST(ConvPixels, FewChannelsHaveTheReferenceBitsOnEveryTarget) {
  testing::ForEachTarget(GemmIntTargets(), [](const char*) {
    uint64_t seed = 0;
    for (const ConvGeometry& g : Cases()) {
      SCOPED_TRACE(testing::Describe(g));
      for (bool positive : {false, true}) {
        ++seed;
        ASSERT_NO_FATAL_FAILURE((Check<int8_t, uint32_t, int32_t>(g, seed, positive)));
        ASSERT_NO_FATAL_FAILURE((Check<int16_t, uint64_t, int64_t>(g, seed, positive)));
      }
    }
  });
}

TEST(ConvPixels, LeavesWhatItCannotDo) {
  const auto fits = [](const ConvGeometry& g, bool bytes) {
    const std::vector<int8_t> weights(testing::WeightSize(g), 1);
    return PackPixels(g, bytes, weights.data(), 0).fits();
  };
  const bool serves = HasDotIsa(DotIsa::kAvx512Bytes) && PixelsBuilt();
  EXPECT_EQ(fits(testing::MakeConv(1, 16, 3, 16, 3, 1, 1, true), true), serves);
  EXPECT_FALSE(fits(testing::MakeConv(1, 14, 3, 16, 3, 1, 1, true), true));   // narrow
  EXPECT_FALSE(fits(testing::MakeConv(1, 16, 5, 16, 3, 1, 1, true), true));   // many channels
  EXPECT_FALSE(fits(testing::MakeConv(1, 16, 3, 12, 3, 1, 1, true), true));   // a part of a block
  EXPECT_FALSE(fits(testing::MakeConv(1, 16, 3, 72, 3, 1, 1, true), false));  // many columns
  EXPECT_FALSE(fits(testing::MakeConv(1, 32, 4, 16, 9, 1, 1, true), true));   // a large filter
}

}  // namespace
}  // namespace litesmith
