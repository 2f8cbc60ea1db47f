#include "ir/verify.h"

#include <cmath>
#include <functional>
#include <limits>

#include "tests/graph_builder.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;

constexpr size_t kWeights = 1, kBias = 2;  // tensor numbers in SmallGraph

// input 0 -> FULLY_CONNECTED(weights 1, bias 2) -> 3 -> RELU -> 4
Graph SmallGraph() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  const int32_t w = b.Ramp("w", {3, 4}, 0.0f, 1.0f);
  const int32_t bias = b.Floats("b", {3}, {1.0f, 2.0f, 3.0f});
  const int32_t y = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, "y", {x, w, bias}, {1, 3});
  const int32_t z = b.Op(schema::BuiltinOperator_RELU, "z", {y}, {1, 3});
  b.Output(z);
  Graph graph = b.graph();
  graph.signatures.push_back({"serving_default", {{"x", 0}}, {{"z", 4}}, 0, ""});
  return graph;
}

Tensor& At(Graph& graph, size_t t) { return graph.main().tensors[t]; }

struct Fault {
  const char* name;
  std::function<void(Graph&)> damage;
  const char* message;
};

void AddCall(Graph& graph, int32_t target, int32_t from) {
  Node node;
  node.op = schema::BuiltinOperator_CALL_ONCE;
  schema::CallOnceOptionsT options;
  options.init_subgraph_index = target;
  node.options = Options(std::move(options));
  graph.subgraphs[static_cast<size_t>(from)].nodes.push_back(node);
}

const Fault kFaults[] = {
    {"no subgraph", [](Graph& g) { g.subgraphs.clear(); }, "no subgraph"},
    {"input beyond the tensors", [](Graph& g) { g.main().nodes[0].inputs[0] = 99; },
     "node 0 (FULLY_CONNECTED): an input is tensor 99, but there are only 5"},
    {"input below -1", [](Graph& g) { g.main().nodes[0].inputs[0] = -2; }, "an input is tensor -2"},
    {"output missing", [](Graph& g) { g.main().nodes[0].outputs[0] = -1; },
     "an output is tensor -1"},
    {"intermediate", [](Graph& g) { g.main().nodes[0].intermediates = {7}; }, "an intermediate"},
    {"made twice", [](Graph& g) { g.main().nodes[1].outputs[0] = 3; }, "is made twice"},
    {"read before made", [](Graph& g) { std::swap(g.main().nodes[0], g.main().nodes[1]); },
     "nothing before makes it"},
    {"writes a constant", [](Graph& g) { g.main().nodes[1].outputs[0] = kWeights; },
     "is a constant or variable"},
    {"writes an input", [](Graph& g) { g.main().nodes[1].outputs[0] = 0; }, "made twice"},
    {"constant as input", [](Graph& g) { g.main().inputs.push_back(kWeights); },
     "has a value of its own"},
    {"input twice", [](Graph& g) { g.main().inputs.push_back(0); }, "twice among the inputs"},
    {"graph input range", [](Graph& g) { g.main().inputs[0] = 5; }, "an input of the subgraph"},
    {"graph output range", [](Graph& g) { g.main().outputs[0] = -1; }, "an output of the subgraph"},
    {"graph output never made", [](Graph& g) { g.main().nodes.pop_back(); },
     "an output of the subgraph is tensor 4 'z', which has no value there"},
    {"constant too small",
     [](Graph& g) {
       At(g, kBias).data = Blob::Of(std::vector<float>{1, 2});
     },
     "tensor 2 'b': its data has 8 bytes, FLOAT32 [3] needs 12"},
    {"negative dimension",
     [](Graph& g) {
       At(g, 3).shape = {1, -3};
     },
     "negative dimension"},
    {"huge shape", [](Graph& g) { At(g, 3).shape.assign(5, 1 << 30); }, "too large"},
    {"rank of the signature", [](Graph& g) { At(g, 3).shape_signature = {3}; }, "differ in rank"},
    {"signature below -1",
     [](Graph& g) {
       At(g, 3).shape_signature = {-2, 3};
     },
     "below -1"},
    {"unknown type", [](Graph& g) { At(g, 3).type = static_cast<TensorType>(100); }, "type 100"},
    {"constant variable", [](Graph& g) { At(g, kBias).is_variable = true; },
     "a variable and a constant"},
    {"constant variant", [](Graph& g) { At(g, kBias).type = schema::TensorType_VARIANT; },
     "VARIANT"},
    {"NaN scale",
     [](Graph& g) {
       At(g, 3).quant = QuantParams::PerTensor(std::numeric_limits<float>::quiet_NaN(), 0);
     },
     "tensor 3 'y': its scale nan is not a positive number"},
    {"zero scale", [](Graph& g) { At(g, 3).quant = QuantParams::PerTensor(0.0f, 0); },
     "its scale 0"},
    {"infinite scale", [](Graph& g) { At(g, 3).quant = QuantParams::PerTensor(INFINITY, 0); },
     "inf"},
    {"zero point",
     [](Graph& g) {
       At(g, 3).type = schema::TensorType_INT8;
       At(g, 3).quant = QuantParams::PerTensor(1.0f, 128);
     },
     "zero point 128 does not fit INT8"},
    {"zero point count", [](Graph& g) { At(g, 3).quant = {{1.0f}, {}, 0, {}, {}, {}}; },
     "1 scales and 0 zero points"},
    {"channels",
     [](Graph& g) {
       At(g, kWeights).quant = {{1.0f, 1.0f}, {0, 0}, 0, {}, {}, {}};
     },
     "2 scales for 3 channels"},
    {"axis",
     [](Graph& g) {
       At(g, kWeights).quant = {{1.0f, 1.0f, 1.0f}, {0, 0, 0}, 2, {}, {}, {}};
     },
     "quantized dimension 2"},
    {"blockwise scales",
     [](Graph& g) {
       auto details = std::make_shared<schema::QuantizationDetailsUnion>();
       schema::BlockwiseQuantizationT block;
       block.scales = 77;
       details->Set(std::move(block));
       At(g, kWeights).quant.details = details;
     },
     "its scales is tensor 77"},
    {"nameless custom operator",
     [](Graph& g) { g.main().nodes[1].op = schema::BuiltinOperator_CUSTOM; }, "has no name"},
    {"unknown operator",
     [](Graph& g) { g.main().nodes[1].op = static_cast<schema::BuiltinOperator>(9999); },
     "operator code is unknown"},
    {"subgraph out of range", [](Graph& g) { AddCall(g, 1, 0); }, "it runs subgraph 1"},
    {"subgraph runs itself", [](Graph& g) { AddCall(g, 0, 0); }, "runs itself"},
    {"subgraphs run each other",
     [](Graph& g) {
       g.subgraphs.resize(3);
       AddCall(g, 1, 0);
       AddCall(g, 2, 1);
       AddCall(g, 1, 2);
     },
     "runs itself"},
    {"subgraphs too deep",
     [](Graph& g) {
       g.subgraphs.resize(100);
       for (int32_t s = 0; s < 99; ++s) AddCall(g, s + 1, s);
     },
     "deep"},
    {"signature subgraph", [](Graph& g) { g.signatures[0].subgraph = 1; },
     "signature 'serving_default': there is no subgraph 1"},
    {"signature tensor", [](Graph& g) { g.signatures[0].outputs[0].tensor = 5; }, "'z'"},
    {"strings cut short",
     [](Graph& g) {
       At(g, kBias).type = schema::TensorType_STRING;
       At(g, kBias).data = Blob::Of(std::vector<int32_t>{3, 16});
     },
     "cut short"},
    {"string offsets",
     [](Graph& g) {
       At(g, kBias).type = schema::TensorType_STRING;
       At(g, kBias).data = Blob::Of(std::vector<int32_t>{3, 20, 24, 22, 24, 0});
     },
     "string 2 lies outside"},
    {"string count",
     [](Graph& g) {
       At(g, kBias).type = schema::TensorType_STRING;
       At(g, kBias).data = Blob::Of(std::vector<int32_t>{-1, 0});
     },
     "holds -1 strings"},
};

TEST(Verify, AcceptsAGoodGraph) { EXPECT_OK(Verify(SmallGraph())); }

TEST(Verify, FindsEachFault) {
  for (const Fault& fault : kFaults) {
    SCOPED_TRACE(fault.name);
    Graph graph = SmallGraph();
    fault.damage(graph);
    const absl::Status status = Verify(graph);
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(std::string(Message(status)), HasSubstr(fault.message));
  }
}

TEST(Verify, AcceptsWhatIsUnusualAndRight) {
  Graph graph = SmallGraph();
  graph.main().nodes[0].inputs[2] = -1;                  // no bias
  At(graph, 3).quant = QuantParams::PerTensor(0.5f, 7);  // on a float tensor
  At(graph, kBias).shape = {0};                          // nothing to store
  At(graph, kBias).data = {};
  graph.main().nodes[1].inputs.push_back(kBias);
  graph.subgraphs.resize(3);
  AddCall(graph, 1, 0);  // both may run the same subgraph
  AddCall(graph, 2, 0);
  AddCall(graph, 2, 1);
  EXPECT_OK(Verify(graph));
}

TEST(Verify, AcceptsStringsAndPackedTypes) {
  Graph graph = SmallGraph();
  Tensor& bias = At(graph, kBias);
  bias.type = schema::TensorType_STRING;
  bias.data = Blob::Of(std::vector<int32_t>{3, 20, 20, 22, 24, 0x41414141});
  EXPECT_OK(Verify(graph));
  bias.type = schema::TensorType_INT4;
  bias.data = Blob::Of(std::vector<int8_t>{1, 2});  // three values in two bytes
  EXPECT_OK(Verify(graph));
  bias.type = schema::TensorType_INT2;
  bias.data = Blob::Of(std::vector<int8_t>{1});
  EXPECT_OK(Verify(graph));
}

}  // namespace
}  // namespace litesmith
