// Recipe files: read, written and read again, and applied to a small network.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantize/quantize.h"
#include "quantize/recipe_file.h"
#include "tests/graph_builder.h"

namespace {

using namespace litesmith;

[[noreturn]] void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

const Graph& Network() {
  static const Graph* const graph = [] {
    testing::GraphBuilder b;
    int32_t t = b.Input("serving_default_x:0", {1, 8});
    for (const char* name : {"net/first/Relu;net/first/BiasAdd", "net/second", "third"}) {
      t = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, name,
               {t, b.Ramp(std::string(name) + "/w", {8, 8}, -1.0f, 1.0f / 32), -1}, {1, 8});
    }
    t = b.Op(schema::BuiltinOperator_LOGISTIC, std::string(3000, 'x'), {t}, {1, 8});
    b.Output(b.Op(schema::BuiltinOperator_RESHAPE, "", {t, b.Ints("shape", {1}, {8})}, {8}));
    return new Graph(b.graph());
  }();
  return *graph;
}

void Apply(const std::vector<RecipeEntry>& entries) {
  QuantizeOptions options;
  options.entries = entries;
  options.allow_float = true;
  const auto leading = LeadingRecipe(entries);
  if (!leading.ok()) return;
  options.recipe = *leading;
  const auto graph = PrepareForQuantization(Network(), options, Context{});
  if (!graph.ok()) return;
  Ranges ranges;
  ranges.tensors.assign(graph->main().tensors.size(), {-1.0f, 2.0f, true, 2.0f, 2.0f});
  const auto plan = MakePlan(*graph, &ranges, options, Context{});
  if (!plan.ok()) return;
  if (const auto done = ApplyPlan(*graph, *plan); !done.ok()) {
    Fail("cannot apply what was planned: " + done.status().ToString());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto entries = ParseRecipe({reinterpret_cast<const char*>(data), size});
  if (!entries.ok()) return 0;
  const std::string text = RecipeText(*entries);
  const auto again = ParseRecipe(text);
  if (!again.ok()) Fail("cannot read what was written: " + again.status().ToString());
  if (RecipeText(*again) != text) Fail("lost on the way: " + text);
  Apply(*entries);
  return 0;
}
