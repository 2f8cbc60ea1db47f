#ifndef LITESMITH_QUANTIZE_H_
#define LITESMITH_QUANTIZE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "litesmith/array.h"
#include "litesmith/context.h"
#include "litesmith/dataset.h"
#include "litesmith/model.h"

namespace litesmith {

// A method of quantization, and what to expect of it.
struct RecipeInfo {
  std::string name;   // "static_wi8_ai8"
  std::string alias;  // "int8"
  bool needs_calibration = false;
  std::string data;  // what data it needs
  std::string size;  // what is left of the float model
  std::string accuracy;
  std::string hardware;
};
std::vector<RecipeInfo> Recipes();

struct QuantizeRequest {
  // A name or alias of Recipes(), or the path of a recipe file (.json): a list of entries in the
  // LiteRT quantizer's form, for mixed recipes. Empty: for a model that is quantized already, whose
  // inputs and outputs get other types.
  std::string recipe;

  // Layers that stay float: regular expressions, searched in the names of layers and of the tensors
  // they make.
  std::vector<std::string> keep_float;

  // Samples without labels, from which the recipes for integer activations learn the ranges. Arrays
  // give their first num_calibration_samples, other sets a draw from `seed`, balanced over the
  // classes.
  DataSource calibration;
  int64_t num_calibration_samples = 300;
  uint64_t seed = 0;

  // Types at the model's border: float32, or the integers of the recipe (int8 and uint8; int16 for
  // 16x8). Unset: float32; of a model that is quantized already: what they are.
  std::optional<ElementType> input_type, output_type;

  // What is to run the file: litert, tflm or litesmith. A model that it cannot run is an error that
  // lists the operators.
  std::string target = "litert";

  // Fixes the free first dimension of the inputs; 0: it stays free.
  int64_t batch_size = 0;

  // Operators that the recipe cannot quantize stay float; context.warn says which. Otherwise they
  // are an error.
  bool allow_float = false;
};

// Optimises and quantizes a float model after training. The result notes the recipe and the
// preprocessing. Deterministic: the same bytes for the same request, whatever the number of
// threads.
absl::StatusOr<Model> Quantize(const Model& model, const QuantizeRequest& request,
                               const Context& context = {});

// The request's recipe, with what it keeps float, as the text of a recipe file.
absl::StatusOr<std::string> RecipeFile(const QuantizeRequest& request);

// What Quantize would do, one line per operator and tensor, as text.
absl::StatusOr<std::string> PlanQuantization(const Model& model, const QuantizeRequest& request,
                                             const Context& context = {});

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_H_
