#ifndef LITESMITH_QUANTIZE_PARAMS_H_
#define LITESMITH_QUANTIZE_PARAMS_H_

// Ranges to scales and zero points, values to integers, as TFLite's two quantizers compute them:
// its MLIR quantizer makes int8 models, its older one 16x8 models, and their rounding differs in
// places. Checked against their files, tests/quantize.

#include <cstdint>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "quantize/quantize.h"

namespace litesmith {

// Per-tensor parameters of an activation with this calibrated range (int8 asymmetric, int16
// symmetric).
QuantParams ActivationParams(RecipeKind kind, float min, float max);

// Of a constant operand that is read as an activation.
QuantParams ConstantParams(RecipeKind kind, std::span<const float> values);

// Symmetric, within the type's WeightLimit: one scale per index of dimension `axis`, or one
// in all where axis is -1. REQUIRES: axis < rank, no empty dimension.
QuantParams WeightParams(std::span<const float> values, const Shape& shape, int axis,
                         TensorType type = schema::TensorType_INT8);

// The same as the LiteRT quantizer's min-max algorithm has it, for the recipes that only it knows:
// narrow channels keep their own scale. Not `symmetric`: zero points, and all of the type's values.
QuantParams MinMaxWeightParams(std::span<const float> values, const Shape& shape, int axis,
                               TensorType type, bool symmetric = true);

// The largest weight of a type. Of int16: SVDF's time weights, of which TFLite uses 10 bits and
// leaves the others to their sum.
constexpr int32_t WeightLimit(TensorType type) {
  return type == schema::TensorType_INT4 ? 7 : type == schema::TensorType_INT16 ? 512 : 127;
}

// Widens scales of `weights` so that every bias value fits half of an int32 in units of input scale
// times weight scale; leaves the others alone.
void WidenForBias(RecipeKind kind, std::span<const float> bias, float input_scale,
                  QuantParams* weights);

// scale = input scale * weight scale, zero point 0.
QuantParams BiasParams(float input_scale, const QuantParams& weights);

// The integers. Types: INT8 or INT16 for activations, INT8 or INT4 (packed) for weights, INT32 or
// INT64 for biases, FLOAT16 clamped to its range. Weights of the recipes that MinMaxWeightParams is
// for, and all with zero points, are rounded as it goes with them: quotients in float, halves to
// even.
Blob QuantizeActivation(std::span<const float> values, TensorType type, const QuantParams& params);
Blob QuantizeWeights(RecipeKind kind, std::span<const float> values, const Shape& shape,
                     const QuantParams& params, TensorType type = schema::TensorType_INT8);
Blob QuantizeBias(std::span<const float> values, TensorType type, const QuantParams& params);
Blob ToFloat16(std::span<const float> values);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_PARAMS_H_
