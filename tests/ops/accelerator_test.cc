// The rules of accelerators, node by node.

#include "ops/accelerator.h"

#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr TensorType kInt8 = schema::TensorType_INT8;
constexpr TensorType kFloat = schema::TensorType_FLOAT32;

struct OneNode {
  GraphBuilder b;

  // A constant of this type without content that matters.
  int32_t Constant(Shape shape, TensorType type, int channels = 1) {
    const int32_t t = b.Value("constant", shape, type);
    Tensor& tensor = b.graph().main().tensors[static_cast<size_t>(t)];
    const auto size = TensorBytes(type, tensor.shape);
    EXPECT_OK(size);
    tensor.data = Blob::Own(std::vector<std::byte>(*size));
    tensor.quant = {std::vector<float>(static_cast<size_t>(channels), 0.5f),
                    std::vector<int64_t>(static_cast<size_t>(channels)),
                    0,
                    {},
                    {},
                    nullptr};
    return t;
  }
  int32_t Input(Shape shape, TensorType type = kInt8) { return b.Input("in", shape, type); }

  std::string Obstacle(Accelerator accelerator) {
    const Subgraph& main = b.graph().main();
    return AcceleratorObstacle(main, main.nodes.at(0), accelerator);
  }
};

OneNode Conv(Shape input, TensorType type, schema::Conv2DOptionsT options = {}) {
  OneNode out;
  const int32_t x = out.Input(input, type);
  const TensorType bias = type == kInt8 ? schema::TensorType_INT32 : kFloat;
  const int32_t w = out.Constant({4, 3, 3, 2}, type, 4), c = out.Constant({4}, bias, 4);
  options.stride_h = std::max(options.stride_h, 1);
  options.stride_w = std::max(options.stride_w, 1);
  out.b.Op(schema::BuiltinOperator_CONV_2D, "conv", {x, w, c}, {1, 6, 6, 4}, Options(options),
           type);
  return out;
}

TEST(EdgeTpu, TakesQuantizedConvolutions) {
  EXPECT_THAT(Conv({1, 8, 8, 2}, kInt8).Obstacle(Accelerator::kEdgeTpu), IsEmpty());
  EXPECT_THAT(Conv({1, 8, 8, 2}, kFloat).Obstacle(Accelerator::kEdgeTpu), HasSubstr("8-bit"));
  EXPECT_THAT(Conv({-1, 8, 8, 2}, kInt8).Obstacle(Accelerator::kEdgeTpu),
              HasSubstr("--batch-size 1"));
  EXPECT_THAT(Conv({2, 8, 8, 2}, kInt8).Obstacle(Accelerator::kEdgeTpu),
              HasSubstr("last three dimensions"));
  schema::Conv2DOptionsT uneven;
  uneven.dilation_h_factor = 2;
  EXPECT_THAT(Conv({1, 8, 8, 2}, kInt8, uneven).Obstacle(Accelerator::kEdgeTpu),
              HasSubstr("equal, not 2x1"));
}

TEST(EdgeTpu, SoftmaxOfOneDimension) {
  for (const auto& [shape, obstacle] : std::vector<std::pair<Shape, std::string>>{
           {{1, 10}, ""}, {{2, 10}, "one dimension"}, {{1, 16001}, "16000"}}) {
    OneNode n;
    n.b.Op(schema::BuiltinOperator_SOFTMAX, "s", {n.Input(shape)}, shape,
           Options(schema::SoftmaxOptionsT{}), kInt8);
    EXPECT_THAT(n.Obstacle(Accelerator::kEdgeTpu), HasSubstr(obstacle));
    EXPECT_EQ(n.Obstacle(Accelerator::kEdgeTpu).empty(), obstacle.empty());
  }
}

TEST(EdgeTpu, MeanOverChannelsNeedsAMultipleOfFour) {
  const auto mean = [](Shape shape, std::vector<int32_t> axes) {
    OneNode n;
    const int32_t x = n.Input(shape);
    const int32_t a = n.b.Ints("axes", {static_cast<int32_t>(axes.size())}, axes);
    n.b.Op(schema::BuiltinOperator_MEAN, "mean", {x, a}, {1, 4}, {}, kInt8);
    return n.Obstacle(Accelerator::kEdgeTpu);
  };
  EXPECT_THAT(mean({1, 7, 7, 6}, {1, 2}), IsEmpty());
  EXPECT_THAT(mean({1, 7, 7, 8}, {-1}), IsEmpty());
  EXPECT_THAT(mean({1, 7, 7, 6}, {3}), HasSubstr("multiple of 4"));
  EXPECT_THAT(mean({1, 7, 7, 8}, {0}), HasSubstr("batch"));
}

TEST(EdgeTpu, SlicesWithSteps) {
  for (const int32_t stride : {1, 2}) {
    OneNode n;
    const int32_t x = n.Input({8, 8});
    const int32_t begin = n.b.Ints("b", {2}, {0, 0}), end = n.b.Ints("e", {2}, {4, 4});
    const int32_t strides = n.b.Ints("s", {2}, {1, stride});
    n.b.Op(schema::BuiltinOperator_STRIDED_SLICE, "slice", {x, begin, end, strides}, {4, 4},
           Options(schema::StridedSliceOptionsT{}), kInt8);
    EXPECT_EQ(n.Obstacle(Accelerator::kEdgeTpu).empty(), stride == 1);
  }
}

TEST(EdgeTpu, ConcatenatesConstantsOfZerosOnly) {
  for (const int64_t zero_point : {0, 3}) {
    OneNode n;
    const int32_t x = n.Input({1, 4});
    const int32_t c = n.Constant({1, 4}, kInt8);
    n.b.graph().main().tensors[static_cast<size_t>(c)].quant.zero_point = {zero_point};
    n.b.Op(schema::BuiltinOperator_CONCATENATION, "cat", {x, c}, {1, 8},
           Options(schema::ConcatenationOptionsT{}), kInt8);
    EXPECT_EQ(n.Obstacle(Accelerator::kEdgeTpu).empty(), zero_point == 0);
  }
}

TEST(Hexagon, ConvolutionsUpToStrideThree) {
  schema::Conv2DOptionsT options;
  options.stride_h = options.stride_w = 3;
  EXPECT_THAT(Conv({1, 8, 8, 2}, kInt8, options).Obstacle(Accelerator::kHexagon), IsEmpty());
  options.stride_w = 4;
  EXPECT_THAT(Conv({1, 8, 8, 2}, kInt8, options).Obstacle(Accelerator::kHexagon),
              HasSubstr("strides"));
  EXPECT_THAT(Conv({1, 8, 8, 2}, kFloat).Obstacle(Accelerator::kHexagon), HasSubstr("8-bit"));
}

TEST(Hexagon, FullyConnectedWithOneScale) {
  for (const int channels : {1, 3}) {
    OneNode n;
    const int32_t x = n.Input({1, 4});
    const int32_t w = n.Constant({3, 4}, kInt8, channels);
    n.b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "dense", {x, w}, {1, 3},
           Options(schema::FullyConnectedOptionsT{}), kInt8);
    EXPECT_EQ(n.Obstacle(Accelerator::kHexagon).empty(), channels == 1);
    EXPECT_THAT(n.Obstacle(Accelerator::kEdgeTpu), IsEmpty());
  }
}

TEST(Gpu, TakesFloatsAndKnowsItsOperators) {
  EXPECT_THAT(Conv({1, 8, 8, 2}, kFloat).Obstacle(Accelerator::kGpu), IsEmpty());
  EXPECT_THAT(Conv({1, 8, 8, 2}, schema::TensorType_INT16).Obstacle(Accelerator::kGpu),
              HasSubstr("INT16"));
  OneNode n;
  n.b.Op(schema::BuiltinOperator_SHAPE, "shape", {n.Input({1, 4}, kFloat)}, {2}, {},
         schema::TensorType_INT32);
  EXPECT_THAT(n.Obstacle(Accelerator::kGpu), HasSubstr("no such operator"));
}

// A file may hold a known operator without its operands.
TEST(Accelerators, ANodeWithoutInputsIsAnObstacle) {
  for (const auto op : {schema::BuiltinOperator_SPLIT, schema::BuiltinOperator_PACK,
                        schema::BuiltinOperator_DEPTHWISE_CONV_2D,
                        schema::BuiltinOperator_DEQUANTIZE, schema::BuiltinOperator_MEAN}) {
    OneNode n;
    n.b.Op(op, "odd", {}, {1}, {}, kInt8);
    for (const Accelerator a : {Accelerator::kEdgeTpu, Accelerator::kHexagon, Accelerator::kGpu}) {
      EXPECT_FALSE(n.Obstacle(a).empty());
    }
  }
}

}  // namespace
}  // namespace litesmith::testing
