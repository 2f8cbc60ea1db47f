#ifndef LITESMITH_ARRAY_H_
#define LITESMITH_ARRAY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace litesmith {

// Element types, numbered as TFLite's TensorType.
enum class ElementType : int8_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kInt32 = 2,
  kUint8 = 3,
  kInt64 = 4,
  kString = 5,
  kBool = 6,
  kInt16 = 7,
  kComplex64 = 8,
  kInt8 = 9,
  kFloat64 = 10,
  kComplex128 = 11,
  kUint64 = 12,
  kResource = 13,
  kVariant = 14,
  kUint32 = 15,
  kUint16 = 16,
  kInt4 = 17,
  kBfloat16 = 18,
  kInt2 = 19,
  kUint4 = 20,
  kFloat8E4M3Fn = 21,
  kFloat8E5M2 = 22,
};

// "FLOAT32", "INT8" …: TFLite's word for the type.
const char* ElementTypeName(ElementType type);

// Bytes of one element; 0 for strings, resources, variants and the packed types below a byte.
size_t ElementSize(ElementType type);

// A dense array that owns its elements, row-major ("C order"), little-endian as in memory. A value type:
// copies are deep. Not synchronised: share only for reading.
struct Array {
  ElementType type = ElementType::kFloat32;
  std::vector<int64_t> shape;    // empty: a scalar
  std::vector<std::byte> bytes;  // elements() * ElementSize(type)

  // An array of zeros. REQUIRES: dimensions >= 0, ElementSize(type) > 0, and a product that fits memory.
  static Array Zeros(ElementType type, std::vector<int64_t> shape);

  int64_t elements() const;

  // The elements as T. REQUIRES: sizeof(T) == ElementSize(type).
  template <typename T>
  std::span<const T> data() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <typename T>
  std::span<T> mutable_data() {
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

// "[1, 28, 28, 1]".
std::string ShapeString(std::span<const int64_t> shape);
std::string ShapeString(std::span<const int32_t> shape);

}  // namespace litesmith

#endif  // LITESMITH_ARRAY_H_
