#ifndef LITESMITH_IR_SCHEMA_H_
#define LITESMITH_IR_SCHEMA_H_

// The generated TFLite enums and option tables (src/tflite/schema.fbs), and what is said about them in
// general. Namespace litesmith::schema.

#include <cstddef>

#include "litesmith/array.h"
#include "schema_generated.h"

namespace litesmith {

using schema::TensorType;

inline ElementType ToElementType(TensorType type) { return static_cast<ElementType>(type); }
inline TensorType ToTensorType(ElementType type) { return static_cast<TensorType>(type); }

// Bytes of one element, 0 for strings, resources, variants and sub-byte types.
inline size_t TypeSize(TensorType type) { return ElementSize(ToElementType(type)); }
inline const char* TypeName(TensorType type) { return ElementTypeName(ToElementType(type)); }

}  // namespace litesmith

#endif  // LITESMITH_IR_SCHEMA_H_
