// DYNAMIC_UPDATE_SLICE: a tensor with a box of it replaced. REVERSE_SEQUENCE: the first elements of
// each sequence turned round. DENSIFY: a sparse constant as a dense one (the executor expands it
// when it loads it).

#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/gradient/elementwise_f32.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

using schema::TensorType_INT32;
using schema::TensorType_INT64;

int64_t LoadIndex(TensorType type, const void* data, int64_t i) {
  if (type == TensorType_INT32) return static_cast<const int32_t*>(data)[i];
  return static_cast<const int64_t*>(data)[i];
}

absl::Status UpdateSliceShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  const Shape &in = args.in(0).shape, &update = args.in(1).shape;
  bool fits = in.size() == update.size() && args.in(2).shape == Shape{args.in(0).rank()};
  for (size_t d = 0; fits && d < in.size(); ++d) fits = update[d] <= in[d];
  if (!fits) {
    return Invalid("an update of shape {} at indices of shape {} does not fit {}",
                   ShapeString(update), ShapeString(args.in(2).shape), ShapeString(in));
  }
  *outputs = {in};
  return absl::OkStatus();
}

// The update's copy, and what its place depends on.
struct UpdatePlan {
  reference::CopyPlan copy;
  std::vector<int64_t> stride;  // of the output, in bytes
  std::vector<int64_t> most;    // the last start at which the update still lies inside
  int64_t bytes = 0;            // of the output
};

absl::StatusOr<Kernel> PrepareUpdateSlice(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type || args.in(1).type != args.out(0).type)
    return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckType(args.in(2), "start indices", {TensorType_INT32, TensorType_INT64}));
  LS_ASSIGN_OR_RETURN(const size_t element, ElementBytes(args));
  const Shape &in = args.in(0).shape, &update = args.in(1).shape;
  auto plan = std::make_shared<UpdatePlan>();
  plan->stride = DenseStrides(in);
  const std::vector<int64_t> size(update.begin(), update.end());
  LS_ASSIGN_OR_RETURN(plan->copy, MakeCopy(element, size, DenseStrides(update), plan->stride));
  for (size_t d = 0; d < in.size(); ++d) {
    plan->stride[d] *= static_cast<int64_t>(element);
    plan->most.push_back(in[d] - update[d]);
  }
  plan->bytes = args.in(0).elements() * static_cast<int64_t>(element);
  const TensorType type = args.in(2).type;
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.in_place_input = 0;
  kernel.run = [plan, type](const RunArgs& run) {
    if (plan->bytes == 0) return absl::OkStatus();
    if (run.inputs[0] != run.outputs[0]) {
      std::memcpy(run.outputs[0], run.inputs[0], static_cast<size_t>(plan->bytes));
    }
    reference::CopyPlan copy = plan->copy;
    for (size_t d = 0; d < plan->most.size(); ++d) {
      const int64_t start = LoadIndex(type, run.inputs[2], static_cast<int64_t>(d));
      copy.to_offset += std::clamp<int64_t>(start, 0, plan->most[d]) * plan->stride[d];
    }
    reference::Copy(copy, run.in<std::byte>(1), run.out<std::byte>(0));
    return absl::OkStatus();
  };
  return kernel;
}

// The gradient of the box is the update's, all else the operand's.
absl::Status UpdateSliceGradient(const GradArgs& args) {
  const Shape &in = args.inputs[0].shape, &update = args.inputs[1].shape;
  float *operand = args.in_grads[0], *box = args.in_grads[1];
  const float* dy = args.out_grads[0];
  const std::vector<int64_t> stride = DenseStrides(in);
  std::vector<int64_t> start(in.size()), index(in.size(), 0);
  for (size_t d = 0; d < in.size(); ++d) {
    const int64_t wanted =
        LoadIndex(args.inputs[2].type, args.inputs[2].data, static_cast<int64_t>(d));
    start[d] = std::clamp<int64_t>(wanted, 0, in[d] - update[d]);
  }
  // The operand's gradient is all of dy, less what goes to the update.
  if (operand != nullptr) {
    gradient::AddOrCopy(dy, static_cast<size_t>(args.outputs[0].elements()), !args.first[0],
                        operand);
  }
  for (int64_t i = 0; i < args.inputs[1].elements(); ++i) {
    int64_t at = 0;
    for (size_t d = 0; d < in.size(); ++d) at += (start[d] + index[d]) * stride[d];
    if (operand != nullptr) operand[at] = args.first[0] ? 0.0f : operand[at] - dy[at];
    if (box != nullptr) box[i] = args.first[1] ? dy[at] : box[i] + dy[at];
    for (size_t d = in.size(); d-- > 0;) {
      if (++index[d] < update[d]) break;
      index[d] = 0;
    }
  }
  return absl::OkStatus();
}

int UpdateSliceVersion(const VersionArgs& args) {
  switch (args.in(0)) {
    case schema::TensorType_BFLOAT16:
      return 6;
    case schema::TensorType_INT4:
      return 5;
    case schema::TensorType_INT16:
      return 4;
    case schema::TensorType_FLOAT16:
      return 3;
    default:
      return args.in(2) == TensorType_INT64 ? 2 : 1;
  }
}

absl::Status ReverseSequenceShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  const auto& options = args.node.GetOptions<schema::ReverseSequenceOptionsT>();
  const int rank = args.in(0).rank();
  const int sequence = options.seq_dim, batch = options.batch_dim;
  if (sequence < 0 || sequence >= rank || batch < 0 || batch >= rank || sequence == batch) {
    return Invalid("dimensions {} and {} of {} cannot be sequence and batch", sequence, batch,
                   rank);
  }
  if (args.in(1).shape != Shape{args.in(0).shape[batch]}) {
    return Invalid("lengths of shape {} do not fit a batch of {}", ShapeString(args.in(1).shape),
                   args.in(0).shape[batch]);
  }
  *outputs = {args.in(0).shape};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareReverseSequence(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckType(args.in(1), "lengths", {TensorType_INT32, TensorType_INT64}));
  LS_ASSIGN_OR_RETURN(const size_t element, ElementBytes(args));
  const auto& options = args.node.GetOptions<schema::ReverseSequenceOptionsT>();
  const Shape& shape = args.in(0).shape;
  const std::vector<int64_t> strides = DenseStrides(shape);
  // One copy for each entry of the batch, over all other dimensions.
  Shape rest = shape;
  rest[options.batch_dim] = 1;
  const int64_t batch = shape[options.batch_dim], length = shape[options.seq_dim];
  const int64_t batch_bytes = strides[options.batch_dim] * static_cast<int64_t>(element);
  const int64_t step_bytes = strides[options.seq_dim] * static_cast<int64_t>(element);
  rest[options.seq_dim] = 1;
  const std::vector<int64_t> size(rest.begin(), rest.end());
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan, MakeCopy(element, size, strides, strides));
  const TensorType type = args.in(1).type;
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [=](const RunArgs& run) -> absl::Status {
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t turned = LoadIndex(type, run.inputs[1], b);
      if (turned > length) return Invalid("{} of {} elements are to be reversed", turned, length);
      for (int64_t i = 0; i < length; ++i) {
        reference::CopyPlan copy = plan;
        copy.from_offset = b * batch_bytes + i * step_bytes;
        copy.to_offset = b * batch_bytes + (i < turned ? turned - 1 - i : i) * step_bytes;
        reference::Copy(copy, run.in<std::byte>(0), run.out<std::byte>(0));
      }
    }
    return absl::OkStatus();
  };
  return kernel;
}

int VersionOne(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& DynamicUpdateSliceOp() {
  static const OpRecord record = [] {
    OpRecord r = MovementRecord(schema::BuiltinOperator_DYNAMIC_UPDATE_SLICE, {"", "", ""},
                                UpdateSliceShape, PrepareUpdateSlice, UpdateSliceVersion,
                                {{Role::kActivation}, {Role::kActivation}, {Role::kIndex}});
    r.gradient = UpdateSliceGradient;
    r.quant.output = OutputRule::kRange;
    r.quant.inputs_like_output = true;
    return r;
  }();
  return record;
}

const OpRecord& ReverseSequenceOp() {
  static const OpRecord record = [] {
    OpRecord r =
        MovementRecord(schema::BuiltinOperator_REVERSE_SEQUENCE,
                       {"", "ReverseSequence", "ReverseSequence"}, ReverseSequenceShape,
                       PrepareReverseSequence, VersionOne, {{Role::kActivation}, {Role::kIndex}});
    r.quant.int8 = false;  // TFLite moves uint8 and int16 here, not int8
    return r;
  }();
  return record;
}

const OpRecord& DensifyOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_DENSIFY;
    r.infer_shapes = UnaryShape;
    r.prepare = SameBytesKernel;
    r.version = VersionOne;
    return r;
  }();
  return record;
}

}  // namespace litesmith
