// Every float model of the golden files gives the same results before and after Optimise.

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "ir/verify.h"
#include "passes/passes.h"
#include "runtime/executor.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::SharedDir;

// All outputs on seeded inputs (integers: zeros), with a batch of 2 where it is free.
absl::StatusOr<std::vector<std::vector<float>>> RunSeeded(const Graph& graph) {
  ExecutorOptions options;
  options.kernels = KernelMode::kReference;
  for (int32_t t : graph.main().inputs) {
    const Tensor& tensor = graph.main().tensors[static_cast<size_t>(t)];
    Shape shape = tensor.shape;
    for (size_t d = 0; d < tensor.shape_signature.size(); ++d) {
      if (tensor.shape_signature[d] == -1) shape[d] = d == 0 ? 2 : tensor.shape[d];
    }
    options.input_shapes.push_back(shape);
  }
  LS_ASSIGN_OR_RETURN(auto executor, Executor::Create(std::make_shared<Graph>(graph), options));
  Random random(7);
  for (size_t i = 0; i < executor->num_inputs(); ++i) {
    const auto bytes = executor->input(i);
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    const auto t = static_cast<size_t>(graph.main().inputs[i]);
    if (graph.main().tensors[t].type != schema::TensorType_FLOAT32) continue;
    auto* values = reinterpret_cast<float*>(bytes.data());
    for (size_t k = 0; k < bytes.size() / sizeof(float); ++k) {
      values[k] = static_cast<float>(random.Uniform(-2.0, 2.0));
    }
  }
  LS_RETURN_IF_ERROR(executor->Run());
  std::vector<std::vector<float>> out;
  for (size_t i = 0; i < executor->num_outputs(); ++i) {
    const auto t = static_cast<size_t>(graph.main().outputs[i]);
    if (graph.main().tensors[t].type != schema::TensorType_FLOAT32) continue;
    const auto bytes = executor->output(i);
    const auto* values = reinterpret_cast<const float*>(bytes.data());
    out.emplace_back(values, values + bytes.size() / sizeof(float));
  }
  return out;
}

void ExpectEqual(const std::vector<float>& a, const std::vector<float>& b,
                 const std::string& name) {
  ASSERT_EQ(a.size(), b.size()) << name;
  float largest = 0.0f;
  for (float v : a) largest = std::isfinite(v) ? std::max(largest, std::abs(v)) : largest;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] == b[i]) continue;
    EXPECT_LE(std::abs(a[i] - b[i]), 1e-6f + 1e-5f * std::max(std::abs(a[i]), largest))
        << name << " element " << i;
  }
}

TEST(OptimiseGolden, ResultsStayTheSame) {
  REQUIRE_SHARED();
  std::vector<std::string> files;
  for (const char* folder :
       {"/golden/ops", "/golden/keras", "/golden/saved_model", "/golden/mnist", "/models"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(SharedDir() + folder)) {
      if (entry.path().extension() == ".tflite") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  int compared = 0, changed = 0;
  size_t before_nodes = 0, after_nodes = 0, skipped = 0;
  for (const std::string& file : files) {
    auto graph = ReadTflite(file, Context{});
    if (!graph.ok()) continue;
    auto before = RunSeeded(*graph);
    if (!before.ok()) {
      ++skipped;
      continue;
    }
    Graph optimised = *graph;
    SCOPED_TRACE(file);
    ASSERT_OK(Optimise(&optimised, Context{}, true));
    ASSERT_OK(Verify(optimised));
    ASSERT_OK_AND_ASSIGN(const auto after, RunSeeded(optimised));
    ASSERT_EQ(before->size(), after.size());
    for (size_t i = 0; i < after.size(); ++i) ExpectEqual((*before)[i], after[i], file);
    ++compared;
    changed += optimised.main().nodes.size() != graph->main().nodes.size() ? 1 : 0;
    before_nodes += graph->main().nodes.size();
    after_nodes += optimised.main().nodes.size();
  }
  fmt::print(
      "{} models compared, {} of them made smaller, {} nodes to {}; {} have operators without a "
      "kernel\n",
      compared, changed, before_nodes, after_nodes, skipped);
  EXPECT_GT(compared, 0);
  EXPECT_GT(changed, 0);
}

}  // namespace
}  // namespace litesmith
