#include <functional>
#include <limits>

#include "ir/diff.h"
#include "ir/print.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::ElementsAre;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Graph ConvGraph() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 4, 4, 1});
  const int32_t w = b.Ramp("w", {2, 3, 3, 1}, 0.0f, 1.0f);
  schema::Conv2DOptionsT options;
  options.padding = schema::Padding_VALID;
  options.stride_w = 1;
  options.stride_h = 1;
  options.fused_activation_function = schema::ActivationFunctionType_RELU6;
  const int32_t y =
      b.Op(schema::BuiltinOperator_CONV_2D, "y", {x, w, -1}, {-1, 2, 2, 2}, Options(options));
  b.Output(y);
  b.graph().main().nodes[0].version = 3;
  b.graph().main().nodes[0].name = "conv";
  Tensor& out = b.graph().main().tensors[static_cast<size_t>(y)];
  out.quant = QuantParams::PerTensor(0.5f, -3);
  Tensor& weights = b.graph().main().tensors[static_cast<size_t>(w)];
  weights.quant.scale = {0.25f, 0.5f};
  weights.quant.zero_point = {0, 0};
  b.graph().signatures.push_back({"serving_default", {{"x", x}}, {{"y", y}}, 0, ""});
  b.graph().SetMetadata("note", "hello");
  return b.graph();
}

TEST(Print, OneReadableForm) {
  EXPECT_EQ(Print(ConvGraph()), R"(graph main(%0 'x' FLOAT32 [-1, 4, 4, 1]) -> (%2)
  %1 'w' FLOAT32 [2, 3, 3, 1] constant, 72 bytes, scale 0.25..0.5 (2 on dimension 0)
  %2 'y' FLOAT32 [-1, 2, 2, 2], scale 0.5, zero point -3
     = CONV_2D v3 (%0, %1, -) {padding: VALID, stride_w: 1, stride_h: 1, fused_activation_function: RELU6} from 'conv'
signature 'serving_default' of graph #0 ('x' %0) -> ('y' %2)
metadata 'note' of 5 bytes
)");
}

TEST(Print, UntrustedNamesStayOnOneLine) {
  Graph graph = ConvGraph();
  graph.main().tensors[0].name = "a\nb\x1b[2J";
  EXPECT_THAT(PrintTensor(graph.main(), 0), ::testing::Not(HasSubstr("\n")));
}

TEST(Print, OptionsOfBothTables) {
  Node node;
  node.op = schema::BuiltinOperator_STABLEHLO_SLICE;
  auto options = std::make_shared<schema::BuiltinOptions2Union>();
  schema::StablehloSliceOptionsT slice;
  slice.start_indices = {1, 2};
  slice.limit_indices = {3, 4};
  options->Set(std::move(slice));
  node.options2 = options;
  EXPECT_EQ(PrintOptions(node), "start_indices: [1, 2], limit_indices: [3, 4]");
}

TEST(Diff, EqualGraphsHaveNone) { EXPECT_THAT(Diff(ConvGraph(), ConvGraph()), IsEmpty()); }

// Found by fuzzing: such a file was "changed" by writing it unchanged.
TEST(Diff, RangesThatAreNoNumberAreEqualToThemselves) {
  Graph graph = ConvGraph();
  graph.main().tensors[0].quant.min = {std::numeric_limits<float>::quiet_NaN()};
  EXPECT_THAT(Diff(graph, graph), IsEmpty());
  Graph other = graph;
  other.main().tensors[0].quant.min = {0.0f};
  EXPECT_EQ(Diff(graph, other).size(), 1u);
}

TEST(Diff, NamesEveryDifference) {
  const struct {
    std::function<void(Graph&)> change;
    const char* line;
  } cases[] = {
      {[](Graph& g) { g.description = "new"; }, "description: '' -> 'new'"},
      {[](Graph& g) { g.main().tensors[0].shape[0] = 7; },
       "tensor 0 'x': shape: '[1, 4, 4, 1]' -> '[7, 4, 4, 1]'"},
      {[](Graph& g) { g.main().tensors[0].shape_signature = {}; },
       "tensor 0 'x': shape signature: '[-1, 4, 4, 1]' -> '[1, 4, 4, 1]'"},
      {[](Graph& g) { g.main().tensors[0].type = schema::TensorType_INT8; },
       "tensor 0 'x': type: 'FLOAT32' -> 'INT8'"},
      {[](Graph& g) { g.main().tensors[2].quant.zero_point[0] = 4; },
       "tensor 2 'y': quantization: scale 0.5, zero point -3 -> scale 0.5, zero point 4"},
      {[](Graph& g) { g.main().tensors[1].data = Blob::Of(std::vector<float>(18, 1.0f)); },
       "tensor 1 'w': data: 72 bytes -> 32 of them differ, the first at 2"},
      {[](Graph& g) { g.main().nodes[0].version = 5; }, "node 0 (CONV_2D): version: 3 -> 5"},
      {[](Graph& g) { g.main().nodes[0].inputs[2] = 1; },
       "node 0 (CONV_2D): inputs: '(0, 1, -1)' -> '(0, 1, 1)'"},
      {[](Graph& g) { g.main().nodes[0].options = {}; },
       "node 0 (CONV_2D): options: {padding: VALID, stride_w: 1, stride_h: 1, "
       "fused_activation_function: RELU6} -> {}"},
      {[](Graph& g) {
         g.main().nodes[0].custom_options = {1, 2};
       },
       "node 0 (CONV_2D): custom options: 0 bytes -> 2 bytes"},
      {[](Graph& g) { g.main().nodes.clear(); }, "nodes: 1 -> 0"},
      {[](Graph& g) { g.signatures[0].outputs[0].name = "out"; },
       "signature 'serving_default': outputs: 'y=%2 ' -> 'out=%2 '"},
      {[](Graph& g) { g.SetMetadata("note", "hallo"); },
       "metadata 'note': data: 5 bytes -> 1 of them differ, the first at 1"},
  };
  for (const auto& c : cases) {
    Graph changed = ConvGraph();
    c.change(changed);
    EXPECT_THAT(Diff(ConvGraph(), changed), ElementsAre(c.line));
  }
}

TEST(Diff, LeavesOutWhatIsNotAskedFor) {
  Graph changed = ConvGraph();
  changed.main().tensors[0].name = "other";
  changed.main().nodes[0].version = 9;
  changed.metadata.clear();
  DiffOptions options;
  options.names = options.metadata = options.versions = false;
  EXPECT_THAT(Diff(ConvGraph(), changed, options), IsEmpty());
}

TEST(Diff, StopsAtTheLimit) {
  Graph changed = ConvGraph();
  for (Tensor& tensor : changed.main().tensors) tensor.name += "2";
  DiffOptions options;
  options.max_lines = 2;
  EXPECT_THAT(Diff(ConvGraph(), changed, options),
              ElementsAre(::testing::_, ::testing::_, "… more"));
}

}  // namespace
}  // namespace litesmith
