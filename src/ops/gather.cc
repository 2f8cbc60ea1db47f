// GATHER, GATHER_ND and SCATTER_ND: slices picked or placed by index.

#include <array>
#include <cstring>
#include <limits>

#include "kernels/gradient/elementwise_f32.h"
#include "kernels/reference/arithmetic.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace litesmith {
namespace {

int64_t LoadIndex(TensorType type, const void* data, int64_t i) {
  switch (type) {
    case schema::TensorType_INT16:
      return static_cast<const int16_t*>(data)[i];
    case schema::TensorType_INT32:
      return static_cast<const int32_t*>(data)[i];
    default:
      return static_cast<const int64_t*>(data)[i];
  }
}

absl::Status CheckIndexType(const TensorView& indices) {
  return CheckType(indices, "indices",
                   {schema::TensorType_INT16, schema::TensorType_INT32, schema::TensorType_INT64});
}

absl::Status IndexError(int64_t index, int64_t size) {
  return Invalid("index {} is outside of a dimension of {}", index, size);
}

struct GatherAxes {
  int axis = 0;
  int batch = 0;
};

template <typename Args>
absl::StatusOr<GatherAxes> ResolveGather(const Args& args) {
  const auto& options = args.node.template GetOptions<schema::GatherOptionsT>();
  const Shape &in = args.in(0).shape, &positions = args.in(1).shape;
  GatherAxes out;
  LS_ASSIGN_OR_RETURN(out.axis, ResolveAxis(options.axis, args.in(0).rank()));
  int64_t batch = options.batch_dims;
  if (batch < 0) batch += args.in(1).rank();
  if (batch < 0 || batch > out.axis || batch > args.in(1).rank()) {
    return Invalid("batch_dims {} do not fit axis {}, input {} and indices {}", options.batch_dims,
                   options.axis, ShapeString(in), ShapeString(positions));
  }
  out.batch = static_cast<int>(batch);
  for (int d = 0; d < out.batch; ++d) {
    if (in[d] != positions[d]) {
      return Invalid("batch dimensions of input {} and indices {} differ", ShapeString(in),
                     ShapeString(positions));
    }
  }
  return out;
}

absl::Status GatherShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const GatherAxes axes, ResolveGather(args));
  const Shape &in = args.in(0).shape, &positions = args.in(1).shape;
  Shape out(in.begin(), in.begin() + axes.axis);
  out.insert(out.end(), positions.begin() + axes.batch, positions.end());
  out.insert(out.end(), in.begin() + axes.axis + 1, in.end());
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareGather(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckIndexType(args.in(1)));
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const GatherAxes axes, ResolveGather(args));
  const Shape &in = args.in(0).shape, &positions = args.in(1).shape;
  const int64_t batches = Elements(in, 0, axes.batch);
  const int64_t outer = Elements(in, axes.batch, axes.axis);
  const int64_t size = in[axes.axis];
  const int64_t inner =
      Elements(in, axes.axis + 1, args.in(0).rank()) * static_cast<int64_t>(bytes);
  const int64_t picks = Elements(positions, axes.batch, args.in(1).rank());
  const TensorType type = args.in(1).type;
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [=](const RunArgs& run) -> absl::Status {
    const auto* from = run.in<std::byte>(0);
    auto* to = run.out<std::byte>(0);
    for (int64_t b = 0; b < batches; ++b) {
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t p = 0; p < picks; ++p) {
          const int64_t index = LoadIndex(type, run.inputs[1], b * picks + p);
          if (index < 0 || index >= size) return IndexError(index, size);
          if (inner == 0) continue;
          std::memcpy(to, from + ((b * outer + o) * size + index) * inner,
                      static_cast<size_t>(inner));
          to += inner;
        }
      }
    }
    return absl::OkStatus();
  };
  return kernel;
}

constexpr int kMostIndexed = 8;

// Which dimensions of a tensor an index tuple names, and what lies behind one index.
struct Indexed {
  int depth = 0;
  std::array<int64_t, kMostIndexed> size{};    // of the named dimensions
  std::array<int64_t, kMostIndexed> stride{};  // in bytes
  int64_t tuples = 1;
  int64_t slice = 1;  // bytes
};

absl::StatusOr<Indexed> MakeIndexed(const Shape& indexed, const Shape& indices, size_t bytes) {
  if (indices.empty()) return Invalid("the indices are a scalar, tuples are needed");
  const int depth = indices.back();
  const int rank = static_cast<int>(indexed.size());
  if (depth > rank) return Invalid("index tuples of {} do not fit {} dimensions", depth, rank);
  if (depth > kMostIndexed) return Unsupported("index tuples of {} are not supported", depth);
  Indexed out;
  out.depth = depth;
  const std::vector<int64_t> strides = DenseStrides(indexed);
  for (int d = 0; d < depth; ++d) {
    out.size[d] = indexed[d];
    out.stride[d] = strides[d] * static_cast<int64_t>(bytes);
  }
  out.tuples = Elements(indices, 0, static_cast<int>(indices.size()) - 1);
  out.slice = Elements(indexed, depth, rank) * static_cast<int64_t>(bytes);
  return out;
}

// Byte offset of tuple `t`.
absl::Status Locate(const Indexed& where, TensorType type, const void* indices, int64_t t,
                    int64_t* offset) {
  *offset = 0;
  for (int d = 0; d < where.depth; ++d) {
    const int64_t index = LoadIndex(type, indices, t * where.depth + d);
    if (index < 0 || index >= where.size[d]) return IndexError(index, where.size[d]);
    *offset += index * where.stride[d];
  }
  return absl::OkStatus();
}

absl::Status GatherNdShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  const Shape &in = args.in(0).shape, &indices = args.in(1).shape;
  LS_ASSIGN_OR_RETURN(const Indexed where, MakeIndexed(in, indices, 1));
  Shape out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), in.begin() + where.depth, in.end());
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareGatherNd(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckIndexType(args.in(1)));
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const Indexed where, MakeIndexed(args.in(0).shape, args.in(1).shape, bytes));
  const TensorType type = args.in(1).type;
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [where, type](const RunArgs& run) -> absl::Status {
    auto* to = run.out<std::byte>(0);
    for (int64_t t = 0; t < where.tuples; ++t) {
      int64_t offset = 0;
      LS_RETURN_IF_ERROR(Locate(where, type, run.inputs[1], t, &offset));
      if (where.slice == 0) continue;
      std::memcpy(to + t * where.slice, run.in<std::byte>(0) + offset,
                  static_cast<size_t>(where.slice));
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::Status ScatterNdShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> wanted, IntegerInput(args, 2));
  Shape out;
  for (int64_t size : wanted) {
    LS_ASSIGN_OR_RETURN(const int32_t checked, CheckedDimension(size));
    out.push_back(checked);
  }
  LS_RETURN_IF_ERROR(CheckShape(out));
  const Shape& indices = args.in(0).shape;
  LS_ASSIGN_OR_RETURN(const Indexed where, MakeIndexed(out, indices, 1));
  Shape expected(indices.begin(), indices.end() - 1);
  expected.insert(expected.end(), out.begin() + where.depth, out.end());
  if (args.in(1).shape != expected) {
    return Invalid("updates of shape {} do not fit indices {} and shape {}",
                   ShapeString(args.in(1).shape), ShapeString(indices), ShapeString(out));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

template <typename T>
absl::StatusOr<Kernel> ScatterNdKernel(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const Indexed where,
                      MakeIndexed(args.out(0).shape, args.in(0).shape, sizeof(T)));
  const TensorType type = args.in(0).type;
  const bool is_bool = args.out(0).type == schema::TensorType_BOOL;
  const int64_t bytes = args.out(0).elements() * static_cast<int64_t>(sizeof(T));
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [=](const RunArgs& run) -> absl::Status {
    if (bytes != 0) std::memset(run.outputs[0], 0, static_cast<size_t>(bytes));
    const int64_t count = where.slice / static_cast<int64_t>(sizeof(T));
    for (int64_t t = 0; t < where.tuples; ++t) {
      int64_t offset = 0;
      LS_RETURN_IF_ERROR(Locate(where, type, run.inputs[0], t, &offset));
      const T* from = run.in<T>(1) + t * count;
      T* to = run.out<T>(0) + offset / static_cast<int64_t>(sizeof(T));
      for (int64_t i = 0; i < count; ++i) {  // what meets is added
        to[i] = is_bool ? static_cast<T>(to[i] != T{} || from[i] != T{})
                        : reference::WrappingAdd(to[i], from[i]);
      }
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareScatterNd(const PrepareArgs& args) {
  if (args.in(1).type != args.out(0).type) return NoKernel(args);
  LS_RETURN_IF_ERROR(CheckIndexType(args.in(0)));
  switch (args.out(0).type) {
    case schema::TensorType_FLOAT32:
      return ScatterNdKernel<float>(args);
    case schema::TensorType_BOOL:
    case schema::TensorType_UINT8:
      return ScatterNdKernel<uint8_t>(args);
    case schema::TensorType_INT8:
      return ScatterNdKernel<int8_t>(args);
    case schema::TensorType_INT16:
      return ScatterNdKernel<int16_t>(args);
    case schema::TensorType_INT32:
      return ScatterNdKernel<int32_t>(args);
    case schema::TensorType_INT64:
      return ScatterNdKernel<int64_t>(args);
    default:
      return NoKernel(args);
  }
}

// Every update takes the gradient of the place it was added to.
absl::Status ScatterNdGradient(const GradArgs& args) {
  float* dx = args.in_grads[1];
  if (dx == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(const Indexed where,
                      MakeIndexed(args.outputs[0].shape, args.inputs[0].shape, 1));
  for (int64_t t = 0; t < where.tuples; ++t) {
    int64_t offset = 0;
    LS_RETURN_IF_ERROR(Locate(where, args.inputs[0].type, args.inputs[0].data, t, &offset));
    gradient::AddOrCopy(args.out_grads[0] + offset, static_cast<size_t>(where.slice),
                        !args.first[1], dx + t * where.slice);
  }
  return absl::OkStatus();
}

int GatherVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_INT4) return 7;
  if (args.in(1) == schema::TensorType_INT16) return 6;
  if (args.node.GetOptions<schema::GatherOptionsT>().batch_dims != 0) return 5;
  if (args.in(0) == schema::TensorType_BOOL) return 3;
  return VersionTwoWhenQuantized(args);
}

int GatherNdVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_BOOL) return 5;
  if (args.in(1) == schema::TensorType_INT16) return 4;
  if (args.in(0) == schema::TensorType_INT16) return 3;
  return args.in(0) == schema::TensorType_STRING ? 2 : 1;
}

int VersionOne(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& GatherOp() {
  static const OpRecord record = [] {
    OpRecord r =
        WithGradient(MovementRecord(schema::BuiltinOperator_GATHER,
                                    {"Embedding", "GatherV2", "Gather"}, GatherShape, PrepareGather,
                                    GatherVersion, {{Role::kActivation}, {Role::kIndex}}),
                     IndexedMoveGradient);
    r.quant.dynamic = true;  // the table's rows, dequantized behind it
    return r;
  }();
  return record;
}

const OpRecord& GatherNdOp() {
  static const OpRecord record = WithGradient(
      MovementRecord(schema::BuiltinOperator_GATHER_ND, {"", "GatherNd", "GatherND"}, GatherNdShape,
                     PrepareGatherNd, GatherNdVersion, {{Role::kActivation}, {Role::kIndex}}),
      IndexedMoveGradient);
  return record;
}

const OpRecord& ScatterNdOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_SCATTER_ND;
    r.names = {"", "ScatterNd", ""};
    r.infer_shapes = ScatterNdShape;
    r.prepare = PrepareScatterNd;
    r.gradient = ScatterNdGradient;
    r.version = VersionOne;
    return r;
  }();
  return record;
}

}  // namespace litesmith
