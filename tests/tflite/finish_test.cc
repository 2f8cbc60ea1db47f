#include <map>

#include "tests/graph_builder.h"
#include "tests/testing.h"
#include "tests/tflite/models.h"
#include "tflite/notes.h"
#include "tflite/runtime_version.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::AllModels;
using testing::GraphBuilder;
using ::testing::HasSubstr;

std::string Text(const Metadata* metadata) {
  if (metadata == nullptr) return "(none)";
  const auto bytes = metadata->data.bytes;
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool Is16x8(const std::string& path) { return path.find("16x8") != std::string::npos; }

// Files whose versions can be compared: not those of older converters, whose rules were others.
std::vector<std::string> ComparableModels() {
  std::vector<std::string> out;
  for (const std::string& path : AllModels()) {
    if (path.find("/mlperf-tiny/") == std::string::npos) out.push_back(path);
  }
  return out;
}

TEST(Finish, RuntimeVersionsAreTheOfficialOnes) {
  REQUIRE_SHARED();
  size_t compared = 0;
  for (const std::string& path : ComparableModels()) {
    SCOPED_TRACE(path);
    ASSERT_OK_AND_ASSIGN(const Graph graph, ReadTflite(path, Context()));
    const Metadata* official = graph.FindMetadata("min_runtime_version");
    // That of a 16x8 file was written before its nodes had int16 operands.
    if (official == nullptr || Is16x8(path)) continue;
    std::string ours = MinRuntimeVersion(graph);
    ours.resize(16, '\0');
    EXPECT_EQ(ours, Text(official));
    ++compared;
  }
  EXPECT_GE(compared, 500u);
}

// Of each operator, the newest version in the main subgraph.
std::map<std::string, int32_t> Versions(const Graph& graph) {
  std::map<std::string, int32_t> out;
  for (const Node& node : graph.main().nodes) {
    int32_t& version = out[OperatorName(node)];
    version = std::max(version, node.version);
  }
  return out;
}

// Operator versions as the official converter chose them, from types and options alone. Per file
// and operator: the official dynamic-range quantizer gives an operator's float nodes the version of
// its quantized ones.
TEST(Finish, OperatorVersionsAreTheOfficialOnes) {
  REQUIRE_SHARED();
  size_t compared = 0;
  for (const std::string& path : ComparableModels()) {
    SCOPED_TRACE(path);
    ASSERT_OK_AND_ASSIGN(Graph graph, ReadTflite(path, Context()));
    if (graph.FindMetadata("min_runtime_version") == nullptr) continue;
    const auto official = Versions(graph);
    FinishForWriting(&graph);
    const auto ours = Versions(graph);
    compared += official.size();
    if (!Is16x8(path)) {
      EXPECT_EQ(ours, official);
      continue;
    }
    // The 16x8 quantizer raises some versions of nodes on shapes too; ours are never above its.
    for (const auto& [name, version] : ours) EXPECT_LE(version, official.at(name)) << name;
  }
  EXPECT_GE(compared, 900u);
}

Graph TwoTensors() {
  GraphBuilder b;
  const int32_t x = b.Input("x", {1, 4});
  b.Output(b.Op(schema::BuiltinOperator_RELU, "y", {x}, {1, 4}));
  return b.graph();
}

TEST(Finish, AddsTheDefaultSignature) {
  Graph graph = TwoTensors();
  FinishForWriting(&graph);
  ASSERT_EQ(graph.signatures.size(), 1u);
  EXPECT_EQ(graph.signatures[0].key, "serving_default");
  EXPECT_EQ(graph.signatures[0].inputs[0].name, "x");
  EXPECT_EQ(graph.signatures[0].outputs[0].name, "y");
  EXPECT_EQ(Text(graph.FindMetadata("min_runtime_version")),
            std::string("1.5.0\0\0\0\0\0\0\0\0\0\0\0", 16));
}

TEST(Finish, SignatureNamesAreUniqueAndNeverEmpty) {
  Graph graph = TwoTensors();
  graph.main().tensors[0].name = "";
  graph.main().outputs = {1, 1};
  FinishForWriting(&graph);
  EXPECT_EQ(graph.signatures[0].inputs[0].name, "input_0");
  EXPECT_EQ(graph.signatures[0].outputs[0].name, "y");
  EXPECT_EQ(graph.signatures[0].outputs[1].name, "y_1");
}

TEST(Finish, KeepsAnExistingSignature) {
  Graph graph = TwoTensors();
  graph.signatures.push_back({"classify", {{"image", 0}}, {{"scores", 1}}, 0, ""});
  FinishForWriting(&graph);
  ASSERT_EQ(graph.signatures.size(), 1u);
  EXPECT_EQ(graph.signatures[0].key, "classify");
}

TEST(Finish, IsIdempotent) {
  Graph graph = TwoTensors();
  FinishForWriting(&graph);
  ASSERT_OK_AND_ASSIGN(const auto once, SerializeTflite(graph));
  FinishForWriting(&graph);
  ASSERT_OK_AND_ASSIGN(const auto twice, SerializeTflite(graph));
  EXPECT_EQ(once == twice, true);
}

TEST(Notes, SourceNamesSurviveTheFile) {
  Graph graph = TwoTensors();
  graph.main().tensors[0].source = "images:0";
  graph.main().nodes[0].name = "activation_3";
  FinishForWriting(&graph);
  ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(graph));
  ASSERT_OK_AND_ASSIGN(const Graph read, ParseTflite(bytes, nullptr, Context()));
  EXPECT_EQ(read.main().tensors[0].label(), "images:0");
  EXPECT_EQ(read.main().tensors[1].label(), "y");
  EXPECT_EQ(read.main().nodes[0].name, "activation_3");
  EXPECT_THAT(NodeLabel(read.main(), 0), HasSubstr("activation_3"));
}

TEST(Notes, AreKeptBesideOthers) {
  Graph graph = TwoTensors();
  WriteNotes({{"recipe", "int8"}, {"mean", 0.5}}, &graph);
  FinishForWriting(&graph);
  const nlohmann::json notes = ReadNotes(graph);
  EXPECT_EQ(notes.at("recipe"), "int8");
  EXPECT_EQ(notes.at("mean"), 0.5);
  EXPECT_TRUE(notes.contains("version"));
}

TEST(Notes, FromAStrangerAreIgnoredWhereTheyDoNotFit) {
  const std::string deep(100000, '[');
  for (const std::string& text :
       {std::string("{"), std::string("[1]"), std::string("null"), std::string("\xff\xfe"), deep,
        std::string(R"({"sources": 3})"), std::string(R"({"sources": {"0": []}})"),
        std::string(R"({"sources": {"0": {"tensors": [], "nodes": {"y": 7}}}})"), std::string()}) {
    Graph graph = TwoTensors();
    graph.SetMetadata(kNotesName, text);
    EXPECT_TRUE(ReadNotes(graph).is_object());
    ASSERT_OK_AND_ASSIGN(const auto bytes, SerializeTflite(graph));
    ASSERT_OK_AND_ASSIGN(const Graph read, ParseTflite(bytes, nullptr, Context()));
    EXPECT_EQ(read.main().tensors[1].label(), "y");
  }
}

}  // namespace
}  // namespace litesmith
