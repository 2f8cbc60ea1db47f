// Graphs as they come: packed weights, batches, several subgraphs, models that are quantized
// already.

#include <cmath>
#include <cstring>

#include "base/half.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "quantize/quantize.h"
#include "quantize/retype.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::MemoryDataset;

constexpr auto kFullyConnected = schema::BuiltinOperator_FULLY_CONNECTED;

QuantizeOptions For(const char* recipe) {
  QuantizeOptions options;
  options.recipe = FindRecipe(recipe).value();
  return options;
}

Tensor& At(Graph& graph, int32_t t) { return graph.main().tensors[static_cast<size_t>(t)]; }
const Tensor& At(const Graph& graph, int32_t t) {
  return graph.main().tensors[static_cast<size_t>(t)];
}

MemoryDataset Samples(const std::vector<int64_t>& shape, int count) {
  size_t elements = 1;
  for (int64_t d : shape) elements *= static_cast<size_t>(d);
  MemoryDataset data;
  for (int s = 0; s < count; ++s) {
    std::vector<float> values(elements);
    for (size_t i = 0; i < elements; ++i) {
      values[i] = std::sin(static_cast<float>(i + 1) * (1.0f + 0.3f * static_cast<float>(s)));
    }
    data.Add(shape, values);
  }
  return data;
}

// A batch's input from values that repeat; integers are quantized by the input's parameters.
std::vector<float> RunOn(const Graph& graph, const std::vector<float>& values) {
  auto executor = Executor::Create(std::make_shared<Graph>(graph), {});
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  std::memcpy((*executor)->input(0).data(), values.data(), values.size() * sizeof(float));
  EXPECT_OK((*executor)->Run());
  const auto bytes = (*executor)->output(0);
  const auto* out = reinterpret_cast<const float*>(bytes.data());
  return {out, out + bytes.size() / sizeof(float)};
}

// x [1, 32] -> dense [1, 40]; the weights are exact in float16.
GraphBuilder DenseModel() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 32});
  const int32_t w = b.Ramp("w", {40, 32}, -1.0f, 1.0f / 512);
  b.Output(b.Op(kFullyConnected, "dense", {x, w, b.Ramp("bias", {40}, -0.5f, 0.125f)}, {1, 40}));
  return b;
}

// The bytes of the weights and biases of all dense layers.
std::vector<std::byte> Weights(const Graph& graph) {
  std::vector<std::byte> out;
  for (const Node& node : graph.main().nodes) {
    if (node.op != kFullyConnected) continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      const auto bytes = At(graph, node.inputs[i]).data.bytes;
      out.insert(out.end(), bytes.begin(), bytes.end());
    }
  }
  return out;
}

class EveryRecipe : public ::testing::TestWithParam<const char*> {
 protected:
  void ExpectSame(const Graph& plain, const Graph& packed) {
    MemoryDataset data = Samples({1, 32}, 3);
    ASSERT_OK_AND_ASSIGN(const Graph a, Quantize(plain, &data, For(GetParam()), Context{}));
    ASSERT_OK_AND_ASSIGN(const Graph b, Quantize(packed, &data, For(GetParam()), Context{}));
    ASSERT_OK(Verify(b));
    EXPECT_EQ(a.main().nodes.size(), b.main().nodes.size());
    EXPECT_EQ(Weights(a), Weights(b));
    const std::vector<float> probe(32, 0.5f);
    EXPECT_EQ(RunOn(a, probe), RunOn(b, probe));
  }
};

TEST_P(EveryRecipe, Float16ConstantsAreQuantizedLikeFloatOnes) {
  GraphBuilder plain = DenseModel(), packed = DenseModel();
  Graph& graph = packed.graph();
  Node dense = graph.main().nodes[0];
  graph.main().nodes.clear();
  for (size_t i = 1; i < 3; ++i) {
    Tensor half = At(graph, dense.inputs[i]);
    std::vector<uint16_t> values;
    for (float v : half.data.As<float>()) values.push_back(FloatToHalf(v));
    half.name += "_half";
    half.type = schema::TensorType_FLOAT16;
    half.data = Blob::Of(values);
    Node unpack;
    unpack.op = schema::BuiltinOperator_DEQUANTIZE;
    unpack.outputs = {dense.inputs[i]};
    At(graph, dense.inputs[i]).data = {};
    unpack.inputs = {graph.main().AddTensor(std::move(half))};
    graph.main().nodes.push_back(unpack);
  }
  graph.main().nodes.push_back(dense);
  ASSERT_OK(Verify(graph));
  ExpectSame(plain.graph(), graph);
}

// Row r of the weights holds one value, in column r mod 32.
schema::SparsityParametersT OneInEachRow() {
  schema::SparsityParametersT p;
  p.traversal_order = {0, 1};
  auto rows = std::make_unique<schema::DimensionMetadataT>();
  rows->format = schema::DimensionType_DENSE;
  rows->dense_size = 40;
  p.dim_metadata.push_back(std::move(rows));
  auto columns = std::make_unique<schema::DimensionMetadataT>();
  columns->format = schema::DimensionType_SPARSE_CSR;
  schema::Uint8VectorT segments, indices;
  for (int r = 0; r <= 40; ++r) segments.values.push_back(static_cast<uint8_t>(r));
  for (int r = 0; r < 40; ++r) indices.values.push_back(static_cast<uint8_t>(r % 32));
  columns->array_segments.Set(std::move(segments));
  columns->array_indices.Set(std::move(indices));
  p.dim_metadata.push_back(std::move(columns));
  return p;
}

TEST_P(EveryRecipe, SparseWeightsAreQuantizedLikeDenseOnes) {
  std::vector<float> dense(40 * 32, 0.0f), stored;
  for (size_t r = 0; r < 40; ++r) {
    stored.push_back(0.25f * static_cast<float>(r) - 3.0f);
    dense[r * 32 + r % 32] = stored.back();
  }
  GraphBuilder plain = DenseModel();
  At(plain.graph(), 1).data = Blob::Of(dense);
  // Behind DENSIFY.
  GraphBuilder packed = DenseModel();
  Graph& graph = packed.graph();
  Tensor sparse = At(graph, 1);
  sparse.name = "w_sparse";
  sparse.data = Blob::Of(stored);
  sparse.sparsity = std::make_shared<const schema::SparsityParametersT>(OneInEachRow());
  At(graph, 1).data = {};
  Node unpack;
  unpack.op = schema::BuiltinOperator_DENSIFY;
  unpack.inputs = {graph.main().AddTensor(sparse)};
  unpack.outputs = {1};
  graph.main().nodes.insert(graph.main().nodes.begin(), unpack);
  ASSERT_OK(Verify(graph));
  ExpectSame(plain.graph(), graph);
  // Read as they are; the float16 recipe leaves those sparse.
  if (std::string(GetParam()) == "float16") return;
  GraphBuilder direct = DenseModel();
  sparse.name = "w";
  At(direct.graph(), 1) = sparse;
  ASSERT_OK(Verify(direct.graph()));
  ExpectSame(plain.graph(), direct.graph());
}

INSTANTIATE_TEST_SUITE_P(Recipes, EveryRecipe,
                         ::testing::Values("float16", "dynamic", "int8", "int16x8"),
                         [](const ::testing::TestParamInfo<const char*>& p) {
                           return std::string(p.param);
                         });

TEST(HybridWeights, GoOnToIntegers) {
  GraphBuilder b = DenseModel();
  MemoryDataset data = Samples({1, 32}, 3);
  ASSERT_OK_AND_ASSIGN(const Graph dynamic,
                       Quantize(b.graph(), nullptr, For("dynamic"), Context{}));
  ASSERT_EQ(At(dynamic, dynamic.main().nodes[0].inputs[1]).type, schema::TensorType_INT8);
  ASSERT_OK_AND_ASSIGN(const Graph from_dynamic, Quantize(dynamic, &data, For("int8"), Context{}));
  ASSERT_OK_AND_ASSIGN(const Graph from_float, Quantize(b.graph(), &data, For("int8"), Context{}));
  EXPECT_EQ(Weights(from_dynamic), Weights(from_float));
  const auto refused = Quantize(dynamic, nullptr, For("float16"), Context{});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("int8 and int16x8"));
}

TEST(Subgraphs, EveryOneIsQuantizedWithoutData) {
  GraphBuilder b = DenseModel();
  b.graph().signatures.push_back({"first", {{"in", 0}}, {{"out", 3}}, 0});
  GraphBuilder other = DenseModel();
  b.graph().subgraphs.push_back(other.graph().main());
  b.graph().subgraphs[1].name = "second";
  b.graph().signatures.push_back({"second", {{"in", 0}}, {{"out", 3}}, 1});
  ASSERT_OK(Verify(b.graph()));
  for (const char* recipe : {"float16", "dynamic"}) {
    ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), nullptr, For(recipe), Context{}));
    ASSERT_OK(Verify(out));
    ASSERT_EQ(out.signatures.size(), 2u);
    EXPECT_EQ(out.signatures[1].subgraph, 1);
    EXPECT_EQ(out.signatures[1].outputs[0].tensor, out.subgraphs[1].outputs[0]);
    EXPECT_EQ(out.subgraphs[1].nodes.size(), out.main().nodes.size()) << recipe;
    EXPECT_EQ(out.subgraphs[1].nodes[0].op, out.main().nodes[0].op) << recipe;
  }
  MemoryDataset data = Samples({1, 32}, 2);
  std::vector<std::string> warnings;
  Context context;
  context.warn = [&](const std::string& w) { warnings.push_back(w); };
  ASSERT_OK_AND_ASSIGN(const Graph out, Quantize(b.graph(), &data, For("int8"), context));
  ASSERT_OK(Verify(out));
  EXPECT_THAT(warnings, ::testing::Contains(HasSubstr("'second'")));
  EXPECT_EQ(out.subgraphs[1].nodes.size(), 1u);
}

TEST(Batch, AFixedOneTakesSingleSamples) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {4, 3});
  b.Output(b.Op(schema::BuiltinOperator_ADD, "y", {x, x}, {4, 3}));
  MemoryDataset data = Samples({3}, 6);
  ASSERT_OK_AND_ASSIGN(const Ranges ranges, Calibrate(b.graph(), &data, For("int8"), Context{}));
  float low = 0.0f, high = 0.0f;
  for (const Sample& sample : data.samples()) {
    const auto* values = reinterpret_cast<const float*>(sample.inputs[0].bytes.data());
    for (int i = 0; i < 3; ++i) {
      low = std::min(low, values[i]);
      high = std::max(high, values[i]);
    }
  }
  EXPECT_EQ(ranges.tensors[1].min, 2 * low);
  EXPECT_EQ(ranges.tensors[1].max, 2 * high);
  // Samples that are batches are taken as they are.
  MemoryDataset batches = Samples({4, 3}, 2);
  EXPECT_OK(Calibrate(b.graph(), &batches, For("int8"), Context{}));
}

TEST(Batch, AFreeOneCanBeFixed) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 6, 3});
  const int32_t y = b.Op(schema::BuiltinOperator_RELU, "y", {x}, {-1, 6, 3});
  b.Output(
      b.Op(schema::BuiltinOperator_RESHAPE, "flat", {y, b.Ints("shape", {2}, {-1, 18})}, {-1, 18}));
  Graph fixed = b.graph();
  ASSERT_OK(FixBatchSize(&fixed, 5));
  ASSERT_OK(Verify(fixed));
  EXPECT_EQ(At(fixed, 0).shape, (Shape{5, 6, 3}));
  EXPECT_EQ(At(fixed, fixed.main().outputs[0]).shape, (Shape{5, 18}));
  for (const Tensor& tensor : fixed.main().tensors) {
    for (int32_t d : tensor.shape_signature) EXPECT_NE(d, -1) << tensor.name;
  }
  const absl::Status again = FixBatchSize(&fixed, 6);
  EXPECT_THAT(std::string(Message(again)), HasSubstr("not free"));
  EXPECT_FALSE(FixBatchSize(&fixed, 0).ok());
}

TEST(Batch, SpatialSizesMayStayFree) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, -1, 3});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {x}, {-1, -1, 3}));
  MemoryDataset data = Samples({4, 3}, 1);
  for (const int64_t height : {7, 5}) {
    MemoryDataset more = Samples({height, 3}, 1);
    data.samples().push_back(more.samples()[0]);
  }
  ASSERT_OK_AND_ASSIGN(Graph out, Quantize(b.graph(), &data, For("int8"), Context{}));
  EXPECT_EQ(At(out, out.main().inputs[0]).shape_signature, (Shape{-1, -1, 3}));
  ASSERT_OK(FixBatchSize(&out, 2));
  EXPECT_EQ(At(out, out.main().inputs[0]).shape_signature, (Shape{2, -1, 3}));
  EXPECT_EQ(At(out, out.main().outputs[0]).shape_signature, (Shape{2, -1, 3}));
  ASSERT_OK(Verify(out));
}

// ---- Models that are quantized already

std::vector<schema::BuiltinOperator> Operators(const Graph& graph) {
  std::vector<schema::BuiltinOperator> out;
  for (const Node& node : graph.main().nodes) out.push_back(node.op);
  return out;
}

// Every pair of types gives what quantizing to them at once gives.
TEST(Retype, EqualsQuantizingToTheseTypes) {
  GraphBuilder b = DenseModel();
  b.graph().signatures.push_back({"serving_default", {{"in", 0}}, {{"out", 3}}, 0});
  MemoryDataset data = Samples({1, 32}, 3);
  const struct {
    const char* recipe;
    std::vector<ElementType> types;
  } cases[] = {{"int8", {ElementType::kFloat32, ElementType::kInt8, ElementType::kUint8}},
               {"int16x8", {ElementType::kFloat32, ElementType::kInt16}}};
  for (const auto& c : cases) {
    for (const ElementType from : c.types) {
      QuantizeOptions options = For(c.recipe);
      options.input_type = options.output_type = from;
      ASSERT_OK_AND_ASSIGN(const Graph start, Quantize(b.graph(), &data, options, Context{}));
      ASSERT_EQ(QuantizedAs(start), options.recipe.kind);
      for (const ElementType to : c.types) {
        options.input_type = options.output_type = to;
        ASSERT_OK_AND_ASSIGN(const Graph wanted, Quantize(b.graph(), &data, options, Context{}));
        ASSERT_OK_AND_ASSIGN(const Graph got, Retype(start, to, to));
        ASSERT_OK(Verify(got));
        EXPECT_EQ(Operators(got), Operators(wanted));
        const Tensor& in = At(got, got.main().inputs[0]);
        const Tensor& out = At(got, got.main().outputs[0]);
        EXPECT_EQ(in.name, "x");
        EXPECT_EQ(out.name, "dense");
        EXPECT_EQ(in.type, ToTensorType(to));
        EXPECT_EQ(in.quant.zero_point, At(wanted, wanted.main().inputs[0]).quant.zero_point);
        EXPECT_EQ(out.quant.scale, At(wanted, wanted.main().outputs[0]).quant.scale);
        EXPECT_EQ(out.quant.zero_point, At(wanted, wanted.main().outputs[0]).quant.zero_point);
        EXPECT_EQ(got.signatures[0].inputs[0].tensor, got.main().inputs[0]);
        EXPECT_EQ(got.signatures[0].outputs[0].tensor, got.main().outputs[0]);
      }
    }
  }
}

TEST(Retype, OneSideAlone) {
  GraphBuilder b = DenseModel();
  MemoryDataset data = Samples({1, 32}, 3);
  ASSERT_OK_AND_ASSIGN(const Graph start, Quantize(b.graph(), &data, For("int8"), Context{}));
  ASSERT_OK_AND_ASSIGN(const Graph out, Retype(start, std::nullopt, ElementType::kUint8));
  EXPECT_EQ(At(out, out.main().inputs[0]).type, schema::TensorType_FLOAT32);
  EXPECT_EQ(At(out, out.main().outputs[0]).type, schema::TensorType_UINT8);
}

TEST(Retype, RefusesTypesThatTheModelDoesNotHave) {
  GraphBuilder b = DenseModel();
  MemoryDataset data = Samples({1, 32}, 3);
  ASSERT_OK_AND_ASSIGN(const Graph narrow, Quantize(b.graph(), &data, For("int8"), Context{}));
  EXPECT_THAT(std::string(Message(Retype(narrow, ElementType::kInt16, {}).status())),
              HasSubstr("int8 or uint8"));
  ASSERT_OK_AND_ASSIGN(const Graph wide, Quantize(b.graph(), &data, For("int16x8"), Context{}));
  EXPECT_THAT(std::string(Message(Retype(wide, {}, ElementType::kInt8).status())),
              HasSubstr("output 'dense'"));
  EXPECT_THAT(std::string(Message(Retype(b.graph(), ElementType::kInt8, {}).status())),
              HasSubstr("read it as float32"));
  EXPECT_EQ(QuantizedAs(b.graph()), std::nullopt);
  EXPECT_FALSE(Quantize(narrow, &data, For("int16x8"), Context{}).ok());
}

}  // namespace
}  // namespace litesmith
