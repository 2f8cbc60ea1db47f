#ifndef LITESMITH_OPS_ELEMENTWISE_H_
#define LITESMITH_OPS_ELEMENTWISE_H_

// What the elementwise operators share: shape rules and the making of kernels from a function of
// elements.

#include <array>
#include <cstddef>
#include <limits>
#include <string>

#include "kernels/elementwise_rows.h"
#include "kernels/reference/broadcast.h"
#include "ops/op.h"
#include "ops/op_support.h"

namespace litesmith {

// Elements below which a second thread costs more than it saves.
inline constexpr size_t kElementGrain = size_t{1} << 13;

// One input and one output of its shape.
absl::Status UnaryShape(const ShapeArgs& args, std::vector<Shape>* outputs);
// Two inputs, broadcast.
absl::Status BinaryShape(const ShapeArgs& args, std::vector<Shape>* outputs);

// Version rules: 2 for int8 and int16 (what TFLite's quantizer writes), else 1.
int VersionTwoWhenQuantized(const VersionArgs& args);

// "qs8-qs8-relu": types of the first input and output, and the operator's name in lower case.
std::string KernelName(const PrepareArgs& args);

// Limits of an integer type as int32.
IntRange IntegerRange(TensorType type);

// The quantized value of `real` in the units of `tensor`, not yet clamped to the type but to int32.
int32_t QuantizedBound(float real, const TensorView& tensor);

// True for a tensor whose integers stand for real numbers.
inline bool IsQuantized(const TensorView& tensor) { return !tensor.quant->empty(); }

absl::StatusOr<reference::LoopNest<2>> BinaryNest(const PrepareArgs& args);

// out[i] = f(in[i]) for all elements.
template <typename In, typename Out, typename F>
Kernel UnaryKernel(const PrepareArgs& args, const F& f) {
  Kernel kernel;
  const auto count = static_cast<size_t>(args.out(0).elements());
  kernel.name = KernelName(args);
  kernel.in_place_input = sizeof(In) == sizeof(Out) ? 0 : -1;
  kernel.run = [f, count](const RunArgs& run) {
    const In* in = run.in<In>(0);
    Out* out = run.out<Out>(0);
    auto body = [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) out[i] = f(in[i]);
    };
    if (run.threads == nullptr || count < 2 * kElementGrain) {
      body(0, count);
    } else {
      run.threads->ParallelFor(count, kElementGrain, std::ref(body));
    }
    return absl::OkStatus();
  };
  return kernel;
}

// An 8-bit to 8-bit function as a table, filled by `f` (int32 to int32) once.
template <typename F>
Kernel TableKernel(const PrepareArgs& args, const F& f) {
  std::array<uint8_t, 256> table;
  const bool is_signed = args.in(0).type == schema::TensorType_INT8;
  for (int32_t i = 0; i < 256; ++i) {
    table[i] = static_cast<uint8_t>(f(is_signed ? int32_t{static_cast<int8_t>(i)} : i));
  }
  return UnaryKernel<uint8_t, uint8_t>(args, [table](uint8_t x) { return table[x]; });
}

// A quantized unary function from int32 to int32 for any pair of 8- and 16-bit types.
template <typename F>
absl::StatusOr<Kernel> QuantizedUnaryKernel(const PrepareArgs& args, const F& f) {
  auto size = [](TensorType type) {
    const bool ok = type == schema::TensorType_INT8 || type == schema::TensorType_UINT8 ||
                    type == schema::TensorType_INT16;
    return ok ? TypeSize(type) : size_t{0};
  };
  const TensorType in = args.in(0).type;
  const TensorType out = args.out(0).type;
  if (size(in) == 1 && size(out) == 1) return TableKernel(args, f);
  if (size(in) == 2 && size(out) == 2) {
    return UnaryKernel<int16_t, int16_t>(args,
                                         [f](int16_t x) { return static_cast<int16_t>(f(x)); });
  }
  if (in == schema::TensorType_INT8 && size(out) == 2) {
    return UnaryKernel<int8_t, int16_t>(args, [f](int8_t x) { return static_cast<int16_t>(f(x)); });
  }
  if (in == schema::TensorType_UINT8 && size(out) == 2) {
    return UnaryKernel<uint8_t, int16_t>(args,
                                         [f](uint8_t x) { return static_cast<int16_t>(f(x)); });
  }
  if (size(in) == 2 && size(out) == 1) {
    return UnaryKernel<int16_t, uint8_t>(args,
                                         [f](int16_t x) { return static_cast<uint8_t>(f(x)); });
  }
  return NoKernel(args);
}

// body(begin, end) over the units of the nest, on several threads where it is long enough.
template <typename Body>
void ForUnits(const reference::LoopNest<2>& nest, ThreadPool* threads, Body& body,
              size_t grain = kElementGrain) {
  const auto units = static_cast<size_t>(nest.units());
  if (threads == nullptr || nest.elements < static_cast<int64_t>(2 * grain)) {
    body(0, units);
    return;
  }
  const size_t per_unit = nest.loops <= 1 ? 1 : static_cast<size_t>(nest.size[0]);
  threads->ParallelFor(units, std::max<size_t>(1, grain / per_unit), std::ref(body));
}

// out = f(a, b), broadcast. In place of the first input where it has the output's shape.
template <typename In, typename Out, typename F>
absl::StatusOr<Kernel> BinaryKernel(const PrepareArgs& args, const F& f) {
  LS_ASSIGN_OR_RETURN(const reference::LoopNest<2> nest, BinaryNest(args));
  Kernel kernel;
  kernel.name = KernelName(args);
  if (sizeof(In) == sizeof(Out) && args.in(0).shape == args.out(0).shape) kernel.in_place_input = 0;
  kernel.run = [f, nest](const RunArgs& run) {
    const In* a = run.in<In>(0);
    const In* b = run.in<In>(1);
    Out* out = run.out<Out>(0);
    auto body = [&](size_t begin, size_t end) {
      reference::BroadcastBinary(nest, static_cast<int64_t>(begin), static_cast<int64_t>(end), a, b,
                                 out, f);
    };
    ForUnits(nest, run.threads, body);
    return absl::OkStatus();
  };
  return kernel;
}

// The same for rows in vectors: row(a, b, steps, out) as kernels/elementwise_rows.h has them.
template <typename T, typename Row>
absl::StatusOr<Kernel> BinaryRowKernel(const PrepareArgs& args, const Row& row) {
  LS_ASSIGN_OR_RETURN(const reference::LoopNest<2> nest, BinaryNest(args));
  Kernel kernel;
  kernel.name = KernelName(args);
  if (args.in(0).shape == args.out(0).shape) kernel.in_place_input = 0;
  kernel.run = [row, nest](const RunArgs& run) {
    const T* a = run.in<T>(0);
    const T* b = run.in<T>(1);
    T* out = run.out<T>(0);
    auto body = [&](size_t begin, size_t end) {
      reference::ForEachRow<2>(nest, static_cast<int64_t>(begin), static_cast<int64_t>(end),
                               [&](const int64_t(&at)[2], int64_t to, int64_t count) {
                                 const RowSteps steps{nest.stride[0][0] != 0,
                                                      nest.stride[1][0] != 0,
                                                      static_cast<size_t>(count)};
                                 row(a + at[0], b + at[1], steps, out + to);
                               });
    };
    // Rows of int16 take four times as long as those of int8 and float.
    ForUnits(nest, run.threads, body, sizeof(T) == 2 ? kElementGrain / 4 : kElementGrain);
    return absl::OkStatus();
  };
  return kernel;
}

// And for one input: row(in, count, out).
template <typename In, typename Out, typename Row>
Kernel UnaryRowKernel(const PrepareArgs& args, const Row& row) {
  Kernel kernel;
  const auto count = static_cast<size_t>(args.out(0).elements());
  kernel.name = KernelName(args);
  kernel.in_place_input = sizeof(In) == sizeof(Out) ? 0 : -1;
  kernel.run = [row, count](const RunArgs& run) {
    const In* in = run.in<In>(0);
    Out* out = run.out<Out>(0);
    auto body = [&](size_t begin, size_t end) { row(in + begin, end - begin, out + begin); };
    if (run.threads == nullptr || count < 2 * kElementGrain) {
      body(0, count);
    } else {
      run.threads->ParallelFor(count, kElementGrain, std::ref(body));
    }
    return absl::OkStatus();
  };
  return kernel;
}

// The same kernel, run only when check(run) is OK.
template <typename Check>
Kernel Checked(Kernel kernel, const Check& check) {
  kernel.run = [inner = std::move(kernel.run), check](const RunArgs& run) -> absl::Status {
    LS_RETURN_IF_ERROR(check(run));
    return inner(run);
  };
  return kernel;
}

}  // namespace litesmith

#endif  // LITESMITH_OPS_ELEMENTWISE_H_
