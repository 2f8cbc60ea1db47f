// MIRROR_PAD: the input surrounded by its own reflection.

#include <limits>
#include <memory>

#include "ops/movement.h"

namespace litesmith {
namespace {

// before and after, by dimension.
struct Margins {
  std::vector<int64_t> before, after;
  int64_t edge = 0;  // 1 where the border itself is not repeated (REFLECT)
};

template <typename Args>
absl::StatusOr<Margins> ReadMargins(const Args& args) {
  const Shape& in = args.in(0).shape;
  const int rank = args.in(0).rank();
  if (args.in(1).shape != Shape{rank, 2}) {
    return Invalid("paddings of shape {} do not fit an input of {} dimensions",
                   ShapeString(args.in(1).shape), rank);
  }
  Margins margins;
  const auto mode = args.node.template GetOptions<schema::MirrorPadOptionsT>().mode;
  margins.edge = mode == schema::MirrorPadMode_REFLECT ? 1 : 0;
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, IntegerInput(args, 1));
  for (int d = 0; d < rank; ++d) {
    const int64_t before = values[2 * d], after = values[2 * d + 1];
    const int64_t most = std::max<int64_t>(0, in[d] - margins.edge);
    if (before < 0 || after < 0 || before > most || after > most) {
      return Invalid("dimension {} of shape {} cannot be mirrored by {} and {}", d, ShapeString(in),
                     before, after);
    }
    margins.before.push_back(before);
    margins.after.push_back(after);
  }
  return margins;
}

absl::Status MirrorPadShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const Margins margins, ReadMargins(args));
  Shape out = args.in(0).shape;
  for (size_t d = 0; d < out.size(); ++d) {
    LS_ASSIGN_OR_RETURN(out[d], CheckedDimension(out[d] + margins.before[d] + margins.after[d]));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

struct Plans {
  reference::CopyPlan inner;  // the input into the middle of the output
  // Then from the output into itself: dimension by dimension, from the innermost on, each margin
  // from what lies inside of it, over the whole of the dimensions already done.
  std::vector<reference::CopyPlan> mirrors;
};

absl::StatusOr<Plans> MakePlans(const PrepareArgs& args, const Margins& margins, size_t bytes) {
  const Shape &in = args.in(0).shape, &out = args.out(0).shape;
  const int rank = args.in(0).rank();
  const std::vector<int64_t> stride = DenseStrides(out);
  Plans plans;
  std::vector<int64_t> size(in.begin(), in.end());
  int64_t origin = 0;
  for (int d = 0; d < rank; ++d) origin += margins.before[d] * stride[d];
  LS_ASSIGN_OR_RETURN(plans.inner, MakeCopy(bytes, size, DenseStrides(in), stride, 0, origin));
  for (int d = rank - 1; d >= 0; --d) {
    const int64_t before = margins.before[d];
    origin -= before * stride[d];  // now the start of dimension d and all inside it
    auto mirror = [&](int64_t count, int64_t from, int64_t to) -> absl::Status {
      if (count == 0) return absl::OkStatus();
      std::vector<int64_t> box = size, back = stride;
      box[d] = count;
      back[d] = -stride[d];
      LS_ASSIGN_OR_RETURN(
          const reference::CopyPlan plan,
          MakeCopy(bytes, box, back, stride, origin + from * stride[d], origin + to * stride[d]));
      plans.mirrors.push_back(plan);
      return absl::OkStatus();
    };
    LS_RETURN_IF_ERROR(mirror(before, 2 * before + margins.edge - 1, 0));
    const int64_t end = before + in[d];
    LS_RETURN_IF_ERROR(mirror(margins.after[d], end - 1 - margins.edge, end));
    size[d] = out[d];
  }
  return plans;
}

absl::StatusOr<Kernel> PrepareMirrorPad(const PrepareArgs& args) {
  const TensorView &in = args.in(0), &out = args.out(0);
  if (in.type != out.type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  if (bytes <= 2 && (in.scale() != out.scale() || in.zero_point() != out.zero_point())) {
    return Invalid("input and output have different scales or zero points");
  }
  LS_ASSIGN_OR_RETURN(const Margins margins, ReadMargins(args));
  LS_ASSIGN_OR_RETURN(Plans made, MakePlans(args, margins, bytes));
  auto plans = std::make_shared<const Plans>(std::move(made));
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [plans](const RunArgs& run) {
    auto* to = run.out<std::byte>(0);
    reference::Copy(plans->inner, run.in<std::byte>(0), to);
    for (const reference::CopyPlan& plan : plans->mirrors) reference::Copy(plan, to, to);
    return absl::OkStatus();
  };
  return kernel;
}

}  // namespace

const OpRecord& MirrorPadOp() {
  static const OpRecord record = MovementRecord(
      schema::BuiltinOperator_MIRROR_PAD, {"", "MirrorPad", ""}, MirrorPadShape, PrepareMirrorPad,
      VersionTwoWhenQuantized, {{Role::kActivation}, {Role::kIndex}});
  return record;
}

}  // namespace litesmith
