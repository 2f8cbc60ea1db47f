// .tflite bytes: read, run with little memory, write, read again.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

#include "ir/diff.h"
#include "ir/print.h"
#include "ir/verify.h"
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
  auto written = SerializeTflite(*graph);
  if (!written.ok()) Fail("cannot write what was read: " + written.status().ToString());
  absl::StatusOr<Graph> again = ParseTflite(*written, owner, context);
  if (!again.ok()) Fail("cannot read what was written: " + again.status().ToString());
  for (const std::string& line : Diff(*graph, *again)) Fail("lost on the way: " + line);
  RunOnce(std::make_shared<const Graph>(*std::move(graph)));
  return 0;
}
