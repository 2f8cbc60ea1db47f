// Real values <-> the bytes of a model's inputs and outputs.

#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "evaluate/evaluate.h"
#include "kernels/reference/quantize.h"

namespace litesmith {
namespace {

bool IsQuantizedInteger(const Tensor& tensor) {
  return !tensor.quant.empty() &&
         (tensor.type == schema::TensorType_INT8 || tensor.type == schema::TensorType_UINT8 ||
          tensor.type == schema::TensorType_INT16);
}

absl::Status CheckScale(const Tensor& tensor) {
  const float scale = tensor.quant.scale[0];
  if (tensor.quant.scale.size() == 1 && std::isfinite(scale) && scale > 0.0f) {
    return absl::OkStatus();
  }
  return Invalid("tensor '{}' has the quantization scale {}: a positive number is needed",
                 Printable(tensor.label()), scale);
}

int32_t ZeroPoint(const Tensor& tensor) {
  return tensor.quant.zero_point.empty() ? 0 : static_cast<int32_t>(tensor.quant.zero_point[0]);
}

template <typename Integer>
void QuantizeInto(std::span<const float> values, const Tensor& tensor, std::byte* out) {
  const float scale = tensor.quant.scale[0];
  const int32_t zero_point = ZeroPoint(tensor);
  using Limits = std::numeric_limits<Integer>;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto q = static_cast<Integer>(
        reference::QuantizeFloat(values[i], scale, zero_point, Limits::min(), Limits::max()));
    std::memcpy(out + i * sizeof(q), &q, sizeof(q));
  }
}

template <typename T>
std::vector<float> Numbers(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / sizeof(T));
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
  return out;
}

template <typename T>
std::vector<float> Dequantized(std::span<const std::byte> bytes, const Tensor& tensor) {
  std::vector<float> out = Numbers<T>(bytes);
  if (tensor.quant.scale.size() != 1) return out;
  for (float& v : out) {
    v = reference::Dequantize(static_cast<int32_t>(v), tensor.quant.scale[0], ZeroPoint(tensor));
  }
  return out;
}

std::vector<float> Halves(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + 2 * i, 2);
    out[i] = HalfToFloat(half);
  }
  return out;
}

}  // namespace

std::vector<InputSpec> InputSpecs(const Graph& graph) {
  std::vector<InputSpec> out;
  const Subgraph& subgraph = graph.main();
  for (size_t i = 0; i < subgraph.inputs.size(); ++i) {
    const Tensor& tensor = subgraph.tensors[static_cast<size_t>(subgraph.inputs[i])];
    InputSpec spec;
    spec.signature_name = InputName(graph, i);
    spec.tensor_name = tensor.name;
    const Shape& shape = tensor.shape_signature.empty() ? tensor.shape : tensor.shape_signature;
    const bool batch = !shape.empty() && (shape[0] == 1 || shape[0] == -1);
    spec.shape.assign(shape.begin() + (batch ? 1 : 0), shape.end());
    spec.type = IsQuantizedInteger(tensor) || tensor.type == schema::TensorType_FLOAT16
                    ? ElementType::kFloat32
                    : ToElementType(tensor.type);
    out.push_back(std::move(spec));
  }
  return out;
}

absl::Status StoreInput(const Array& value, const Tensor& tensor, std::span<std::byte> out) {
  const size_t element = TypeSize(tensor.type);
  if (element == 0 || static_cast<size_t>(value.elements()) != out.size() / element) {
    return Invalid("input '{}' takes {} values of type {}, got shape {}", Printable(tensor.label()),
                   element == 0 ? 0 : out.size() / element, TypeName(tensor.type),
                   ShapeString(value.shape));
  }
  if (value.type == ToElementType(tensor.type)) {
    std::memcpy(out.data(), value.bytes.data(), out.size());
    return absl::OkStatus();
  }
  if (value.type == ElementType::kFloat32 && tensor.type == schema::TensorType_FLOAT16) {
    const auto values = value.data<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t half = FloatToHalf(values[i]);
      std::memcpy(out.data() + 2 * i, &half, 2);
    }
    return absl::OkStatus();
  }
  if (value.type != ElementType::kFloat32 || !IsQuantizedInteger(tensor)) {
    return Invalid("input '{}' takes {}, not {}; convert the array", Printable(tensor.label()),
                   TypeName(tensor.type), ElementTypeName(value.type));
  }
  LS_RETURN_IF_ERROR(CheckScale(tensor));
  switch (tensor.type) {
    case schema::TensorType_INT8:
      QuantizeInto<int8_t>(value.data<float>(), tensor, out.data());
      break;
    case schema::TensorType_UINT8:
      QuantizeInto<uint8_t>(value.data<float>(), tensor, out.data());
      break;
    default:
      QuantizeInto<int16_t>(value.data<float>(), tensor, out.data());
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> LoadOutput(std::span<const std::byte> bytes,
                                              const Tensor& tensor) {
  switch (tensor.type) {
    case schema::TensorType_FLOAT32:
      return Numbers<float>(bytes);
    case schema::TensorType_FLOAT64:
      return Numbers<double>(bytes);
    case schema::TensorType_FLOAT16:
      return Halves(bytes);
    case schema::TensorType_INT8:
      return Dequantized<int8_t>(bytes, tensor);
    case schema::TensorType_UINT8:
      return Dequantized<uint8_t>(bytes, tensor);
    case schema::TensorType_INT16:
      return Dequantized<int16_t>(bytes, tensor);
    case schema::TensorType_INT32:
      return Numbers<int32_t>(bytes);
    case schema::TensorType_UINT32:
      return Numbers<uint32_t>(bytes);
    case schema::TensorType_INT64:
      return Numbers<int64_t>(bytes);
    case schema::TensorType_BOOL:
      return Numbers<uint8_t>(bytes);
    default:
      return Unsupported("output '{}' is {}: its values cannot be compared as numbers",
                         Printable(tensor.label()), TypeName(tensor.type));
  }
}

}  // namespace litesmith
