#include "ops/movement.h"

#include <limits>

#include "ops/gradient.h"

namespace litesmith {
namespace {

constexpr int64_t kMostIntegers = 1024;

template <typename T>
std::vector<int64_t> Widen(const TensorView& tensor) {
  const T* data = tensor.As<T>();
  return {data, data + tensor.elements()};
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> ReadIntegers(const TensorView& tensor) {
  const int64_t count = tensor.elements();
  if (count == 0) return std::vector<int64_t>{};
  if (count > kMostIntegers) {
    return Invalid("'{}' has {} elements, more than a shape or list of axes can have",
                   Printable(tensor.name), count);
  }
  switch (tensor.type) {
    case schema::TensorType_BOOL:
    case schema::TensorType_UINT8:
      return Widen<uint8_t>(tensor);
    case schema::TensorType_INT8:
      return Widen<int8_t>(tensor);
    case schema::TensorType_INT16:
      return Widen<int16_t>(tensor);
    case schema::TensorType_INT32:
      return Widen<int32_t>(tensor);
    case schema::TensorType_INT64:
      return Widen<int64_t>(tensor);
    default:
      return Unsupported("'{}' has type {}, integers are needed", Printable(tensor.name),
                         TypeName(tensor.type));
  }
}

absl::StatusOr<int32_t> CheckedDimension(int64_t size) {
  if (size < 0 || size > std::numeric_limits<int32_t>::max()) {
    return Invalid("a dimension of {} elements is not possible", size);
  }
  return static_cast<int32_t>(size);
}

std::vector<int64_t> DenseStrides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

int64_t Elements(const Shape& shape, int begin, int end) {
  int64_t product = 1;
  for (int d = begin; d < end; ++d) product *= shape[d];
  return product;
}

absl::StatusOr<reference::CopyPlan> MakeCopy(size_t element, std::span<const int64_t> size,
                                             std::span<const int64_t> from_stride,
                                             std::span<const int64_t> to_stride,
                                             int64_t from_offset, int64_t to_offset) {
  const auto bytes = static_cast<int64_t>(element);
  reference::CopyPlan plan;
  plan.run = bytes;
  plan.count = 1;
  plan.from_offset = from_offset * bytes;
  plan.to_offset = to_offset * bytes;
  for (size_t d = size.size(); d-- > 0;) {
    if (!reference::AddLoop(&plan, size[d], from_stride[d] * bytes, to_stride[d] * bytes)) {
      return Unsupported("{} dimensions are more than {} nested loops can walk", size.size(),
                         reference::kMaxCopyLoops);
    }
  }
  return plan;
}

absl::StatusOr<size_t> ElementBytes(const PrepareArgs& args, size_t i) {
  const size_t bytes = TypeSize(args.in(i).type);
  if (bytes == 0) return NoKernel(args);
  return bytes;
}

absl::Status CheckOneType(const PrepareArgs& args, size_t first) {
  const TensorType type = args.out(0).type;
  for (size_t i = first; i < args.inputs.size(); ++i) {
    if (args.in(i).present && args.in(i).type != type) return NoKernel(args);
  }
  for (const TensorView& out : args.outputs) {
    if (out.type != type) return NoKernel(args);
  }
  return absl::OkStatus();
}

Kernel CopyKernel(const PrepareArgs& args, const reference::CopyPlan& plan, size_t input) {
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [plan, input](const RunArgs& run) {
    reference::Copy(plan, run.in<std::byte>(input), run.out<std::byte>(0));
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> SameBytesKernel(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, TensorBytes(args.in(0).type, args.in(0).shape));
  LS_ASSIGN_OR_RETURN(const size_t out_bytes, TensorBytes(args.out(0).type, args.out(0).shape));
  if (bytes != out_bytes) {
    return Invalid("{} bytes cannot take the place of {}", bytes, out_bytes);
  }
  if (bytes == 0 && args.in(0).elements() != 0) return NoKernel(args);
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.in_place_input = 0;
  kernel.run = [bytes](const RunArgs& run) {
    if (bytes != 0 && run.inputs[0] != run.outputs[0]) {
      std::memcpy(run.outputs[0], run.inputs[0], bytes);
    }
    return absl::OkStatus();
  };
  return kernel;
}

OpRecord MovementRecord(schema::BuiltinOperator op, ForeignNames names, InferShapes infer_shapes,
                        Prepare prepare, VersionRule version, std::vector<InputRule> inputs) {
  OpRecord record;
  record.op = op;
  record.names = names;
  record.infer_shapes = infer_shapes;
  record.prepare = prepare;
  record.version = version;
  record.quant.int8 = true;
  record.quant.int16x8 = true;
  record.quant.inputs = std::move(inputs);
  record.quant.output = OutputRule::kSameAsInput;
  record.gradient = FixedMoveGradient;
  return record;
}

}  // namespace litesmith
