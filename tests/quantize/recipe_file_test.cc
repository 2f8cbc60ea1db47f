#include "quantize/recipe_file.h"

#include "ir/verify.h"
#include "tests/graph_builder.h"
#include "tests/memory_dataset.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::GraphBuilder;
using ::testing::HasSubstr;
using testing::MemoryDataset;

// As the LiteRT quantizer writes them.
constexpr char kInt8[] = R"([{"regex": ".*", "operation": "*",
  "algorithm_key": "min_max_uniform_quantize",
  "op_config": {
    "activation_tensor_config": {"num_bits": 8, "symmetric": false, "granularity": "TENSORWISE", "dtype": "INT"},
    "weight_tensor_config": {"num_bits": 8, "symmetric": true, "granularity": "CHANNELWISE", "dtype": "INT"},
    "compute_precision": "INTEGER", "explicit_dequantize": false, "skip_checks": false,
    "min_weight_elements": 0}}])";

RecipeEntry Entry(const char* regex, const char* operation, Treatment treatment) {
  RecipeEntry entry;
  entry.regex = regex;
  entry.operation = operation;
  entry.treatment = treatment;
  return entry;
}

TEST(RecipeFile, ReadsTheQuantizersOwn) {
  ASSERT_OK_AND_ASSIGN(const auto entries, ParseRecipe(kInt8));
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].regex, ".*");
  EXPECT_EQ(entries[0].treatment, Treatment::kInt8);
  ASSERT_OK_AND_ASSIGN(const Recipe recipe, LeadingRecipe(entries));
  EXPECT_EQ(recipe.kind, RecipeKind::kInt8);
}

TEST(RecipeFile, IsReadBackAsItWasWritten) {
  std::vector<RecipeEntry> entries = {Entry(".*", "*", Treatment::kInt16x8),
                                      Entry("head/.*", "TRANSPOSE_CONV", Treatment::kDynamic),
                                      Entry("a;b", "CONV_2D", Treatment::kFloat16),
                                      Entry("^out$", "*", Treatment::kFloat)};
  entries[1].min_weight_elements = 64;
  const std::string text = RecipeText(entries);
  EXPECT_THAT(text, HasSubstr("CONV_2D_TRANSPOSE"));
  ASSERT_OK_AND_ASSIGN(const auto again, ParseRecipe(text));
  ASSERT_EQ(again.size(), entries.size());
  for (size_t e = 0; e < entries.size(); ++e) {
    EXPECT_EQ(again[e].regex, entries[e].regex);
    EXPECT_EQ(again[e].operation, entries[e].operation);
    EXPECT_EQ(again[e].treatment, entries[e].treatment);
  }
  EXPECT_EQ(again[1].min_weight_elements, 64);
  EXPECT_EQ(RecipeText(again), text);
}

TEST(RecipeFile, ErrorsNameTheEntry) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "JSON list"},
      {"[1]", "entry 1"},
      {R"([{"operation": "*"}])", "'regex'"},
      {R"([{"regex": "(", "algorithm_key": "no_quantize"}])", "entry 1 ('(')"},
      {R"([{"regex": ".*", "operation": "CONV_9D", "algorithm_key": "no_quantize"}])", "CONV_9D"},
      {R"([{"regex": "a", "algorithm_key": "no_quantize"}, {"regex": "b", "algorithm_key": "GPTQ",
          "op_config": {}}])",
       "entry 2 ('b')"},
      {R"([{"regex": "a"}])", "'op_config'"},
      {R"([{"regex": "a", "op_config": {"weight_tensor_config": {"num_bits": 3}}}])", "3 bits"},
      {R"([{"regex": "a", "op_config": {"compute_precision": "INTEGER",
          "activation_tensor_config": {"num_bits": 16, "symmetric": true},
          "weight_tensor_config": {"num_bits": 4, "symmetric": true}}}])",
       "activations of 8 bits or float ones only"},
      {R"([{"regex": "a", "op_config": {"compute_precision": "INTEGER",
          "explicit_dequantize": true}}])",
       "INTEGER with explicit_dequantize true"},
      {R"([{"regex": "a", "op_config": {"weight_tensor_config": {"num_bits": 8, "symmetric": true,
          "granularity": "BLOCKWISE_32"}}}])",
       "BLOCKWISE_32"},
      {R"([{"regex": "a", "op_config": {"compute_precision": "FLOAT"}}])", "float_casting"},
      {R"([{"regex": 5}])", "'regex' has a wrong type"}};
  for (const auto& [text, part] : cases) {
    const auto parsed = ParseRecipe(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(Message(parsed.status())), HasSubstr(part));
  }
  EXPECT_FALSE(
      LeadingRecipe({Entry(".*", "*", Treatment::kInt8), Entry("a", "*", Treatment::kInt16x8)})
          .ok());
  EXPECT_FALSE(LeadingRecipe({Entry(".*", "*", Treatment::kFloat)}).ok());
}

// x -> first -> second -> third, dense layers of 32 by 32.
GraphBuilder Chain() {
  GraphBuilder b;
  int32_t t = b.Input("x", {1, 32});
  for (const char* name : {"net/first", "net/second", "net/third"}) {
    t = b.Op(schema::BuiltinOperator_FULLY_CONNECTED, name,
             {t, b.Ramp(std::string(name) + "/w", {32, 32}, -1.0f, 1.0f / 512), -1}, {1, 32});
  }
  b.Output(t);
  return b;
}

Plan PlanOf(const Graph& graph, const QuantizeOptions& options) {
  MemoryDataset data;
  std::vector<float> values(32);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 16.0f - 1.0f;
  data.Add({1, 32}, values);
  auto prepared = PrepareForQuantization(graph, options, Context{});
  EXPECT_OK(prepared);
  auto ranges = Calibrate(*prepared, &data, options, Context{});
  EXPECT_OK(ranges);
  auto plan = MakePlan(*prepared, &*ranges, options, Context{});
  EXPECT_OK(plan);
  auto applied = ApplyPlan(*prepared, *plan);
  EXPECT_OK(applied);
  EXPECT_OK(Verify(*applied));
  return *plan;
}

std::vector<NodeMode> Modes(const Graph& graph, const QuantizeOptions& options) {
  std::vector<NodeMode> out;
  for (const NodePlan& node : PlanOf(graph, options).nodes) out.push_back(node.mode);
  return out;
}

TEST(MixedRecipes, Int4WeightsLayerByLayer) {
  GraphBuilder b = Chain();
  QuantizeOptions options;
  options.entries = {Entry(".*", "*", Treatment::kInt8), Entry("second", "*", Treatment::kInt8)};
  options.entries[1].weight_bits = 4;
  ASSERT_OK_AND_ASSIGN(options.entries, ParseRecipe(RecipeText(options.entries)));
  ASSERT_OK_AND_ASSIGN(options.recipe, LeadingRecipe(options.entries));
  EXPECT_EQ(options.recipe.alias, "int8");
  const Plan plan = PlanOf(b.graph(), options);
  const auto weights = [&](size_t n) {
    return plan.tensors[static_cast<size_t>(b.graph().main().nodes[n].inputs[1])].type;
  };
  EXPECT_EQ(weights(0), schema::TensorType_INT8);
  EXPECT_EQ(weights(1), schema::TensorType_INT4);
  EXPECT_EQ(weights(2), schema::TensorType_INT8);

  // A plain recipe for int4 is written as one, and comes back.
  QuantizeOptions plain;
  plain.recipe = FindRecipe("int8w4").value();
  ASSERT_OK_AND_ASSIGN(const auto entries, ParseRecipe(RecipeText(EntriesOf(plain))));
  EXPECT_EQ(entries[0].weight_bits, 4);
  EXPECT_EQ(LeadingRecipe(entries)->alias, "int8w4");
}

// Names and expressions are a stranger's: the time that they take is bounded.
TEST(MixedRecipes, ExpressionsThatTakeTooLongAreRefused) {
  GraphBuilder b = Chain();
  b.graph().main().nodes[0].name = std::string(2000, 'x');
  const std::vector<RecipeEntry> exponential = {Entry("(x+x+)+y", "*", Treatment::kInt8)};
  EXPECT_OK(MatchEntries(b.graph(), exponential));
  std::vector<RecipeEntry> many;
  for (int i = 0; i < 1000; ++i) {
    many.push_back(Entry("", "*", Treatment::kInt8));
    many.back().regex = fmt::format("(x?){{900}}(.*){{900}}y{}", i);
  }
  const auto refused = MatchEntries(b.graph(), many, /*max_steps=*/10'000'000);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("take too long"));
}

TEST(MixedRecipes, TheLastEntryThatMatchesCounts) {
  GraphBuilder b = Chain();
  QuantizeOptions options;
  options.entries = {Entry(".*", "*", Treatment::kInt8),
                     Entry("second", "FULLY_CONNECTED", Treatment::kDynamic),
                     Entry("third;$", "*", Treatment::kFloat16)};
  options.recipe = LeadingRecipe(options.entries).value();
  EXPECT_THAT(Modes(b.graph(), options),
              ElementsAre(NodeMode::kInteger, NodeMode::kDynamic, NodeMode::kFloat16));
  // An entry for all operations takes the place of those before it with its expression.
  options.entries = {Entry(".*", "FULLY_CONNECTED", Treatment::kFloat),
                     Entry(".*", "*", Treatment::kInt8), Entry("first", "*", Treatment::kFloat)};
  EXPECT_THAT(Modes(b.graph(), options),
              ElementsAre(NodeMode::kFloat, NodeMode::kInteger, NodeMode::kInteger));
  options.entries = {Entry("first|third", "*", Treatment::kInt8)};
  EXPECT_THAT(Modes(b.graph(), options),
              ElementsAre(NodeMode::kInteger, NodeMode::kFloat, NodeMode::kInteger));
}

TEST(KeepFloat, ByTensorOrLayerName) {
  GraphBuilder b = Chain();
  b.graph().main().nodes[2].name = "a layer of its own";
  QuantizeOptions options;
  options.recipe = FindRecipe("int8").value();
  options.keep_float = {"^net/first$", "layer of"};
  EXPECT_THAT(Modes(b.graph(), options),
              ElementsAre(NodeMode::kFloat, NodeMode::kInteger, NodeMode::kFloat));
  options.keep_float = {"("};
  const auto refused = PrepareForQuantization(b.graph(), options, Context{});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(Message(refused.status())), HasSubstr("no regular expression"));
}

TEST(KeepFloat, WeightsSharedWithAnIntegerLayerExistTwice) {
  GraphBuilder b = Chain();
  b.graph().main().nodes[1].inputs[1] = b.graph().main().nodes[0].inputs[1];
  QuantizeOptions options;
  options.recipe = FindRecipe("int8").value();
  options.keep_float = {"first"};
  EXPECT_THAT(Modes(b.graph(), options),
              ElementsAre(NodeMode::kFloat, NodeMode::kInteger, NodeMode::kInteger));
}

}  // namespace
}  // namespace litesmith
