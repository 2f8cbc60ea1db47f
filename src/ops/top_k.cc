// TOPK_V2 and UNIQUE: values chosen by order or by first appearance.

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "ops/movement.h"

namespace litesmith {
namespace {

// NaN after all numbers, equal to itself.
template <typename T>
bool Below(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a || b != b) return b != b && a == a;
  }
  return a < b;
}

absl::Status TopKShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 2));
  if (args.in(0).rank() == 0) return Invalid("the input is a scalar");
  LS_ASSIGN_OR_RETURN(const int64_t k, IntegerScalarInput(args, 1));
  Shape out = args.in(0).shape;
  if (k > out.back()) return Invalid("{} of {} values are wanted", k, out.back());
  out.back() = static_cast<int32_t>(std::max<int64_t>(0, k));
  *outputs = {out, out};
  return absl::OkStatus();
}

template <typename T, typename Index>
absl::StatusOr<Kernel> TopKKernel(const PrepareArgs& args) {
  const int64_t size = args.in(0).shape.back();
  const int64_t k = args.out(0).shape.back();
  const int64_t rows = Elements(args.in(0).shape, 0, args.in(0).rank() - 1);
  if (k > 0 && size > std::numeric_limits<Index>::max()) {
    return Invalid("indices of {} values do not fit their type", size);
  }
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.scratch_bytes = static_cast<size_t>(size) * sizeof(int32_t);
  kernel.run = [=](const RunArgs& run) {
    if (k == 0) return absl::OkStatus();
    auto* order = reinterpret_cast<int32_t*>(run.scratch);
    for (int64_t row = 0; row < rows; ++row) {
      const T* in = run.in<T>(0) + row * size;
      std::iota(order, order + size, 0);
      // The largest first, the earlier of equal ones first, NaN last.
      std::partial_sort(order, order + k, order + size, [in](int32_t a, int32_t b) {
        if constexpr (std::is_floating_point_v<T>) {
          const bool a_nan = in[a] != in[a], b_nan = in[b] != in[b];
          if (a_nan != b_nan) return b_nan;
        }
        if (in[b] < in[a]) return true;
        return in[a] < in[b] ? false : a < b;
      });
      for (int64_t i = 0; i < k; ++i) {
        run.out<T>(0)[row * k + i] = in[order[i]];
        run.out<Index>(1)[row * k + i] = static_cast<Index>(order[i]);
      }
    }
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T>
absl::StatusOr<Kernel> TopKOf(const PrepareArgs& args) {
  if (args.out(1).type == schema::TensorType_INT32) return TopKKernel<T, int32_t>(args);
  if (args.out(1).type == schema::TensorType_INT16) return TopKKernel<T, int16_t>(args);
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareTopK(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      return TopKOf<float>(args);
    case schema::TensorType_INT8:
      return TopKOf<int8_t>(args);
    case schema::TensorType_UINT8:
      return TopKOf<uint8_t>(args);
    case schema::TensorType_INT16:
      return TopKOf<int16_t>(args);
    case schema::TensorType_INT32:
      return TopKOf<int32_t>(args);
    case schema::TensorType_INT64:
      return TopKOf<int64_t>(args);
    default:
      return NoKernel(args);
  }
}

int TopKVersion(const VersionArgs& args) {
  if (args.in(0) == schema::TensorType_INT16 || args.in(1) == schema::TensorType_INT16 ||
      args.out(1) == schema::TensorType_INT16) {
    return 3;
  }
  return args.in(0) == schema::TensorType_INT8 ? 2 : 1;
}

// Calls f with a value of the type; false where UNIQUE has no kernel for it.
template <typename F>
bool ForUniqueType(TensorType type, const F& f) {
  switch (type) {
    case schema::TensorType_FLOAT32:
      f(float{});
      return true;
    case schema::TensorType_INT8:
      f(int8_t{});
      return true;
    case schema::TensorType_UINT8:
      f(uint8_t{});
      return true;
    case schema::TensorType_INT16:
      f(int16_t{});
      return true;
    case schema::TensorType_INT32:
      f(int32_t{});
      return true;
    case schema::TensorType_INT64:
      f(int64_t{});
      return true;
    default:
      return false;
  }
}

absl::Status UniqueShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 2));
  const TensorView& in = args.in(0);
  if (in.rank() != 1) return Invalid("the input is no vector");
  if (in.data == nullptr && in.elements() != 0) return NeedsValue(0);
  size_t count = 0;
  const bool known = ForUniqueType(in.type, [&](auto zero) {
    using T = decltype(zero);
    const T* data = in.As<T>();
    count = std::set<T, bool (*)(T, T)>(data, data + in.elements(), Below<T>).size();
  });
  if (!known) return Unsupported("there is no kernel for {}", TypeName(in.type));
  *outputs = {{static_cast<int32_t>(count)}, in.shape};
  return absl::OkStatus();
}

template <typename T, typename Index>
Kernel UniqueKernel(const PrepareArgs& args) {
  const auto size = static_cast<int32_t>(args.in(0).elements());
  const int32_t most = args.out(0).shape[0];
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.scratch_bytes = 2 * static_cast<size_t>(size) * sizeof(int32_t);
  kernel.run = [size, most](const RunArgs& run) -> absl::Status {
    const T* in = run.in<T>(0);
    auto* order = reinterpret_cast<int32_t*>(run.scratch);
    int32_t* first = order + size;  // of each element: where its value stands first
    std::iota(order, order + size, 0);
    std::sort(order, order + size, [in](int32_t a, int32_t b) {
      if (Below(in[a], in[b])) return true;
      return Below(in[b], in[a]) ? false : a < b;
    });
    for (int32_t i = 0; i < size; ++i) {
      const bool same = i > 0 && !Below(in[order[i - 1]], in[order[i]]);
      first[order[i]] = same ? first[order[i - 1]] : order[i];
    }
    int32_t found = 0;
    for (int32_t i = 0; i < size; ++i) {
      if (first[i] != i) {
        run.out<Index>(1)[i] = run.out<Index>(1)[first[i]];
        continue;
      }
      if (found == most) return Internal("the values changed after they were counted");
      run.out<T>(0)[found] = in[i];
      run.out<Index>(1)[i] = static_cast<Index>(found++);
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareUnique(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  const TensorType index = args.out(1).type;
  if (index != schema::TensorType_INT32 && index != schema::TensorType_INT64) return NoKernel(args);
  Kernel kernel;
  const bool known = ForUniqueType(args.in(0).type, [&](auto zero) {
    using T = decltype(zero);
    kernel = index == schema::TensorType_INT32 ? UniqueKernel<T, int32_t>(args)
                                               : UniqueKernel<T, int64_t>(args);
  });
  if (!known) return NoKernel(args);
  return kernel;
}

// Each value goes back to where its index says.
absl::Status TopKGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  const TensorView& indices = args.outputs[1];
  if (indices.type != schema::TensorType_INT32) {
    return Unsupported("only indices of type INT32 have a gradient");
  }
  if (args.first[0]) std::fill_n(dx, args.inputs[0].elements(), 0.0f);
  const int64_t row = args.inputs[0].shape.back(), k = args.outputs[0].shape.back();
  for (int64_t i = 0; i < args.outputs[0].elements(); ++i) {
    dx[i / k * row + indices.As<int32_t>()[i]] += args.out_grads[0][i];
  }
  return absl::OkStatus();
}

int VersionOne(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& TopKV2Op() {
  static const OpRecord record = [] {
    OpRecord r = MovementRecord(schema::BuiltinOperator_TOPK_V2, {"", "TopKV2", "TopK"}, TopKShape,
                                PrepareTopK, TopKVersion, {{Role::kActivation}, {Role::kIndex}});
    r.gradient = TopKGradient;
    return r;
  }();
  return record;
}

const OpRecord& UniqueOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_UNIQUE;
    r.names = {"", "Unique", ""};
    r.infer_shapes = UniqueShape;
    r.prepare = PrepareUnique;
    r.version = VersionOne;
    return r;
  }();
  return record;
}

}  // namespace litesmith
