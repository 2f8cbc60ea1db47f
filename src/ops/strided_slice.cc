// STRIDED_SLICE with all masks: the input's elements from begin to end by a stride, per dimension.

#include <algorithm>
#include <bit>
#include <limits>

#include "ops/movement.h"

namespace litesmith {
namespace {

// One dimension of the input (after new axes were put in) and what is taken of it.
struct Axis {
  int64_t size = 1;    // of the input
  int64_t stride = 1;  // between the input's neighbours, in elements; 0 for a new axis
  int64_t begin = 0;
  int64_t step = 1;
  int64_t count = 1;
  bool shrink = false;  // the output does not have it
};

// begin, end and strides as given.
struct Spec {
  std::vector<int64_t> begin, end, strides;
};

template <typename Args>
absl::StatusOr<Spec> ReadSpec(const Args& args) {
  for (size_t i = 1; i <= 3; ++i) {
    if (args.in(i).rank() != 1 || args.in(i).type != schema::TensorType_INT32 ||
        args.in(i).shape != args.in(1).shape || args.in(i).shape[0] > 31) {
      return Invalid("begin, end and strides must be int32 vectors of one length, at most 31");
    }
  }
  Spec spec;
  LS_ASSIGN_OR_RETURN(spec.begin, IntegerInput(args, 1));
  LS_ASSIGN_OR_RETURN(spec.end, IntegerInput(args, 2));
  LS_ASSIGN_OR_RETURN(spec.strides, IntegerInput(args, 3));
  return spec;
}

bool Bit(int32_t mask, int bit) { return (static_cast<uint32_t>(mask) >> bit & 1u) != 0; }

// The part of one dimension that entry `i` of the spec asks for (Python's rule for slices, with
// TFLite's masks and its `offset`: end counted from begin).
absl::Status TakeEntry(const schema::StridedSliceOptionsT& options, const Spec& spec, int i,
                       Axis* axis) {
  const int64_t step = spec.strides[i];
  if (step == 0 || step == std::numeric_limits<int32_t>::min()) {
    return Invalid("a stride of {} is not possible", step);
  }
  const int64_t low = step > 0 ? 0 : -1;
  const int64_t high = step > 0 ? axis->size : axis->size - 1;
  int64_t begin = spec.begin[i];
  if (begin < 0) begin += axis->size;
  begin = std::clamp(begin, low, std::max(low, high));
  if (Bit(options.begin_mask, i)) begin = step > 0 ? 0 : axis->size - 1;
  axis->begin = begin;
  axis->step = step;
  if (Bit(options.shrink_axis_mask, i)) {
    if (begin < 0 || begin >= axis->size) {
      return Invalid("index {} is outside of a dimension of {}", spec.begin[i], axis->size);
    }
    axis->shrink = true;
    axis->count = 1;
    return absl::OkStatus();
  }
  int64_t end = spec.end[i];
  if (options.offset) end += begin;
  if (end < 0) end += axis->size;
  end = std::clamp(end, low, std::max(low, high));
  if (Bit(options.end_mask, i)) end = step > 0 ? axis->size : -1;
  const int64_t distance = step > 0 ? end - begin : begin - end;
  const int64_t stride = step > 0 ? step : -step;
  axis->count = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Axis>> ResolveAxes(const schema::StridedSliceOptionsT& options,
                                              const Spec& spec, const Shape& input) {
  const int entries = static_cast<int>(spec.begin.size());
  const int rank = static_cast<int>(input.size());
  if (std::popcount(static_cast<uint32_t>(options.ellipsis_mask)) > 1) {
    return Invalid("more than one ellipsis");
  }
  int added = 0;
  for (int i = 0; i < entries; ++i) {
    if (Bit(options.new_axis_mask, i) && !Bit(options.ellipsis_mask, i)) ++added;
  }
  const int total = rank + added;
  const std::vector<int64_t> strides = DenseStrides(input);
  std::vector<Axis> axes;
  int source = 0;
  auto take_source = [&](Axis* axis) {
    if (source >= rank) return false;
    axis->size = input[source];
    axis->count = input[source];
    axis->stride = strides[source++];
    return true;
  };
  int entry = 0;
  while (static_cast<int>(axes.size()) < total) {
    const int here = static_cast<int>(axes.size());
    if (entry < entries && Bit(options.ellipsis_mask, entry)) {
      // An ellipsis stands for the dimensions that no other entry names, and for one at least (as
      // TFLite).
      int covered = std::max(1, std::min(1 + total - entries, total - here));
      for (; covered > 0; --covered) {
        if (!take_source(&axes.emplace_back()))
          return Invalid("the slice has more entries than dimensions");
      }
      ++entry;
      continue;
    }
    Axis& axis = axes.emplace_back();
    if (entry < entries && Bit(options.new_axis_mask, entry)) {
      axis.stride = 0;
      ++entry;
      continue;
    }
    if (!take_source(&axis)) return Invalid("the slice has more entries than dimensions");
    if (entry < entries) LS_RETURN_IF_ERROR(TakeEntry(options, spec, entry++, &axis));
  }
  return axes;
}

template <typename Args>
absl::StatusOr<std::vector<Axis>> Resolve(const Args& args) {
  LS_ASSIGN_OR_RETURN(const Spec spec, ReadSpec(args));
  return ResolveAxes(args.node.template GetOptions<schema::StridedSliceOptionsT>(), spec,
                     args.in(0).shape);
}

absl::Status StridedSliceShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 4, 4, 1));
  LS_ASSIGN_OR_RETURN(const std::vector<Axis> axes, Resolve(args));
  Shape out;
  for (const Axis& axis : axes) {
    if (!axis.shrink) out.push_back(static_cast<int32_t>(axis.count));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareStridedSlice(const PrepareArgs& args) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(const std::vector<Axis> axes, Resolve(args));
  std::vector<int64_t> size, from, to(axes.size(), 1);
  int64_t offset = 0;
  for (const Axis& axis : axes) {
    size.push_back(axis.count);
    from.push_back(axis.step * axis.stride);
    offset += axis.begin * axis.stride;
  }
  for (size_t d = axes.size(); d-- > 1;) to[d - 1] = to[d] * size[d];
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan, MakeCopy(bytes, size, from, to, offset));
  return CopyKernel(args, plan);
}

int StridedSliceVersion(const VersionArgs& args) {
  const auto& options = args.node.GetOptions<schema::StridedSliceOptionsT>();
  if (options.offset) return 8;
  if (args.in(0) == schema::TensorType_UINT32) return 7;
  if (options.ellipsis_mask != 0 || options.new_axis_mask != 0) return 6;
  if (args.in(0) == schema::TensorType_STRING) return 5;
  if (args.inputs[0].rank() > 4) return 4;
  if (args.in(0) == schema::TensorType_BOOL) return 3;
  return VersionTwoWhenQuantized(args);
}

}  // namespace

const OpRecord& StridedSliceOp() {
  static const OpRecord record = MovementRecord(
      schema::BuiltinOperator_STRIDED_SLICE, {"", "StridedSlice", ""}, StridedSliceShape,
      PrepareStridedSlice, StridedSliceVersion, {{Role::kActivation}, {Role::kIndex}});
  return record;
}

}  // namespace litesmith
