// What the golden files do not contain: every rare part of the format, and files that are newer or
// broken.

#include <cstring>

#include "ir/diff.h"
#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tests/tflite/tree_dump.h"
#include "tflite/tflite.h"
#include "tflite/writer.h"

namespace litesmith {
namespace {

using ::testing::AllOf;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename Union, typename T>
std::shared_ptr<const Union> Hold(T table) {
  auto u = std::make_shared<Union>();
  u->Set(std::move(table));
  return u;
}

void AddRareTensors(Subgraph* s) {
  Tensor text;
  text.name = "text";
  text.type = schema::TensorType_STRING;
  text.shape = {2};
  text.data = Blob::Of(std::vector<int32_t>{2, 16, 18, 20, 0x41424344});
  s->AddTensor(text);

  Tensor sparse;
  sparse.name = "sparse";
  sparse.shape = {4, 4};
  sparse.data = Blob::Of(std::vector<float>{1.0f, 2.0f});
  schema::SparsityParametersT sparsity;
  sparsity.traversal_order = {0, 1};
  for (int d = 0; d < 2; ++d) {
    auto dim = std::make_unique<schema::DimensionMetadataT>();
    dim->format = d == 0 ? schema::DimensionType_DENSE : schema::DimensionType_SPARSE_CSR;
    dim->dense_size = 4;
    if (d == 1) {
      schema::Uint8VectorT segments, indices;
      segments.values = {0, 1, 1, 2, 2};
      indices.values = {3, 0};
      dim->array_segments.Set(std::move(segments));
      dim->array_indices.Set(std::move(indices));
    }
    sparsity.dim_metadata.push_back(std::move(dim));
  }
  sparse.sparsity = std::make_shared<const schema::SparsityParametersT>(std::move(sparsity));
  s->AddTensor(sparse);

  Tensor variant;
  variant.name = "variant";
  variant.type = schema::TensorType_VARIANT;
  schema::VariantSubTypeT sub;
  sub.shape = {1, 2};
  sub.type = schema::TensorType_INT64;
  sub.has_rank = true;
  variant.variant_tensors.push_back(std::make_shared<const schema::VariantSubTypeT>(sub));
  s->AddTensor(variant);

  Tensor variable;
  variable.name = "state";
  variable.shape = {3};
  variable.is_variable = true;
  variable.has_rank = false;
  s->AddTensor(variable);

  Tensor empty;
  empty.name = "empty";
  empty.type = schema::TensorType_INT32;
  empty.shape = {0};
  empty.data = Blob::Own({});
  s->AddTensor(empty);

  Tensor blocks;
  blocks.name = "blocks";
  blocks.type = schema::TensorType_INT4;
  blocks.shape = {1, 3};
  blocks.data = Blob::Of(std::vector<int8_t>{0x21, 0x03});
  schema::BlockwiseQuantizationT block;
  block.scales = 0;
  block.zero_points = -1;
  block.block_size = 32;
  blocks.quant.details = Hold<schema::QuantizationDetailsUnion>(block);
  s->AddTensor(blocks);

  Tensor custom;
  custom.name = "custom";
  custom.shape = {1};
  schema::CustomQuantizationT bytes;
  bytes.custom = {1, 2, 3};
  custom.quant.details = Hold<schema::QuantizationDetailsUnion>(bytes);
  custom.quant.min = {-1.0f};
  custom.quant.max = {1.0f};
  custom.external_buffer = 5;
  s->AddTensor(custom);
}

void AddRareNodes(Subgraph* s, int32_t x) {
  const auto make = [s](Node node) {
    Tensor out;
    out.name = fmt::format("out{}", s->nodes.size());
    out.shape = {1, 4};
    node.outputs = {s->AddTensor(out)};
    s->nodes.push_back(node);
  };
  Node custom;
  custom.op = schema::BuiltinOperator_CUSTOM;
  custom.custom_code = "MyOperator";
  custom.version = 7;
  custom.inputs = {x, -1};
  custom.custom_options = {9, 8, 7};
  custom.mutating_variable_inputs = {true, false};
  custom.intermediates = {x, -1};
  custom.large_custom_options = {std::byte{1}, std::byte{2}, std::byte{3}};
  custom.debug_metadata_index = 4;
  make(custom);

  Node slice;
  slice.op =
      schema::BuiltinOperator_STABLEHLO_SLICE;  // beyond the one-byte code, second option table
  slice.inputs = {x};
  schema::StablehloSliceOptionsT options;
  options.start_indices = {1, -2};
  slice.options2 = Hold<schema::BuiltinOptions2Union>(options);
  make(slice);

  Node loop;
  loop.op = schema::BuiltinOperator_WHILE;
  loop.inputs = {x};
  schema::WhileOptionsT bodies;
  bodies.cond_subgraph_index = 1;
  bodies.body_subgraph_index = 2;
  loop.options = Options(bodies);
  make(loop);

  Node placeholder;
  placeholder.op = schema::BuiltinOperator_PLACEHOLDER_FOR_GREATER_OP_CODES;
  placeholder.inputs = {x};
  make(placeholder);
}

// Everything the format can say.
Graph RareGraph() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {-1, 4});
  Graph graph = b.graph();
  graph.description = "rare";
  AddRareTensors(&graph.main());
  AddRareNodes(&graph.main(), x);
  graph.main().outputs = {static_cast<int32_t>(graph.main().tensors.size() - 1)};
  graph.main().debug_metadata_index = 2;
  for (const char* name : {"cond", "body"}) {
    Subgraph other;
    other.name = name;
    Tensor in;
    in.name = "in";
    in.shape = {1, 4};
    other.AddTensor(in);
    other.inputs = other.outputs = {0};
    graph.subgraphs.push_back(other);
  }
  graph.signatures.push_back({"a", {{"x", 0}}, {{"y", 8}}, 0, "tag"});
  graph.signatures.push_back({"b", {{"in", 0}}, {}, 2, ""});
  graph.SetMetadata("one", "hello");
  graph.SetMetadata("two", "hello");
  graph.SetMetadata("nothing", "");
  graph.legacy_metadata = {Blob::Of(std::vector<int32_t>{1, 2, 3})};
  graph.external_groups = {"weights.bin"};
  schema::ExternalBufferT external;
  external.id = 5;
  external.offset = 16;
  external.length = 4;
  external.packing = "none";
  graph.external_buffers.push_back(std::make_shared<const schema::ExternalBufferT>(external));
  return graph;
}

std::vector<std::byte> Join(const TfliteFile& file) {
  std::vector<std::byte> out;
  for (const auto& part : file.parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

TEST(Features, EveryRarePartSurvives) {
  const Graph graph = RareGraph();
  ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(graph));
  ASSERT_OK_AND_ASSIGN(const Graph read, ParseTflite(bytes, nullptr, Context()));
  EXPECT_THAT(Diff(graph, read), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto again, SerializeTflite(read));
  EXPECT_EQ(testing::DumpTree(again), testing::DumpTree(bytes));
  EXPECT_EQ(again == bytes, true);
}

TEST(Features, ConstantsBehindTheFlatbuffer) {
  const Graph graph = RareGraph();
  ASSERT_OK_AND_ASSIGN(const auto inside, SerializeTflite(graph));
  ASSERT_OK_AND_ASSIGN(const TfliteFile file, LayOutTflite(graph, /*max_constants_inside=*/0));
  const std::vector<std::byte> bytes = Join(file);
  ASSERT_EQ(bytes.size(), file.size);
  ASSERT_GT(bytes.size(), file.flatbuffer.size());
  ASSERT_OK_AND_ASSIGN(const Graph read, ParseTflite(bytes, nullptr, Context()));
  EXPECT_THAT(Diff(graph, read), IsEmpty());
  EXPECT_EQ(testing::DumpTree(bytes), testing::DumpTree(inside));
  const auto cut = std::span(bytes).first(bytes.size() - 1);
  EXPECT_THAT(std::string(Message(ParseTflite(cut, nullptr, Context()).status())),
              HasSubstr("beyond the end of the file"));
}

TEST(Features, EqualConstantsAreStoredOnce) {
  GraphBuilder b;
  const std::vector<float> values(5000, 3.0f);
  std::vector<int32_t> all = {b.Input("x", {5000})};
  for (int i = 0; i < 10; ++i) all.push_back(b.Floats(fmt::format("c{}", i), {5000}, values));
  b.Output(b.Op(schema::BuiltinOperator_ADD_N, "y", all, {5000}));
  ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(b.graph()));
  EXPECT_LT(bytes.size(), 24000u);
  ASSERT_OK_AND_ASSIGN(const Graph read, ParseTflite(bytes, nullptr, Context()));
  EXPECT_EQ(read.main().tensors[1].data.bytes.data(), read.main().tensors[9].data.bytes.data());
}

TEST(Features, AnyAddressWillDo) {
  ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(RareGraph()));
  for (size_t shift : {1, 2, 4, 8}) {
    std::vector<std::byte> moved(bytes.size() + 16);
    std::memcpy(moved.data() + shift, bytes.data(), bytes.size());
    ASSERT_OK_AND_ASSIGN(
        const Graph read,
        ParseTflite(std::span(moved).subspan(shift, bytes.size()), nullptr, Context()));
    moved.clear();
    moved.shrink_to_fit();
    EXPECT_THAT(Diff(RareGraph(), read), IsEmpty());
  }
}

// ---- Hand-made files
// ---------------------------------------------------------------------------------

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using flatbuffers::uoffset_t;

// A table with one int32 in field `number`.
uoffset_t OneField(FlatBufferBuilder& b, int number) {
  const uoffset_t start = b.StartTable();
  b.AddElement<int32_t>(static_cast<uint16_t>(4 + 2 * number), 42);
  return b.EndTable(start);
}

struct Hand {
  int32_t old_code = schema::BuiltinOperator_RELU;
  int32_t code = 0;
  uint32_t version = 3;
  schema::BuiltinOptions options_type = schema::BuiltinOptions_NONE;
  bool with_options = false;
  int options_field = 0;
  schema::TensorType type = schema::TensorType_FLOAT32;
  uint32_t opcode_index = 0;
  uint32_t buffer = 0;
};

// x -> RELU -> y, with the oddities asked for.
std::vector<std::byte> Build(const Hand& hand) {
  FlatBufferBuilder b;
  const std::vector<Offset<schema::Tensor>> tensors = {
      schema::CreateTensor(b, b.CreateVector<int32_t>({1}), hand.type, hand.buffer),
      schema::CreateTensor(b, b.CreateVector<int32_t>({1}), hand.type)};
  const Offset<void> options = hand.with_options ? OneField(b, hand.options_field) : 0;
  const auto op = schema::CreateOperator(b, hand.opcode_index, b.CreateVector<int32_t>({0}),
                                         b.CreateVector<int32_t>({1}), hand.options_type, options);
  const auto subgraph =
      schema::CreateSubGraph(b, b.CreateVector(tensors), b.CreateVector<int32_t>({0}),
                             b.CreateVector<int32_t>({1}), b.CreateVector(std::vector{op}));
  const auto code = schema::CreateOperatorCode(b, static_cast<int8_t>(hand.old_code), 0, 1,
                                               static_cast<schema::BuiltinOperator>(hand.code));
  const auto codes = b.CreateVector(std::vector{code});
  const auto subgraphs = b.CreateVector(std::vector{subgraph});
  const auto buffers = b.CreateVector(std::vector{schema::CreateBuffer(b)});
  schema::FinishModelBuffer(b, schema::CreateModel(b, hand.version, codes, subgraphs, 0, buffers));
  const auto bytes = std::as_bytes(std::span(b.GetBufferPointer(), b.GetSize()));
  return {bytes.begin(), bytes.end()};
}

std::string Error(const Hand& hand) {
  const std::vector<std::byte> bytes = Build(hand);
  const auto graph = ParseTflite(bytes, nullptr, Context());
  return graph.ok() ? "OK" : std::string(Message(graph.status()));
}

TEST(Newer, TheHandMadeFileIsFine) { EXPECT_EQ(Error({}), "OK"); }

TEST(Newer, OperatorCodesByTheMaximumOfBothFields) {
  Hand old_file;
  old_file.old_code = schema::BuiltinOperator_TANH;
  Hand new_file;
  new_file.old_code = 127;
  new_file.code = schema::BuiltinOperator_GELU;
  for (const auto& [hand, op] : {std::pair(old_file, schema::BuiltinOperator_TANH),
                                 std::pair(new_file, schema::BuiltinOperator_GELU)}) {
    const std::vector<std::byte> bytes = Build(hand);
    ASSERT_OK_AND_ASSIGN(const Graph graph, ParseTflite(bytes, nullptr, Context()));
    EXPECT_EQ(graph.main().nodes[0].op, op);
    ASSERT_OK_AND_ASSIGN(const auto written, SerializeTflite(graph));
    const schema::OperatorCode* code = schema::GetModel(written.data())->operator_codes()->Get(0);
    EXPECT_EQ(code->builtin_code(), op);
    EXPECT_EQ(code->deprecated_builtin_code(), std::min<int>(op, 127));
  }
}

TEST(Newer, FieldIsRefusedByName) {
  Hand hand;
  hand.with_options = true;
  hand.options_type = schema::BuiltinOptions_Conv2DOptions;
  hand.options_field = 20;
  EXPECT_THAT(Error(hand), AllOf(HasSubstr("operators: [0]"), HasSubstr("builtin_options"),
                                 HasSubstr("field 20 of table Conv2DOptions"), HasSubstr("newer")));
  hand.options_field = 2;
  EXPECT_EQ(Error(hand), "OK");
}

TEST(Newer, OptionTableIsRefusedByName) {
  Hand hand;
  hand.with_options = true;
  hand.options_type = static_cast<schema::BuiltinOptions>(250);
  EXPECT_THAT(Error(hand), HasSubstr("value 250 of BuiltinOptions"));
}

TEST(Newer, OperatorIsRefusedByName) {
  Hand hand;
  hand.code = 3000;
  EXPECT_THAT(Error(hand), HasSubstr("value 3000 of BuiltinOperator"));
}

TEST(Newer, TensorTypeIsRefusedByName) {
  Hand hand;
  hand.type = static_cast<schema::TensorType>(99);
  EXPECT_THAT(Error(hand), AllOf(HasSubstr("tensors: [0]"), HasSubstr("value 99 of TensorType")));
}

TEST(Newer, SchemaVersion) {
  Hand hand;
  hand.version = 4;
  EXPECT_THAT(Error(hand), HasSubstr("schema version 4"));
}

TEST(Broken, UnionWithoutItsTable) {
  Hand hand;
  hand.options_type = schema::BuiltinOptions_Conv2DOptions;
  EXPECT_THAT(Error(hand), HasSubstr("builtin_options_type says what follows, but nothing does"));
  hand.options_type = schema::BuiltinOptions_NONE;
  hand.with_options = true;
  EXPECT_THAT(Error(hand), HasSubstr("table without a type"));
}

TEST(Broken, NumbersOutOfRange) {
  Hand code;
  code.opcode_index = 3;
  EXPECT_THAT(Error(code), HasSubstr("uses operator code 3, but there are only 1"));
  Hand buffer;
  buffer.buffer = 9;
  EXPECT_THAT(Error(buffer), HasSubstr("uses buffer 9, but there are only 1"));
}

// FlatBuffers' verifier lets it pass; what should be the table's size would lie behind the file.
TEST(Broken, FieldListShorterThanItsHead) {
  std::vector<std::byte> bytes = Build({});
  while (bytes.size() % 4 != 0) bytes.push_back(std::byte{0});
  const auto* model = schema::GetModel(bytes.data());
  const auto* table = reinterpret_cast<const std::byte*>(model->buffers()->Get(0));
  const auto to_fields = static_cast<int32_t>(table - (bytes.data() + bytes.size()));
  std::memcpy(bytes.data() + (table - bytes.data()), &to_fields, sizeof(to_fields));
  bytes.push_back(std::byte{2});
  bytes.push_back(std::byte{0});
  const std::vector<std::byte> exact(bytes);  // nothing behind it
  EXPECT_THAT(std::string(Message(ParseTflite(exact, nullptr, Context()).status())),
              HasSubstr("a table Buffer without a size"));
}

// A small file whose tensors all share one long vector would unpack to gigabytes.
TEST(Broken, SharedPartsAreBounded) {
  FlatBufferBuilder b;
  const auto scale = b.CreateVector(std::vector<float>(100000, 1.0f));
  const auto zero = b.CreateVector(std::vector<int64_t>(100000, 0));
  const auto quant = schema::CreateQuantizationParameters(b, 0, 0, scale, zero);
  const auto shape = b.CreateVector<int32_t>({100000});
  const auto tensor = schema::CreateTensor(b, shape, schema::TensorType_FLOAT32, 0, 0, quant);
  const auto tensors = b.CreateVector(std::vector<Offset<schema::Tensor>>(100000, tensor));
  const auto subgraph = schema::CreateSubGraph(b, tensors);
  const auto subgraphs = b.CreateVector(std::vector{subgraph});
  schema::FinishModelBuffer(b, schema::CreateModel(b, 3, 0, subgraphs));
  const auto bytes = std::as_bytes(std::span(b.GetBufferPointer(), b.GetSize()));
  EXPECT_THAT(std::string(Message(ParseTflite(bytes, nullptr, Context()).status())),
              HasSubstr("more than memory allows"));
}

TEST(Broken, FilesThatAreNone) {
  const std::string folder = testing::TempDir();
  const auto error = [](const std::string& path) {
    return std::string(Message(ReadTflite(path, Context()).status()));
  };
  EXPECT_THAT(error(folder + "/missing.tflite"), HasSubstr("missing.tflite: no such file"));
  EXPECT_THAT(error(folder), HasSubstr("is a folder"));
  const std::string path = folder + "/text.tflite";
  ASSERT_OK(WriteFileAtomically(path, std::string_view("hello, I am no model")));
  EXPECT_THAT(error(path), AllOf(HasSubstr("text.tflite: not a .tflite file"), HasSubstr("TFL3")));
}

}  // namespace
}  // namespace litesmith
