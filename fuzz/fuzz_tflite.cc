// .tflite bytes: read, printed, warned of, written and read again, quantized by one of the recipes
// (from made-up ranges), and run with little memory and time.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "ir/diff.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "quantize/quantize.h"
#include "quantize/warnings.h"
#include "runtime/executor.h"
#include "tflite/tflite.h"

namespace {

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

void RunOnce(const std::shared_ptr<const litesmith::Graph>& graph) {
  litesmith::ExecutorOptions options;
  options.memory_budget = uint64_t{16} << 20;
  auto executor = litesmith::Executor::Create(graph, options);
  if (!executor.ok()) return;
  // A tiny file may ask for hours of work inside one kernel: only what little memory bounds is run.
  for (size_t i = 0; i < (*executor)->num_inputs(); ++i) {
    if ((*executor)->input(i).size() > (size_t{1} << 14)) return;
  }
  if ((*executor)->arena_bytes() > (size_t{1} << 16)) return;
  litesmith::Context context;  // a loop may be endless
  context.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  (void)(*executor)->Run(&context);
}

// Prepare, plan, apply; the last byte chooses the recipe, so that every file meets each.
void QuantizeOnce(const litesmith::Graph& model, uint8_t choice) {
  using namespace litesmith;
  const std::vector<Recipe> recipes = AllRecipes();
  QuantizeOptions options;
  options.recipe = recipes[choice % recipes.size()];
  options.allow_float = choice >= 16;
  Context context;
  context.memory_budget = uint64_t{16} << 20;
  context.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
  const absl::StatusOr<Graph> graph = PrepareForQuantization(model, options, context);
  if (!graph.ok()) return;
  if (!Verify(*graph).ok()) Fail("PrepareForQuantization made a graph that Verify refuses");
  Ranges ranges;
  for (size_t t = 0; t < graph->main().tensors.size(); ++t) {
    const float most = static_cast<float>(t % 7) + 0.5f;
    ranges.tensors.push_back({-0.25f * most, most, t % 16 != 15, most, most});
  }
  const absl::StatusOr<Plan> plan = MakePlan(*graph, &ranges, options, context);
  if (!plan.ok()) return;
  (void)FormatPlan(*graph, *plan);
  if (options.recipe.needs_calibration()) (void)PlanWarnings(*graph, ranges, *plan);
  const absl::StatusOr<Graph> done = ApplyPlan(*graph, *plan);
  if (done.ok() && !Verify(*done).ok()) Fail("ApplyPlan made a graph that Verify refuses");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace litesmith;
  Context context;
  context.memory_budget = uint64_t{64} << 20;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const std::shared_ptr<const void> owner(data, [](const void*) {});
  absl::StatusOr<Graph> graph = ParseTflite(bytes, owner, context);
  if (!graph.ok()) return 0;
  if (!Verify(*graph).ok()) Fail("ParseTflite returned a graph that Verify refuses");
  (void)Print(*graph);
  (void)FileWarnings(*graph);
  auto written = SerializeTflite(*graph);
  if (!written.ok()) Fail("cannot write what was read: " + written.status().ToString());
  absl::StatusOr<Graph> again = ParseTflite(*written, owner, context);
  if (!again.ok()) Fail("cannot read what was written: " + again.status().ToString());
  for (const std::string& line : Diff(*graph, *again)) Fail("lost on the way: " + line);
  QuantizeOnce(*graph, data[size - 1]);
  RunOnce(std::make_shared<const Graph>(*std::move(graph)));
  return 0;
}
