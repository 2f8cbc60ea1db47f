// SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND: blocks of space moved
// into the channels or the batch and back.

#include <algorithm>
#include <array>
#include <limits>

#include "ops/movement.h"

namespace litesmith {
namespace {

absl::StatusOr<int64_t> BlockSize(const ShapeArgs& args, int32_t block) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 1, 1, 1));
  if (args.in(0).rank() != 4)
    return Invalid("shape {} has not 4 dimensions", ShapeString(args.in(0).shape));
  if (block <= 0 || block > 1 << 15) return Invalid("a block of {} is not possible", block);
  return int64_t{block};
}

absl::Status SpaceToDepthShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_ASSIGN_OR_RETURN(
      const int64_t block,
      BlockSize(args, args.node.GetOptions<schema::SpaceToDepthOptionsT>().block_size));
  Shape out = args.in(0).shape;
  if (out[1] % block != 0 || out[2] % block != 0) {
    return Invalid("shape {} cannot be cut into blocks of {}", ShapeString(out), block);
  }
  out[1] = static_cast<int32_t>(out[1] / block);
  out[2] = static_cast<int32_t>(out[2] / block);
  LS_ASSIGN_OR_RETURN(out[3], CheckedDimension(out[3] * block * block));
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::Status DepthToSpaceShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_ASSIGN_OR_RETURN(
      const int64_t block,
      BlockSize(args, args.node.GetOptions<schema::DepthToSpaceOptionsT>().block_size));
  Shape out = args.in(0).shape;
  if (out[3] % (block * block) != 0) {
    return Invalid("{} channels cannot be cut into blocks of {}", out[3], block * block);
  }
  LS_ASSIGN_OR_RETURN(out[1], CheckedDimension(out[1] * block));
  LS_ASSIGN_OR_RETURN(out[2], CheckedDimension(out[2] * block));
  out[3] = static_cast<int32_t>(out[3] / (block * block));
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

// The copy between a tensor with few channels and much space and one with blocks in its channels:
// batch, block row, row in block, block column, column in block, channel.
absl::StatusOr<Kernel> BlockKernel(const PrepareArgs& args, const Shape& space, int64_t block,
                                   bool to_depth) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  const int64_t h = space[1] / block, w = space[2] / block, c = space[3];
  const std::array<int64_t, 6> size = {space[0], h, block, w, block, c};
  const int64_t row = w * block * c;  // of the spacious side
  const std::array<int64_t, 6> spacious = {h * block * row, block * row, row, block * c, c, 1};
  const int64_t deep = block * block * c;  // channels of the other
  const std::array<int64_t, 6> blocked = {h * w * deep, w * deep, block * c, deep, c, 1};
  LS_ASSIGN_OR_RETURN(const reference::CopyPlan plan,
                      to_depth ? MakeCopy(bytes, size, spacious, blocked)
                               : MakeCopy(bytes, size, blocked, spacious));
  return CopyKernel(args, plan);
}

absl::StatusOr<Kernel> PrepareSpaceToDepth(const PrepareArgs& args) {
  const int32_t block = args.node.GetOptions<schema::SpaceToDepthOptionsT>().block_size;
  return BlockKernel(args, args.in(0).shape, block, true);
}

absl::StatusOr<Kernel> PrepareDepthToSpace(const PrepareArgs& args) {
  const int32_t block = args.node.GetOptions<schema::DepthToSpaceOptionsT>().block_size;
  return BlockKernel(args, args.out(0).shape, block, false);
}

constexpr int kMostBlockDims = 4;

// One spatial dimension: its block, what is added (SPACE_TO_BATCH_ND) or cut off
// (BATCH_TO_SPACE_ND) before and after, its size with space and its size among the blocks.
struct BlockDim {
  int64_t block = 1;
  int64_t before = 0, after = 0;
  int64_t space = 1;
  int64_t blocks = 1;
};

struct Blocks {
  int dims = 0;
  std::array<BlockDim, kMostBlockDims> dim;
  int64_t batch = 1;        // of the spacious side
  int64_t block_count = 1;  // product of the blocks
  int64_t inner = 1;        // bytes behind the spatial dimensions
};

template <typename Args>
absl::StatusOr<Blocks> ReadBlocks(const Args& args, bool to_batch) {
  const Shape& in = args.in(0).shape;
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> block, IntegerInput(args, 1));
  LS_ASSIGN_OR_RETURN(const std::vector<int64_t> margins, IntegerInput(args, 2));
  Blocks out;
  out.dims = static_cast<int>(block.size());
  if (args.in(1).rank() != 1 || out.dims < 1 || out.dims > kMostBlockDims ||
      out.dims + 1 > args.in(0).rank() || args.in(2).shape != Shape{out.dims, 2}) {
    return Invalid("blocks of shape {} and margins of shape {} do not fit an input of shape {}",
                   ShapeString(args.in(1).shape), ShapeString(args.in(2).shape), ShapeString(in));
  }
  int64_t batch = in[0];
  for (int d = 0; d < out.dims; ++d) {
    BlockDim& dim = out.dim[d];
    dim = {block[d], margins[2 * d], margins[2 * d + 1], in[d + 1], in[d + 1]};
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    if (dim.block <= 0 || dim.block > kMost || dim.before < 0 || dim.after < 0 ||
        dim.before > kMost || dim.after > kMost) {
      return Invalid("a block of {} with margins {} and {} is not possible", dim.block, dim.before,
                     dim.after);
    }
    if (to_batch) {
      const int64_t padded = dim.space + dim.before + dim.after;
      if (padded % dim.block != 0)
        return Invalid("{} cannot be cut into blocks of {}", padded, dim.block);
      dim.blocks = padded / dim.block;
      LS_RETURN_IF_ERROR(CheckedDimension(batch * dim.block).status());
      batch *= dim.block;
    } else {
      LS_ASSIGN_OR_RETURN(dim.space,
                          CheckedDimension(dim.blocks * dim.block - dim.before - dim.after));
      if (batch % dim.block != 0)
        return Invalid("a batch of {} has no blocks of {}", in[0], dim.block);
      batch /= dim.block;
    }
    LS_ASSIGN_OR_RETURN(out.block_count, CheckedDimension(out.block_count * dim.block));
  }
  out.batch = to_batch ? in[0] : batch;
  return out;
}

absl::Status BlocksShape(const ShapeArgs& args, bool to_batch, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 3, 3, 1));
  LS_ASSIGN_OR_RETURN(const Blocks blocks, ReadBlocks(args, to_batch));
  Shape out = args.in(0).shape;
  out[0] = static_cast<int32_t>(to_batch ? blocks.batch * blocks.block_count : blocks.batch);
  for (int d = 0; d < blocks.dims; ++d) {
    LS_ASSIGN_OR_RETURN(out[d + 1],
                        CheckedDimension(to_batch ? blocks.dim[d].blocks : blocks.dim[d].space));
  }
  *outputs = {std::move(out)};
  return absl::OkStatus();
}

absl::Status SpaceToBatchShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  return BlocksShape(args, true, outputs);
}
absl::Status BatchToSpaceShape(const ShapeArgs& args, std::vector<Shape>* outputs) {
  return BlocksShape(args, false, outputs);
}

// The copy of one position within the blocks: a box of the spacious side with a stride of a block,
// the part of it that is no margin.
reference::CopyPlan BlockCopy(const Blocks& blocks, int64_t position, bool to_batch) {
  reference::CopyPlan plan;
  plan.run = blocks.inner;
  plan.count = 1;
  int64_t spacious = blocks.inner, blocked = blocks.inner;  // bytes between neighbours
  int64_t spacious_offset = 0, blocked_offset = 0;
  int64_t rest = position;
  for (int d = blocks.dims - 1; d >= 0; --d) {
    const BlockDim& dim = blocks.dim[d];
    const int64_t within = rest % dim.block;
    rest /= dim.block;
    // Block i holds place i * block + within - before of the spacious side, if that is one.
    const int64_t first =
        within >= dim.before ? 0 : (dim.before - within + dim.block - 1) / dim.block;
    const int64_t end =
        std::min(dim.blocks, (dim.before - within + dim.space + dim.block - 1) / dim.block);
    const int64_t count = std::max<int64_t>(0, end - first);
    spacious_offset += (first * dim.block + within - dim.before) * spacious;
    blocked_offset += first * blocked;
    const int64_t step = dim.block * spacious;
    AddLoop(&plan, count, to_batch ? step : blocked, to_batch ? blocked : step);
    spacious *= dim.space;
    blocked *= dim.blocks;
  }
  AddLoop(&plan, blocks.batch, to_batch ? spacious : blocked, to_batch ? blocked : spacious);
  blocked_offset += position * blocks.batch * blocked;
  plan.from_offset = to_batch ? spacious_offset : blocked_offset;
  plan.to_offset = to_batch ? blocked_offset : spacious_offset;
  return plan;
}

absl::StatusOr<Kernel> PrepareBlocks(const PrepareArgs& args, bool to_batch) {
  if (args.in(0).type != args.out(0).type) return NoKernel(args);
  LS_ASSIGN_OR_RETURN(const size_t bytes, ElementBytes(args));
  LS_ASSIGN_OR_RETURN(Blocks blocks, ReadBlocks(args, to_batch));
  blocks.inner =
      Elements(args.in(0).shape, blocks.dims + 1, args.in(0).rank()) * static_cast<int64_t>(bytes);
  const int64_t elements = args.out(0).elements();
  int64_t zero = 0;  // what the margins hold
  if (bytes <= 2 && IsQuantized(args.out(0))) zero = args.out(0).zero_point();
  Kernel kernel;
  kernel.name = KernelName(args);
  kernel.run = [=](const RunArgs& run) {
    if (elements == 0) return absl::OkStatus();
    auto* to = run.out<std::byte>(0);
    if (to_batch) {
      reference::Fill(reinterpret_cast<const std::byte*>(&zero), static_cast<int64_t>(bytes),
                      elements, to);
    }
    for (int64_t i = 0; i < blocks.block_count; ++i) {
      reference::Copy(BlockCopy(blocks, i, to_batch), run.in<std::byte>(0), to);
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareSpaceToBatch(const PrepareArgs& args) {
  return PrepareBlocks(args, true);
}
absl::StatusOr<Kernel> PrepareBatchToSpace(const PrepareArgs& args) {
  return PrepareBlocks(args, false);
}

int BlocksVersion(const VersionArgs& args) {
  return args.inputs[0].rank() != 4 ? 3 : VersionTwoWhenQuantized(args);
}

}  // namespace

const OpRecord& SpaceToDepthOp() {
  static const OpRecord record = [] {
    OpRecord r = MovementRecord(
        schema::BuiltinOperator_SPACE_TO_DEPTH, {"", "SpaceToDepth", "SpaceToDepth"},
        SpaceToDepthShape, PrepareSpaceToDepth, VersionTwoWhenQuantized, {{Role::kActivation}});
    r.quant.int16x8 = false;  // LiteRT has no int16 kernel
    return r;
  }();
  return record;
}

const OpRecord& DepthToSpaceOp() {
  static const OpRecord record = [] {
    OpRecord r = MovementRecord(
        schema::BuiltinOperator_DEPTH_TO_SPACE, {"", "DepthToSpace", "DepthToSpace"},
        DepthToSpaceShape, PrepareDepthToSpace, VersionTwoWhenQuantized, {{Role::kActivation}});
    r.quant.int16x8 = false;  // LiteRT has no int16 kernel
    return r;
  }();
  return record;
}

const OpRecord& SpaceToBatchNdOp() {
  static const OpRecord record = MovementRecord(
      schema::BuiltinOperator_SPACE_TO_BATCH_ND, {"", "SpaceToBatchND", ""}, SpaceToBatchShape,
      PrepareSpaceToBatch, BlocksVersion, {{Role::kActivation}, {Role::kIndex}});
  return record;
}

const OpRecord& BatchToSpaceNdOp() {
  static const OpRecord record = MovementRecord(
      schema::BuiltinOperator_BATCH_TO_SPACE_ND, {"", "BatchToSpaceND", ""}, BatchToSpaceShape,
      PrepareBatchToSpace, BlocksVersion, {{Role::kActivation}, {Role::kIndex}});
  return record;
}

}  // namespace litesmith
