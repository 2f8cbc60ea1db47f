#ifndef LITESMITH_QUANTIZE_RECIPE_FILE_H_
#define LITESMITH_QUANTIZE_RECIPE_FILE_H_

// Mixed recipes: which node is quantized how. Their files are the LiteRT quantizer's: a JSON list
// of
//   {"regex": ".*", "operation": "CONV_2D", "algorithm_key": "min_max_uniform_quantize",
//    "op_config": {"activation_tensor_config": {…}, "weight_tensor_config": {…}, …}}
// The regex is searched in the names of what a node makes, joined by ";". Of the entries that match
// a node the last counts; a node that none matches stays float.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// Reads a recipe file's text (untrusted). Errors name the entry, by number and regex.
absl::StatusOr<std::vector<RecipeEntry>> ParseRecipe(std::string_view json);

// The text of such a file; ParseRecipe reads it back as it was.
std::string RecipeText(const std::vector<RecipeEntry>& entries);

// The one recipe that gives the graph its kind: the static one where there is one, else dynamic,
// else float16. An error where two static recipes are mixed, or nothing is quantized.
absl::StatusOr<Recipe> LeadingRecipe(const std::vector<RecipeEntry>& entries);

// The entry that counts for each node of the main subgraph, -1: none. `entries` with one entry for
// "every node" and, behind it, those of QuantizeOptions::keep_float, where the recipe is a plain
// one. Errors name a regex that is none, that is too long, or with which the search through all
// names would take more than `max_steps` (see Regex::Search).
inline constexpr uint64_t kMostRecipeSteps = 500'000'000;  // some seconds
absl::StatusOr<std::vector<int32_t>> MatchEntries(const Graph& graph,
                                                  const std::vector<RecipeEntry>& entries,
                                                  uint64_t max_steps = kMostRecipeSteps);

// The entries of a request: its own, or those of its plain recipe; then what it keeps float.
std::vector<RecipeEntry> EntriesOf(const QuantizeOptions& options);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_RECIPE_FILE_H_
