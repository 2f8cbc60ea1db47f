#include <algorithm>
#include <functional>
#include <memory>

#include "kernels/dot_rows.h"
#include "kernels/gemm_f32.h"
#include "kernels/int_stage.h"
#include "kernels/int_tile.h"
#include "kernels/quantize_rows.h"
#include "kernels/reference/dynamic_range.h"
#include "kernels/reference/fully_connected.h"
#include "kernels/reference/stage.h"
#include "ops/batch_matmul_support.h"
#include "ops/gradient.h"
#include "ops/matrix_support.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using schema::BatchMatMulOptionsT;
using Sizes = MatMulSizes;

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_ASSIGN_OR_RETURN(const Sizes s, MatMulSizesOf(args.node.GetOptions<BatchMatMulOptionsT>(),
                                                   args.in(0).shape, args.in(1).shape));
  Shape out = s.batches;
  out.push_back(s.rows);
  out.push_back(s.units);
  LS_RETURN_IF_ERROR(CheckShape(out));
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

struct State {
  Sizes sizes;
  size_t left_elements = 0, right_elements = 0;
  size_t left_bytes = 0;  // of the transposed left operand in the scratch memory, rounded up
  size_t right_bytes = 0;
  int32_t in_offset = 0, weight_offset = 0, out_zero = 0;
  IntRange limits = {0, 0};
  Multiplier multiplier;
  std::vector<int32_t> stage_multiplier, stage_left, stage_right;  // the same for each unit
  MatrixIndex hybrid_rows;            // hybrid: first scale of each output matrix
  std::vector<float> channel_scales;  // hybrid; empty: in the row scales
  float weight_scale = 1.0f;
  bool asymmetric = false;
};

// The matrices [count][rows][columns] transposed, as the products' inner loop reads them.
template <typename T>
void TransposeMatrices(const T* from, size_t elements, size_t rows, size_t columns, T* to) {
  for (size_t base = 0; base < elements; base += rows * columns) {
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < columns; ++c) to[base + c * rows + r] = from[base + r * columns + c];
    }
  }
}

// Both operands with the summed dimension last: as they are, or transposed into the scratch memory.
template <typename T>
const T* LeftRows(const State& s, const RunArgs& args) {
  if (!s.sizes.adj_x) return args.in<T>(0);
  T* to = reinterpret_cast<T*>(args.scratch);
  TransposeMatrices(args.in<T>(0), s.left_elements, s.sizes.depth, s.sizes.rows, to);
  return to;
}
template <typename T>
const T* RightUnits(const State& s, const RunArgs& args) {
  if (s.sizes.adj_y) return args.in<T>(1);
  T* to = reinterpret_cast<T*>(args.scratch + s.left_bytes);
  TransposeMatrices(args.in<T>(1), s.right_elements, s.sizes.depth, s.sizes.units, to);
  return to;
}

// All rows of all output matrices, shared among the threads. `row_offsets`, when given, replaces
// the input offset output row by output row.
template <typename Acc, typename X, typename Y, typename Stage>
void RunRows(const State& s, const X* left, const Y* right, const int32_t* row_offsets,
             const Stage& stage, ThreadPool* threads) {
  const size_t rows = s.sizes.rows, depth = s.sizes.depth, units = s.sizes.units;
  const auto body = [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; ++row) {
      const size_t matrix = row / rows;
      const size_t from = s.sizes.left_index.At(matrix) * rows + row % rows;
      reference::MultiplyRow<Acc>(
          left + from * depth, right + s.sizes.right_index.At(matrix) * units * depth,
          s.sizes.depth, s.sizes.units, row_offsets == nullptr ? s.in_offset : row_offsets[row],
          s.weight_offset, row, stage);
    }
  };
  ParallelFor(threads, s.sizes.matrices * rows, 1, std::cref(body));
}

// Whether the integer loops run in vectors. Their scratch, behind that of the operands: a sum per
// unit of all right matrices.
bool InVectors(const PrepareArgs& args, const State& s) {
  return args.mode == KernelMode::kBest && s.sizes.depth > 0;
}
template <typename Acc>
size_t SumBytes(const State& s) {
  return (s.right_elements / static_cast<size_t>(s.sizes.depth) * sizeof(Acc) + 63) / 64 * 64;
}

template <typename Acc, typename T>
Acc SumOf(const T* row, size_t depth) {
  Acc sum = 0;
  for (size_t k = 0; k < depth; ++k) sum += static_cast<Acc>(int32_t{row[k]});
  return sum;
}

// A reference stage for some sums of a row.
template <typename Acc, typename Stage>
auto OneByOne(const Stage& stage, size_t units) {
  return [&stage, units](size_t row, size_t unit, size_t count, const Acc* sums) {
    for (size_t i = 0; i < count; ++i) {
      const size_t u = unit + i;
      stage(row * units + u, static_cast<int32_t>(u), static_cast<int32_t>(row), sums[i]);
    }
  };
}

// RunRows in vectors: deliver(row, unit, count, sums) takes the sums. The offsets are taken out of
// the products, (x + p)(y + q) = xy + py + qx + pq. The sums wrap as the plain loops' do.
template <typename Acc, typename X, typename Y, typename Deliver>
void RunRowsInVectors(const State& s, const X* left, const Y* right, const int32_t* row_offsets,
                      const Deliver& deliver, Acc* unit_sums, ThreadPool* threads) {
  const size_t rows = s.sizes.rows, depth = s.sizes.depth, units = s.sizes.units;
  const auto sum_units = [&](size_t begin, size_t end) {
    for (size_t u = begin; u < end; ++u) unit_sums[u] = SumOf<Acc>(right + u * depth, depth);
  };
  constexpr size_t kLeastSummed = 16384, kLeastProducts = size_t{1} << 17;
  const bool plain = row_offsets == nullptr && s.in_offset == 0;
  if (!plain) {
    ParallelFor(threads, s.right_elements / depth, kLeastSummed / depth + 1, std::cref(sum_units));
  }
  const auto offset = static_cast<Acc>(s.weight_offset);
  const auto body = [&](size_t begin, size_t end) {
    constexpr size_t kBlock = kIntTileColumns;
    alignas(64) Acc sums[kBlock];
    for (size_t row = begin; row < end; ++row) {
      const size_t matrix = row / rows, first = s.sizes.right_index.At(matrix) * units;
      const X* x = left + (s.sizes.left_index.At(matrix) * rows + row % rows) * depth;
      const auto p = static_cast<Acc>(row_offsets == nullptr ? s.in_offset : row_offsets[row]);
      Acc start = p * offset * static_cast<Acc>(depth);
      if (offset != 0) start += offset * SumOf<Acc>(x, depth);
      for (size_t block = 0; block < units; block += kBlock) {
        const size_t count = std::min(kBlock, units - block);
        DotRows(x, right + (first + block) * depth, depth, count, sums);
        for (size_t i = 0; i < count; ++i) {
          sums[i] += start + (plain ? Acc{0} : p * unit_sums[first + block + i]);
        }
        deliver(row, block, count, sums);
      }
    }
  };
  ParallelFor(threads, s.sizes.matrices * rows,
              kLeastProducts / std::max<size_t>(1, units * depth) + 1, std::cref(body));
}

// Of 8-bit numbers.
IntStage VectorStage(const State& s, int8_t* out) {
  IntStage stage;
  stage.out = out;
  stage.stride = static_cast<size_t>(s.sizes.units);
  stage.zero_point = s.out_zero;
  stage.low = s.limits.low;
  stage.high = s.limits.high;
  stage.multiplier = s.stage_multiplier.data();
  stage.left_shift = s.stage_left.data();
  stage.right_shift = s.stage_right.data();
  return stage;
}

template <typename Acc, typename X, typename Y, typename Out>
Kernel IntegerKernelInVectors(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.scratch_bytes = SumBytes<Acc>(*s);
  kernel.run = [s](const RunArgs& args) {
    auto* unit_sums = reinterpret_cast<Acc*>(args.scratch + s->left_bytes + s->right_bytes);
    const X* left = LeftRows<X>(*s, args);
    const Y* right = RightUnits<Y>(*s, args);
    if constexpr (sizeof(Acc) == sizeof(int32_t)) {
      const IntStage stage = VectorStage(*s, args.out<Out>(0));
      const auto deliver = [&](size_t row, size_t unit, size_t count, const Acc* sums) {
        RunIntStage(stage, row, unit, 1, count, reinterpret_cast<const int32_t*>(sums));
      };
      RunRowsInVectors(*s, left, right, nullptr, deliver, unit_sums, args.threads);
    } else {
      const reference::FixedPointStage<int32_t, Out> stage{
          {nullptr, s->out_zero, s->limits.low, s->limits.high, args.out<Out>(0)},
          &s->multiplier,
          0};
      RunRowsInVectors(*s, left, right, nullptr,
                       OneByOne<Acc>(stage, static_cast<size_t>(s->sizes.units)), unit_sums,
                       args.threads);
    }
    return absl::OkStatus();
  };
  return kernel;
}

template <typename Acc, typename X, typename Y, typename Out>
Kernel IntegerKernel(const PrepareArgs& prepare, std::shared_ptr<const State> s) {
  if (InVectors(prepare, *s)) return IntegerKernelInVectors<Acc, X, Y, Out>(s);
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    const reference::FixedPointStage<int32_t, Out> stage{
        {nullptr, s->out_zero, s->limits.low, s->limits.high, args.out<Out>(0)}, &s->multiplier, 0};
    RunRows<Acc>(*s, LeftRows<X>(*s, args), RightUnits<Y>(*s, args), nullptr, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// float32, and int8 to int32 sums, which LiteRT leaves without zero points.
template <typename Acc, typename T, typename Out>
Kernel PlainKernel(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    Out* out = args.out<Out>(0);
    const auto stage = [out](size_t index, int32_t, int32_t, Acc acc) {
      out[index] = static_cast<Out>(acc);
    };
    RunRows<Acc>(*s, LeftRows<T>(*s, args), RightUnits<T>(*s, args), nullptr, stage, args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

Kernel SumKernelInVectors(std::shared_ptr<const State> s) {
  Kernel kernel;
  kernel.run = [s](const RunArgs& args) {
    auto* out = args.out<int32_t>(0);
    const auto stage = [out](size_t index, int32_t, int32_t, uint32_t acc) {
      out[index] = static_cast<int32_t>(acc);
    };
    RunRowsInVectors(*s, LeftRows<int8_t>(*s, args), RightUnits<int8_t>(*s, args), nullptr,
                     OneByOne<uint32_t>(stage, static_cast<size_t>(s->sizes.units)),
                     static_cast<uint32_t*>(nullptr), args.threads);
    return absl::OkStatus();
  };
  return kernel;
}

// The left operand `a` (rows x depth; stored depth x rows with `turned`) and the right one (depth x
// units; turned: units x depth, packed first to `scratch`).
GemmLeft LeftMatrix(const float* a, bool turned, size_t rows, size_t depth) {
  return turned ? GemmLeft::Transposed(a, depth, rows) : GemmLeft::RowMajor(a, depth, depth);
}
GemmRight RightMatrix(const float* b, bool turned, size_t depth, size_t units, float* scratch) {
  if (!turned) return GemmRight::RowMajor(b, units);
  PackTransposed(b, depth, units, depth, scratch);
  return GemmRight::Packed(scratch, depth);
}

// float32 through the GEMM. Scratch: one packed right matrix, where they are stored turned.
Kernel ProductKernel(std::shared_ptr<const State> s) {
  const Sizes& z = s->sizes;
  const size_t rows = z.rows, depth = z.depth, units = z.units;
  Kernel kernel;
  if (z.adj_y) kernel.scratch_bytes = PackedFloats(depth, units) * sizeof(float);
  kernel.run = [s, rows, depth, units](const RunArgs& args) {
    const Sizes& sizes = s->sizes;
    auto* scratch = reinterpret_cast<float*>(args.scratch);
    GemmRight right;
    for (size_t i = 0; i < sizes.matrices; ++i) {
      const float* a = args.in<float>(0) + sizes.left_index.At(i) * rows * depth;
      const float* b = args.in<float>(1) + sizes.right_index.At(i) * depth * units;
      if (i == 0 || sizes.right_index.At(i) != sizes.right_index.At(i - 1)) {
        right = RightMatrix(b, sizes.adj_y, depth, units, scratch);
      }
      GemmResult out;
      out.data = args.out<float>(0) + i * rows * units;
      out.stride = units;
      GemmF32(rows, units, LeftMatrix(a, sizes.adj_x, rows, depth), right, out, args.threads);
    }
    return absl::OkStatus();
  };
  return kernel;
}

// Float left operand, int8 right one: each row is quantized by itself. Scratch after the operands:
// (sums of the units,) zero points and scales of the output's rows, then the quantized rows.
Kernel HybridKernel(const PrepareArgs& prepare, std::shared_ptr<const State> s) {
  const bool vectors = InVectors(prepare, *s);
  const size_t sum_bytes = vectors ? SumBytes<uint32_t>(*s) : 0;
  const size_t depth = s->sizes.depth, rows = s->sizes.rows;
  const size_t left_rows = depth == 0 ? 0 : s->left_elements / depth;
  const size_t out_rows = s->sizes.matrices * rows;
  Kernel kernel;
  kernel.scratch_bytes = sum_bytes + (out_rows + left_rows) * 2 * sizeof(float) + s->left_elements;
  kernel.run = [s, depth, rows, left_rows, out_rows, vectors, sum_bytes](const RunArgs& args) {
    auto* sums = reinterpret_cast<uint32_t*>(args.scratch + s->left_bytes + s->right_bytes);
    auto* zeros =
        reinterpret_cast<int32_t*>(args.scratch + s->left_bytes + s->right_bytes + sum_bytes);
    auto* scales = reinterpret_cast<float*>(zeros + out_rows);
    auto* left_zeros = reinterpret_cast<int32_t*>(scales + out_rows);
    auto* left_scales = reinterpret_cast<float*>(left_zeros + left_rows);
    auto* quantized = reinterpret_cast<int8_t*>(left_scales + left_rows);
    const float* left = LeftRows<float>(*s, args);
    for (size_t r = 0; r < left_rows; ++r) {
      int32_t zero = 0;
      const float* from = left + r * depth;
      int8_t* to = quantized + r * depth;
      if (vectors) {
        left_scales[r] = s->asymmetric ? QuantizeRowAsymmetric(from, depth, to, &zero)
                                       : QuantizeRowSymmetric(from, depth, to);
      } else {
        left_scales[r] = s->asymmetric ? reference::QuantizeAsymmetric(from, depth, to, &zero)
                                       : reference::QuantizeSymmetric(from, depth, to);
      }
      if (s->channel_scales.empty()) left_scales[r] *= s->weight_scale;
      left_zeros[r] = -zero;
    }
    for (size_t row = 0; row < out_rows && left_rows > 0; ++row) {
      const size_t from = s->hybrid_rows.At(row / rows) + row % rows;
      zeros[row] = left_zeros[from];
      scales[row] = left_scales[from];
    }
    const float infinity = std::numeric_limits<float>::infinity();
    const reference::HybridStage stage{
        nullptr,
        scales,
        s->channel_scales.empty() ? nullptr : s->channel_scales.data(),
        1,
        false,
        -infinity,
        infinity,
        args.out<float>(0)};
    const int8_t* right = RightUnits<int8_t>(*s, args);
    if (vectors) {
      RunRowsInVectors(*s, quantized, right, zeros,
                       OneByOne<uint32_t>(stage, static_cast<size_t>(s->sizes.units)), sums,
                       args.threads);
    } else {
      RunRows<uint32_t>(*s, quantized, right, zeros, stage, args.threads);
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::Status PrepareInteger(const PrepareArgs& args, State* s) {
  const TensorView &x = args.in(0), &y = args.in(1), &out = args.out(0);
  LS_RETURN_IF_ERROR(CheckActivationQuant(x, "input 0"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(y, "input 1"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(out, "the output"));
  const bool wide = x.type == schema::TensorType_INT16;
  if (wide && y.zero_point() != 0) return Invalid("input 1 has the zero point {}", y.zero_point());
  LS_ASSIGN_OR_RETURN(const std::vector<Multiplier> multipliers,
                      QuantizeFactors({TensorFactor(x, y, out)}, wide));
  s->multiplier = multipliers[0];
  const size_t columns = static_cast<size_t>(s->sizes.units) + kIntTileColumns;
  s->stage_multiplier.assign(columns, s->multiplier.multiplier);
  s->stage_left.assign(columns, std::max(s->multiplier.shift, 0));
  s->stage_right.assign(columns, std::max(-s->multiplier.shift, 0));
  s->in_offset = -x.zero_point();
  s->weight_offset = -y.zero_point();
  s->out_zero = out.zero_point();
  LS_ASSIGN_OR_RETURN(s->limits,
                      QuantizedActivationRange(schema::ActivationFunctionType_NONE, out));
  return absl::OkStatus();
}

absl::StatusOr<Kernel> PrepareByType(const PrepareArgs& args, std::shared_ptr<State> s) {
  const TensorType x = args.in(0).type, y = args.in(1).type, out = args.out(0).type;
  if (x == schema::TensorType_FLOAT32 && y == x && out == x) {
    if (args.mode == KernelMode::kBest) {
      s->left_bytes = s->right_bytes = 0;
      return ProductKernel(s);
    }
    return PlainKernel<float, float, float>(s);
  }
  if (x == schema::TensorType_FLOAT32 && y == schema::TensorType_INT8 && out == x) {
    LS_RETURN_IF_ERROR(CheckWeightQuant(args.in(1), s->sizes.units, true));
    s->asymmetric = args.node.GetOptions<BatchMatMulOptionsT>().asymmetric_quantize_inputs;
    s->weight_scale = args.in(1).scale();
    s->hybrid_rows = HybridRows(s->sizes, args.in(0).shape, args.in(1).shape);
    if (args.in(1).quant->per_channel()) s->channel_scales = args.in(1).quant->scale;
    return HybridKernel(args, s);
  }
  if (x == schema::TensorType_INT8 && y == x && out == schema::TensorType_INT32) {
    if (InVectors(args, *s)) return SumKernelInVectors(s);
    return PlainKernel<uint32_t, int8_t, int32_t>(s);
  }
  if (x == schema::TensorType_INT8 && y == x && out == x) {
    LS_RETURN_IF_ERROR(PrepareInteger(args, s.get()));
    return IntegerKernel<uint32_t, int8_t, int8_t, int8_t>(args, s);
  }
  if (x == schema::TensorType_INT16 && out == x && (y == x || y == schema::TensorType_INT8)) {
    LS_RETURN_IF_ERROR(PrepareInteger(args, s.get()));
    if (y == x) return IntegerKernel<uint64_t, int16_t, int16_t, int16_t>(args, s);
    return IntegerKernel<uint64_t, int16_t, int8_t, int16_t>(args, s);
  }
  return NoKernel(args);
}

absl::StatusOr<Kernel> PrepareBatchMatMul(const PrepareArgs& args) {
  auto s = std::make_shared<State>();
  const TensorView &x = args.in(0), &y = args.in(1);
  LS_ASSIGN_OR_RETURN(s->sizes,
                      MatMulSizesOf(args.node.GetOptions<BatchMatMulOptionsT>(), x.shape, y.shape));
  s->left_elements = static_cast<size_t>(x.elements());
  s->right_elements = static_cast<size_t>(y.elements());
  const auto aligned = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  if (s->sizes.adj_x) s->left_bytes = aligned(s->left_elements * TypeSize(x.type));
  if (!s->sizes.adj_y) s->right_bytes = aligned(s->right_elements * TypeSize(y.type));
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByType(args, s));
  kernel.scratch_bytes += s->left_bytes + s->right_bytes;
  kernel.name = MatrixKernelName(args, 0, 1, "batch_matmul");
  return kernel;
}

// out (stored rows x columns, or columns x rows with `turned`) += a * b. A turned result is the
// product of the turned operands the other way round.
struct Operand {
  const float* data;
  bool turned;
};
void AddProduct(Operand a, Operand b, size_t rows, size_t depth, size_t columns, bool turned,
                float* out, float* scratch, ThreadPool* threads) {
  GemmResult to;
  to.data = out;
  to.stride = turned ? rows : columns;
  to.accumulate = true;
  if (turned) {
    GemmF32(columns, rows, LeftMatrix(b.data, !b.turned, columns, depth),
            RightMatrix(a.data, !a.turned, depth, rows, scratch), to, threads);
  } else {
    GemmF32(rows, columns, LeftMatrix(a.data, a.turned, rows, depth),
            RightMatrix(b.data, b.turned, depth, columns, scratch), to, threads);
  }
}

absl::Status BatchMatMulGradient(const GradArgs& args) {
  const TensorView &x = args.inputs[0], &y = args.inputs[1];
  LS_ASSIGN_OR_RETURN(const Sizes s,
                      MatMulSizesOf(args.node.GetOptions<BatchMatMulOptionsT>(), x.shape, y.shape));
  const size_t rows = s.rows, depth = s.depth, units = s.units;
  const size_t packed = std::max({PackedFloats(units, depth), PackedFloats(units, rows),
                                  PackedFloats(rows, depth), PackedFloats(rows, units)});
  auto* scratch = reinterpret_cast<float*>(GradScratch(args, packed * sizeof(float)));
  float *dx = args.in_grads[0], *dy = args.in_grads[1];
  if (dx != nullptr && args.first[0]) std::fill_n(dx, x.elements(), 0.0f);
  if (dy != nullptr && args.first[1]) std::fill_n(dy, y.elements(), 0.0f);
  for (size_t i = 0; i < s.matrices && rows * depth * units > 0; ++i) {
    const size_t left = s.left_index.At(i) * rows * depth,
                 right = s.right_index.At(i) * depth * units;
    const Operand out{args.out_grads[0] + i * rows * units, false};
    if (dx != nullptr) {  // out * y transposed
      AddProduct(out, {y.As<float>() + right, !s.adj_y}, rows, units, depth, s.adj_x, dx + left,
                 scratch, args.threads);
    }
    if (dy != nullptr) {  // x transposed * out
      AddProduct({x.As<float>() + left, !s.adj_x}, out, depth, rows, units, s.adj_y, dy + right,
                 scratch, args.threads);
    }
  }
  return absl::OkStatus();
}

int Version(const VersionArgs& args) {
  // Version 3 names int16 too, but TFLite's converter writes 2.
  if (args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16) return 2;
  const bool hybrid = args.in(1) == schema::TensorType_INT8;
  return hybrid && args.node.GetOptions<BatchMatMulOptionsT>().asymmetric_quantize_inputs ? 4 : 1;
}

}  // namespace

const OpRecord& BatchMatMulOp() {
  static const OpRecord record = [] {
    OpRecord r;
    r.op = schema::BuiltinOperator_BATCH_MATMUL;
    r.names = {"", "BatchMatMulV2", "MatMul"};
    r.infer_shapes = Infer;
    r.prepare = PrepareBatchMatMul;
    r.gradient = BatchMatMulGradient;
    r.version = Version;
    r.quant.int8 = r.quant.int16x8 = r.quant.dynamic = true;
    return r;
  }();
  return record;
}

}  // namespace litesmith
