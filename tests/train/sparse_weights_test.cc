#include "train/sparse_weights.h"

#include <gtest/gtest.h>

#include <cstring>

#include "ir/sparse.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"
#include "tests/testing.h"
#include "tests/train/memory_dataset.h"
#include "tests/train/small_network.h"
#include "tflite/tflite.h"
#include "train/prune.h"

namespace litesmith {
namespace {

using testing::NetworkBuilder;

std::vector<float> RunOnce(const Graph& graph, const ExecutorOptions& options = {}) {
  auto executor = Executor::Create(std::make_shared<const Graph>(graph), options);
  EXPECT_OK(executor);
  if (!executor.ok()) return {};
  Random random(1);
  const std::span<std::byte> input = (*executor)->input(0);
  for (size_t i = 0; i < input.size(); i += sizeof(float)) {
    const auto v = static_cast<float>(random.Normal());
    std::memcpy(input.data() + i, &v, sizeof(v));
  }
  EXPECT_OK((*executor)->Run());
  std::vector<float> out((*executor)->output(0).size() / sizeof(float));
  std::memcpy(out.data(), (*executor)->output(0).data(), out.size() * sizeof(float));
  return out;
}

const Tensor& Named(const Graph& graph, const std::string& name) {
  for (const Tensor& t : graph.main().tensors) {
    if (t.name == name) return t;
  }
  ADD_FAILURE() << "no tensor " << name;
  return graph.main().tensors[0];
}

Graph Pruned(const std::string& how) {
  NetworkBuilder b(1);
  int32_t x = b.Conv("a", b.Input("x", {-1, 6, 6, 8}), 16);
  x = b.Conv("b", x, 16);
  x = b.Dense("dense", b.Flatten("flat", x), 24);
  b.Output(b.Dense("logits", x, 3, false));
  Graph graph = b.graph();
  const absl::StatusOr<PruneSpec> spec = ParsePrune(how);
  EXPECT_OK(spec);
  EXPECT_OK(PruneNow(*spec, &graph));
  return graph;
}

TEST(EncodeSparseWeights, KernelsAndDensify) {
  for (const auto& [how, stored] : {std::pair{"0.85", "random"}, std::pair{"1x4=0.8", "1x4"}}) {
    SCOPED_TRACE(how);
    const Graph dense = Pruned(how);
    Graph sparse = dense;
    EXPECT_EQ(EncodeSparseWeights(&sparse), 3);
    ASSERT_OK(Verify(sparse));
    EXPECT_EQ(StoredAs(Named(sparse, "dense/w")), stored);
    EXPECT_EQ(StoredAs(Named(sparse, "logits/w")), "dense");
    EXPECT_FALSE(Named(sparse, "b/w").is_constant());
    EXPECT_NE(Named(sparse, "b/w/sparse").sparsity, nullptr);
    EXPECT_EQ(RunOnce(sparse), RunOnce(dense));

    // As a file, and back.
    FinishForWriting(&sparse);
    for (const Node& node : sparse.main().nodes) {
      if (node.name == "dense") {
        EXPECT_EQ(node.version, 8);
      }
    }
    ASSERT_OK_AND_ASSIGN(const std::vector<std::byte> bytes, SerializeTflite(sparse));
    Graph plain = dense;
    FinishForWriting(&plain);
    ASSERT_OK_AND_ASSIGN(const std::vector<std::byte> plain_bytes, SerializeTflite(plain));
    EXPECT_LT(bytes.size(), plain_bytes.size() / 2);
    const Blob copy = Blob::Copy(bytes);
    ASSERT_OK_AND_ASSIGN(Graph read, ParseTflite(copy.bytes, copy.owner, Context{}));
    EXPECT_EQ(RunOnce(read), RunOnce(dense));

    // What trains or quantizes it sees dense constants.
    ASSERT_OK(DensifyConstants(&read, 1 << 24));
    ASSERT_OK(Optimise(&read, Context{}, /*unpack_weights=*/true));
    for (const Tensor& t : read.main().tensors) EXPECT_EQ(t.sparsity, nullptr) << t.name;
    EXPECT_EQ(RunOnce(read), RunOnce(dense));
  }
}

// int8 FULLY_CONNECTED has a kernel for blocks of 1x16 alone.
TEST(EncodeSparseWeights, Int8InBlocksOfSixteen) {
  NetworkBuilder b(2);
  const int32_t x = b.Dense("a", b.Input("x", {-1, 64}), 48);
  b.Output(b.Dense("b", x, 32, false));
  Graph graph = b.graph();
  ASSERT_OK_AND_ASSIGN(const PruneSpec spec, ParsePrune("1x16=0.75"));
  ASSERT_OK(PruneNow(spec, &graph));
  testing::MemoryDataset data;
  data.shape = {64};
  data.labelled = false;
  for (int i = 0; i < 20; ++i) {
    data.inputs.emplace_back();
    for (int k = 0; k < 64; ++k) {
      data.inputs.back().push_back(static_cast<float>(b.random.Normal()));
    }
  }
  QuantizeOptions options;
  ASSERT_OK_AND_ASSIGN(options.recipe, FindRecipe("int8"));
  ASSERT_OK_AND_ASSIGN(const Graph dense, Quantize(graph, &data, options, Context{}));
  Graph sparse = dense;
  EXPECT_EQ(EncodeSparseWeights(&sparse), 2);
  ASSERT_OK(Verify(sparse));
  int blocks = 0;
  for (const Tensor& t : sparse.main().tensors) blocks += StoredAs(t) == "1x16" ? 1 : 0;
  EXPECT_EQ(blocks, 2);
  // LiteRT's sparse kernel requantizes in fixed point, its dense one in double.
  ExecutorOptions fixed_point;
  fixed_point.arithmetic = Arithmetic::kTflm;
  EXPECT_EQ(RunOnce(sparse), RunOnce(dense, fixed_point));
}

TEST(EncodeSparseWeights, LeavesWhatSavesTooLittle) {
  for (const char* how : {"0.3", "2:4"}) {
    Graph graph = Pruned(how);
    EXPECT_EQ(EncodeSparseWeights(&graph), 0) << how;
  }
}

}  // namespace
}  // namespace litesmith
