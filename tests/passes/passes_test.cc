#include "passes/passes.h"

#include <cmath>

#include "passes/fuse_dilation.h"
#include "passes/rewrite.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using schema::BuiltinOperator;
using testing::GraphBuilder;

constexpr auto kConv = schema::BuiltinOperator_CONV_2D;
constexpr auto kDepthwise = schema::BuiltinOperator_DEPTHWISE_CONV_2D;
constexpr auto kFullyConnected = schema::BuiltinOperator_FULLY_CONNECTED;
constexpr auto kMul = schema::BuiltinOperator_MUL;
constexpr auto kAdd = schema::BuiltinOperator_ADD;
constexpr auto kSub = schema::BuiltinOperator_SUB;
constexpr auto kRelu = schema::BuiltinOperator_RELU;
constexpr auto kRelu6 = schema::BuiltinOperator_RELU6;
constexpr auto kReshape = schema::BuiltinOperator_RESHAPE;

Options ConvOptions(schema::Padding padding, int32_t stride = 1) {
  schema::Conv2DOptionsT o;
  o.padding = padding;
  o.stride_h = o.stride_w = stride;
  return Options(std::move(o));
}

std::vector<BuiltinOperator> Operators(const Graph& graph) {
  std::vector<BuiltinOperator> out;
  for (const Node& node : graph.main().nodes) out.push_back(node.op);
  return out;
}

// The graph's first output on a fixed input.
std::vector<float> RunOn(const Graph& graph) {
  auto executor = Executor::Create(std::make_shared<Graph>(graph), {});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  for (size_t i = 0; i < (*executor)->num_inputs(); ++i) {
    const auto bytes = (*executor)->input(i);
    auto* values = reinterpret_cast<float*>(bytes.data());
    for (size_t k = 0; k < bytes.size() / sizeof(float); ++k) {
      values[k] = std::sin(static_cast<float>(k) * 0.7f + static_cast<float>(i));
    }
  }
  EXPECT_OK((*executor)->Run());
  const auto out = (*executor)->output(0);
  const auto* values = reinterpret_cast<const float*>(out.data());
  return {values, values + out.size() / sizeof(float)};
}

void ExpectSameResult(const Graph& before, const Graph& after, float relative = 1e-5f) {
  const std::vector<float> a = RunOn(before);
  const std::vector<float> b = RunOn(after);
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_NEAR(a[i], b[i], 1e-5f + relative * std::abs(a[i])) << "element " << i;
  }
}

// ---- FuseActivations
// -----------------------------------------------------------------------------

TEST(FuseActivations, TakesTheReluIntoTheAddAndKeepsTheOutputName) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t sum = b.Op(kAdd, "sum", {x, x}, {1, 4});
  b.Output(b.Op(kRelu6, "act", {sum}, {1, 4}));
  const Graph before = b.graph();
  ASSERT_OK_AND_ASSIGN(const bool changed, FuseActivations(&b.graph()));
  EXPECT_TRUE(changed);
  ASSERT_EQ(b.graph().main().nodes.size(), 1u);
  const Node& node = b.graph().main().nodes[0];
  EXPECT_EQ(FusedActivation(node), schema::ActivationFunctionType_RELU6);
  EXPECT_EQ(node.name, "sum");
  EXPECT_EQ(b.graph().main().tensors[static_cast<size_t>(node.outputs[0])].name, "act");
  ExpectSameResult(before, b.graph());
}

TEST(FuseActivations, LeavesWhatOthersRead) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t sum = b.Op(kAdd, "sum", {x, x}, {1, 4});
  const int32_t act = b.Op(kRelu, "act", {sum}, {1, 4});
  b.Output(b.Op(kMul, "product", {act, sum}, {1, 4}));
  ASSERT_OK_AND_ASSIGN(const bool changed, FuseActivations(&b.graph()));
  EXPECT_FALSE(changed);
}

TEST(FuseActivations, LeavesGraphOutputsAndSignatureTensors) {
  for (const bool signature : {false, true}) {
    GraphBuilder b;
    const int32_t x = b.Input("x", {1, 4});
    const int32_t sum = b.Op(kAdd, "sum", {x, x}, {1, 4});
    b.Output(b.Op(kRelu, "act", {sum}, {1, 4}));
    if (signature) {
      b.graph().signatures.push_back({"serving_default", {}, {{"sum", sum}}, 0});
    } else {
      b.Output(sum);
    }
    ASSERT_OK_AND_ASSIGN(const bool changed, FuseActivations(&b.graph()));
    EXPECT_FALSE(changed);
  }
}

TEST(FuseActivations, LeavesASecondActivationAndOtherTypes) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t sum = b.Op(kAdd, "sum", {x, x}, {1, 4});
  const int32_t six = b.Op(kRelu6, "six", {sum}, {1, 4});
  b.Output(b.Op(kRelu, "act", {six}, {1, 4}));
  const int32_t i = b.Input("i", {2}, schema::TensorType_INT8);
  const int32_t isum = b.Op(kAdd, "isum", {i, i}, {2}, {}, schema::TensorType_INT8);
  b.Output(b.Op(kRelu, "iact", {isum}, {2}, {}, schema::TensorType_INT8));
  ASSERT_OK(FuseActivations(&b.graph()));
  EXPECT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kAdd, kRelu, kAdd, kRelu}));
}

TEST(FuseActivations, DoesNotTouchGraphsThatNumberTheirNodes) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t sum = b.Op(kAdd, "sum", {x, x}, {1, 4});
  b.Output(b.Op(kRelu, "act", {sum}, {1, 4}));
  b.graph().SetMetadata("model_control_dependencies", "x");
  ASSERT_OK(Optimise(&b.graph(), Context{}));
  EXPECT_EQ(b.graph().main().nodes.size(), 2u);
}

// ---- FoldBatchNorm
// ---------------------------------------------------------------------------------

// x -> convolution -> * gamma -> + beta -> output, on 2 input and 3 output channels.
GraphBuilder ConvThenAffine(schema::Padding padding, bool bias) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 5, 5, 2});
  const int32_t w = b.Ramp("w", {3, 3, 3, 2}, -0.5f, 0.03f);
  std::vector<int32_t> inputs = {x, w};
  if (bias) inputs.push_back(b.Floats("b", {3}, {0.1f, -0.2f, 0.3f}));
  const int32_t size = padding == schema::Padding_SAME ? 5 : 3;
  const int32_t conv = b.Op(kConv, "conv", inputs, {1, size, size, 3}, ConvOptions(padding));
  const int32_t scaled =
      b.Op(kMul, "bn/mul", {conv, b.Floats("gamma", {3}, {2.0f, -0.5f, 1.5f})}, {1, size, size, 3});
  b.Output(b.Op(kAdd, "bn/add", {b.Floats("beta", {1, 1, 1, 3}, {1.0f, 2.0f, -3.0f}), scaled},
                {1, size, size, 3}));
  return b;
}

TEST(FoldBatchNorm, FoldsScaleAndOffsetAfterAConvolution) {
  for (const bool bias : {false, true}) {
    for (const auto padding : {schema::Padding_SAME, schema::Padding_VALID}) {
      GraphBuilder b = ConvThenAffine(padding, bias);
      const Graph before = b.graph();
      ASSERT_OK_AND_ASSIGN(const bool changed, FoldBatchNorm(&b.graph()));
      EXPECT_TRUE(changed);
      ASSERT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kConv}));
      EXPECT_EQ(b.graph().main().nodes[0].name, "conv");
      ExpectSameResult(before, b.graph());
    }
  }
}

TEST(FoldBatchNorm, LeavesSharedWeightsAndFusedActivations) {
  GraphBuilder b = ConvThenAffine(schema::Padding_SAME, true);
  b.graph().main().outputs.push_back(1);  // the weights themselves are an output
  ASSERT_OK_AND_ASSIGN(bool changed, FoldBatchNorm(&b.graph()));
  EXPECT_FALSE(changed);

  GraphBuilder c = ConvThenAffine(schema::Padding_SAME, true);
  SetFusedActivation(&c.graph().main().nodes[0], schema::ActivationFunctionType_RELU);
  ASSERT_OK_AND_ASSIGN(changed, FoldBatchNorm(&c.graph()));
  EXPECT_FALSE(changed);
}

TEST(FoldBatchNorm, LeavesConstantsThatAreNotPerChannel) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 3, 3, 2});
  const int32_t conv = b.Op(kConv, "conv", {x, b.Ramp("w", {3, 1, 1, 2}, 0.0f, 0.1f)}, {1, 3, 3, 3},
                            ConvOptions(schema::Padding_SAME));
  b.Output(b.Op(kMul, "mul", {conv, b.Ramp("map", {1, 3, 3, 1}, 0.0f, 1.0f)}, {1, 3, 3, 3}));
  ASSERT_OK_AND_ASSIGN(const bool changed, FoldBatchNorm(&b.graph()));
  EXPECT_FALSE(changed);
}

TEST(FoldBatchNorm, FoldsConstantMinusLayerWithItsActivation) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2, 4});
  const int32_t fc = b.Op(kFullyConnected, "fc", {x, b.Ramp("w", {3, 4}, -0.4f, 0.1f)}, {2, 3});
  schema::SubOptionsT options;
  options.fused_activation_function = schema::ActivationFunctionType_RELU;
  b.Output(b.Op(kSub, "sub", {b.Floats("c", {3}, {0.5f, 1.0f, -1.0f}), fc}, {2, 3},
                Options(std::move(options))));
  const Graph before = b.graph();
  ASSERT_OK(FoldBatchNorm(&b.graph()));
  ASSERT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kFullyConnected}));
  EXPECT_EQ(FusedActivation(b.graph().main().nodes[0]), schema::ActivationFunctionType_RELU);
  ExpectSameResult(before, b.graph());
}

TEST(FoldBatchNorm, FoldsBeforeALayerOnlyWhereNoPaddingTakesPart) {
  for (const auto padding : {schema::Padding_VALID, schema::Padding_SAME}) {
    GraphBuilder b;
    const int32_t x = b.Input("x", {1, 5, 5, 2});
    const int32_t scaled = b.Op(kMul, "mul", {x, b.Floats("s", {2}, {0.5f, -3.0f})}, {1, 5, 5, 2});
    const int32_t moved =
        b.Op(kAdd, "add", {scaled, b.Floats("o", {2}, {1.0f, 0.25f})}, {1, 5, 5, 2});
    const int32_t size = padding == schema::Padding_SAME ? 5 : 3;
    b.Output(b.Op(kConv, "conv", {moved, b.Ramp("w", {3, 3, 3, 2}, -0.5f, 0.03f)},
                  {1, size, size, 3}, ConvOptions(padding)));
    const Graph before = b.graph();
    ASSERT_OK_AND_ASSIGN(const bool changed, FoldBatchNorm(&b.graph()));
    EXPECT_EQ(changed, padding == schema::Padding_VALID);
    ExpectSameResult(before, b.graph());
  }
}

TEST(FoldBatchNorm, FoldsAroundADepthwiseConvolutionWithMultiplier) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4, 4, 2});
  const int32_t in = b.Op(kMul, "in", {x, b.Floats("s", {2}, {0.5f, -3.0f})}, {1, 4, 4, 2});
  schema::DepthwiseConv2DOptionsT options;
  options.padding = schema::Padding_SAME;
  options.stride_h = options.stride_w = 1;
  options.depth_multiplier = 2;
  const int32_t conv = b.Op(kDepthwise, "dw", {in, b.Ramp("w", {1, 3, 3, 4}, -0.5f, 0.03f)},
                            {1, 4, 4, 4}, Options(std::move(options)));
  b.Output(b.Op(kMul, "out", {conv, b.Floats("g", {4}, {1.0f, 2.0f, 3.0f, 4.0f})}, {1, 4, 4, 4}));
  const Graph before = b.graph();
  ASSERT_OK(FoldBatchNorm(&b.graph()));
  ASSERT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kDepthwise}));
  ExpectSameResult(before, b.graph());
}

// ---- FusePadding
// -----------------------------------------------------------------------------------

GraphBuilder PadThenConv(const std::vector<int32_t>& pads, int32_t stride, int32_t padded,
                         int32_t size) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 6, 6, 1});
  const int32_t pad = b.Op(schema::BuiltinOperator_PAD, "pad", {x, b.Ints("p", {4, 2}, pads)},
                           {1, padded, padded, 1});
  b.Output(b.Op(kConv, "conv", {pad, b.Ramp("w", {2, 3, 3, 1}, -0.5f, 0.1f)}, {1, size, size, 2},
                ConvOptions(schema::Padding_VALID, stride)));
  return b;
}

TEST(FusePadding, BecomesSameWhereThatIsEqual) {
  // Stride 1: one row on each side. Stride 2 on an even size: SAME pads only after.
  GraphBuilder one = PadThenConv({0, 0, 1, 1, 1, 1, 0, 0}, 1, 8, 6);
  GraphBuilder two = PadThenConv({0, 0, 0, 1, 0, 1, 0, 0}, 2, 7, 3);
  for (GraphBuilder* b : {&one, &two}) {
    const Graph before = b->graph();
    ASSERT_OK_AND_ASSIGN(const bool changed, FusePadding(&b->graph()));
    EXPECT_TRUE(changed);
    EXPECT_EQ(Operators(b->graph()), (std::vector<BuiltinOperator>{kConv}));
    ExpectSameResult(before, b->graph());
  }
}

TEST(FusePadding, LeavesPaddingThatSameWouldPlaceElsewhere) {
  // Keras' ZeroPadding2D(1) before a stride of 2: SAME would pad (0, 1).
  GraphBuilder b = PadThenConv({0, 0, 1, 1, 1, 1, 0, 0}, 2, 8, 3);
  ASSERT_OK_AND_ASSIGN(bool changed, FusePadding(&b.graph()));
  EXPECT_FALSE(changed);
  GraphBuilder c = PadThenConv({0, 0, 1, 1, 1, 1, 0, 0}, 1, 8, 6);
  c.graph().main().outputs.push_back(c.graph().main().nodes[0].outputs[0]);
  ASSERT_OK_AND_ASSIGN(changed, FusePadding(&c.graph()));
  EXPECT_FALSE(changed);
}

// ---- FuseForRunning
// --------------------------------------------------------------------------------

// PAD, convolution, MUL, ADD and RELU6, each of its own.
GraphBuilder Unfused() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 6, 6, 1});
  const int32_t pad = b.Op(schema::BuiltinOperator_PAD, "pad",
                           {x, b.Ints("p", {4, 2}, {0, 0, 1, 1, 1, 1, 0, 0})}, {1, 8, 8, 1});
  const int32_t conv = b.Op(kConv, "conv", {pad, b.Ramp("w", {2, 3, 3, 1}, -0.5f, 0.1f)},
                            {1, 6, 6, 2}, ConvOptions(schema::Padding_VALID, 1));
  const int32_t scaled =
      b.Op(kMul, "scaled", {conv, b.Floats("gamma", {2}, {2.0f, -0.5f})}, {1, 6, 6, 2});
  const int32_t moved =
      b.Op(kAdd, "moved", {scaled, b.Floats("beta", {2}, {0.25f, 1.0f})}, {1, 6, 6, 2});
  b.Output(b.Op(kRelu6, "act", {moved}, {1, 6, 6, 2}));
  return b;
}

TEST(FuseForRunning, OneNodeRemainsAndTheResultStays) {
  GraphBuilder b = Unfused();
  const auto graph = std::make_shared<const Graph>(b.graph());
  ASSERT_OK_AND_ASSIGN(const auto fused, FuseForRunning(graph));
  EXPECT_EQ(Operators(*fused), (std::vector<BuiltinOperator>{kConv}));
  EXPECT_EQ(graph->main().nodes.size(), 5u);
  EXPECT_EQ(fused->main().outputs, graph->main().outputs);
  ExpectSameResult(*graph, *fused);
  ASSERT_OK_AND_ASSIGN(const auto again, FuseForRunning(fused));
  EXPECT_EQ(again, fused);
}

// What is read between two nodes, by the caller or by another node, keeps them apart.
TEST(FuseForRunning, LeavesWhatIsReadInBetween) {
  for (size_t between = 0; between < 4; ++between) {
    SCOPED_TRACE(between);
    for (const bool by_a_node : {false, true}) {
      GraphBuilder b = Unfused();
      const int32_t read = b.graph().main().nodes[between].outputs[0];
      const Shape shape = b.graph().main().tensors[static_cast<size_t>(read)].shape;
      b.Output(by_a_node ? b.Op(kMul, "square", {read, read}, shape) : read);
      const auto graph = std::make_shared<const Graph>(b.graph());
      ASSERT_OK_AND_ASSIGN(const auto fused, FuseForRunning(graph));
      const auto made = [&] {
        for (const Node& node : fused->main().nodes) {
          if (node.output(0) == read) return true;
        }
        return false;
      };
      EXPECT_TRUE(made());
      ExpectSameResult(*graph, *fused);
    }
  }
}

// ---- SimplifyReshapes
// --------------------------------------------------------------------------------

// Flatten as Keras' exporter writes it: the batch is read from the tensor.
GraphBuilder ComputedFlatten() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 2, 3});
  const int32_t shape = b.Op(schema::BuiltinOperator_SHAPE, "shape", {x}, {3},
                             Options(schema::ShapeOptionsT{}), schema::TensorType_INT32);
  schema::StridedSliceOptionsT slice;
  slice.shrink_axis_mask = 1;
  const int32_t batch =
      b.Op(schema::BuiltinOperator_STRIDED_SLICE, "batch",
           {shape, b.Ints("begin", {1}, {0}), b.Ints("end", {1}, {1}), b.Ints("stride", {1}, {1})},
           {}, Options(std::move(slice)), schema::TensorType_INT32);
  schema::PackOptionsT pack;
  pack.values_count = 2;
  const int32_t wanted =
      b.Op(schema::BuiltinOperator_PACK, "wanted", {batch, b.Ints("six", {}, {6})}, {2},
           Options(std::move(pack)), schema::TensorType_INT32);
  b.Output(b.Op(kReshape, "flat", {x, wanted}, {-1, 6}));
  return b;
}

TEST(SimplifyReshapes, AComputedBatchBecomesMinusOne) {
  GraphBuilder b = ComputedFlatten();
  ASSERT_OK_AND_ASSIGN(const bool changed, SimplifyReshapes(&b.graph()));
  EXPECT_TRUE(changed);
  ASSERT_OK(RemoveDeadCode(&b.graph()));
  ASSERT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kReshape}));
  const Node& node = b.graph().main().nodes[0];
  const Tensor& shape = b.graph().main().tensors[static_cast<size_t>(node.input(1))];
  EXPECT_THAT(shape.data.As<int32_t>(), ::testing::ElementsAre(-1, 6));
  EXPECT_EQ(shape.name, "wanted");
  EXPECT_EQ(b.graph().main().tensors.size(), 3u);
}

TEST(SimplifyReshapes, KeepsTheComputationThatAnOutputNeeds) {
  GraphBuilder b = ComputedFlatten();
  b.Output(b.graph().main().nodes[2].outputs[0]);
  ASSERT_OK(Optimise(&b.graph(), Context{}));
  EXPECT_EQ(b.graph().main().nodes.size(), 4u);
}

TEST(SimplifyReshapes, TwoUnknownSizesStay) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2, 3});
  const int32_t n = b.Input("n", {}, schema::TensorType_INT32);
  schema::PackOptionsT pack;
  pack.values_count = 2;
  const int32_t wanted = b.Op(schema::BuiltinOperator_PACK, "wanted", {n, n}, {2},
                              Options(std::move(pack)), schema::TensorType_INT32);
  b.Output(b.Op(kReshape, "y", {x, wanted}, {-1, -1}));
  ASSERT_OK_AND_ASSIGN(const bool changed, SimplifyReshapes(&b.graph()));
  EXPECT_FALSE(changed);
}

TEST(SimplifyReshapes, ChainsBecomeOneAndIdentitiesVanish) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 2, 3});
  const int32_t flat = b.Op(kReshape, "flat", {x, b.Ints("s1", {2}, {-1, 6})}, {-1, 6});
  const int32_t back = b.Op(kReshape, "back", {flat, b.Ints("s2", {3}, {-1, 2, 3})}, {-1, 2, 3});
  b.Output(b.Op(kAdd, "sum", {back, back}, {-1, 2, 3}));
  const Graph before = b.graph();
  ASSERT_OK(Optimise(&b.graph(), Context{}));
  ASSERT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kAdd}));
  EXPECT_EQ(b.graph().main().tensors.size(), 2u);
  ExpectSameResult(before, b.graph());
}

TEST(SimplifyReshapes, AnOutputKeepsItsName) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2, 3});
  const int32_t sum = b.Op(kAdd, "sum", {x, x}, {2, 3});
  b.Output(b.Op(kReshape, "out", {sum, b.Ints("s", {2}, {2, 3})}, {2, 3}));
  ASSERT_OK(Optimise(&b.graph(), Context{}));
  ASSERT_EQ(Operators(b.graph()), (std::vector<BuiltinOperator>{kAdd}));
  const Subgraph& main = b.graph().main();
  EXPECT_EQ(main.tensors[static_cast<size_t>(main.outputs[0])].name, "out");
}

TEST(SimplifyReshapes, AnInputThatIsTheOutputStaysReshaped) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2, 3});
  b.Output(b.Op(kReshape, "out", {x, b.Ints("s", {2}, {2, 3})}, {2, 3}));
  ASSERT_OK(Optimise(&b.graph(), Context{}));
  EXPECT_EQ(b.graph().main().nodes.size(), 1u);
}

// ---- FoldConstants and RemoveDeadCode
// ------------------------------------------------------------------

TEST(FoldConstants, ComputesAheadButNotOutputs) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2});
  const int32_t c = b.Op(kAdd, "c", {b.Floats("p", {2}, {1, 2}), b.Floats("q", {2}, {3, 4})}, {2});
  const int32_t d = b.Op(kMul, "d", {c, b.Floats("r", {2}, {2, 2})}, {2});
  b.Output(b.Op(kAdd, "y", {x, d}, {2}));
  b.Output(b.Op(kAdd, "z", {c, c}, {2}));
  ASSERT_OK_AND_ASSIGN(const bool changed, FoldConstants(&b.graph(), Context{}));
  EXPECT_TRUE(changed);
  EXPECT_EQ(b.graph().main().nodes.size(), 2u);
  EXPECT_THAT(b.graph().main().tensors[static_cast<size_t>(d)].data.As<float>(),
              ::testing::ElementsAre(8, 12));
}

TEST(FoldConstants, PackedWeightsStayUnlessAskedFor) {
  for (const bool unpack : {false, true}) {
    GraphBuilder b;
    const int32_t x = b.Input("x", {2});
    const int32_t half = b.Value("half", {2}, schema::TensorType_FLOAT16);
    b.graph().main().tensors[static_cast<size_t>(half)].data =
        Blob::Of(std::vector<uint16_t>{0x3c00, 0xc000});
    const int32_t w = b.Op(schema::BuiltinOperator_DEQUANTIZE, "w", {half}, {2});
    b.Output(b.Op(kAdd, "y", {x, w}, {2}));
    ASSERT_OK_AND_ASSIGN(const bool changed, FoldConstants(&b.graph(), Context{}, unpack));
    EXPECT_EQ(changed, unpack);
    if (unpack) {
      EXPECT_THAT(b.graph().main().tensors[static_cast<size_t>(w)].data.As<float>(),
                  ::testing::ElementsAre(1, -2));
    }
  }
}

TEST(RemoveDeadCode, DropsUnreadNodesAndRenumbers) {
  GraphBuilder b;
  const int32_t unused = b.Floats("unused", {1}, {1});
  const int32_t x = b.Input("x", {2});
  const int32_t spare = b.Input("spare", {2});
  b.Op(kMul, "dead2", {b.Op(kAdd, "dead1", {x, spare}, {2}), x}, {2});
  b.Output(b.Op(kRelu, "y", {x}, {2}));
  b.graph().signatures.push_back({"serving_default", {{"x", x}, {"spare", spare}}, {{"y", 5}}, 0});
  ASSERT_EQ(unused, 0);
  ASSERT_OK_AND_ASSIGN(bool changed, RemoveDeadCode(&b.graph()));
  EXPECT_TRUE(changed);
  const Graph& graph = b.graph();
  EXPECT_EQ(Operators(graph), (std::vector<BuiltinOperator>{kRelu}));
  ASSERT_EQ(graph.main().tensors.size(), 3u);
  EXPECT_EQ(graph.main().tensors[static_cast<size_t>(graph.main().inputs[1])].name, "spare");
  EXPECT_EQ(graph.main().tensors[static_cast<size_t>(graph.signatures[0].inputs[1].tensor)].name,
            "spare");
  EXPECT_EQ(graph.main().tensors[static_cast<size_t>(graph.signatures[0].outputs[0].tensor)].name,
            "y");
  ASSERT_OK_AND_ASSIGN(changed, RemoveDeadCode(&b.graph()));
  EXPECT_FALSE(changed);
}

TEST(RemoveDeadCode, KeepsWhatMayHaveSideEffects) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {2});
  b.Op(schema::BuiltinOperator_CUSTOM, "custom", {x}, {2});
  b.graph().main().nodes[0].custom_code = "Logs";
  const int32_t state = b.Value("state", {2});
  b.graph().main().tensors[static_cast<size_t>(state)].is_variable = true;
  b.Op(kAdd, "reads_state", {x, state}, {2});
  b.Output(b.Op(kRelu, "y", {x}, {2}));
  ASSERT_OK_AND_ASSIGN(const bool changed, RemoveDeadCode(&b.graph()));
  EXPECT_FALSE(changed);
}

// ---- FuseDilation
// -----------------------------------------------------------------------------

// x [1, 9, 8, 2] to blocks of 2 x 3 and back around a 3 x 3 convolution.
Graph Blocks(const std::vector<int32_t>& pads, const std::vector<int32_t>& crops,
             const Shape& padded, const Shape& output) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 9, 8, 2});
  const int32_t block = b.Ints("block", {2}, {2, 3});
  const Shape divided = {6, padded[0] / 2, padded[1] / 3, 2};
  const int32_t s = b.Op(schema::BuiltinOperator_SPACE_TO_BATCH_ND, "s2b",
                         {x, block, b.Ints("pads", {2, 2}, pads)}, divided);
  const int32_t filter = b.Ramp("w", {3, 3, 3, 2}, -0.5f, 0.02f);
  const Shape convolved = {6, divided[1] - 2, divided[2] - 2, 3};
  const int32_t c = b.Op(kConv, "conv", {s, filter, b.Ramp("bias", {3}, 0.1f, 0.1f)}, convolved,
                         ConvOptions(schema::Padding_VALID));
  b.Output(b.Op(schema::BuiltinOperator_BATCH_TO_SPACE_ND, "b2s",
                {c, block, b.Ints("crops", {2, 2}, crops)}, output));
  return b.graph();
}

TEST(FuseDilation, SameAndValid) {
  struct Case {
    std::vector<int32_t> pads, crops;
    Shape padded, output;
    schema::Padding padding;
  };
  // SAME pads by 2 and 2, by 3 and 3; the rest makes the size a multiple of the block.
  const Case kCases[] = {
      {{2, 3, 3, 4}, {0, 1, 0, 1}, {14, 15}, {1, 9, 8, 3}, schema::Padding_SAME},
      {{0, 1, 0, 1}, {0, 1, 0, 1}, {10, 9}, {1, 5, 2, 3}, schema::Padding_VALID}};
  for (const Case& c : kCases) {
    const Graph before = Blocks(c.pads, c.crops, c.padded, c.output);
    Graph graph = before;
    ASSERT_OK_AND_ASSIGN(const bool changed, FuseDilation(&graph));
    EXPECT_TRUE(changed);
    EXPECT_THAT(Operators(graph), ::testing::ElementsAre(kConv));
    const auto& options = graph.main().nodes[0].GetOptions<schema::Conv2DOptionsT>();
    EXPECT_EQ(options.padding, c.padding);
    EXPECT_EQ(options.dilation_h_factor, 2);
    EXPECT_EQ(options.dilation_w_factor, 3);
    ExpectSameResult(before, graph);
  }
}

TEST(FuseDilation, KeepsOtherPadding) {
  Graph graph = Blocks({3, 2, 3, 4}, {0, 1, 0, 1}, {14, 15}, {1, 9, 8, 3});
  ASSERT_OK_AND_ASSIGN(const bool changed, FuseDilation(&graph));
  EXPECT_FALSE(changed);
}

}  // namespace
}  // namespace litesmith
