// Elementwise records at their edges: overflow, infinities, broadcasts, parameters that no kernel
// can use.

#include <cmath>
#include <limits>

#include "tests/ops/op_runner.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;
using schema::TensorType_BOOL;
using schema::TensorType_FLOAT32;
using schema::TensorType_INT16;
using schema::TensorType_INT32;
using schema::TensorType_INT64;
using schema::TensorType_INT8;
using schema::TensorType_UINT8;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::OpRunner;

constexpr int32_t kLeast = std::numeric_limits<int32_t>::min();
constexpr int32_t kMost = std::numeric_limits<int32_t>::max();

QuantParams Quant(float scale, int64_t zero) { return QuantParams::PerTensor(scale, zero); }

std::string ErrorOf(const absl::Status& status) { return std::string(Message(status)); }

TEST(Arithmetic, IntegersWrap) {
  OpRunner add(schema::BuiltinOperator_ADD);
  add.Fed<int32_t>(TensorType_INT32, {2}, {kMost, kLeast})
      .Fed<int32_t>(TensorType_INT32, {2}, {1, -1})
      .Out(TensorType_INT32);
  ASSERT_OK(add.Run());
  EXPECT_THAT(add.Result<int32_t>(), ElementsAre(kLeast, kMost));
  OpRunner mul(schema::BuiltinOperator_MUL);
  mul.Fed<int64_t>(TensorType_INT64, {1}, {int64_t{1} << 62})
      .Fed<int64_t>(TensorType_INT64, {1}, {6})
      .Out(TensorType_INT64);
  ASSERT_OK(mul.Run());
  EXPECT_THAT(mul.Result<int64_t>(), ElementsAre(std::numeric_limits<int64_t>::min()));
}

TEST(Arithmetic, InfiniteSumsBecomeTheLargestFloat) {
  const float inf = std::numeric_limits<float>::infinity();
  OpRunner add(schema::BuiltinOperator_ADD);
  add.Fed<float>(TensorType_FLOAT32, {3}, {inf, -inf, std::nanf("")})
      .Fed<float>(TensorType_FLOAT32, {}, {1.0f})
      .Out(TensorType_FLOAT32);
  ASSERT_OK(add.Run());
  const auto out = add.Result<float>();
  EXPECT_EQ(out[0], std::numeric_limits<float>::max());
  EXPECT_EQ(out[1], std::numeric_limits<float>::lowest());
  EXPECT_TRUE(std::isnan(out[2]));
}

TEST(Arithmetic, BroadcastsBothSidesAndEmptyTensors) {
  OpRunner add(schema::BuiltinOperator_ADD);
  add.Fed<int32_t>(TensorType_INT32, {2, 1}, {10, 20})
      .Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3})
      .Out(TensorType_INT32);
  ASSERT_OK(add.Run());
  EXPECT_THAT(add.ResultShape(), ElementsAre(2, 3));
  EXPECT_THAT(add.Result<int32_t>(), ElementsAre(11, 12, 13, 21, 22, 23));
  OpRunner empty(schema::BuiltinOperator_ADD);
  empty.Fed<int32_t>(TensorType_INT32, {0, 3}, {}).Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3});
  empty.Out(TensorType_INT32);
  ASSERT_OK(empty.Run());
  EXPECT_THAT(empty.ResultShape(), ElementsAre(0, 3));
}

TEST(Arithmetic, RefusesWhatDoesNotBroadcast) {
  OpRunner add(schema::BuiltinOperator_ADD);
  add.Fed<int32_t>(TensorType_INT32, {2}, {1, 2}).Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3});
  add.Out(TensorType_INT32);
  EXPECT_THAT(ErrorOf(add.Run()), HasSubstr("cannot be broadcast"));
}

TEST(Arithmetic, RefusesMissingInputsAndMixedTypes) {
  OpRunner one(schema::BuiltinOperator_ADD);
  one.Fed<float>(TensorType_FLOAT32, {1}, {1}).Out(TensorType_FLOAT32);
  EXPECT_FALSE(one.Run().ok());
  OpRunner absent(schema::BuiltinOperator_ADD);
  absent.Fed<float>(TensorType_FLOAT32, {1}, {1}).Absent().Out(TensorType_FLOAT32);
  EXPECT_FALSE(absent.Run().ok());
  OpRunner mixed(schema::BuiltinOperator_ADD);
  mixed.Fed<float>(TensorType_FLOAT32, {1}, {1}).Fed<int32_t>(TensorType_INT32, {1}, {1});
  mixed.Out(TensorType_FLOAT32);
  EXPECT_TRUE(absl::IsUnimplemented(mixed.Run()));
}

TEST(Arithmetic, RefusesUnusableQuantization) {
  for (const QuantParams& bad :
       {QuantParams{}, Quant(0.0f, 0), Quant(std::nanf(""), 0), Quant(1.0f, 300)}) {
    OpRunner add(schema::BuiltinOperator_ADD);
    add.Fed<int8_t>(TensorType_INT8, {1}, {1}, bad)
        .Fed<int8_t>(TensorType_INT8, {1}, {1}, Quant(1, 0));
    add.Out(TensorType_INT8, Quant(1, 0));
    EXPECT_TRUE(absl::IsInvalidArgument(add.Run()));
  }
}

TEST(Arithmetic, AnOutputScaleFarTooFineSaturates) {
  OpRunner add(schema::BuiltinOperator_ADD);
  add.Fed<int8_t>(TensorType_INT8, {2}, {100, -100}, Quant(1.0f, 0))
      .Fed<int8_t>(TensorType_INT8, {2}, {100, -100}, Quant(1.0f, 0))
      .Out(TensorType_INT8, Quant(1e-9f, 0));
  ASSERT_OK(add.Run());
  EXPECT_THAT(add.Result<int8_t>(), ElementsAre(127, -128));
}

TEST(Arithmetic, PowerOfTwoScalesMustFit) {
  schema::AddOptionsT options;
  options.pot_scale_int16 = true;
  OpRunner add(schema::BuiltinOperator_ADD, Options(options));
  add.Fed<int16_t>(TensorType_INT16, {1}, {1}, Quant(0.5f, 0))
      .Fed<int16_t>(TensorType_INT16, {1}, {1}, Quant(0.5f, 0))
      .Out(TensorType_INT16, Quant(0.125f, 0));
  EXPECT_THAT(ErrorOf(add.Run()), HasSubstr("pot_scale_int16"));
}

TEST(Quantize, SaturatesInfinitiesAndTakesNanAsZero) {
  const float inf = std::numeric_limits<float>::infinity();
  OpRunner q(schema::BuiltinOperator_QUANTIZE);
  q.Fed<float>(TensorType_FLOAT32, {5}, {inf, -inf, std::nanf(""), 1e30f, -1e30f})
      .Out(TensorType_INT8, Quant(0.5f, 3));
  ASSERT_OK(q.Run());
  EXPECT_THAT(q.Result<int8_t>(), ElementsAre(127, -128, 3, 127, -128));
}

TEST(Quantize, ChecksPerChannelParameters) {
  QuantParams params;
  params.scale = {1.0f, 2.0f};
  params.zero_point = {0, 0};
  params.axis = 1;
  OpRunner q(schema::BuiltinOperator_QUANTIZE);
  q.Fed<float>(TensorType_FLOAT32, {1, 2}, {3, 3}).Out(TensorType_INT8, params);
  ASSERT_OK(q.Run());
  EXPECT_THAT(q.Result<int8_t>(), ElementsAre(3, 2));
  for (int32_t axis : {0, 2, -3}) {
    params.axis = axis;
    OpRunner bad(schema::BuiltinOperator_QUANTIZE);
    bad.Fed<float>(TensorType_FLOAT32, {1, 2}, {3, 3}).Out(TensorType_INT8, params);
    EXPECT_FALSE(bad.Run().ok()) << axis;
  }
}

TEST(Quotients, ByZeroIsAnError) {
  for (const auto op : {schema::BuiltinOperator_DIV, schema::BuiltinOperator_FLOOR_DIV,
                        schema::BuiltinOperator_FLOOR_MOD}) {
    OpRunner div(op);
    div.Fed<int32_t>(TensorType_INT32, {2}, {1, 2}).Fed<int32_t>(TensorType_INT32, {2}, {1, 0});
    div.Out(TensorType_INT32);
    EXPECT_THAT(ErrorOf(div.Run()), HasSubstr("division by zero"));
  }
}

TEST(Quotients, TheLeastIntegerByMinusOneWraps) {
  for (const auto op : {schema::BuiltinOperator_DIV, schema::BuiltinOperator_FLOOR_DIV}) {
    OpRunner div(op);
    div.Fed<int32_t>(TensorType_INT32, {1}, {kLeast}).Fed<int32_t>(TensorType_INT32, {1}, {-1});
    div.Out(TensorType_INT32);
    ASSERT_OK(div.Run());
    EXPECT_THAT(div.Result<int32_t>(), ElementsAre(kLeast));
  }
  OpRunner mod(schema::BuiltinOperator_FLOOR_MOD);
  mod.Fed<int32_t>(TensorType_INT32, {1}, {kLeast}).Fed<int32_t>(TensorType_INT32, {1}, {-1});
  mod.Out(TensorType_INT32);
  ASSERT_OK(mod.Run());
  EXPECT_THAT(mod.Result<int32_t>(), ElementsAre(0));
}

TEST(Quotients, RemainderHasTheDivisorsSign) {
  OpRunner mod(schema::BuiltinOperator_FLOOR_MOD);
  mod.Fed<int32_t>(TensorType_INT32, {4}, {7, -7, 7, -7})
      .Fed<int32_t>(TensorType_INT32, {4}, {3, 3, -3, -3})
      .Out(TensorType_INT32);
  ASSERT_OK(mod.Run());
  EXPECT_THAT(mod.Result<int32_t>(), ElementsAre(1, 2, -2, -1));
}

TEST(Power, NegativeExponentsOfIntegersAreAnError) {
  OpRunner pow(schema::BuiltinOperator_POW);
  pow.Fed<int32_t>(TensorType_INT32, {1}, {2}).Fed<int32_t>(TensorType_INT32, {1}, {-1});
  pow.Out(TensorType_INT32);
  EXPECT_FALSE(pow.Run().ok());
}

TEST(Roots, OfNegativeNumbersAreAnError) {
  for (const auto op : {schema::BuiltinOperator_SQRT, schema::BuiltinOperator_RSQRT}) {
    OpRunner root(op);
    root.Fed<int8_t>(TensorType_INT8, {2}, {10, -11}, Quant(0.1f, -10))
        .Out(TensorType_INT8, Quant(0.1f, 0));
    EXPECT_THAT(ErrorOf(root.Run()), HasSubstr("root")) << op;
  }
}

TEST(Rounding, TiesGoToEven) {
  OpRunner round(schema::BuiltinOperator_ROUND);
  round.Fed<float>(TensorType_FLOAT32, {5}, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f})
      .Out(TensorType_FLOAT32);
  ASSERT_OK(round.Run());
  EXPECT_THAT(round.Result<float>(), ElementsAre(0.0f, 2.0f, 2.0f, 0.0f, -2.0f));
}

TEST(Shift, AmountsBeyondTheTypeAreHeld) {
  OpRunner shift(schema::BuiltinOperator_RIGHT_SHIFT);
  shift.Fed<int32_t>(TensorType_INT32, {3}, {-8, -8, -8})
      .Fed<int32_t>(TensorType_INT32, {3}, {1, 40, -3});
  shift.Out(TensorType_INT32);
  ASSERT_OK(shift.Run());
  EXPECT_THAT(shift.Result<int32_t>(), ElementsAre(-4, -1, -8));
}

TEST(Cast, RealsSaturateAndIntegersWrap) {
  OpRunner real(schema::BuiltinOperator_CAST);
  real.Fed<float>(TensorType_FLOAT32, {5}, {300.7f, -300.7f, 1.9f, -1.9f, std::nanf("")})
      .Out(TensorType_INT8);
  ASSERT_OK(real.Run());
  EXPECT_THAT(real.Result<int8_t>(), ElementsAre(127, -128, 1, -1, 127));
  OpRunner integer(schema::BuiltinOperator_CAST);
  integer.Fed<int32_t>(TensorType_INT32, {2}, {300, -129}).Out(TensorType_INT8);
  ASSERT_OK(integer.Run());
  EXPECT_THAT(integer.Result<int8_t>(), ElementsAre(44, 127));
  OpRunner wide(schema::BuiltinOperator_CAST);
  wide.Fed<float>(TensorType_FLOAT32, {2}, {1e30f, -1e30f}).Out(TensorType_INT64);
  ASSERT_OK(wide.Run());
  EXPECT_THAT(wide.Result<int64_t>(), ElementsAre(INT64_MAX, INT64_MIN));
}

TEST(Select, ChecksShapesAndTypes) {
  OpRunner row(schema::BuiltinOperator_SELECT);
  row.Fed<uint8_t>(TensorType_BOOL, {2}, {1, 0})
      .Fed<int32_t>(TensorType_INT32, {2, 2}, {1, 2, 3, 4})
      .Fed<int32_t>(TensorType_INT32, {2, 2}, {5, 6, 7, 8})
      .Out(TensorType_INT32);
  ASSERT_OK(row.Run());
  EXPECT_THAT(row.Result<int32_t>(), ElementsAre(1, 2, 7, 8));
  OpRunner bad(schema::BuiltinOperator_SELECT);
  bad.Fed<uint8_t>(TensorType_BOOL, {3}, {1, 0, 1})
      .Fed<int32_t>(TensorType_INT32, {2}, {1, 2})
      .Fed<int32_t>(TensorType_INT32, {2}, {5, 6})
      .Out(TensorType_INT32);
  EXPECT_FALSE(bad.Run().ok());
}

TEST(Where, ListsPlacesInOrder) {
  OpRunner where(schema::BuiltinOperator_WHERE);
  where.Fed<float>(TensorType_FLOAT32, {2, 2}, {0.0f, 2.0f, -1.0f, 0.0f}).Out(TensorType_INT64);
  EXPECT_TRUE(IsNeedsValue(where.Infer().status()));
  ASSERT_OK(where.Run());
  EXPECT_THAT(where.ResultShape(), ElementsAre(2, 2));
  EXPECT_THAT(where.Result<int64_t>(), ElementsAre(0, 1, 1, 0));
}

TEST(Kernels, AreNamedByTheirTypes) {
  OpRunner relu(schema::BuiltinOperator_RELU);
  relu.Fed<uint8_t>(TensorType_UINT8, {1}, {1}, Quant(1, 0)).Out(TensorType_UINT8, Quant(1, 0));
  ASSERT_OK(relu.Run());
  EXPECT_EQ(relu.kernel_name(), "qu8-qu8-relu");
}

}  // namespace
}  // namespace litesmith
