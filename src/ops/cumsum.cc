#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

absl::StatusOr<int> ReadAxis(const TensorView& input, const TensorView& axis) {
  LS_RETURN_IF_ERROR(CheckType(axis, "the axis", {schema::TensorType_INT32}));
  if (axis.elements() != 1) return Invalid("the axis needs 1 value, it has {}", axis.elements());
  if (axis.data == nullptr) return NeedsValue(1);
  return ResolveAxis(*axis.As<int32_t>(), input.rank());
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_RETURN_IF_ERROR(ReadAxis(args.in(0), args.in(1)).status());
  outputs->assign(1, args.in(0).shape);
  return absl::OkStatus();
}

struct Sizes {
  size_t outer = 1, axis = 1, inner = 1;
  bool exclusive = false, reverse = false;
};

// Integers wrap around.
template <typename T>
T Add(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a + b;
  return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// Calls store(index, running sum) for every element.
template <typename T, typename Store>
void RunningSums(const Sizes& s, const T* in, const Store& store) {
  for (size_t o = 0; o < s.outer; ++o) {
    for (size_t i = 0; i < s.inner; ++i) {
      const size_t base = o * s.axis * s.inner + i;
      T sum = 0;
      for (size_t a = 0; a < s.axis; ++a) {
        const size_t at = base + (s.reverse ? s.axis - 1 - a : a) * s.inner;
        const T before = sum;
        sum = Add(sum, in[at]);
        store(at, s.exclusive ? before : sum);
      }
    }
  }
}

template <typename T>
Kernel SumKernel(const Sizes& s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    T* out = args.out<T>(0);
    RunningSums(s, args.in<T>(0), [out](size_t at, T sum) { out[at] = sum; });
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, const Sizes& s) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      return SumKernel<float>(s);
    case schema::TensorType_INT32:
      return SumKernel<int32_t>(s);
    case schema::TensorType_INT64:
      return SumKernel<int64_t>(s);
    default:
      return NoKernel(args);
  }
}

absl::StatusOr<Sizes> MakeSizes(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const int axis, ReadAxis(args.in(0), args.in(1)));
  const auto& options = args.node.GetOptions<schema::CumsumOptionsT>();
  Sizes s;
  s.exclusive = options.exclusive;
  s.reverse = options.reverse;
  for (int d = 0; d < args.in(0).rank(); ++d) {
    const auto size = static_cast<size_t>(args.in(0).shape[static_cast<size_t>(d)]);
    (d < axis ? s.outer : d == axis ? s.axis : s.inner) *= size;
  }
  return s;
}

// The sums of dy, from the other end.
absl::Status CumsumGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(Sizes s, MakeSizes(AsPrepareArgs(args)));
  s.reverse = !s.reverse;
  const bool first = args.first[0];
  RunningSums(s, args.out_grads[0],
              [&](size_t at, float sum) { dx[at] = first ? sum : dx[at] + sum; });
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareCumsum(const PrepareArgs& args) {
  LS_ASSIGN_OR_RETURN(const Sizes s, MakeSizes(args));
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, s));
  kernel.name = KernelName(args);
  return kernel;
}

int Version(const VersionArgs&) { return 1; }

}  // namespace

const OpRecord& CumsumOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_CUMSUM;
    r.names = {"", "Cumsum", "CumSum"};
    r.infer_shapes = Infer;
    r.prepare = PrepareCumsum;
    r.gradient = CumsumGradient;
    r.version = Version;
    r.quant.inputs = {{Role::kActivation, -1}, {Role::kIndex, -1}};
    return r;
  }();
  return record;
}

}  // namespace litesmith
