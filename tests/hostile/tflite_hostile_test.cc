#include "ir/verify.h"
#include "runtime/executor.h"
#include "tests/hostile/mutate.h"
#include "tests/testing.h"
#include "tflite/tflite.h"

namespace litesmith {
namespace {

using testing::ForEachMutation;
using testing::ForEachTruncation;
using testing::IsClearError;
using testing::SharedDir;

// Enough for every model here, far below what a hostile size can ask for.
constexpr uint64_t kBudget = uint64_t{64} << 20;

struct Tally {
  size_t tried = 0, parsed = 0, prepared = 0, ran = 0;
};

void Use(std::span<const std::byte> mutant, const std::string& label, bool run, Tally* tally) {
  ++tally->tried;
  Context context;
  context.memory_budget = kBudget;
  const std::shared_ptr<const void> owner(mutant.data(), [](const void*) {});
  absl::StatusOr<Graph> graph = ParseTflite(mutant, owner, context);
  if (!graph.ok()) {
    EXPECT_TRUE(IsClearError(graph.status())) << label << ": " << graph.status();
    return;
  }
  ++tally->parsed;
  EXPECT_TRUE(Verify(*graph).ok()) << label;
  if (!run) return;
  ExecutorOptions options;
  options.memory_budget = kBudget;
  auto executor = Executor::Create(std::make_shared<const Graph>(*std::move(graph)), options);
  if (!executor.ok()) {
    EXPECT_TRUE(IsClearError(executor.status())) << label << ": " << executor.status();
    return;
  }
  ++tally->prepared;
  for (size_t i = 0; i < (*executor)->num_inputs(); ++i) {
    std::span<std::byte> input = (*executor)->input(i);
    std::fill(input.begin(), input.end(), std::byte{1});
  }
  const absl::Status status = (*executor)->Run();
  if (status.ok()) ++tally->ran;
  EXPECT_TRUE(status.ok() || IsClearError(status)) << label << ": " << status;
}

std::vector<std::byte> Load(const std::string& name) {
  auto file = FileBytes::Open(SharedDir() + "/golden/" + name);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return {};
  return {(*file)->bytes().begin(), (*file)->bytes().end()};
}

// Small files that together use every operator with a kernel and every kind of quantization.
std::vector<std::string> SmallFiles() {
  std::vector<std::string> out = {"keras/multi_output/float32.tflite",
                                  "keras/conv_bn_folding/float32.tflite"};
  for (const char* op :
       {"add_broadcast", "avg_pool_same", "concat", "conv2d_3x3_same_relu", "depthwise_mult2",
        "fully_connected_relu", "logistic", "max_pool", "mean_hw", "mul_const", "pack", "pad",
        "reduce_max", "relu6", "reshape", "softmax", "strided_slice", "sub", "tanh"}) {
    for (const char* mode : {"float32", "int8", "int16x8"}) {
      out.push_back(fmt::format("ops/{}/{}.tflite", op, mode));
    }
  }
  for (const char* op : {"dyn_conv_equal_scales", "dyn_depthwise", "dyn_fc"}) {
    out.push_back(fmt::format("ops/{}/dynamic.tflite", op));
    out.push_back(fmt::format("ops/{}/f16.tflite", op));
  }
  return out;
}

TEST(HostileTflite, Truncations) {
  REQUIRE_SHARED();
  Tally tally;
  for (const char* name :
       {"mnist/mnist_model_quant_int8.tflite", "ops/pad_then_conv/float32.tflite",
        "ops/pad_then_conv/int8.tflite", "keras/multi_output/float32.tflite"}) {
    const std::vector<std::byte> file = Load(name);
    ForEachTruncation(file, [&](auto mutant, const std::string& label) {
      Use(mutant, fmt::format("{}, {}", name, label), false, &tally);
    });
  }
  fmt::print("{} cut files, {} still readable\n", tally.tried, tally.parsed);
  EXPECT_GT(tally.tried, 4000u);
}

TEST(HostileTflite, Mutations) {
  REQUIRE_SHARED();
  Tally tally;
  uint64_t seed = 1;
  for (const std::string& name : SmallFiles()) {
    const std::vector<std::byte> file = Load(name);
    ForEachMutation(file, 200, seed++, [&](auto mutant, const std::string& label) {
      Use(mutant, fmt::format("{}, {}", name, label), true, &tally);
    });
  }
  fmt::print("{} damaged files, {} still readable, {} prepared, {} ran\n", tally.tried,
             tally.parsed, tally.prepared, tally.ran);
  EXPECT_GE(tally.tried, 6000u);
}

}  // namespace
}  // namespace litesmith
