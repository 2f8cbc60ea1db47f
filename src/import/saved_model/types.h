#ifndef LITESMITH_IMPORT_SAVED_MODEL_TYPES_H_
#define LITESMITH_IMPORT_SAVED_MODEL_TYPES_H_

#include <cstdint>

#include "base/status.h"
#include "ir/graph.h"
#include "saved_model.pb.h"

namespace litesmith::saved_model {

// TensorFlow's numbers of element types (tensorflow/core/framework/types.proto).
inline constexpr int32_t kString = 7, kResource = 20, kVariant = 21;

// The element type of a dense tensor; an error for all others.
absl::StatusOr<TensorType> DenseType(int32_t dtype);

// Sizes checked to fit; -1 for unknown ones only where `open` allows them.
absl::StatusOr<Shape> ReadShape(const proto::TensorShape& shape, bool open);

// The bytes of a constant, expanded where the message repeats its last value.
absl::StatusOr<Blob> ReadConstant(const proto::Tensor& tensor, TensorType type, const Shape& shape,
                                  uint64_t memory_budget);

}  // namespace litesmith::saved_model

#endif  // LITESMITH_IMPORT_SAVED_MODEL_TYPES_H_
