#ifndef LITESMITH_QUANTIZE_QUANTIZE_H_
#define LITESMITH_QUANTIZE_QUANTIZE_H_

// Post-training quantization: prepare -> calibrate -> plan -> apply. The plan is the waist: it can
// be printed, asserted and edited before it is applied. Quantize() does all four; a dry run does
// the first three:
//
//   LS_ASSIGN_OR_RETURN(Graph graph, PrepareForQuantization(model, options, context));
//   LS_ASSIGN_OR_RETURN(Ranges ranges, Calibrate(graph, data, options, context));   // where needed
//   LS_ASSIGN_OR_RETURN(Plan plan, MakePlan(graph, &ranges, options, context));
//   std::cout << FormatPlan(graph, plan);
//
// The arithmetic is TFLite's: scales, zero points and weights equal those of its own quantizer.
// What an operator needs is its record's QuantRule and nothing else.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/context.h"
#include "ops/target.h"

namespace litesmith {

// kWeightOnly: integer weights behind DEQUANTIZE, all operators in float.
enum class RecipeKind { kFloat16, kDynamic, kWeightOnly, kInt8, kInt16x8 };

struct Recipe {
  RecipeKind kind = RecipeKind::kFloat16;
  std::string name;   // "static_wi8_ai8"
  std::string alias;  // "int8"
  // 4: int4 in [-7, 7] where the operator's kernel reads that; other weights become int8 in static
  // recipes and stay float in the others.
  int weight_bits = 8;
  bool needs_calibration() const {
    return kind == RecipeKind::kInt8 || kind == RecipeKind::kInt16x8;
  }
};

// By name or alias; the error lists what there is.
absl::StatusOr<Recipe> FindRecipe(std::string_view name);
std::vector<Recipe> AllRecipes();

// What becomes of a node.
enum class Treatment : uint8_t { kFloat, kFloat16, kDynamic, kWeightOnly, kInt8, kInt16x8 };

// A line of a mixed recipe (recipe_file.h): nodes of this operator ("*": any), one of whose
// results' names the regular expression is found in, are treated so.
struct RecipeEntry {
  std::string regex;
  std::string operation = "*";
  Treatment treatment = Treatment::kFloat;
  int64_t min_weight_elements = 0;  // dynamic and weight-only: smaller weights stay float
  int weight_bits = 8;              // 4, with 8-bit or float activations: see Recipe
  bool symmetric = true;            // false, weight-only: weights have zero points
};

// Weights with fewer elements stay float in the dynamic recipe, as in TFLite.
inline constexpr int64_t kSmallestDynamic = 1024;

struct QuantizeOptions {
  Recipe recipe;
  // A mixed recipe; `recipe` is then its leading one (LeadingRecipe). Empty: `recipe` alone.
  std::vector<RecipeEntry> entries;
  // Nodes that stay float whatever the recipe says: regular expressions, searched in the names of
  // their results and their own.
  std::vector<std::string> keep_float;
  // kFloat32; with int8 also kInt8 and kUint8, with int16x8 also kInt16. Inputs that are no real
  // values (indices) keep their type.
  ElementType input_type = ElementType::kFloat32;
  ElementType output_type = ElementType::kFloat32;
  bool allow_float = false;  // nodes that the recipe cannot quantize stay float
  // Whose kernels count where they differ in what they have. Only what is asked of them:
  // CheckTarget looks at the whole file.
  Target target = Target::kLitert;
  int64_t num_calibration_samples = 300;
  uint64_t seed = 0;
};

// What is to become of one tensor of the main subgraph, by the graph's index.
struct TensorPlan {
  // How it is stored: what its producer makes, or the constant's new type.
  TensorType type = schema::TensorType_FLOAT32;
  // Of an integer tensor: its parameters. Of a float one: those of the copy that integer nodes
  // read.
  QuantParams quant;
  float min = 0.0f, max = 0.0f;  // the calibrated range; both 0 where there is none
  std::string why;               // "calibrated range", "same as input 0", "fixed by LOGISTIC" …
};
enum class NodeMode { kFloat, kInteger, kDynamic, kFloat16, kWeightOnly };
// How an integer node without an integer kernel of its own is computed: on int32 copies of its
// operands, or by a table of its function.
enum class Lowering { kNone, kInt32, kTable };
struct NodePlan {
  NodeMode mode = NodeMode::kFloat;
  std::string why;
  Lowering lowering = Lowering::kNone;
};
struct Plan {
  Recipe recipe;
  ElementType input_type = ElementType::kFloat32;
  ElementType output_type = ElementType::kFloat32;
  std::vector<TensorPlan> tensors;
  std::vector<NodePlan> nodes;
};

// Ranges of the float activations of the main subgraph: min and max per tensor over the samples.
struct Ranges {
  struct Range {
    float min = 0.0f, max = 0.0f;
    bool seen = false;
    // The two largest magnitudes among the runs of samples; `second` is 0 after one run.
    float most = 0.0f, second = 0.0f;
  };
  std::vector<Range> tensors;
  // Scales of weights that are known beforehand (learnt), per tensor; empty: all are made from the
  // values; an empty entry: this one's are.
  std::vector<std::vector<float>> weight_scales;
};

// The graph that the other steps take: weights back in float32 (behind DEQUANTIZE or DENSIFY,
// stored sparse, or int8 weights of float operators), optimised, and no constant in two roles. An
// error when the model's activations are quantized already.
absl::StatusOr<Graph> PrepareForQuantization(const Graph& graph, const QuantizeOptions& options,
                                             const Context& context);

// Runs `data`'s calibration samples through the float graph, on context.Threads() threads; the
// result does not depend on their number. Nodes without a kernel, and what depends on them, are not
// run and have no range. Errors name the sample, and the tensor that holds NaN or infinity.
absl::StatusOr<Ranges> Calibrate(const Graph& graph, Dataset* data, const QuantizeOptions& options,
                                 const Context& context);

// Decides everything; `ranges` is null for recipes without calibration. Nodes that cannot be
// quantized are an error that lists all of them, or stay float with allow_float, and context.Warn
// lists them.
absl::StatusOr<Plan> MakePlan(const Graph& graph, const Ranges* ranges,
                              const QuantizeOptions& options, const Context& context);

// One line per tensor and node, columns aligned.
std::string FormatPlan(const Graph& graph, const Plan& plan);

// The quantized graph. REQUIRES: a plan of as many tensors and nodes as the graph's.
absl::StatusOr<Graph> ApplyPlan(const Graph& graph, const Plan& plan);

// Recipes without calibration: the same for the subgraphs other than the main one, which control
// flow runs or other signatures name. Static ones leave them float; context.Warn lists those that
// hold float operators. REQUIRES: an applied plan's graph.
absl::Status QuantizeOtherSubgraphs(const QuantizeOptions& options, const Context& context,
                                    Graph* graph);

// All steps. `calibration` may be null for recipes that need none.
absl::StatusOr<Graph> Quantize(const Graph& graph, Dataset* calibration,
                               const QuantizeOptions& options, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_QUANTIZE_H_
