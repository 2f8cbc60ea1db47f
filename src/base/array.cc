#include "litesmith/array.h"

#include <fmt/format.h>

#include <array>

namespace litesmith {
namespace {

struct TypeFacts {
  const char* name;
  size_t size;
};

// In the order of ElementType's numbers.
constexpr std::array<TypeFacts, 23> kTypes = {
    {{"FLOAT32", 4}, {"FLOAT16", 2},       {"INT32", 4},      {"UINT8", 1},     {"INT64", 8},
     {"STRING", 0},  {"BOOL", 1},          {"INT16", 2},      {"COMPLEX64", 8}, {"INT8", 1},
     {"FLOAT64", 8}, {"COMPLEX128", 16},   {"UINT64", 8},     {"RESOURCE", 0},  {"VARIANT", 0},
     {"UINT32", 4},  {"UINT16", 2},        {"INT4", 0},       {"BFLOAT16", 2},  {"INT2", 0},
     {"UINT4", 0},   {"FLOAT8_E4M3FN", 1}, {"FLOAT8_E5M2", 1}}};

const TypeFacts* Facts(ElementType type) {
  const auto i = static_cast<size_t>(type);
  return i < kTypes.size() ? &kTypes[i] : nullptr;
}

// Real shapes have few dimensions; a damaged file's may have thousands, and this goes into one-line
// messages.
constexpr size_t kMaxShown = 16;

template <typename T>
std::string Join(std::span<const T> shape) {
  if (shape.size() <= kMaxShown)
    return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
  const auto shown = shape.first(kMaxShown);
  return fmt::format("[{}, … {} more]", fmt::join(shown.begin(), shown.end(), ", "),
                     shape.size() - kMaxShown);
}

}  // namespace

const char* ElementTypeName(ElementType type) {
  const TypeFacts* facts = Facts(type);
  return facts ? facts->name : "UNKNOWN";
}

size_t ElementSize(ElementType type) {
  const TypeFacts* facts = Facts(type);
  return facts ? facts->size : 0;
}

int64_t Array::elements() const {
  int64_t n = 1;
  for (int64_t d : shape) n *= d;
  return n;
}

Array Array::Zeros(ElementType type, std::vector<int64_t> shape) {
  Array a;
  a.type = type;
  a.shape = std::move(shape);
  a.bytes.resize(static_cast<size_t>(a.elements()) * ElementSize(type));
  return a;
}

std::string ShapeString(std::span<const int64_t> shape) { return Join(shape); }

std::string ShapeString(std::span<const int32_t> shape) { return Join(shape); }

}  // namespace litesmith
