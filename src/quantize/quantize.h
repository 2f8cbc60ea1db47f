#ifndef LITESMITH_QUANTIZE_QUANTIZE_H_
#define LITESMITH_QUANTIZE_QUANTIZE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "ir/graph.h"
#include "litesmith/context.h"

namespace litesmith {

enum class RecipeKind { kFloat16, kDynamic, kInt8, kInt16x8 };

struct Recipe {
  RecipeKind kind = RecipeKind::kFloat16;
  std::string name;   // "static_wi8_ai8"
  std::string alias;  // "int8"
  bool needs_calibration() const { return kind == RecipeKind::kInt8 || kind == RecipeKind::kInt16x8; }
};

// By name or alias; the error lists what there is.
absl::StatusOr<Recipe> FindRecipe(std::string_view name);
std::vector<Recipe> AllRecipes();

struct QuantizeOptions {
  Recipe recipe;
  ElementType input_type = ElementType::kFloat32;  // kFloat32, kInt8, kUint8, kInt16 (by recipe)
  ElementType output_type = ElementType::kFloat32;
  bool allow_float = false;  // nodes that the recipe cannot quantize stay float
  int64_t num_calibration_samples = 300;
  uint64_t seed = 0;
};

// What is to become of one tensor, and of one node, of the main subgraph; indices are the graph's.
struct TensorPlan {
  TensorType type = schema::TensorType_FLOAT32;
  QuantParams quant;
  float min = 0.0f, max = 0.0f;  // the calibrated range
  std::string why;               // "calibrated range", "same as input 0", "fixed by LOGISTIC" …
};
enum class NodeMode { kFloat, kInteger, kDynamic, kFloat16 };
struct NodePlan {
  NodeMode mode = NodeMode::kFloat;
  std::string why;
};
struct Plan {
  Recipe recipe;
  ElementType input_type, output_type;
  std::vector<TensorPlan> tensors;
  std::vector<NodePlan> nodes;
};

// Ranges of the activations of the main subgraph: min and max per tensor over the samples.
struct Ranges {
  struct Range {
    float min = 0.0f, max = 0.0f;
    bool seen = false;
  };
  std::vector<Range> tensors;
};

// Runs `data`'s calibration samples through the float graph. Errors name the sample or tensor with NaN.
absl::StatusOr<Ranges> Calibrate(const Graph& graph, Dataset* data, const QuantizeOptions& options,
                                 const Context& context);

// Decides everything; `ranges` null for recipes without calibration. The graph must be optimised first. Nodes
// that cannot be quantized are an error that lists all of them, or stay float with allow_float.
absl::StatusOr<Plan> MakePlan(const Graph& graph, const Ranges* ranges, const QuantizeOptions& options,
                              const Context& context);

// One line per tensor and node, columns aligned.
std::string FormatPlan(const Graph& graph, const Plan& plan);

// The quantized graph.
absl::StatusOr<Graph> ApplyPlan(const Graph& graph, const Plan& plan);

// Calibrate (where needed), MakePlan, ApplyPlan on an optimised float graph.
absl::StatusOr<Graph> Quantize(const Graph& graph, Dataset* calibration, const QuantizeOptions& options,
                               const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_QUANTIZE_H_
