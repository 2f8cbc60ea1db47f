// Data movement records at their edges: hostile shapes, axes, indices and sizes.

#include <limits>

#include "tests/ops/op_runner.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using schema::TensorType_FLOAT32;
using schema::TensorType_INT16;
using schema::TensorType_INT32;
using schema::TensorType_INT64;
using schema::TensorType_INT8;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::OpRunner;

constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
constexpr int32_t kLeast = std::numeric_limits<int32_t>::min();

std::vector<int32_t> Counting(int count) {
  std::vector<int32_t> values(count);
  for (int i = 0; i < count; ++i) values[i] = i;
  return values;
}

OpRunner Reshape(const Shape& from, const std::vector<int32_t>& to) {
  OpRunner runner(schema::BuiltinOperator_RESHAPE);
  runner.Fed(TensorType_INT32, from);
  runner.Known<int32_t>(TensorType_INT32, {static_cast<int32_t>(to.size())}, to)
      .Out(TensorType_INT32);
  return runner;
}

TEST(Reshape, ResolvesOneFreeDimension) {
  ASSERT_OK_AND_ASSIGN(auto shapes, Reshape({2, 6}, {3, -1}).Infer());
  EXPECT_THAT(shapes[0], ElementsAre(3, 4));
  ASSERT_OK_AND_ASSIGN(shapes, Reshape({1}, {}).Infer());
  EXPECT_TRUE(shapes[0].empty());
  ASSERT_OK_AND_ASSIGN(shapes, Reshape({0, 3}, {-1, 3}).Infer());
  EXPECT_THAT(shapes[0], ElementsAre(0, 3));
}

TEST(Reshape, RefusesImpossibleShapes) {
  for (const auto& to : std::vector<std::vector<int32_t>>{
           {5}, {-1, -1}, {-2, -3}, {7, -1}, {kMost, kMost, kMost, 2}, {-1, 0}}) {
    EXPECT_FALSE(Reshape({2, 6}, to).Infer().ok()) << ::testing::PrintToString(to);
  }
}

TEST(Reshape, WaitsForItsShape) {
  OpRunner runner(schema::BuiltinOperator_RESHAPE);
  runner.Fed<int32_t>(TensorType_INT32, {4}, Counting(4))
      .Fed<int32_t>(TensorType_INT32, {2}, {2, -1});
  runner.Out(TensorType_INT32);
  EXPECT_TRUE(IsNeedsValue(runner.Infer().status()));
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.ResultShape(), ElementsAre(2, 2));
}

OpRunner StridedSlice(const Shape& shape, const std::vector<int32_t>& begin,
                      const std::vector<int32_t>& end, const std::vector<int32_t>& strides,
                      schema::StridedSliceOptionsT options = {}) {
  const auto n = static_cast<int32_t>(begin.size());
  OpRunner runner(schema::BuiltinOperator_STRIDED_SLICE, Options(options));
  runner.Fed<int32_t>(TensorType_INT32, shape, Counting(static_cast<int>(NumElements(shape))))
      .Known<int32_t>(TensorType_INT32, {n}, begin)
      .Known<int32_t>(TensorType_INT32, {static_cast<int32_t>(end.size())}, end)
      .Known<int32_t>(TensorType_INT32, {n}, strides)
      .Out(TensorType_INT32);
  return runner;
}

TEST(StridedSlice, RunsBackwards) {
  OpRunner runner = StridedSlice({5}, {-1}, {kLeast}, {-2});
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int32_t>(), ElementsAre(4, 2, 0));
}

TEST(StridedSlice, ClampsExtremeIndices) {
  OpRunner runner = StridedSlice({3}, {kLeast}, {kMost}, {1});
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int32_t>(), ElementsAre(0, 1, 2));
  OpRunner none = StridedSlice({3}, {2}, {1}, {1});
  ASSERT_OK(none.Run());
  EXPECT_THAT(none.ResultShape(), ElementsAre(0));
  schema::StridedSliceOptionsT offset;
  offset.offset = true;
  OpRunner wide = StridedSlice({3}, {1}, {kMost}, {kMost}, offset);
  ASSERT_OK(wide.Run());
  EXPECT_THAT(wide.Result<int32_t>(), ElementsAre(1));
}

TEST(StridedSlice, RefusesBadSpecs) {
  schema::StridedSliceOptionsT shrink;
  shrink.shrink_axis_mask = 1;
  EXPECT_FALSE(StridedSlice({3}, {3}, {4}, {1}, shrink).Run().ok());
  EXPECT_FALSE(StridedSlice({3}, {0}, {1}, {0}).Run().ok());
  EXPECT_FALSE(StridedSlice({3}, {0}, {1}, {kLeast}).Run().ok());
  EXPECT_FALSE(StridedSlice({3}, {0}, {1, 2}, {1}).Run().ok());
  schema::StridedSliceOptionsT ellipses;
  ellipses.ellipsis_mask = 3;
  EXPECT_FALSE(StridedSlice({3, 3}, {0, 0}, {1, 1}, {1, 1}, ellipses).Run().ok());
}

TEST(Concatenation, ChecksShapesAndScales) {
  schema::ConcatenationOptionsT options;
  options.axis = 0;
  OpRunner shapes(schema::BuiltinOperator_CONCATENATION, Options(options));
  shapes.Fed(TensorType_INT32, {2, 3}).Fed(TensorType_INT32, {2, 4}).Out(TensorType_INT32);
  EXPECT_FALSE(shapes.Run().ok());
  OpRunner overflow(schema::BuiltinOperator_CONCATENATION, Options(options));
  overflow.Fed(TensorType_INT8, {0, 1}).Out(TensorType_INT8);
  OpRunner scales(schema::BuiltinOperator_CONCATENATION, Options(options));
  scales.Fed(TensorType_INT8, {1}, QuantParams::PerTensor(1.0f, 0))
      .Fed(TensorType_INT8, {1}, QuantParams::PerTensor(2.0f, 0))
      .Out(TensorType_INT8, QuantParams::PerTensor(1.0f, 0));
  EXPECT_THAT(std::string(Message(scales.Run())), HasSubstr("scales"));
  options.axis = 2;
  OpRunner axis(schema::BuiltinOperator_CONCATENATION, Options(options));
  axis.Fed(TensorType_INT32, {2, 3}).Out(TensorType_INT32);
  EXPECT_FALSE(axis.Run().ok());
}

TEST(Concatenation, MovesInt16OfAnotherScale) {
  OpRunner runner(schema::BuiltinOperator_CONCATENATION);
  runner.Fed<int16_t>(TensorType_INT16, {1}, {7}, QuantParams::PerTensor(1.0f, 0))
      .Fed<int16_t>(TensorType_INT16, {1}, {8}, QuantParams::PerTensor(2.0f, 0))
      .Out(TensorType_INT16, QuantParams::PerTensor(3.0f, 0));
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int16_t>(), ElementsAre(7, 8));
}

TEST(Concatenation, JoinsScalars) {
  OpRunner runner(schema::BuiltinOperator_CONCATENATION);
  runner.Known<int32_t>(TensorType_INT32, {}, {4}).Known<int32_t>(TensorType_INT32, {}, {5});
  runner.Out(TensorType_INT32);
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int32_t>(), ElementsAre(4, 5));
}

TEST(Pad, RefusesNegativeAndHugePaddings) {
  for (const auto& paddings :
       std::vector<std::vector<int64_t>>{{-1, 0},
                                         {0, int64_t{1} << 40},
                                         {kMost, kMost},
                                         {std::numeric_limits<int64_t>::max(), 1}}) {
    OpRunner runner(schema::BuiltinOperator_PAD);
    runner.Fed(TensorType_INT8, {2}).Known<int64_t>(TensorType_INT64, {1, 2}, paddings);
    runner.Out(TensorType_INT8);
    EXPECT_FALSE(runner.Infer().ok()) << ::testing::PrintToString(paddings);
  }
  OpRunner rank(schema::BuiltinOperator_PAD);
  rank.Fed(TensorType_INT8, {2})
      .Known<int32_t>(TensorType_INT32, {2, 2}, {0, 0, 0, 0})
      .Out(TensorType_INT8);
  EXPECT_FALSE(rank.Infer().ok());
}

TEST(Pad, FillsWithTheZeroPoint) {
  const QuantParams quant = QuantParams::PerTensor(0.5f, -7);
  OpRunner runner(schema::BuiltinOperator_PAD);
  runner.Fed<int8_t>(TensorType_INT8, {1}, {3}, quant)
      .Known<int32_t>(TensorType_INT32, {1, 2}, {1, 2})
      .Out(TensorType_INT8, quant);
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int8_t>(), ElementsAre(-7, 3, -7, -7));
}

TEST(MirrorPad, KeepsWithinTheInput) {
  schema::MirrorPadOptionsT reflect;
  reflect.mode = schema::MirrorPadMode_REFLECT;
  OpRunner good(schema::BuiltinOperator_MIRROR_PAD, Options(reflect));
  good.Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3})
      .Known<int32_t>(TensorType_INT32, {1, 2}, {2, 2});
  good.Out(TensorType_INT32);
  ASSERT_OK(good.Run());
  EXPECT_THAT(good.Result<int32_t>(), ElementsAre(3, 2, 1, 2, 3, 2, 1));
  OpRunner bad(schema::BuiltinOperator_MIRROR_PAD, Options(reflect));
  bad.Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3})
      .Known<int32_t>(TensorType_INT32, {1, 2}, {3, 0});
  bad.Out(TensorType_INT32);
  EXPECT_FALSE(bad.Run().ok());
}

TEST(Transpose, RefusesWhatIsNoPermutation) {
  for (const auto& permutation :
       std::vector<std::vector<int32_t>>{{0, 0}, {0, 2}, {-3, 0}, {0}, {0, 1, 2}}) {
    OpRunner runner(schema::BuiltinOperator_TRANSPOSE);
    runner.Fed(TensorType_INT32, {2, 2})
        .Known<int32_t>(TensorType_INT32, {static_cast<int32_t>(permutation.size())}, permutation)
        .Out(TensorType_INT32);
    EXPECT_FALSE(runner.Infer().ok()) << ::testing::PrintToString(permutation);
  }
}

TEST(Tile, RefusesOverflow) {
  for (const int64_t times : {int64_t{-1}, int64_t{1} << 31, std::numeric_limits<int64_t>::max()}) {
    OpRunner runner(schema::BuiltinOperator_TILE);
    runner.Fed(TensorType_INT8, {2})
        .Known<int64_t>(TensorType_INT64, {1}, {times})
        .Out(TensorType_INT8);
    EXPECT_FALSE(runner.Infer().ok()) << times;
  }
}

TEST(Slice, StaysInside) {
  for (const auto& [begin, size] : std::vector<std::pair<int64_t, int64_t>>{
           {-1, 1}, {4, 1}, {0, 4}, {1, 3}, {0, -2}, {std::numeric_limits<int64_t>::max(), 2}}) {
    OpRunner runner(schema::BuiltinOperator_SLICE);
    runner.Fed(TensorType_INT8, {3})
        .Known<int64_t>(TensorType_INT64, {1}, {begin})
        .Known<int64_t>(TensorType_INT64, {1}, {size})
        .Out(TensorType_INT8);
    EXPECT_FALSE(runner.Infer().ok()) << begin << " " << size;
  }
}

TEST(Split, ChecksSizesAndCounts) {
  schema::SplitOptionsT options;
  options.num_splits = 2;
  OpRunner uneven(schema::BuiltinOperator_SPLIT, Options(options));
  uneven.Known<int32_t>(TensorType_INT32, {}, {0}).Fed(TensorType_INT8, {3});
  uneven.Out(TensorType_INT8).Out(TensorType_INT8);
  EXPECT_FALSE(uneven.Infer().ok());
  OpRunner outputs(schema::BuiltinOperator_SPLIT, Options(options));
  outputs.Known<int32_t>(TensorType_INT32, {}, {0}).Fed(TensorType_INT8, {4}).Out(TensorType_INT8);
  EXPECT_FALSE(outputs.Infer().ok());
  schema::SplitVOptionsT v;
  v.num_splits = 2;
  for (const auto& sizes :
       std::vector<std::vector<int32_t>>{{1, 1}, {4, 0}, {-1, -1}, {-2, 5}, {kMost, kMost}}) {
    OpRunner runner(schema::BuiltinOperator_SPLIT_V, Options(v));
    runner.Fed(TensorType_INT8, {3})
        .Known<int32_t>(TensorType_INT32, {2}, sizes)
        .Known<int32_t>(TensorType_INT32, {}, {0})
        .Out(TensorType_INT8)
        .Out(TensorType_INT8);
    EXPECT_FALSE(runner.Infer().ok()) << ::testing::PrintToString(sizes);
  }
}

TEST(Gather, IndicesBeyondTheTableAreErrors) {
  for (const int32_t index : {-1, 3, kMost, kLeast}) {
    OpRunner runner(schema::BuiltinOperator_GATHER);
    runner.Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3})
        .Fed<int32_t>(TensorType_INT32, {1}, {index});
    runner.Out(TensorType_INT32);
    EXPECT_THAT(std::string(Message(runner.Run())), HasSubstr("outside"));
    OpRunner nd(schema::BuiltinOperator_GATHER_ND);
    nd.Fed<int32_t>(TensorType_INT32, {3}, {1, 2, 3})
        .Fed<int32_t>(TensorType_INT32, {1, 1}, {index});
    nd.Out(TensorType_INT32);
    EXPECT_FALSE(nd.Run().ok());
    OpRunner scatter(schema::BuiltinOperator_SCATTER_ND);
    scatter.Fed<int32_t>(TensorType_INT32, {1, 1}, {index})
        .Fed<int32_t>(TensorType_INT32, {1}, {5})
        .Known<int32_t>(TensorType_INT32, {1}, {3})
        .Out(TensorType_INT32);
    EXPECT_FALSE(scatter.Run().ok());
  }
}

TEST(Gather, EmptySlicesStillCheckIndices) {
  OpRunner runner(schema::BuiltinOperator_GATHER);
  runner.Fed<int32_t>(TensorType_INT32, {3, 0}, {}).Fed<int32_t>(TensorType_INT32, {1}, {9});
  runner.Out(TensorType_INT32);
  EXPECT_FALSE(runner.Run().ok());
}

TEST(Scatter, AddsWhatMeets) {
  OpRunner runner(schema::BuiltinOperator_SCATTER_ND);
  runner.Fed<int32_t>(TensorType_INT32, {3, 1}, {1, 1, 0})
      .Fed<int32_t>(TensorType_INT32, {3}, {kMost, 1, 5})
      .Known<int32_t>(TensorType_INT32, {1}, {3})
      .Out(TensorType_INT32);
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int32_t>(), ElementsAre(5, kLeast, 0));
}

TEST(Blocks, RefuseImpossibleSizes) {
  for (const int32_t block : {0, -1, 5, kMost}) {
    schema::SpaceToDepthOptionsT s;
    s.block_size = block;
    OpRunner space(schema::BuiltinOperator_SPACE_TO_DEPTH, Options(s));
    space.Fed(TensorType_INT8, {1, 4, 4, 1}).Out(TensorType_INT8);
    EXPECT_FALSE(space.Infer().ok()) << block;
    schema::DepthToSpaceOptionsT d;
    d.block_size = block;
    OpRunner depth(schema::BuiltinOperator_DEPTH_TO_SPACE, Options(d));
    depth.Fed(TensorType_INT8, {1, 1, 1, 4}).Out(TensorType_INT8);
    EXPECT_FALSE(depth.Infer().ok()) << block;
    OpRunner batch(schema::BuiltinOperator_SPACE_TO_BATCH_ND);
    batch.Fed(TensorType_INT8, {1, 4, 1})
        .Known<int32_t>(TensorType_INT32, {1}, {block})
        .Known<int32_t>(TensorType_INT32, {1, 2}, {0, 0})
        .Out(TensorType_INT8);
    EXPECT_FALSE(batch.Infer().ok()) << block;
    OpRunner back(schema::BuiltinOperator_BATCH_TO_SPACE_ND);
    back.Fed(TensorType_INT8, {4, 4, 1})
        .Known<int32_t>(TensorType_INT32, {1}, {block})
        .Known<int32_t>(TensorType_INT32, {1, 2}, {0, 0})
        .Out(TensorType_INT8);
    EXPECT_FALSE(back.Infer().ok()) << block;
  }
  OpRunner crops(schema::BuiltinOperator_BATCH_TO_SPACE_ND);
  crops.Fed(TensorType_INT8, {4, 4, 1})
      .Known<int32_t>(TensorType_INT32, {1}, {2})
      .Known<int32_t>(TensorType_INT32, {1, 2}, {8, 1})
      .Out(TensorType_INT8);
  EXPECT_FALSE(crops.Infer().ok());
}

TEST(Range, EndsOrFails) {
  OpRunner good(schema::BuiltinOperator_RANGE);
  good.Known<int64_t>(TensorType_INT64, {}, {std::numeric_limits<int64_t>::min()})
      .Known<int64_t>(TensorType_INT64, {}, {std::numeric_limits<int64_t>::max()})
      .Known<int64_t>(TensorType_INT64, {}, {int64_t{1} << 62})
      .Out(TensorType_INT64);
  ASSERT_OK_AND_ASSIGN(const auto shapes, good.Infer());
  EXPECT_THAT(shapes[0], ElementsAre(4));
  for (const auto& v : std::vector<std::vector<int32_t>>{{0, 5, 0}, {0, 5, -1}, {5, 0, 1}}) {
    OpRunner bad(schema::BuiltinOperator_RANGE);
    for (int32_t x : v) bad.Known<int32_t>(TensorType_INT32, {}, {x});
    bad.Out(TensorType_INT32);
    EXPECT_FALSE(bad.Infer().ok());
  }
  OpRunner endless(schema::BuiltinOperator_RANGE);
  for (float x : {0.0f, 1e30f, 1e-30f}) endless.Known<float>(TensorType_FLOAT32, {}, {x});
  endless.Out(TensorType_FLOAT32);
  EXPECT_FALSE(endless.Infer().ok());
}

TEST(TopK, OrdersTiesByPlaceAndNanLast) {
  OpRunner runner(schema::BuiltinOperator_TOPK_V2);
  runner
      .Fed<float>(TensorType_FLOAT32, {4},
                  {std::numeric_limits<float>::quiet_NaN(), 1.0f, 2.0f, 2.0f})
      .Known<int32_t>(TensorType_INT32, {}, {4})
      .Out(TensorType_FLOAT32)
      .Out(TensorType_INT32);
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int32_t>(1), ElementsAre(2, 3, 1, 0));
  OpRunner more(schema::BuiltinOperator_TOPK_V2);
  more.Fed(TensorType_FLOAT32, {4}).Known<int32_t>(TensorType_INT32, {}, {5});
  more.Out(TensorType_FLOAT32).Out(TensorType_INT32);
  EXPECT_FALSE(more.Infer().ok());
}

TEST(ReverseSequence, ChecksLengths) {
  schema::ReverseSequenceOptionsT options;
  options.seq_dim = 1;
  options.batch_dim = 0;
  OpRunner good(schema::BuiltinOperator_REVERSE_SEQUENCE, Options(options));
  good.Fed<int32_t>(TensorType_INT32, {2, 3}, {1, 2, 3, 4, 5, 6})
      .Fed<int32_t>(TensorType_INT32, {2}, {2, 3})
      .Out(TensorType_INT32);
  ASSERT_OK(good.Run());
  EXPECT_THAT(good.Result<int32_t>(), ElementsAre(2, 1, 3, 6, 5, 4));
  OpRunner bad(schema::BuiltinOperator_REVERSE_SEQUENCE, Options(options));
  bad.Fed(TensorType_INT32, {2, 3})
      .Fed<int32_t>(TensorType_INT32, {2}, {2, 4})
      .Out(TensorType_INT32);
  EXPECT_FALSE(bad.Run().ok());
}

TEST(UpdateSlice, ClampsItsStart) {
  OpRunner runner(schema::BuiltinOperator_DYNAMIC_UPDATE_SLICE);
  runner.Fed<int32_t>(TensorType_INT32, {4}, {1, 2, 3, 4})
      .Fed<int32_t>(TensorType_INT32, {2}, {8, 9})
      .Fed<int64_t>(TensorType_INT64, {1}, {std::numeric_limits<int64_t>::max()})
      .Out(TensorType_INT32);
  ASSERT_OK(runner.Run());
  EXPECT_THAT(runner.Result<int32_t>(), ElementsAre(1, 2, 8, 9));
}

}  // namespace
}  // namespace litesmith
