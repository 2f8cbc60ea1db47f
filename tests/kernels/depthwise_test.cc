#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/random.h"
#include "kernels/depthwise_f32.h"
#include "kernels/depthwise_s16.h"
#include "kernels/reference/conv.h"
#include "kernels/reference/stage.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using reference::ConvGeometry;
using testing::Describe;
using testing::ForEachTarget;
using testing::InputSize;
using testing::MakeConv;
using testing::OutputSize;
using testing::RandomFloats;

// Filters of 3, 5 and others; strides; dilation; multipliers; channels below, at and beyond
// vectors; images smaller than the filter.
std::vector<ConvGeometry> Cases() {
  std::vector<ConvGeometry> out = {
      MakeConv(1, 12, 8, 8, 3, 1, 1, true),    MakeConv(2, 9, 16, 16, 3, 1, 1, true),
      MakeConv(1, 9, 8, 8, 3, 2, 1, true),     MakeConv(1, 7, 32, 32, 3, 1, 1, false),
      MakeConv(2, 6, 40, 40, 3, 2, 1, true),   MakeConv(1, 8, 24, 24, 5, 1, 1, true),
      MakeConv(1, 8, 67, 67, 5, 2, 1, true),   MakeConv(1, 9, 33, 33, 3, 1, 2, true),
      MakeConv(1, 6, 4, 16, 3, 1, 1, true),    MakeConv(2, 7, 1, 8, 3, 2, 1, true),
      MakeConv(1, 5, 3, 24, 3, 1, 1, true),    MakeConv(1, 2, 16, 16, 5, 1, 1, true),
      MakeConv(1, 1, 32, 32, 3, 1, 1, true),   MakeConv(1, 10, 16, 16, 4, 3, 1, false),
      MakeConv(1, 12, 64, 64, 3, 1, 3, false), MakeConv(1, 9, 16, 16, 7, 1, 1, true),
      MakeConv(1, 9, 130, 130, 3, 2, 1, true), MakeConv(2, 7, 64, 64, 3, 1, 1, true),
      MakeConv(1, 8, 16, 16, 1, 1, 1, false),  MakeConv(1, 8, 4, 4, 3, 1, 1, true),
      MakeConv(1, 8, 3, 3, 3, 1, 1, true),     MakeConv(1, 8, 1, 1, 3, 1, 1, true),
      MakeConv(1, 11, 20, 20, 5, 1, 1, false), MakeConv(1, 7, 8, 8, 5, 1, 1, true),
      MakeConv(2, 2, 8, 8, 3, 1, 1, true),     MakeConv(1, 4, 17, 17, 3, 1, 1, true),
      MakeConv(1, 11, 16, 16, 3, 2, 1, true),  MakeConv(2, 12, 32, 32, 3, 2, 1, true),
      MakeConv(1, 9, 96, 96, 3, 2, 1, true),   MakeConv(1, 10, 144, 144, 3, 1, 1, true),
      MakeConv(1, 23, 24, 24, 3, 1, 1, true),  MakeConv(1, 13, 64, 64, 3, 2, 1, false),
  };
  // Strides and dilations that differ between the axes, padding on one side.
  ConvGeometry uneven = MakeConv(1, 9, 24, 24, 3, 1, 1, true);
  uneven.stride_w = 2;
  uneven.out_w = 5;
  out.push_back(uneven);
  uneven = MakeConv(1, 9, 16, 16, 3, 1, 2, true);
  uneven.dilation_h = 1;
  uneven.pad_h = 0;
  out.push_back(uneven);
  for (ConvGeometry& g : out) g.filter_c = 1;
  return out;
}

size_t Taps(const ConvGeometry& g) { return size_t(g.filter_h) * g.filter_w * g.out_c; }

template <typename T>
std::vector<T> RandomIntegers(size_t count, int64_t low, int64_t high, uint64_t seed) {
  Random random(seed);
  std::vector<T> out(count);
  for (T& x : out) {
    x = static_cast<T>(low + static_cast<int64_t>(random.Next() % uint64_t(high - low + 1)));
  }
  return out;
}

// Aligned scratch.
std::vector<PackedLine> Scratch(size_t bytes) { return std::vector<PackedLine>(bytes / 64 + 1); }
std::byte* Bytes(std::vector<PackedLine>* lines) {
  return reinterpret_cast<std::byte*>(lines->data());
}

TEST(DepthwiseF32, AgreesWithReference) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    const auto input = RandomFloats(InputSize(g), 1), weights = RandomFloats(Taps(g), 2);
    const auto bias = RandomFloats(g.out_c, 3);
    ASSERT_TRUE(DepthwiseF32Fits(g));
    for (const float* b : {bias.data(), static_cast<const float*>(nullptr)}) {
      std::vector<float> want(OutputSize(g));
      reference::ConvolveDepthwise<float>(g, {}, input.data(), weights.data(), 0,
                                          size_t(g.batches) * g.out_h,
                                          reference::FloatStage{b, -1.5f, 0.75f, want.data()});
      ForEachTarget(DepthwiseF32Targets(), [&](const char*) {
        for (int threads : testing::ThreadCounts({1, 3})) {
          ThreadPool pool(threads);
          std::vector<float> got(want.size(), NAN);
          auto scratch = Scratch(DepthwiseF32ScratchBytes(g));
          DepthwiseF32(g, input.data(), weights.data(), {b, -1.5f, 0.75f, got.data()},
                       Bytes(&scratch), &pool);
          for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-5f) << i;
        }
      });
    }
  }
}

TEST(DepthwiseF32, NotANumberStays) {
  ConvGeometry g = MakeConv(1, 4, 16, 16, 3, 1, 1, true);
  std::vector<float> input(InputSize(g), 1.0f), weights(Taps(g), 1.0f);
  input[0] = NAN;
  ForEachTarget(DepthwiseF32Targets(), [&](const char*) {
    std::vector<float> got(OutputSize(g));
    auto scratch = Scratch(DepthwiseF32ScratchBytes(g));
    DepthwiseF32(g, input.data(), weights.data(), {nullptr, 0.0f, 6.0f, got.data()},
                 Bytes(&scratch), nullptr);
    EXPECT_TRUE(std::isnan(got[0]));
    EXPECT_EQ(got[1], 4.0f);
  });
}

// Every stage against its reference on every target, with the largest numbers among the random
// ones.
template <typename In, typename Bias>
class IntegerCase {
 public:
  // `most`: the largest right shift.
  IntegerCase(const ConvGeometry& g, int32_t offset, bool extreme, int most = 16)
      : g_(g), offset_(offset) {
    constexpr int64_t kLow = std::numeric_limits<In>::min(), kHigh = std::numeric_limits<In>::max();
    input_ = RandomIntegers<In>(InputSize(g), extreme ? kLow : kLow / 2, kHigh, 5);
    weights_ = RandomIntegers<int16_t>(Taps(g), extreme ? 127 : -127, 127, 6);
    bias_ = RandomIntegers<Bias>(g.out_c, -60000, 60000, 7);
    const auto shifts = RandomIntegers<int>(g.out_c, 1, most, 8);
    const auto high = RandomIntegers<int32_t>(g.out_c, 1 << 30, INT32_MAX, 9);
    for (int32_t c = 0; c < g.out_c; ++c) multipliers_.push_back({high[c], -shifts[c]});
    if (extreme) multipliers_[0] = {INT32_MAX, -1};
    if (extreme && sizeof(In) == 2) bias_[1 % g.out_c] = 1 << 30;
    wide_bias_.assign(bias_.begin(), bias_.end());
  }

  void Run(DepthwiseStage stage, int32_t zero, In low, In high) {
    std::vector<In> want(OutputSize(g_));
    using Acc = std::conditional_t<std::is_same_v<Bias, int64_t>, uint64_t, uint32_t>;
    const reference::FixedPointStage<Bias, In> reference_stage{
        {bias_.data(), zero, low, high, want.data()}, multipliers_.data(), 1};
    reference::ConvOffsets offsets;
    offsets.input = offset_;
    reference::ConvolveDepthwise<Acc>(g_, offsets, input_.data(), weights_.data(), 0,
                                      size_t(g_.batches) * g_.out_h, reference_stage);
    for (bool dot_products : {false, true}) {
      RunOnTargets(stage, zero, low, high, dot_products, want);
    }
  }

 private:
  // `dot_products`: with the byte kernel, where the CPU has it.
  void RunOnTargets(DepthwiseStage stage, int32_t zero, In low, In high, bool dot_products,
                    const std::vector<In>& want) {
    ForEachTarget(DepthwiseS16Targets(), [&](const char* name) {
      const DepthwiseS16Packed packed =
          PackDepthwiseS16({g_, stage, weights_.data(), multipliers_.data(), wide_bias_.data(),
                            sizeof(In) == 1 ? 255 : 32768, std::is_same_v<In, int8_t>, dot_products,
                            low, high, zero});
      const bool vectors = std::strcmp(name, "SCALAR") != 0 && g_.out_c >= 8;
      ASSERT_EQ(packed.fits(), vectors);
      if (!vectors) return;
      for (int threads : testing::ThreadCounts({1, 3})) {
        ThreadPool pool(threads);
        std::vector<In> got(want.size(), In{99});
        auto scratch = Scratch(packed.ScratchBytes(sizeof(In)));
        DepthwiseS16Run run;
        run.input_offset = offset_;
        run.low = low;
        run.high = high;
        run.zero_point = zero;
        run.out = got.data();
        DepthwiseS16(packed, input_.data(), run, Bytes(&scratch), &pool);
        ASSERT_EQ(got, want);
      }
    });
  }

  ConvGeometry g_;
  int32_t offset_;
  std::vector<In> input_;
  std::vector<int16_t> weights_;
  std::vector<Bias> bias_;
  std::vector<int64_t> wide_bias_;
  std::vector<Multiplier> multipliers_;
};

TEST(DepthwiseS16, BytesAreTheReferences) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    for (bool extreme : {false, true}) {
      IntegerCase<int8_t, int32_t>(g, 128, extreme)
          .Run(DepthwiseStage::kFixedPoint, -128, -128, 127);
      IntegerCase<int8_t, int32_t>(g, -127, extreme).Run(DepthwiseStage::kFixedPoint, 5, -20, 100);
      IntegerCase<uint8_t, int32_t>(g, -77, extreme).Run(DepthwiseStage::kFixedPoint, 31, 3, 250);
    }
  }
}

TEST(DepthwiseS16, WideIsTheReferences) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    for (bool extreme : {false, true}) {
      IntegerCase<int16_t, int64_t>(g, 0, extreme).Run(DepthwiseStage::kWide, 0, -32768, 32767);
      IntegerCase<int16_t, int64_t>(g, 0, extreme).Run(DepthwiseStage::kWide, 0, 0, 20000);
      IntegerCase<int16_t, int64_t>(g, 0, extreme, 31).Run(DepthwiseStage::kWide, 0, -32768, 32767);
    }
  }
}

TEST(DepthwiseS16, HybridIsTheReferences) {
  for (const ConvGeometry& g : Cases()) {
    SCOPED_TRACE(Describe(g));
    const auto input = RandomIntegers<int8_t>(InputSize(g), -128, 127, 5);
    const auto weights = RandomIntegers<int16_t>(Taps(g), -127, 127, 6);
    const auto bias = RandomFloats(g.out_c, 7), scales = RandomFloats(g.out_c, 8);
    const std::vector<float> image_scales = {0.25f, 0.013f};
    const std::vector<int32_t> offsets = {128, -127};
    std::vector<float> want(OutputSize(g));
    reference::ConvOffsets reference_offsets;
    reference_offsets.per_image_input = offsets.data();
    reference::ConvolveDepthwise<uint32_t>(
        g, reference_offsets, input.data(), weights.data(), 0, size_t(g.batches) * g.out_h,
        reference::HybridStage{bias.data(), image_scales.data(), scales.data(), 1, false, -50.0f,
                               100.0f, want.data()});
    const auto check = [&](bool dot_products) {
      const DepthwiseS16Packed packed = PackDepthwiseS16(
          {g, DepthwiseStage::kFloat, weights.data(), nullptr, nullptr, 255, true, dot_products});
      if (!packed.fits()) return;
      std::vector<float> got(want.size());
      auto scratch = Scratch(packed.ScratchBytes(1));
      DepthwiseS16Run run;
      run.image_offsets = offsets.data();
      run.image_scales = image_scales.data();
      run.channel_scales = scales.data();
      run.bias = bias.data();
      run.float_low = -50.0f;
      run.float_high = 100.0f;
      run.out = got.data();
      DepthwiseS16(packed, input.data(), run, Bytes(&scratch), nullptr);
      ASSERT_EQ(got, want);
    };
    for (bool dot_products : {false, true}) {
      ForEachTarget(DepthwiseS16Targets(), [&](const char*) { check(dot_products); });
    }
  }
}

TEST(DepthwiseS16, LeavesWhatMightNotBeExact) {
  const ConvGeometry g = MakeConv(1, 5, 8, 8, 3, 1, 1, true);
  const std::vector<int16_t> weights(Taps(g), 1);
  std::vector<Multiplier> multipliers(8, Multiplier{1 << 30, -3});
  std::vector<int64_t> bias(8, 0);
  ForEachTarget(DepthwiseS16Targets(), [&](const char* name) {
    if (std::strcmp(name, "SCALAR") == 0) return;
    const auto fits = [&](DepthwiseStage stage) {
      return PackDepthwiseS16({g, stage, weights.data(), multipliers.data(), bias.data(), 255})
          .fits();
    };
    multipliers[3].shift = -3;
    EXPECT_TRUE(fits(DepthwiseStage::kFixedPoint));
    EXPECT_TRUE(fits(DepthwiseStage::kWide));
    multipliers[3].shift = 0;
    EXPECT_FALSE(fits(DepthwiseStage::kFixedPoint));
    EXPECT_TRUE(fits(DepthwiseStage::kWide));
    multipliers[3].shift = 1;
    EXPECT_FALSE(fits(DepthwiseStage::kWide));
    multipliers[3].shift = -17;
    EXPECT_TRUE(fits(DepthwiseStage::kWide));
    EXPECT_TRUE(fits(DepthwiseStage::kFixedPoint));
    multipliers[2].shift = 0;
    EXPECT_FALSE(fits(DepthwiseStage::kWide));
    multipliers[2].shift = -3;
    bias[7] = int64_t{1} << 31;
    EXPECT_FALSE(fits(DepthwiseStage::kWide));
    bias[7] = INT32_MAX;
    EXPECT_FALSE(fits(DepthwiseStage::kFixedPoint));
    bias[7] = 0;
    EXPECT_TRUE(fits(DepthwiseStage::kFixedPoint));
  });
}

}  // namespace
}  // namespace litesmith
