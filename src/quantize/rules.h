#ifndef LITESMITH_QUANTIZE_RULES_H_
#define LITESMITH_QUANTIZE_RULES_H_

// Questions that the steps of quantization ask of graphs and of QuantRules.

#include "ir/graph.h"
#include "ops/op.h"
#include "quantize/quantize.h"

namespace litesmith {

inline bool IsFloat(const Subgraph& subgraph, int32_t t) {
  return t >= 0 && subgraph.tensors[static_cast<size_t>(t)].type == schema::TensorType_FLOAT32;
}
inline bool IsFloatConstant(const Subgraph& subgraph, int32_t t) {
  return IsFloat(subgraph, t) && subgraph.tensors[static_cast<size_t>(t)].is_constant();
}
inline bool IsActivation(const Subgraph& subgraph, int32_t t) {
  return IsFloat(subgraph, t) && !subgraph.tensors[static_cast<size_t>(t)].is_constant();
}

// Inputs and outputs of such a node have one scale.
inline bool SharesScale(const QuantRule& rule) {
  return rule.output == OutputRule::kSameAsInput || rule.inputs_like_output;
}

// A table whose rows come out as they are stored (EMBEDDING_LOOKUP). Static recipes give it and the
// result one scale, that of all its values: calibration need not have met every row. The rule's
// axis is the dynamic recipe's, whose results are float.
inline bool IsRowTable(const QuantRule& rule, size_t i) {
  return rule.output == OutputRule::kSameAsInput && static_cast<int>(i) == rule.same_as &&
         rule.input(i).role == Role::kWeight;
}

// Whether the result's scale does not depend on calibration.
inline bool FixesScale(const QuantRule& rule) {
  return rule.output == OutputRule::kFixed || IsRowTable(rule, static_cast<size_t>(rule.same_as));
}

inline bool Supports(const QuantRule& rule, RecipeKind kind) {
  switch (kind) {
    case RecipeKind::kInt8:
      return rule.int8;
    case RecipeKind::kInt16x8:
      return rule.int16x8;
    case RecipeKind::kDynamic:
      return rule.dynamic;
    case RecipeKind::kFloat16:
    case RecipeKind::kWeightOnly:
      return true;
  }
  return false;
}

// The operator's own integers beside a quantized result: the indices of TOPK_V2.
inline bool IsIndexOutput(const Node& node, size_t i) {
  return node.op == schema::BuiltinOperator_TOPK_V2 && i == 1;
}

// Beside int8 activations, TFLite's kernel reads int4 weights too.
inline bool TakesInt4Weights(const OpRecord& op) {
  return op.op == schema::BuiltinOperator_CONV_2D ||
         op.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D ||
         op.op == schema::BuiltinOperator_FULLY_CONNECTED;
}

// Beside float activations, LiteRT's hybrid kernel reads int4 weights too.
inline bool TakesInt4Dynamic(const OpRecord& op) {
  return op.op == schema::BuiltinOperator_CONV_2D ||
         op.op == schema::BuiltinOperator_FULLY_CONNECTED ||
         op.op == schema::BuiltinOperator_EMBEDDING_LOOKUP;
}

// Whether a weight-only recipe of so many bits is for the operator, as the LiteRT quantizer has it:
// it leaves depthwise weights alone in int4.
inline bool TakesWeightOnly(const OpRecord& op, int bits) {
  switch (op.op) {
    case schema::BuiltinOperator_BATCH_MATMUL:
    case schema::BuiltinOperator_CONV_2D:
    case schema::BuiltinOperator_EMBEDDING_LOOKUP:
    case schema::BuiltinOperator_FULLY_CONNECTED:
      return true;
    case schema::BuiltinOperator_DEPTHWISE_CONV_2D:
    case schema::BuiltinOperator_TRANSPOSE_CONV:
      return bits == 8;
    default:
      return false;
  }
}

inline TensorType ActivationType(RecipeKind kind) {
  return kind == RecipeKind::kInt16x8 ? schema::TensorType_INT16 : schema::TensorType_INT8;
}

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_RULES_H_
