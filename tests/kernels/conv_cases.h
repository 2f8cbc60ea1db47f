#ifndef LITESMITH_TESTS_KERNELS_CONV_CASES_H_
#define LITESMITH_TESTS_KERNELS_CONV_CASES_H_

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/reference/conv.h"

namespace litesmith::testing {

inline std::vector<float> RandomFloats(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> out(count);
  for (float& x : out) x = static_cast<float>(random.Uniform(-1.0, 1.0));
  return out;
}

// A geometry from its inputs; `same` says which padding.
inline reference::ConvGeometry MakeConv(int batches, int size, int in_c, int out_c, int filter,
                                        int stride, int dilation, bool same, int groups = 1) {
  reference::ConvGeometry g;
  g.batches = batches;
  g.in_h = size;
  g.in_w = size + 1;
  g.in_c = in_c;
  g.out_c = out_c;
  g.filter_h = g.filter_w = filter;
  g.filter_c = in_c / groups;
  g.stride_h = g.stride_w = stride;
  g.dilation_h = g.dilation_w = dilation;
  const int window = (filter - 1) * dilation + 1;
  const auto axis = [&](int in, int32_t* out, int32_t* pad) {
    *out = same ? (in + stride - 1) / stride : (in - window + stride) / stride;
    *pad = same ? std::max(0, (*out - 1) * stride + window - in) / 2 : 0;
  };
  axis(g.in_h, &g.out_h, &g.pad_h);
  axis(g.in_w, &g.out_w, &g.pad_w);
  return g;
}

inline std::vector<reference::ConvGeometry> ConvCases() {
  return {
      MakeConv(1, 28, 1, 8, 3, 1, 1, false),
      MakeConv(3, 9, 1, 8, 3, 1, 1, true),
      MakeConv(2, 8, 3, 16, 3, 2, 1, true),
      MakeConv(1, 7, 3, 5, 5, 2, 1, false),
      MakeConv(5, 4, 16, 24, 3, 1, 1, true),
      MakeConv(2, 6, 20, 7, 1, 1, 1, false),
      MakeConv(2, 6, 20, 17, 1, 2, 1, true),
      MakeConv(2, 7, 5, 9, 1, 2, 1, true),
      MakeConv(2, 9, 4, 6, 3, 1, 2, true),
      MakeConv(1, 11, 4, 6, 3, 1, 3, false),
      MakeConv(1, 8, 6, 9, 3, 1, 1, true, 3),
      MakeConv(2, 8, 8, 8, 3, 2, 1, true, 8),
      MakeConv(1, 5, 2, 3, 4, 3, 1, true),
      MakeConv(1, 6, 40, 33, 3, 1, 1, true),
      MakeConv(1, 3, 300, 4, 1, 1, 1, false),
      // So large that only the border is copied.
      MakeConv(2, 40, 9, 5, 3, 1, 1, true),
      MakeConv(1, 64, 3, 8, 3, 2, 1, true),
      MakeConv(1, 65, 3, 17, 5, 2, 1, true),
      MakeConv(1, 40, 8, 6, 3, 1, 2, true, 2),
  };
}

inline size_t InputSize(const reference::ConvGeometry& g) {
  return static_cast<size_t>(g.batches) * g.in_h * g.in_w * g.in_c;
}
inline size_t OutputSize(const reference::ConvGeometry& g) {
  return static_cast<size_t>(g.batches) * g.out_h * g.out_w * g.out_c;
}
inline size_t WeightSize(const reference::ConvGeometry& g) {
  return static_cast<size_t>(g.out_c) * g.filter_h * g.filter_w * g.filter_c;
}
inline std::string Describe(const reference::ConvGeometry& g) {
  return fmt::format("{}x{}x{}x{} filter {}x{}x{} to {}, stride {}, dilation {}, pad {}", g.batches,
                     g.in_h, g.in_w, g.in_c, g.filter_h, g.filter_w, g.filter_c, g.out_c,
                     g.stride_h, g.dilation_h, g.pad_h);
}

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_KERNELS_CONV_CASES_H_
