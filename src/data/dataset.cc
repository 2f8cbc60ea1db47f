#include "data/dataset.h"

#include <algorithm>

namespace litesmith {

absl::Status Dataset::ReadInto(int64_t i, size_t input, std::span<float> out) {
  Sample sample;
  LS_RETURN_IF_ERROR(Read(i, &sample));
  if (input >= sample.inputs.size()) return Invalid("the samples have no input {}", input);
  const Array& array = sample.inputs[input];
  if (array.type != ElementType::kFloat32) {
    return Invalid("input {} is {}, not FLOAT32", input, ElementTypeName(array.type));
  }
  const std::span<const float> values = array.data<float>();
  if (values.size() != out.size()) {
    return Invalid("sample {} has shape {}: {} values, but {} are needed", i,
                   ShapeString(array.shape), values.size(), out.size());
  }
  std::copy(values.begin(), values.end(), out.begin());
  return absl::OkStatus();
}

}  // namespace litesmith
