// The version rules against what the official converter wrote into the golden files.

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "ops/op.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::SharedDir;

const std::set<schema::BuiltinOperator> kHigherForInt16 = {
    schema::BuiltinOperator_AVERAGE_POOL_2D, schema::BuiltinOperator_BATCH_MATMUL,
    schema::BuiltinOperator_CONV_2D,         schema::BuiltinOperator_DEPTHWISE_CONV_2D,
    schema::BuiltinOperator_FULLY_CONNECTED, schema::BuiltinOperator_LOGISTIC,
    schema::BuiltinOperator_MAX_POOL_2D,     schema::BuiltinOperator_MEAN,
    schema::BuiltinOperator_REDUCE_MAX,      schema::BuiltinOperator_REDUCE_MIN,
    schema::BuiltinOperator_RESIZE_BILINEAR, schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR,
    schema::BuiltinOperator_SOFTMAX,         schema::BuiltinOperator_TANH,
    schema::BuiltinOperator_TRANSPOSE_CONV};

TensorView ViewOf(const Subgraph& subgraph, int32_t index) {
  static const QuantParams kNone;
  TensorView view;
  view.quant = &kNone;
  if (index < 0) return view;
  const Tensor& tensor = subgraph.tensors[index];
  view.type = tensor.type;
  view.shape = tensor.shape;
  view.quant = &tensor.quant;
  view.present = true;
  return view;
}

// The converter's quantizer gives all nodes of an operator one version: the highest any of them
// needs.
void CheckFile(const std::string& path, int* checked) {
  ASSERT_OK_AND_ASSIGN(const Graph graph, ReadTflite(path, Context{}));
  std::map<std::pair<int, int>, int> needed;  // operator, version in the file -> the rule's highest
  for (const Subgraph& subgraph : graph.subgraphs) {
    for (const Node& node : subgraph.nodes) {
      const OpRecord* record = FindOp(node);
      if (record == nullptr || record->version == nullptr) continue;
      std::vector<TensorView> in, out;
      for (int32_t t : node.inputs) in.push_back(ViewOf(subgraph, t));
      for (int32_t t : node.outputs) out.push_back(ViewOf(subgraph, t));
      int& highest = needed[{static_cast<int>(node.op), node.version}];
      highest = std::max(highest, record->version({node, in, out}));
    }
  }
  const bool int16 = path.find("int16x8") != std::string::npos;
  for (const auto& [key, highest] : needed) {
    const auto op = static_cast<schema::BuiltinOperator>(key.first);
    const std::string label = path + ": " + schema::EnumNameBuiltinOperator(op);
    // The converter's 16x8 quantizer leaves some operators at their int8 version; a rule may state
    // the version in which the int16 kernel came.
    if (int16 && kHigherForInt16.count(op) > 0) {
      EXPECT_GE(highest, key.second) << label;
    } else {
      EXPECT_EQ(highest, key.second) << label;
    }
    ++*checked;
  }
}

TEST(Versions, EqualTheOfficialFiles) {
  REQUIRE_SHARED();
  int checked = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(SharedDir() + "/golden/ops")) {
    if (entry.path().extension() == ".tflite") CheckFile(entry.path(), &checked);
  }
  EXPECT_GT(checked, 500);
}

TEST(Versions, EveryRecordHasOne) {
  for (const OpRecord* record : AllOps()) {
    if (record->run_by_executor) continue;  // they have one version
    EXPECT_NE(record->infer_shapes, nullptr) << schema::EnumNameBuiltinOperator(record->op);
    EXPECT_NE(record->prepare, nullptr) << schema::EnumNameBuiltinOperator(record->op);
    if (record->op != schema::BuiltinOperator_CUSTOM) {
      EXPECT_NE(record->version, nullptr) << schema::EnumNameBuiltinOperator(record->op);
    }
  }
}

}  // namespace
}  // namespace litesmith
