#ifndef LITESMITH_KERNELS_REFERENCE_REDUCE_H_
#define LITESMITH_KERNELS_REFERENCE_REDUCE_H_

// Reductions over any set of dimensions: one pass over the input in its order, so that float sums
// round as LiteRT's do. Freestanding.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/fixed_point.h"
#include "kernels/reference/stage.h"

namespace litesmith::reference {

inline constexpr int kMaxReduceLoops = 8;

// The input as nested loops, outermost first; neighbours of one kind are merged. Output strides are
// 0 for reduced dimensions.
struct ReduceGeometry {
  int loops = 0;
  size_t size[kMaxReduceLoops] = {};
  size_t out_stride[kMaxReduceLoops] = {};
  size_t in_elements = 0, out_elements = 0;
  size_t reduced = 0;  // input elements per output element
};

// The innermost loop of Reduce in vectors: row(first input element, first output element) for each row
// of the last loop, which has out_stride 1.
template <typename Row>
void ReduceRows(const ReduceGeometry& g, const Row& row) {
  size_t index[kMaxReduceLoops] = {};
  const int last = g.loops - 1;
  size_t out = 0;
  for (size_t done = 0; done < g.in_elements; done += g.size[last]) {
    row(done, out);
    for (int d = last - 1; d >= 0; --d) {
      out += g.out_stride[d];
      if (++index[d] < g.size[d]) break;
      out -= g.out_stride[d] * g.size[d];
      index[d] = 0;
    }
  }
}

// acc[o] = f(acc[o], x) for every input element x of output element o, in input order.
template <typename In, typename Acc, typename F>
void Reduce(const ReduceGeometry& g, const In* input, Acc* acc, const F& f) {
  if (g.in_elements == 0) return;
  size_t index[kMaxReduceLoops] = {};
  const int last = g.loops - 1;
  const size_t inner = g.loops == 0 ? 1 : g.size[last];
  const size_t stride = g.loops == 0 ? 0 : g.out_stride[last];
  size_t out = 0;
  for (size_t done = 0; done < g.in_elements; done += inner) {
    for (size_t i = 0; i < inner; ++i) {
      Acc& a = acc[out + i * stride];
      a = f(a, input[done + i]);
    }
    for (int d = last - 1; d >= 0; --d) {
      out += g.out_stride[d];
      if (++index[d] < g.size[d]) break;
      out -= g.out_stride[d] * g.size[d];
      index[d] = 0;
    }
  }
}

// The output stage of quantized MEAN and SUM: (sum - count * input zero point) * multiplier + zero
// point.
struct RequantizedSum {
  Multiplier multiplier;
  int32_t in_zero = 0, out_zero = 0;
  int32_t low = 0, high = 0;
  int64_t count = 0;

  int32_t operator()(uint32_t sum) const {
    const auto shifted =
        static_cast<int32_t>(sum - static_cast<uint32_t>(static_cast<uint64_t>(in_zero * count)));
    return std::clamp(WrappingAdd(MultiplyByQuantizedMultiplier(shifted, multiplier), out_zero),
                      low, high);
  }
};

// The multiplier of a mean of `count`: multiplier / count, with as many bits kept as fit.
inline Multiplier MeanMultiplier(Multiplier m, int64_t count) {
  int shift = 63 - __builtin_clzll(static_cast<uint64_t>(count));
  shift = std::min(shift, 32);
  shift = std::min(shift, 31 + m.shift);
  Multiplier out;
  out.multiplier = static_cast<int32_t>((int64_t{m.multiplier} << shift) / count);
  out.shift = m.shift - shift;
  return out;
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_REDUCE_H_
