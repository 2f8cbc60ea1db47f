#include "ir/verify.h"
#include "tests/testing.h"
#include "tests/tflite/models.h"
#include "tests/tflite/tree_dump.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::AllModels;
using testing::DumpTree;
using testing::SharedDir;

// The first line in which two texts differ.
std::string FirstDifference(const std::string& a, const std::string& b) {
  size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  const size_t start = a.rfind('\n', i == 0 ? 0 : i - 1) + 1;
  return a.substr(start, 160) + "\n--- became ---\n" + b.substr(std::min(start, b.size()), 160);
}

TEST(RoundTrip, KeepsEverythingOfEveryFile) {
  REQUIRE_SHARED();
  const std::vector<std::string> models = AllModels();
  ASSERT_GE(models.size(), 600u);
  for (const std::string& path : models) {
    SCOPED_TRACE(path);
    ASSERT_OK_AND_ASSIGN(const auto file, FileBytes::Open(path));
    ASSERT_OK_AND_ASSIGN(const Graph graph, ParseTflite(file->bytes(), file, Context()));
    ASSERT_OK_AND_ASSIGN(const auto written, SerializeTflite(graph));
    const std::string before = DumpTree(file->bytes());
    const std::string after = DumpTree(written);
    ASSERT_EQ(before == after, true) << FirstDifference(before, after);
    // The official files align constants to 4, ours to 16 (so that they can be mapped).
    size_t constants = graph.metadata.size();
    for (const Tensor& tensor : graph.main().tensors) constants += tensor.is_constant() ? 1 : 0;
    EXPECT_LE(written.size(), file->bytes().size() + 12 * constants);
    // Writing what was read from our own file gives the same bytes.
    ASSERT_OK_AND_ASSIGN(const Graph again, ParseTflite(written, nullptr, Context()));
    ASSERT_OK_AND_ASSIGN(const auto twice, SerializeTflite(again));
    EXPECT_EQ(twice == written, true);
  }
}

TEST(RoundTrip, ConstantsStayInTheMappedFile) {
  REQUIRE_SHARED();
  ASSERT_OK_AND_ASSIGN(
      const Graph golden,
      ReadTflite(SharedDir() + "/golden/mnist/mnist_model_float32.tflite", Context()));
  const std::string path = testing::TempDir() + "/model.tflite";
  ASSERT_OK(WriteTflite(path, golden));
  ASSERT_OK_AND_ASSIGN(const auto file, FileBytes::Open(path));
  ASSERT_OK_AND_ASSIGN(const Graph graph, ParseTflite(file->bytes(), file, Context()));
  const std::byte* begin = file->bytes().data();
  int constants = 0;
  for (const Tensor& tensor : graph.main().tensors) {
    if (!tensor.is_constant()) continue;
    ++constants;
    EXPECT_GE(tensor.data.bytes.data(), begin);
    EXPECT_LT(tensor.data.bytes.data(), begin + file->bytes().size());
  }
  EXPECT_GT(constants, 5);
}

}  // namespace
}  // namespace litesmith
