// What is said about SavedModels that cannot be imported.

#include <filesystem>

#include "base/file.h"
#include "import/import.h"
#include "saved_model.pb.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

namespace fs = std::filesystem;
namespace pb = saved_model::proto;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Golden(const std::string& name) {
  return testing::SharedDir() + "/golden/saved_model/" + name + "/saved_model";
}

std::string Error(const std::string& dir, const std::string& signature = "") {
  ImportOptions options;
  options.signature = signature;
  const auto graph = ImportModel(dir, options, Context());
  EXPECT_FALSE(graph.ok()) << dir;
  return std::string(Message(graph.status()));
}

// A copy that may be changed.
std::string Copy(const std::string& name) {
  const std::string to = testing::TempDir() + "/" + name;
  fs::copy(Golden(name), to, fs::copy_options::recursive);
  return to;
}

template <typename Edit>
void Change(const std::string& dir, Edit edit) {
  const auto file = FileBytes::Open(dir + "/saved_model.pb");
  ASSERT_TRUE(file.ok());
  pb::SavedModel model;
  ASSERT_TRUE(
      model.ParseFromArray((*file)->bytes().data(), static_cast<int>((*file)->bytes().size())));
  edit(model.mutable_meta_graphs(0));
  ASSERT_OK(
      WriteFileAtomically(dir + "/saved_model.pb", std::string_view(model.SerializeAsString())));
}

TEST(SavedModelErrors, Signatures) {
  REQUIRE_SHARED();
  EXPECT_THAT(Error(Golden("module_two_signatures"), "predict"),
              AllOf(HasSubstr("no signature 'predict'"), HasSubstr("resize_pad, serving_default")));
  const std::string dir = Copy("module_two_signatures");
  Change(dir, [](pb::MetaGraph* graph) {
    auto& signatures = *graph->mutable_signature_def();
    signatures["serve"] = signatures["serving_default"];
    signatures.erase("serving_default");
  });
  EXPECT_THAT(Error(dir), AllOf(HasSubstr("--signature"), HasSubstr("resize_pad, serve")));
  ImportOptions options;
  options.signature = "serve";
  ASSERT_OK_AND_ASSIGN(const Graph graph, ImportModel(dir, options, Context()));
  EXPECT_EQ(graph.signatures[0].key, "serve");
  Change(dir, [](pb::MetaGraph* g) { g->mutable_signature_def()->clear(); });
  EXPECT_THAT(Error(dir), HasSubstr("no signature"));
  options.signature = "x";
  EXPECT_THAT(Message(ImportModel(testing::SharedDir() + "/golden/keras/dense/model.keras", options,
                                  Context())
                          .status()),
              HasSubstr("--signature goes with a SavedModel"));
}

TEST(SavedModelErrors, AllUnsupportedNodesAtOnce) {
  REQUIRE_SHARED();
  const std::string dir = Copy("keras_activations");
  Change(dir, [](pb::MetaGraph* graph) {
    for (auto& f : *graph->mutable_graph_def()->mutable_library()->mutable_function()) {
      for (auto& node : *f.mutable_node_def()) {
        if (node.op() == "Elu") node.set_op("Lgamma");
        if (node.op() == "Softplus") node.set_op("Digamma");
      }
    }
  });
  EXPECT_THAT(Error(dir),
              AllOf(HasSubstr("nodes cannot be imported"), HasSubstr("Lgamma '"), HasSubstr(dir)));
}

TEST(SavedModelErrors, FoldersAndFiles) {
  REQUIRE_SHARED();
  EXPECT_THAT(Error(testing::TempDir()), HasSubstr("without a saved_model.pb"));
  const std::string dir = Copy("keras_dense_bn");
  const std::string shard = dir + "/variables/variables.data-00000-of-00001";
  const std::string outside = testing::TempDir() + "/elsewhere";
  fs::rename(shard, outside);
  EXPECT_THAT(Error(dir), HasSubstr("variables.data-00000-of-00001"));
  fs::create_symlink(outside, shard);
  EXPECT_THAT(Error(dir), HasSubstr("outside of the model's folder"));
  fs::remove(shard);
  fs::rename(outside, shard);
  EXPECT_OK(ImportModel(dir, {}, Context()));
  fs::remove(dir + "/variables/variables.index");
  EXPECT_THAT(Error(dir), HasSubstr("variable"));
  ASSERT_OK(WriteFileAtomically(dir + "/saved_model.pb", std::string_view("not a model")));
  EXPECT_THAT(Error(dir), HasSubstr("damaged or no SavedModel"));
}

// Without the restore function the object graph tells which value belongs to which variable.
TEST(SavedModelVariables, ThroughTheObjectGraph) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(const Graph expected, ImportModel(Golden("keras_dense_bn"), {}, Context()));
  const std::string dir = Copy("keras_dense_bn");
  Change(dir, [](pb::MetaGraph* graph) { graph->mutable_saver_def()->clear_restore_op_name(); });
  ASSERT_OK_AND_ASSIGN(const Graph graph, ImportModel(dir, {}, Context()));
  ASSERT_EQ(graph.main().tensors.size(), expected.main().tensors.size());
  for (size_t t = 0; t < graph.main().tensors.size(); ++t) {
    const auto a = graph.main().tensors[t].data.bytes, b = expected.main().tensors[t].data.bytes;
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << t;
  }
}

}  // namespace
}  // namespace litesmith
