#include "quantize/quantize.h"

namespace litesmith {

std::vector<Recipe> AllRecipes() {
  return {{RecipeKind::kFloat16, "float16", "f16"},
          {RecipeKind::kDynamic, "dynamic_wi8_afp32", "dynamic"},
          {RecipeKind::kDynamic, "dynamic_wi4_afp32", "dynamicw4", 4},
          {RecipeKind::kWeightOnly, "weight_only_wi8_afp32", "weights"},
          {RecipeKind::kWeightOnly, "weight_only_wi4_afp32", "weightsw4", 4},
          {RecipeKind::kInt8, "static_wi8_ai8", "int8"},
          {RecipeKind::kInt8, "static_wi4_ai8", "int8w4", 4},
          {RecipeKind::kInt16x8, "static_wi8_ai16", "int16x8"}};
}

absl::StatusOr<Recipe> FindRecipe(std::string_view name) {
  std::string known;
  for (const Recipe& recipe : AllRecipes()) {
    if (name == recipe.name || name == recipe.alias) return recipe;
    known += fmt::format("{}{} ({})", known.empty() ? "" : ", ", recipe.name, recipe.alias);
  }
  return Invalid("there is no recipe '{}'; choose one of {}", Printable(name), known);
}

}  // namespace litesmith
