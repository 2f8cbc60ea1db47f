#include "kernels/elementwise_rows.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/pool_rows.h"
#include "kernels/reference/pool.h"
#include "kernels/reference/quantize.h"
#include "kernels/sum_rows.h"
#include "tests/kernels/conv_cases.h"
#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::ForEachTarget;
using testing::RandomFloats;

// Every value of an 8-bit type; random ones with both ends for 16 bits.
template <typename T>
std::vector<T> Values(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<T> out(count);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<T>(random.Next());
  out[0] = std::numeric_limits<T>::min();
  if (count > 1) out[1] = std::numeric_limits<T>::max();
  return out;
}

const std::vector<RowSteps> kSteps = {{true, true, 1},    {true, true, 15},  {true, true, 16},
                                      {true, true, 133},  {false, true, 70}, {true, false, 131},
                                      {false, false, 33}, {true, true, 4000}};

// The row against the reference's function, element by element.
template <typename T, typename Row, typename F>
void CheckRow(const Row& row, const F& f) {
  for (const RowSteps& steps : kSteps) {
    const auto a = Values<T>(steps.count, 1), b = Values<T>(steps.count, 2);
    std::vector<T> want(steps.count);
    for (size_t i = 0; i < steps.count; ++i) {
      want[i] = f(steps.a_moves ? a[i] : a[0], steps.b_moves ? b[i] : b[0]);
    }
    ForEachTarget(ElementwiseRowTargets(), [&](const char*) {
      std::vector<T> got(steps.count);
      row.Run(a.data(), b.data(), steps, got.data());
      ASSERT_EQ(got, want) << steps.count;
      if (!steps.a_moves) return;
      got = a;  // in place
      row.Run(got.data(), b.data(), steps, got.data());
      ASSERT_EQ(got, want) << steps.count;
    });
  }
}

reference::QuantizedSum MakeSum(double a, double b, double out, int left) {
  reference::QuantizedSum f;
  f.left_shift = left;
  const double twice = 2 * std::max(a, b);
  f.a = QuantizeMultiplier(a / twice);
  f.b = QuantizeMultiplier(b / twice);
  f.out = QuantizeMultiplier(twice / (std::ldexp(1.0, left) * out));
  return f;
}

TEST(SumRow, IsTheReferences) {
  for (const auto& [a, b, out] : std::vector<std::array<double, 3>>{
           {0.1, 0.1, 0.1}, {0.5, 0.013, 0.4}, {0.0001, 3.0, 2.5}, {1.0, 0.75, 0.01}}) {
    for (bool subtract : {false, true}) {
      reference::QuantizedSum f = MakeSum(a, b, out, 20);
      f.subtract = subtract;
      f.a_offset = 128;
      f.b_offset = -100;
      f.out_offset = -7;
      f.low = -128;
      f.high = 127;
      ASSERT_TRUE(SumRow::Make<int8_t>(f).has_value());
      CheckRow<int8_t>(*SumRow::Make<int8_t>(f), f);
      f.a_offset = -200;
      f.low = 12;
      f.high = 240;
      f.out_offset = 131;
      ASSERT_TRUE(SumRow::Make<uint8_t>(f).has_value());
      CheckRow<uint8_t>(*SumRow::Make<uint8_t>(f), f);
      f = MakeSum(a, b, out, 15);
      f.subtract = subtract;
      f.low = -32768;
      f.high = 32767;
      ASSERT_TRUE(SumRow::Make<int16_t>(f).has_value());
      CheckRow<int16_t>(*SumRow::Make<int16_t>(f), f);
    }
  }
}

TEST(SumRow, IsTheReferencesForEveryPairOfInt8) {
  std::vector<int8_t> a(65536), b(a.size()), want(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<int8_t>(i / 256);
    b[i] = static_cast<int8_t>(i * 167 % 256);  // neighbours far apart
  }
  Random random(5);
  for (int turn = 0; turn < 8; ++turn) {
    reference::QuantizedSum f = MakeSum(random.Uniform(0.01, 0.1), random.Uniform(0.01, 0.1),
                                        random.Uniform(0.02, 0.2), 20);
    f.a_offset = static_cast<int32_t>(random.Below(256)) - 127;
    f.b_offset = static_cast<int32_t>(random.Below(256)) - 127;
    f.out_offset = static_cast<int32_t>(random.Below(256)) - 128;
    f.subtract = turn % 2 != 0;
    f.low = turn < 6 ? -128 : f.out_offset;
    f.high = 127;
    for (size_t i = 0; i < a.size(); ++i) want[i] = f(a[i], b[i]);
    const auto row = SumRow::Make<int8_t>(f);
    ASSERT_TRUE(row.has_value());
    ForEachTarget(ElementwiseRowTargets(), [&](const char*) {
      std::vector<int8_t> got(a.size());
      row->Run(a.data(), b.data(), RowSteps{true, true, a.size()}, got.data());
      ASSERT_EQ(got, want);
    });
  }
}

TEST(SumRow, LeavesWhatCouldOverflow) {
  reference::QuantizedSum f = MakeSum(1.0, 1.0, 1.0, 15);
  f.a_offset = 5;
  EXPECT_FALSE(SumRow::Make<int16_t>(f).has_value());
  f = MakeSum(1.0, 1.0, 1e-7, 20);  // the sum is multiplied by more than 1
  EXPECT_FALSE(SumRow::Make<int8_t>(f).has_value());
}

TEST(ProductRow, IsTheReferences) {
  for (double factor : {0.9, 0.5, 0.031, 1.7e-5}) {
    reference::QuantizedProduct f;
    f.out = QuantizeMultiplier(factor);
    f.a_offset = -127;
    f.b_offset = 128;
    f.out_offset = 3;
    f.low = -100;
    f.high = 127;
    CheckRow<int8_t>(*ProductRow::Make<int8_t>(f), f);
    f.low = 0;
    f.high = 255;
    f.b_offset = -255;
    CheckRow<uint8_t>(*ProductRow::Make<uint8_t>(f), f);
    f.a_offset = f.b_offset = f.out_offset = 0;
    f.low = -32768;
    f.high = 32767;
    CheckRow<int16_t>(*ProductRow::Make<int16_t>(f), f);
  }
  reference::QuantizedProduct above;
  above.out = QuantizeMultiplier(1.5);
  EXPECT_FALSE(ProductRow::Make<int8_t>(above).has_value());
}

TEST(FloatRow, IsTheReferences) {
  for (const RowSteps& steps : kSteps) {
    auto a = RandomFloats(steps.count, 1);
    const auto b = RandomFloats(steps.count, 2);
    a[0] = steps.count > 1 && steps.a_moves ? NAN : a[0];
    for (RowOp op : {RowOp::kAdd, RowOp::kSub, RowOp::kMul}) {
      ForEachTarget(ElementwiseRowTargets(), [&](const char*) {
        std::vector<float> got(steps.count);
        FloatRow(op, a.data(), b.data(), steps, -0.5f, 0.75f, got.data());
        for (size_t i = 0; i < steps.count; ++i) {
          const float x = steps.a_moves ? a[i] : a[0], y = steps.b_moves ? b[i] : b[0];
          const float z = op == RowOp::kAdd ? x + y : op == RowOp::kSub ? x - y : x * y;
          const float want = reference::Clamp(z, -0.5f, 0.75f);
          if (std::isnan(want)) {
            ASSERT_TRUE(std::isnan(got[i])) << i;
          } else {
            ASSERT_EQ(got[i], want) << i;
          }
        }
      });
    }
  }
}

// Values around every tie, at and beyond the ends of the type, and those that are no numbers.
template <typename T>
void CheckQuantize(float scale, int32_t zero) {
  std::vector<float> values = {0.0f, -0.0f, NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 1e-30f};
  for (int i = -70000; i <= 70000; i += 37) {
    const float tie = scale * (static_cast<float>(i) + 0.5f);
    for (float x : {tie, std::nextafter(tie, 0.0f), std::nextafter(tie, 1e9f),
                    scale * static_cast<float>(i)}) {
      values.push_back(x);
    }
  }
  constexpr int32_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  ForEachTarget(ElementwiseRowTargets(), [&](const char*) {
    std::vector<T> got(values.size());
    QuantizeRow(values.data(), values.size(), scale, zero, got.data());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(got[i], reference::QuantizeFloat(values[i], scale, zero, kLow, kHigh)) << values[i];
    }
    std::vector<float> back(got.size());
    DequantizeRow(got.data(), got.size(), scale, zero, back.data());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(back[i], reference::Dequantize(got[i], scale, zero)) << int{got[i]};
    }
  });
}

TEST(QuantizeRow, IsTheReferences) {
  for (float scale : {1.0f, 0.25f, 0.0037f, 1234.5f}) {
    CheckQuantize<int8_t>(scale, -128);
    CheckQuantize<uint8_t>(scale, 255);
    CheckQuantize<int16_t>(scale, 0);
    CheckQuantize<int16_t>(scale, -32768);
  }
}

// Tensors without elements have no memory; found by fuzzing, under UndefinedBehaviorSanitizer.
TEST(Rows, MayBeEmpty) {
  ForEachTarget(ElementwiseRowTargets(), [&](const char*) {
    for (const RowSteps& steps : {RowSteps{true, true, 0}, RowSteps{true, false, 0}}) {
      FloatRow(RowOp::kAdd, nullptr, nullptr, steps, 0.0f, 1.0f, nullptr);
    }
    QuantizeRow<int8_t>(nullptr, 0, 0.5f, 0, nullptr);
    DequantizeRow<int8_t>(nullptr, 0, 0.5f, 0, nullptr);
  });
  SUCCEED() << "nothing was read";
}

template <typename T>
void CheckPools(const reference::ConvGeometry& g, int32_t low, int32_t high) {
  const auto input = Values<T>(testing::InputSize(g), 3);
  const size_t rows = size_t(g.batches) * g.out_h, size = testing::OutputSize(g);
  std::vector<T> most(size), average(size);
  reference::PoolRows(g, input.data(), most.data(), 0, rows,
                      reference::MaxPool<T, int32_t>{low, high});
  reference::PoolRows(g, input.data(), average.data(), 0, rows,
                      reference::AveragePool<T, int32_t>{low, high});
  ASSERT_TRUE(AveragePoolFits(g, sizeof(T)));
  ForEachTarget(PoolRowTargets(), [&](const char*) {
    std::vector<T> got(size);
    MaxPoolInteger(g, input.data(), low, high, got.data(), 0, rows);
    ASSERT_EQ(got, most);
    std::fill(got.begin(), got.end(), T{0});
    AveragePool(g, input.data(), low, high, got.data(), 0, rows);
    ASSERT_EQ(got, average);
  });
}

TEST(PoolRows, AreTheReferences) {
  using testing::MakeConv;
  for (const reference::ConvGeometry& g :
       {MakeConv(1, 8, 8, 8, 2, 2, 1, false), MakeConv(2, 30, 8, 8, 2, 2, 1, false),
        MakeConv(1, 7, 4, 4, 2, 2, 1, true), MakeConv(2, 9, 75, 75, 3, 1, 1, true),
        MakeConv(1, 7, 3, 3, 3, 2, 1, true), MakeConv(1, 7, 130, 130, 7, 1, 1, false)}) {
    SCOPED_TRACE(testing::Describe(g));
    CheckPools<int8_t>(g, -128, 127);
    CheckPools<int8_t>(g, -3, 50);
    CheckPools<uint8_t>(g, 0, 200);
    CheckPools<int16_t>(g, -32768, 32767);
    const auto input = RandomFloats(testing::InputSize(g), 3);
    const size_t rows = size_t(g.batches) * g.out_h;
    std::vector<float> want(testing::OutputSize(g));
    reference::PoolRows(g, input.data(), want.data(), 0, rows,
                        reference::AveragePool<float, float>{-0.1f, 0.2f});
    ForEachTarget(PoolRowTargets(), [&](const char*) {
      std::vector<float> got(want.size());
      AveragePool(g, input.data(), -0.1f, 0.2f, got.data(), 0, rows);
      ASSERT_EQ(got, want);
    });
  }
  reference::ConvGeometry wide;
  wide.filter_h = wide.filter_w = 256;
  EXPECT_FALSE(AveragePoolFits(wide, 1));
  EXPECT_FALSE(AveragePoolFits(wide, 2));
}

template <typename T, typename Sum>
void CheckSums(const std::vector<T>& row) {
  std::vector<Sum> want(row.size(), Sum{7});
  for (size_t i = 0; i < row.size(); ++i) {
    if constexpr (std::is_same_v<T, float>) {
      want[i] += row[i];
    } else {
      want[i] += static_cast<uint32_t>(int32_t{row[i]});
    }
  }
  ForEachTarget(SumRowTargets(), [&](const char*) {
    std::vector<Sum> got(row.size(), Sum{7});
    AddToSums(row.data(), row.size(), got.data());
    ASSERT_EQ(got, want);
  });
}

TEST(AddToSums, IsThePlainLoop) {
  for (size_t count : {1u, 7u, 16u, 133u}) {
    CheckSums<float, float>(RandomFloats(count, 1));
    CheckSums<int8_t, uint32_t>(Values<int8_t>(count, 1));
    CheckSums<uint8_t, uint32_t>(Values<uint8_t>(count, 1));
    CheckSums<int16_t, uint32_t>(Values<int16_t>(count, 1));
  }
}

}  // namespace
}  // namespace litesmith
