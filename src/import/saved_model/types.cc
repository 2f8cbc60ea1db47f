#include "import/saved_model/types.h"

#include <cstring>

namespace litesmith::saved_model {
namespace {

// Fills `out` with the values, the last one repeated to the end, as TensorFlow reads them.
template <typename T, typename Values>
absl::Status Spread(const Values& values, std::vector<std::byte>* out) {
  const size_t count = out->size() / sizeof(T);
  if (static_cast<size_t>(values.size()) > count) {
    return Invalid("a constant has more values than its shape has places; save the model again");
  }
  auto* to = reinterpret_cast<T*>(out->data());
  T last{};
  for (size_t i = 0; i < count; ++i) {
    if (i < static_cast<size_t>(values.size())) last = static_cast<T>(values[static_cast<int>(i)]);
    to[i] = last;
  }
  return absl::OkStatus();
}

absl::Status SpreadByType(const proto::Tensor& tensor, TensorType type,
                          std::vector<std::byte>* out) {
  switch (type) {
    case schema::TensorType_FLOAT32:
      return Spread<float>(tensor.float_val(), out);
    case schema::TensorType_FLOAT64:
      return Spread<double>(tensor.double_val(), out);
    case schema::TensorType_FLOAT16:
    case schema::TensorType_BFLOAT16:
      return Spread<uint16_t>(tensor.half_val(), out);
    case schema::TensorType_INT64:
      return Spread<int64_t>(tensor.int64_val(), out);
    case schema::TensorType_UINT64:
      return Spread<uint64_t>(tensor.uint64_val(), out);
    case schema::TensorType_UINT32:
      return Spread<uint32_t>(tensor.uint32_val(), out);
    case schema::TensorType_INT32:
      return Spread<int32_t>(tensor.int_val(), out);
    case schema::TensorType_INT16:
      return Spread<int16_t>(tensor.int_val(), out);
    case schema::TensorType_UINT16:
      return Spread<uint16_t>(tensor.int_val(), out);
    case schema::TensorType_INT8:
      return Spread<int8_t>(tensor.int_val(), out);
    case schema::TensorType_UINT8:
      return Spread<uint8_t>(tensor.int_val(), out);
    case schema::TensorType_BOOL:
      return Spread<uint8_t>(tensor.bool_val(), out);
    default:
      return Unsupported("constants of type {} cannot be imported", TypeName(type));
  }
}

}  // namespace

absl::StatusOr<TensorType> DenseType(int32_t dtype) {
  switch (dtype) {
    case 1:
      return schema::TensorType_FLOAT32;
    case 2:
      return schema::TensorType_FLOAT64;
    case 3:
      return schema::TensorType_INT32;
    case 4:
      return schema::TensorType_UINT8;
    case 5:
      return schema::TensorType_INT16;
    case 6:
      return schema::TensorType_INT8;
    case 9:
      return schema::TensorType_INT64;
    case 10:
      return schema::TensorType_BOOL;
    case 14:
      return schema::TensorType_BFLOAT16;
    case 17:
      return schema::TensorType_UINT16;
    case 19:
      return schema::TensorType_FLOAT16;
    case 22:
      return schema::TensorType_UINT32;
    case 23:
      return schema::TensorType_UINT64;
    case kString:
      return Unsupported("strings cannot be imported");
    default:
      return Unsupported("TensorFlow's element type {} cannot be imported", dtype);
  }
}

absl::StatusOr<Shape> ReadShape(const proto::TensorShape& shape, bool open) {
  if (shape.unknown_rank()) {
    return Unsupported("a tensor of unknown rank cannot be imported; save the model with a shape");
  }
  if (shape.dim_size() > 8) return Unsupported("tensors of more than 8 dimensions are too many");
  Shape out;
  for (const auto& dim : shape.dim()) {
    if (dim.size() < (open ? -1 : 0) || dim.size() > INT32_MAX) {
      return Invalid("a tensor has a dimension of {}; save the model again", dim.size());
    }
    out.push_back(static_cast<int32_t>(dim.size()));
  }
  return out;
}

absl::StatusOr<Blob> ReadConstant(const proto::Tensor& tensor, TensorType type, const Shape& shape,
                                  uint64_t memory_budget) {
  LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(type, shape));
  if (bytes > memory_budget) {
    return absl::ResourceExhaustedError(
        fmt::format("a constant of {} bytes is larger than the memory allowed", bytes));
  }
  if (tensor.has_tensor_content() && !tensor.tensor_content().empty()) {
    if (tensor.tensor_content().size() != bytes) {
      return Invalid("a constant has {} bytes where its shape needs {}; save the model again",
                     tensor.tensor_content().size(), bytes);
    }
    return Blob::Copy(std::as_bytes(std::span(tensor.tensor_content())));
  }
  std::vector<std::byte> out(bytes);
  LS_RETURN_IF_ERROR(SpreadByType(tensor, type, &out));
  return Blob::Own(std::move(out));
}

}  // namespace litesmith::saved_model
