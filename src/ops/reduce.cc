// MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY and REDUCE_ALL.

#include "kernels/reference/reduce.h"

#include <cmath>
#include <functional>

#include "kernels/gradient/elementwise_f32.h"
#include "kernels/sum_rows.h"
#include "ops/elementwise.h"
#include "ops/gradient.h"
#include "ops/op_support.h"

namespace litesmith {
namespace {

using reference::ReduceGeometry;
using schema::ReducerOptionsT;

// Which dimensions of the input are reduced. Duplicates and negative axes are fine, as in TFLite.
absl::StatusOr<std::vector<bool>> ReducedDimensions(const TensorView& input,
                                                    const TensorView& axes) {
  std::vector<bool> reduced(input.shape.size(), false);
  if (input.shape.empty()) return reduced;
  for (int64_t i = 0; i < axes.elements(); ++i) {
    LS_ASSIGN_OR_RETURN(const int axis, ResolveAxis(axes.As<int32_t>()[i], input.rank()));
    reduced[axis] = true;
  }
  return reduced;
}

absl::Status Infer(const ShapeArgs& args, std::vector<Shape>* outputs) {
  LS_RETURN_IF_ERROR(CheckOperands(args, 2, 2, 1));
  LS_RETURN_IF_ERROR(CheckType(args.in(1), "the axes", {schema::TensorType_INT32}));
  if (args.in(1).data == nullptr && args.in(1).elements() > 0) return NeedsValue(1);
  LS_ASSIGN_OR_RETURN(const std::vector<bool> reduced, ReducedDimensions(args.in(0), args.in(1)));
  Shape out;
  const bool keep = args.node.GetOptions<ReducerOptionsT>().keep_dims;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d]) {
      out.push_back(args.in(0).shape[d]);
    } else if (keep) {
      out.push_back(1);
    }
  }
  outputs->assign(1, std::move(out));
  return absl::OkStatus();
}

absl::StatusOr<ReduceGeometry> MakeGeometry(const TensorView& input, const TensorView& axes) {
  LS_ASSIGN_OR_RETURN(const std::vector<bool> reduced, ReducedDimensions(input, axes));
  ReduceGeometry g;
  g.in_elements = g.out_elements = g.reduced = 1;
  std::vector<std::pair<size_t, bool>> loops;
  for (size_t d = 0; d < reduced.size(); ++d) {
    const size_t size = input.shape[d];
    g.in_elements *= size;
    (reduced[d] ? g.reduced : g.out_elements) *= size;
    if (!loops.empty() && loops.back().second == reduced[d]) {
      loops.back().first *= size;
    } else {
      loops.emplace_back(size, reduced[d]);
    }
  }
  if (loops.size() > reference::kMaxReduceLoops) {
    return Unsupported("an input of {} dimensions has no kernel", reduced.size());
  }
  size_t stride = 1;
  g.loops = static_cast<int>(loops.size());
  for (int i = g.loops - 1; i >= 0; --i) {
    g.size[i] = loops[i].first;
    if (loops[i].second) continue;
    g.out_stride[i] = stride;
    stride *= loops[i].first;
  }
  return g;
}

// Integers wrap around.
template <typename T>
T WrappingSum(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a + b;
  return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <typename T>
T WrappingProduct(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) return a * b;
  return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

// The output starts as `start` and takes f(output, input) of every element.
template <typename T, typename F>
Kernel FoldKernel(const ReduceGeometry& g, T start, const F& f) {
  Kernel kernel;
  kernel.run = [g, start, f](const RunArgs& args) {
    T* out = args.out<T>(0);
    std::fill_n(out, g.out_elements, start);
    reference::Reduce(g, args.in<T>(0), out, f);
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T>
absl::StatusOr<Kernel> FoldByOperator(const PrepareArgs& args, const ReduceGeometry& g) {
  using Limits = std::numeric_limits<T>;
  switch (args.node.op) {
    case schema::BuiltinOperator_REDUCE_MAX:
      return FoldKernel<T>(g, Limits::lowest(), [](T a, T x) { return x > a ? x : a; });
    case schema::BuiltinOperator_REDUCE_MIN:
      return FoldKernel<T>(g, Limits::max(), [](T a, T x) { return x < a ? x : a; });
    case schema::BuiltinOperator_SUM:
      return FoldKernel<T>(g, T{0}, &WrappingSum<T>);
    case schema::BuiltinOperator_REDUCE_PROD:
      return FoldKernel<T>(g, T{1}, &WrappingProduct<T>);
    default:
      return NoKernel(args);
  }
}

// ANY and ALL, and what they are called as sums, products and extremes.
absl::StatusOr<Kernel> PrepareBool(const PrepareArgs& args, const ReduceGeometry& g) {
  if (args.in(0).type != schema::TensorType_BOOL) return NoKernel(args);
  const schema::BuiltinOperator op = args.node.op;
  if (op == schema::BuiltinOperator_REDUCE_ANY || op == schema::BuiltinOperator_REDUCE_MAX ||
      op == schema::BuiltinOperator_SUM) {
    return FoldKernel<uint8_t>(g, 0,
                               [](uint8_t a, uint8_t x) { return uint8_t{a != 0 || x != 0}; });
  }
  return FoldKernel<uint8_t>(g, 1, [](uint8_t a, uint8_t x) { return uint8_t{a != 0 && x != 0}; });
}

absl::StatusOr<Kernel> PrepareFold(const PrepareArgs& args, const ReduceGeometry& g) {
  const TensorView &in = args.in(0), &out = args.out(0);
  switch (in.type) {
    case schema::TensorType_BOOL:
      return PrepareBool(args, g);
    case schema::TensorType_FLOAT32:
      return FoldByOperator<float>(args, g);
    case schema::TensorType_INT32:
      return FoldByOperator<int32_t>(args, g);
    case schema::TensorType_INT64:
      return FoldByOperator<int64_t>(args, g);
    default:
      break;
  }
  if (in.scale() != out.scale() || in.zero_point() != out.zero_point()) {
    return Invalid("input and output need the same scale and zero point");
  }
  switch (in.type) {
    case schema::TensorType_INT8:
      return FoldByOperator<int8_t>(args, g);
    case schema::TensorType_UINT8:
      return FoldByOperator<uint8_t>(args, g);
    case schema::TensorType_INT16:
      return FoldByOperator<int16_t>(args, g);
    default:
      return NoKernel(args);
  }
}

// Whole rows of the last dimension, which stays; the threads share its columns.
template <typename T, typename Acc, typename Finish>
void AddRows(const ReduceGeometry& g, const Finish& finish, const T* in, Acc* sums, T* out,
             ThreadPool* threads) {
  const auto row = static_cast<size_t>(g.size[g.loops - 1]);
  if (row == 0) return;
  const auto body = [&](size_t begin, size_t end) {
    for (size_t i = 0; i < g.out_elements; i += row) {
      std::fill(sums + i + begin, sums + i + end, Acc{0});
    }
    reference::ReduceRows(g, [&](size_t from, size_t to) {
      AddToSums(in + from + begin, end - begin, sums + to + begin);
    });
    for (size_t i = 0; i < g.out_elements; i += row) {
      for (size_t c = i + begin; c < i + end; ++c) out[c] = finish(sums[c]);
    }
  };
  const size_t rows = std::max<size_t>(1, g.in_elements / row);
  ParallelFor(threads, row, kElementGrain / rows + 1, std::cref(body));
}

// Accumulates in Acc in the scratch memory, then out[i] = finish(sum).
template <typename T, typename Acc, typename Finish>
Kernel SumKernel(const PrepareArgs& prepare, const ReduceGeometry& g, const Finish& finish) {
  // Where the last dimension stays, whole rows are added.
  constexpr bool kHasRows = std::is_same_v<Acc, uint32_t> || std::is_same_v<Acc, float>;
  const bool rows = kHasRows && prepare.mode == KernelMode::kBest && g.loops > 1 &&
                    g.out_stride[g.loops - 1] == 1;
  Kernel kernel;
  kernel.scratch_bytes = g.out_elements * sizeof(Acc);
  kernel.run = [g, finish, rows](const RunArgs& args) {
    auto* sums = reinterpret_cast<Acc*>(args.scratch);
    const T* in = args.in<T>(0);
    T* out = args.out<T>(0);
    if constexpr (kHasRows) {
      if (rows) {
        AddRows(g, finish, in, sums, out, args.threads);
        return absl::OkStatus();
      }
    }
    std::fill_n(sums, g.out_elements, Acc{0});
    reference::Reduce(g, in, sums,
                      [](Acc a, T x) { return static_cast<Acc>(a + static_cast<Acc>(x)); });
    for (size_t i = 0; i < g.out_elements; ++i) out[i] = finish(sums[i]);
    return absl::OkStatus();
  };
  return kernel;
}

template <typename T>
absl::StatusOr<Kernel> QuantizedSumKernel(const PrepareArgs& args, const ReduceGeometry& g) {
  const TensorView &in = args.in(0), &out = args.out(0);
  LS_RETURN_IF_ERROR(CheckActivationQuant(in, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(out, "the output"));
  reference::RequantizedSum finish;
  finish.multiplier = QuantizeMultiplier(double{in.scale()} / double{out.scale()});
  finish.in_zero = in.zero_point();
  finish.out_zero = out.zero_point();
  finish.low = std::numeric_limits<T>::min();
  finish.high = std::numeric_limits<T>::max();
  finish.count = static_cast<int64_t>(g.reduced);
  if (g.in_elements == 0) return FoldKernel<T>(g, T{0}, [](T a, T) { return a; });
  if (args.node.op == schema::BuiltinOperator_MEAN) {
    finish.multiplier = reference::MeanMultiplier(finish.multiplier, finish.count);
  }
  return SumKernel<T, uint32_t>(args, g,
                                [finish](uint32_t sum) { return static_cast<T>(finish(sum)); });
}

// MEAN, and SUM of quantized integers.
absl::StatusOr<Kernel> PrepareMean(const PrepareArgs& args, const ReduceGeometry& g) {
  const auto count = static_cast<int64_t>(g.reduced);
  switch (args.in(0).type) {
    case schema::TensorType_FLOAT32:
      return SumKernel<float, float>(
          args, g, [count](float sum) { return sum / static_cast<float>(count); });
    case schema::TensorType_INT32:
      return SumKernel<int32_t, uint64_t>(args, g, [count](uint64_t sum) {
        return count == 0 ? 0 : static_cast<int32_t>(static_cast<int64_t>(sum) / count);
      });
    case schema::TensorType_INT64:
      return SumKernel<int64_t, uint64_t>(args, g, [count](uint64_t sum) {
        return count == 0 ? 0 : static_cast<int64_t>(sum) / count;
      });
    case schema::TensorType_INT8:
      return QuantizedSumKernel<int8_t>(args, g);
    case schema::TensorType_UINT8:
      return QuantizedSumKernel<uint8_t>(args, g);
    case schema::TensorType_INT16:
      return QuantizedSumKernel<int16_t>(args, g);
    default:
      return NoKernel(args);
  }
}

// Quantized REDUCE_PROD: every product is rescaled by the scale's share in it, so that none
// overflows.
template <typename T>
absl::StatusOr<Kernel> QuantizedProdKernel(const PrepareArgs& args, const ReduceGeometry& g) {
  const TensorView &in = args.in(0), &out = args.out(0);
  LS_RETURN_IF_ERROR(CheckActivationQuant(in, "the input"));
  LS_RETURN_IF_ERROR(CheckActivationQuant(out, "the output"));
  if (g.in_elements == 0) return FoldKernel<T>(g, T{0}, [](T a, T) { return a; });
  const double factor =
      double{in.scale()} / std::pow(double{out.scale()}, 1.0 / static_cast<double>(g.reduced));
  const Multiplier scale = QuantizeMultiplier(factor);
  if (scale.shift > 7) return Invalid("the scales ask for a factor of {} per product", factor);
  const int32_t in_zero = in.zero_point(), out_zero = out.zero_point();
  Kernel kernel;
  kernel.scratch_bytes = g.out_elements * 2 * sizeof(int32_t);
  kernel.run = [g, scale, in_zero, out_zero](const RunArgs& run) {
    // A product that has taken no element yet is not 1 in any scale: the first element starts it.
    struct Product {
      int32_t value;
      uint32_t started;
    };
    auto* products = reinterpret_cast<Product*>(run.scratch);
    std::fill_n(products, g.out_elements, Product{0, 0});
    reference::Reduce(g, run.in<T>(0), products, [scale, in_zero](Product a, T x) {
      const int32_t real = int32_t{x} - in_zero;
      if (a.started == 0) return Product{real, 1};
      return Product{MultiplyByQuantizedMultiplier(int64_t{a.value} * real, scale), 1};
    });
    for (size_t i = 0; i < g.out_elements; ++i) {
      const int32_t value = MultiplyByQuantizedMultiplier(int64_t{products[i].value}, scale);
      run.out<T>(0)[i] = static_cast<T>(std::clamp<int32_t>(reference::WrappingAdd(value, out_zero),
                                                            std::numeric_limits<T>::min(),
                                                            std::numeric_limits<T>::max()));
    }
    return absl::OkStatus();
  };
  return kernel;
}

absl::StatusOr<Kernel> PrepareByOperator(const PrepareArgs& args, const ReduceGeometry& g) {
  const TensorType type = args.in(0).type;
  const bool small = type == schema::TensorType_INT8 || type == schema::TensorType_UINT8 ||
                     type == schema::TensorType_INT16;
  switch (args.node.op) {
    case schema::BuiltinOperator_REDUCE_ANY:
    case schema::BuiltinOperator_REDUCE_ALL:
      return PrepareBool(args, g);
    case schema::BuiltinOperator_MEAN:
      return PrepareMean(args, g);
    case schema::BuiltinOperator_SUM:
      // LiteRT's reference kernel takes the bytes of int8 tensors for uint8 (its optimised one and
      // tflite-micro do not). Its int16 sums read and write half of each tensor: nothing to be
      // equal to.
      if (type == schema::TensorType_INT8 && args.arithmetic == Arithmetic::kLitert) {
        return QuantizedSumKernel<uint8_t>(args, g);
      }
      if (small) return PrepareMean(args, g);
      break;
    case schema::BuiltinOperator_REDUCE_PROD:
      if (args.in(0).quant->empty()) break;
      if (type == schema::TensorType_INT8) return QuantizedProdKernel<int8_t>(args, g);
      if (type == schema::TensorType_INT16) return QuantizedProdKernel<int16_t>(args, g);
      return NoKernel(args);
    default:
      break;
  }
  return PrepareFold(args, g);
}

absl::StatusOr<Kernel> PrepareReduce(const PrepareArgs& args) {
  if (args.out(0).type != args.in(0).type) return NoKernel(args);
  if (args.in(1).data == nullptr && args.in(1).elements() > 0) return NeedsValue(1);
  LS_ASSIGN_OR_RETURN(const ReduceGeometry g, MakeGeometry(args.in(0), args.in(1)));
  LS_ASSIGN_OR_RETURN(Kernel kernel, PrepareByOperator(args, g));
  kernel.name = KernelName(args);
  return kernel;
}

// f(input index, output index, count): `count` neighbouring inputs of one output (stride 0) or of
// neighbouring ones (stride 1).
template <typename F>
void ForEachRun(const ReduceGeometry& g, const F& f) {
  if (g.in_elements == 0) return;
  size_t index[reference::kMaxReduceLoops] = {};
  const int last = g.loops - 1;
  const size_t inner = g.loops == 0 ? 1 : g.size[last];
  size_t out = 0;
  for (size_t done = 0; done < g.in_elements; done += inner) {
    f(done, out, inner);
    for (int d = last - 1; d >= 0; --d) {
      out += g.out_stride[d];
      if (++index[d] < g.size[d]) break;
      out -= g.out_stride[d] * g.size[d];
      index[d] = 0;
    }
  }
}

// MEAN and SUM: every input takes its output's gradient, divided by the count for MEAN.
absl::Status MeanGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(const ReduceGeometry g, MakeGeometry(args.inputs[0], args.inputs[1]));
  const bool mean = args.node.op == schema::BuiltinOperator_MEAN;
  const float factor = mean ? 1.0f / static_cast<float>(g.reduced) : 1.0f;
  const bool together = g.loops > 0 && g.out_stride[g.loops - 1] == 1;
  const bool accumulate = !args.first[0];
  ForEachRun(g, [&](size_t at, size_t out, size_t count) {
    const float* dy = args.out_grads[0] + out;
    if (together) {
      gradient::ScaleTo(dy, factor, count, accumulate, dx + at);
      return;
    }
    const float share = *dy * factor;
    for (size_t i = at; i < at + count; ++i) dx[i] = accumulate ? dx[i] + share : share;
  });
  return absl::OkStatus();
}

// REDUCE_MAX and REDUCE_MIN: the inputs that are the result share its gradient.
absl::Status ExtremeGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(const ReduceGeometry g, MakeGeometry(args.inputs[0], args.inputs[1]));
  auto* equal = reinterpret_cast<float*>(GradScratch(args, g.out_elements * sizeof(float)));
  std::fill_n(equal, g.out_elements, 0.0f);
  const size_t step = g.loops > 0 ? g.out_stride[g.loops - 1] : 0;
  const auto* x = args.inputs[0].As<float>();
  const auto* y = args.outputs[0].As<float>();
  ForEachRun(g, [&](size_t at, size_t out, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (x[at + i] == y[out + i * step]) equal[out + i * step] += 1.0f;
    }
  });
  const float* dy = args.out_grads[0];
  const bool accumulate = !args.first[0];
  ForEachRun(g, [&](size_t at, size_t out, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const size_t o = out + i * step;
      const float share = x[at + i] == y[o] ? dy[o] / equal[o] : 0.0f;
      dx[at + i] = accumulate ? dx[at + i] + share : share;
    }
  });
  return absl::OkStatus();
}

// REDUCE_PROD: every input takes its output's gradient times the product of the others, which is
// counted without the zeros so that it need not divide by one.
absl::Status ProductGradient(const GradArgs& args) {
  float* dx = args.in_grads[0];
  if (dx == nullptr) return absl::OkStatus();
  LS_ASSIGN_OR_RETURN(const ReduceGeometry g, MakeGeometry(args.inputs[0], args.inputs[1]));
  auto* products = reinterpret_cast<float*>(GradScratch(args, 2 * g.out_elements * sizeof(float)));
  float* zeros = products + g.out_elements;
  std::fill_n(products, g.out_elements, 1.0f);
  std::fill_n(zeros, g.out_elements, 0.0f);
  const size_t step = g.loops > 0 ? g.out_stride[g.loops - 1] : 0;
  const auto* x = args.inputs[0].As<float>();
  ForEachRun(g, [&](size_t at, size_t out, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      if (x[at + i] == 0.0f) {
        zeros[out + i * step] += 1.0f;
      } else {
        products[out + i * step] *= x[at + i];
      }
    }
  });
  const float* dy = args.out_grads[0];
  const bool accumulate = !args.first[0];
  ForEachRun(g, [&](size_t at, size_t out, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const size_t o = out + i * step;
      const bool zero = x[at + i] == 0.0f;
      const float other_zeros = zeros[o] - (zero ? 1.0f : 0.0f);
      const float others = other_zeros > 0.0f ? 0.0f : zero ? products[o] : products[o] / x[at + i];
      dx[at + i] = (accumulate ? dx[at + i] : 0.0f) + dy[o] * others;
    }
  });
  return absl::OkStatus();
}

int MeanMaxMinVersion(const VersionArgs& args) {
  // Version 3 names int16 too, but TFLite's converter writes 2.
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}
int SumOrProdVersion(const VersionArgs& args) {
  return args.in(0) == schema::TensorType_INT8 || args.in(0) == schema::TensorType_INT16 ? 2 : 1;
}
int VersionOne(const VersionArgs&) { return 1; }

OpRecord MakeRecord(schema::BuiltinOperator op, ForeignNames names, VersionRule version,
                    OutputRule output, Gradient gradient = nullptr) {
  OpRecord record;
  record.gradient = gradient;
  record.op = op;
  record.names = names;
  record.infer_shapes = Infer;
  record.prepare = PrepareReduce;
  record.version = version;
  record.quant.int8 = record.quant.int16x8 = output != OutputRule::kIndex;
  record.quant.inputs = {{Role::kActivation, -1}, {Role::kIndex, -1}};
  record.quant.output = output;
  return record;
}

}  // namespace

const OpRecord& MeanOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_MEAN, {"", "Mean", "ReduceMean"}, MeanMaxMinVersion,
                 OutputRule::kRange, MeanGradient);
  return record;
}
const OpRecord& SumOp() {
  static const OpRecord record = [] {
    OpRecord r = MakeRecord(schema::BuiltinOperator_SUM, {"", "Sum", "ReduceSum"}, SumOrProdVersion,
                            OutputRule::kRange, MeanGradient);
    // LiteRT's reference kernel takes int16 elements for bytes, and int8 ones for unsigned; the
    // quantizer writes MEAN and MUL.
    r.quant.int8 = r.quant.int16x8 = false;
    return r;
  }();
  return record;
}
const OpRecord& ReduceMaxOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_REDUCE_MAX, {"", "Max", "ReduceMax"}, MeanMaxMinVersion,
                 OutputRule::kSameAsInput, ExtremeGradient);
  return record;
}
const OpRecord& ReduceMinOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_REDUCE_MIN, {"", "Min", "ReduceMin"}, MeanMaxMinVersion,
                 OutputRule::kSameAsInput, ExtremeGradient);
  return record;
}
const OpRecord& ReduceProdOp() {
  static const OpRecord record =
      MakeRecord(schema::BuiltinOperator_REDUCE_PROD, {"", "Prod", "ReduceProd"}, SumOrProdVersion,
                 OutputRule::kRange, ProductGradient);
  return record;
}
const OpRecord& ReduceAnyOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_REDUCE_ANY, {"", "Any", ""},
                                            VersionOne, OutputRule::kIndex);
  return record;
}
const OpRecord& ReduceAllOp() {
  static const OpRecord record = MakeRecord(schema::BuiltinOperator_REDUCE_ALL, {"", "All", ""},
                                            VersionOne, OutputRule::kIndex);
  return record;
}

}  // namespace litesmith
