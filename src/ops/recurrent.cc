#include "ops/recurrent.h"

#include "ops/matrix_support.h"

namespace litesmith {

absl::StatusOr<reference::CellActivation> CellActivationOf(schema::ActivationFunctionType type) {
  switch (type) {
    case schema::ActivationFunctionType_NONE:
      return reference::CellActivation::kNone;
    case schema::ActivationFunctionType_RELU:
      return reference::CellActivation::kRelu;
    case schema::ActivationFunctionType_RELU_N1_TO_1:
      return reference::CellActivation::kReluN1To1;
    case schema::ActivationFunctionType_RELU6:
      return reference::CellActivation::kRelu6;
    case schema::ActivationFunctionType_TANH:
      return reference::CellActivation::kTanh;
    default:
      return Unsupported("the fused activation {} has no kernel",
                         schema::EnumNameActivationFunctionType(type));
  }
}

absl::Status CheckDims(const TensorView& tensor, const char* what, const Shape& shape) {
  if (tensor.shape == shape) return absl::OkStatus();
  return Invalid("{} '{}' has the shape {}, {} is needed", what, Printable(tensor.name),
                 ShapeString(tensor.shape), ShapeString(shape));
}

absl::Status CheckState(const TensorView& tensor, const char* what, const Shape& shape) {
  if (!tensor.is_variable) {
    return Invalid("{} '{}' is no variable tensor", what, Printable(tensor.name));
  }
  return CheckDims(tensor, what, shape);
}

absl::Status CheckOneScale(const TensorView& weights, const char* what) {
  if (weights.quant->scale.size() != 1) {
    return Invalid("{} '{}' needs one scale, it has {}", what, Printable(weights.name),
                   weights.quant->scale.size());
  }
  return CheckWeightQuant(weights, 1, weights.type == schema::TensorType_INT8);
}

}  // namespace litesmith
