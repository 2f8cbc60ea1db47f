#ifndef LITESMITH_QUANTIZE_RETYPE_H_
#define LITESMITH_QUANTIZE_RETYPE_H_

#include <optional>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// The recipe whose integer activations the main subgraph has; nothing for a float model, or one of
// which only the weights are quantized.
std::optional<RecipeKind> QuantizedAs(const Graph& graph);

// Gives the real inputs and outputs of an integer model other types: float32, int8 or uint8 for an
// int8 model, float32 or int16 for a 16x8 one. QUANTIZE and DEQUANTIZE at the border come and go,
// nothing else changes; indices and masks keep their types. Unset: as they are. Errors name the
// input or output.
absl::StatusOr<Graph> Retype(const Graph& graph, std::optional<ElementType> input_type,
                             std::optional<ElementType> output_type);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_RETYPE_H_
