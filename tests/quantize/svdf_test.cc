// SVDF and EMBEDDING_LOOKUP through the static recipes. tests/peers compares the bits with
// LiteRT's.

#include <cmath>
#include <cstring>

#include "ir/verify.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::MemoryDataset;

constexpr int32_t kWidth = 8;

// Numbers between -1 and 1 that look random and are always the same.
std::vector<float> Noise(size_t count, uint32_t seed) {
  std::vector<float> out(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<int32_t>(state)) * 0x1.0p-31f;
  }
  return out;
}

struct Layer {
  int32_t units = 8, rank = 2, memory = 6;
  float bias = 0.3f, time = 0.5f;
};

int32_t AddSvdf(GraphBuilder* b, const std::string& name, int32_t x, int32_t width,
                const Layer& layer, schema::ActivationFunctionType activation) {
  const int32_t filters = layer.units * layer.rank;
  const auto constant = [&](const std::string& what, Shape shape, float spread) {
    std::vector<float> values = Noise(static_cast<size_t>(NumElements(shape)),
                                      static_cast<uint32_t>(name.size() + what.size()));
    for (float& v : values) v *= spread;
    return b->Floats(name + what, std::move(shape), values);
  };
  const int32_t state = b->Value(name + "/state", {1, filters * layer.memory});
  b->graph().main().tensors[static_cast<size_t>(state)].is_variable = true;
  schema::SVDFOptionsT options;
  options.rank = layer.rank;
  options.fused_activation_function = activation;
  return b->Op(schema::BuiltinOperator_SVDF, name,
               {x, constant("/f", {filters, width}, 0.5f),
                constant("/time", {filters, layer.memory}, layer.time),
                constant("/b", {layer.units}, layer.bias), state},
               {1, layer.units}, Options(std::move(options)));
}

Graph Network(const Layer& layer,
              schema::ActivationFunctionType activation = schema::ActivationFunctionType_RELU) {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, kWidth});
  const int32_t first = AddSvdf(&b, "first", x, kWidth, layer, activation);
  Layer last;
  last.units = 4;
  last.rank = 1;
  b.Output(AddSvdf(&b, "second", first, layer.units, last, schema::ActivationFunctionType_RELU));
  return b.graph();
}

absl::StatusOr<Graph> Quantized(const Graph& graph, bool allow_float = false) {
  MemoryDataset data;
  for (uint32_t s = 0; s < 64; ++s) data.Add({1, kWidth}, Noise(kWidth, 100 + s));
  QuantizeOptions options;
  options.recipe = FindRecipe("int8").value();
  options.allow_float = allow_float;
  options.num_calibration_samples = 64;
  return Quantize(graph, &data, options, Context{});
}

// The outputs of the steps of one stream.
std::vector<float> Stream(const Graph& graph, uint32_t seed) {
  EXPECT_OK(Verify(graph));
  auto executor = Executor::Create(std::make_shared<Graph>(graph), {});
  EXPECT_OK(executor);
  std::vector<float> out;
  for (uint32_t step = 0; executor.ok() && step < 48; ++step) {
    const std::vector<float> x = Noise(kWidth, seed + step);
    std::memcpy((*executor)->input(0).data(), x.data(), x.size() * sizeof(float));
    EXPECT_OK((*executor)->Run());
    const auto bytes = (*executor)->output(0);
    const auto* y = reinterpret_cast<const float*>(bytes.data());
    out.insert(out.end(), y, y + bytes.size() / sizeof(float));
  }
  return out;
}

double Sqnr(const std::vector<float>& wanted, const std::vector<float>& got) {
  double signal = 0.0, noise = 1e-30;
  for (size_t i = 0; i < wanted.size(); ++i) {
    signal += double{wanted[i]} * wanted[i];
    noise += (double{wanted[i]} - got[i]) * (double{wanted[i]} - got[i]);
  }
  return 10.0 * std::log10(signal / noise);
}

const Tensor& At(const Graph& graph, int32_t t) {
  return graph.main().tensors[static_cast<size_t>(t)];
}
const Node* FindNode(const Graph& graph, schema::BuiltinOperator op) {
  for (const Node& node : graph.main().nodes) {
    if (node.op == op) return &node;
  }
  return nullptr;
}

TEST(Svdf, AStreamOfInt8) {
  const Graph graph = Network(Layer{});
  ASSERT_OK_AND_ASSIGN(Graph quantized, Quantized(graph));
  const Node* node = FindNode(quantized, schema::BuiltinOperator_SVDF);
  ASSERT_NE(node, nullptr);
  const auto in = [&](size_t i) -> const Tensor& { return At(quantized, node->inputs[i]); };
  EXPECT_EQ(in(0).type, schema::TensorType_INT8);
  EXPECT_EQ(in(1).type, schema::TensorType_INT8);
  EXPECT_EQ(in(2).type, schema::TensorType_INT16);
  EXPECT_EQ(in(3).type, schema::TensorType_INT32);
  EXPECT_EQ(in(4).type, schema::TensorType_INT16);
  EXPECT_TRUE(in(4).is_variable);
  EXPECT_EQ(in(3).quant.scale[0], in(4).quant.scale[0] * in(2).quant.scale[0]);
  int most = 0;
  for (int16_t w : in(2).data.As<int16_t>()) most = std::max(most, std::abs(w));
  EXPECT_EQ(most, 512);
  EXPECT_EQ(At(quantized, node->outputs[0]).quant.zero_point[0], -128);
  FinishForWriting(&quantized);
  EXPECT_EQ(FindNode(quantized, schema::BuiltinOperator_SVDF)->version, 3);
  EXPECT_OK(CheckTarget(quantized, Target::kLitert));
  EXPECT_OK(CheckTarget(quantized, Target::kTflm));
  EXPECT_GT(Sqnr(Stream(graph, 1000), Stream(quantized, 1000)), 30.0);
}

// The sum over a long memory, and a bias beside a small state, stay within an int32.
TEST(Svdf, NoSumOverflows) {
  Layer lengthy;
  lengthy.memory = 300;
  Layer biased;
  biased.bias = 3000.0f;
  biased.time = 1e-4f;
  for (const Layer& layer : {lengthy, biased}) {
    const Graph graph = Network(layer);
    ASSERT_OK_AND_ASSIGN(const Graph quantized, Quantized(graph));
    const Node* node = FindNode(quantized, schema::BuiltinOperator_SVDF);
    ASSERT_NE(node, nullptr);
    const auto time = At(quantized, node->inputs[2]).data.As<int16_t>();
    const auto bias = At(quantized, node->inputs[3]).data.As<int32_t>();
    const auto row = static_cast<size_t>(layer.memory * layer.rank);
    for (size_t u = 0; u < bias.size(); ++u) {
      int64_t sum = std::abs(int64_t{bias[u]});
      for (size_t i = u * row; i < (u + 1) * row; ++i) sum += 32767 * std::abs(int64_t{time[i]});
      EXPECT_LE(sum, INT32_MAX) << u;
    }
    EXPECT_GT(Sqnr(Stream(graph, 1000), Stream(quantized, 1000)), 25.0);
  }
}

TEST(Svdf, OtherActivationsStayFloat) {
  const Graph graph = Network(Layer{}, schema::ActivationFunctionType_NONE);
  EXPECT_THAT(std::string(Message(Quantized(graph).status())),
              HasSubstr("SVDF 'first' (node 0): the int8 SVDF has the activation RELU only"));
  ASSERT_OK_AND_ASSIGN(const Graph mixed, Quantized(graph, true));
  const Node* node = FindNode(mixed, schema::BuiltinOperator_SVDF);
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(At(mixed, node->inputs[0]).type, schema::TensorType_FLOAT32);
  EXPECT_GT(Sqnr(Stream(graph, 1000), Stream(mixed, 1000)), 25.0);
}

// Rows that calibration never looked up are there in full.
TEST(EmbeddingLookup, TheWholeTable) {
  constexpr int32_t kRows = 40, kColumns = 6;
  GraphBuilder b;
  const int32_t ids = b.Input("ids", {4}, schema::TensorType_INT32);
  std::vector<float> table = Noise(kRows * kColumns, 3);
  for (size_t i = 0; i < table.size(); ++i) table[i] *= static_cast<float>(i / kColumns);
  const int32_t rows = b.Op(schema::BuiltinOperator_EMBEDDING_LOOKUP, "rows",
                            {ids, b.Floats("table", {kRows, kColumns}, table)}, {4, kColumns});
  b.Output(rows);
  b.Output(
      b.Op(schema::BuiltinOperator_MUL, "y", {rows, b.Floats("two", {}, {2.0f})}, {4, kColumns}));
  Array array = Array::Zeros(ElementType::kInt32, {4});
  MemoryDataset data;
  data.samples().resize(1);
  data.samples()[0].inputs = {array};
  for (const char* recipe : {"int8", "int16x8"}) {
    SCOPED_TRACE(recipe);
    QuantizeOptions options;
    options.recipe = FindRecipe(recipe).value();
    ASSERT_OK_AND_ASSIGN(Graph quantized, Quantize(b.graph(), &data, options, Context{}));
    ASSERT_OK(Verify(quantized));
    const bool wide = options.recipe.kind == RecipeKind::kInt16x8;
    const Node* node = FindNode(quantized, schema::BuiltinOperator_EMBEDDING_LOOKUP);
    ASSERT_NE(node, nullptr);
    const Tensor &from = At(quantized, node->inputs[1]), &to = At(quantized, node->outputs[0]);
    EXPECT_EQ(to.type, wide ? schema::TensorType_INT16 : schema::TensorType_INT8);
    EXPECT_EQ(from.type, to.type);
    EXPECT_EQ(from.quant.scale, to.quant.scale);
    EXPECT_EQ(from.quant.zero_point, to.quant.zero_point);
    FinishForWriting(&quantized);
    EXPECT_OK(CheckTarget(quantized, Target::kLitert));
    EXPECT_EQ(CheckTarget(quantized, Target::kTflm).ok(), !wide);
    ASSERT_OK_AND_ASSIGN(const auto executor,
                         Executor::Create(std::make_shared<Graph>(quantized), {}));
    const int32_t wanted[4] = {0, 7, 22, 39};
    std::memcpy(executor->input(0).data(), wanted, sizeof(wanted));
    ASSERT_OK(executor->Run());
    const auto* y = reinterpret_cast<const float*>(executor->output(0).data());
    for (size_t i = 0; i < 4; ++i) {
      for (size_t c = 0; c < kColumns; ++c) {
        EXPECT_NEAR(y[i * kColumns + c], table[static_cast<size_t>(wanted[i]) * kColumns + c],
                    0.51f * to.quant.scale[0]);
      }
    }
  }
}

}  // namespace
}  // namespace litesmith
