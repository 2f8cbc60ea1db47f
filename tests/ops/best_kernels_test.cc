// Operators whose best kernels work another way than the plain loops, against these.

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "kernels/reference/resize.h"
#include "tests/ops/op_runner.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

using schema::TensorType_FLOAT32;
using schema::TensorType_INT16;
using schema::TensorType_INT32;
using schema::TensorType_INT64;
using schema::TensorType_INT8;
using schema::TensorType_UINT8;
using testing::OpRunner;

template <typename T>
std::vector<T> Noise(const Shape& shape, uint64_t seed, bool extreme) {
  Random random(seed);
  std::vector<T> values(static_cast<size_t>(NumElements(shape)));
  for (T& x : values) {
    if constexpr (std::is_floating_point_v<T>) {
      x = static_cast<T>(random.Below(2001)) / 1000.0f - 1.0f;
    } else {
      constexpr int64_t kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
      const auto inside = static_cast<int64_t>(random.Below(kHigh - kLow + 1)) + kLow;
      x = static_cast<T>(extreme ? (random.Below(2) == 0 ? kLow : kHigh) : inside);
    }
  }
  return values;
}

struct Deconv {
  int32_t batches, height, width, in_c, out_c, filter_h, filter_w, stride_h, stride_w;
  bool same;
};

std::vector<Deconv> Deconvs() {
  std::vector<Deconv> out;
  for (int32_t stride : {1, 2, 3}) {
    for (int32_t filter : {1, 2, 3, 4, 5}) {
      for (bool same : {false, true}) {
        out.push_back({1, 5, 4, 8, 12, filter, filter, stride, stride, same});
      }
    }
  }
  out.push_back({2, 3, 7, 3, 5, 3, 4, 2, 1, true});
  out.push_back({2, 6, 2, 17, 33, 4, 2, 1, 2, false});
  out.push_back({1, 1, 1, 5, 1, 4, 4, 2, 2, true});
  out.push_back({3, 9, 9, 32, 16, 4, 4, 2, 2, true});
  out.push_back({1, 4, 4, 4, 4, 7, 2, 4, 3, false});
  return out;
}

// With constant weights, which are packed, and with weights that only the run knows.
template <typename T, typename W, typename B>
OpRunner DeconvRunner(const Deconv& c, TensorType type, TensorType weight_type,
                      TensorType bias_type, bool packed, bool extreme) {
  schema::TransposeConvOptionsT options;
  options.padding = c.same ? schema::Padding_SAME : schema::Padding_VALID;
  options.stride_h = c.stride_h;
  options.stride_w = c.stride_w;
  const int32_t height = c.same ? c.height * c.stride_h : (c.height - 1) * c.stride_h + c.filter_h;
  const int32_t width = c.same ? c.width * c.stride_w : (c.width - 1) * c.stride_w + c.filter_w;
  const bool quantized = type != TensorType_FLOAT32;
  const bool wide = type == TensorType_INT16;
  QuantParams in, weights, out;
  if (quantized) {
    const auto channels = static_cast<size_t>(type == TensorType_UINT8 ? 1 : c.out_c);
    in.scale = {0.5f};
    in.zero_point = {wide ? 0 : 3};
    for (size_t i = 0; i < channels; ++i) {
      weights.scale.push_back(0.01f + 0.003f * static_cast<float>(i));
      weights.zero_point.push_back(type == TensorType_UINT8 ? 120 : 0);
    }
    out.scale = {wide ? 9.0f : 4.0f};
    out.zero_point = {wide ? 0 : 5};
  }
  OpRunner runner(schema::BuiltinOperator_TRANSPOSE_CONV, Options(options));
  runner.Known<int32_t>(TensorType_INT32, {4}, {c.batches, height, width, c.out_c});
  const Shape filter = {c.out_c, c.filter_h, c.filter_w, c.in_c}, bias = {c.out_c};
  const Shape input = {c.batches, c.height, c.width, c.in_c};
  std::vector<B> biases(static_cast<size_t>(c.out_c));
  for (size_t i = 0; i < biases.size(); ++i) {
    biases[i] = static_cast<B>(static_cast<double>(i) - 1.5) * static_cast<B>(quantized ? 300 : 1);
  }
  const std::vector<W> weight_values = Noise<W>(filter, 11, extreme);
  if (packed) {
    runner.Known<W>(weight_type, filter, weight_values, weights);
  } else {
    runner.Fed<W>(weight_type, filter, weight_values, weights);
  }
  runner.Fed<T>(type, input, Noise<T>(input, 12, extreme), in);
  if (packed) {
    runner.Known<B>(bias_type, bias, biases);
  } else {
    runner.Fed<B>(bias_type, bias, biases);
  }
  runner.Out(type, out);
  return runner;
}

template <typename T, typename W, typename B>
void CheckDeconvs(TensorType type, TensorType weight_type, TensorType bias_type) {
  for (const Deconv& c : Deconvs()) {
    SCOPED_TRACE(fmt::format("{}x{}x{} to {}, filter {}x{}, stride {}x{}, {}", c.height, c.width,
                             c.in_c, c.out_c, c.filter_h, c.filter_w, c.stride_h, c.stride_w,
                             c.same ? "SAME" : "VALID"));
    for (bool extreme : {false, true}) {
      OpRunner packed = DeconvRunner<T, W, B>(c, type, weight_type, bias_type, true, extreme);
      OpRunner plain = DeconvRunner<T, W, B>(c, type, weight_type, bias_type, false, extreme);
      ASSERT_OK(packed.Run());
      ASSERT_OK(plain.Run());
      const std::vector<T> got = packed.Result<T>(), expected = plain.Result<T>();
      ASSERT_EQ(got.size(), expected.size());
      if constexpr (std::is_floating_point_v<T>) {
        for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 1e-4f) << i;
      } else {
        ASSERT_EQ(got, expected);
      }
    }
  }
}

TEST(TransposeConvBest, FloatIsNearThePlainLoops) {
  CheckDeconvs<float, float, float>(TensorType_FLOAT32, TensorType_FLOAT32, TensorType_FLOAT32);
}
TEST(TransposeConvBest, Int8IsThePlainLoops) {
  CheckDeconvs<int8_t, int8_t, int32_t>(TensorType_INT8, TensorType_INT8, TensorType_INT32);
}
TEST(TransposeConvBest, Uint8IsThePlainLoops) {
  CheckDeconvs<uint8_t, uint8_t, int32_t>(TensorType_UINT8, TensorType_UINT8, TensorType_INT32);
}
TEST(TransposeConvBest, Int16IsThePlainLoops) {
  CheckDeconvs<int16_t, int8_t, int64_t>(TensorType_INT16, TensorType_INT8, TensorType_INT64);
  CheckDeconvs<int16_t, int8_t, int32_t>(TensorType_INT16, TensorType_INT8, TensorType_INT32);
}

template <typename T>
void CheckTransposes(TensorType type, const Shape& shape) {
  std::vector<T> values(static_cast<size_t>(NumElements(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i * 31 + i / 251);
  std::vector<int32_t> axes(shape.size());
  std::iota(axes.begin(), axes.end(), 0);
  do {
    OpRunner runner(schema::BuiltinOperator_TRANSPOSE);
    runner.Fed<T>(type, shape, values)
        .template Known<int32_t>(TensorType_INT32, {static_cast<int32_t>(axes.size())}, axes)
        .Out(type);
    ASSERT_OK(runner.Run());
    const std::vector<T> got = runner.Result<T>();
    std::vector<int32_t> at(shape.size(), 0);  // in the output
    for (size_t i = 0; i < got.size(); ++i) {
      std::vector<int32_t> source(shape.size());
      for (size_t d = 0; d < axes.size(); ++d) source[static_cast<size_t>(axes[d])] = at[d];
      size_t from = 0;
      for (size_t d = 0; d < shape.size(); ++d) from = from * shape[d] + source[d];
      ASSERT_EQ(got[i], values[from]) << i << ::testing::PrintToString(axes);
      for (size_t d = shape.size(); d-- > 0;) {
        if (++at[d] < shape[static_cast<size_t>(axes[d])]) break;
        at[d] = 0;
      }
    }
  } while (std::next_permutation(axes.begin(), axes.end()));
}

TEST(TransposeBest, EveryPermutation) {
  for (const Shape& shape :
       {Shape{3, 17}, Shape{5, 1, 19}, Shape{2, 9, 3, 21}, Shape{300, 2, 33}}) {
    CheckTransposes<int8_t>(TensorType_INT8, shape);
    CheckTransposes<int16_t>(TensorType_INT16, shape);
    CheckTransposes<float>(TensorType_FLOAT32, shape);
    CheckTransposes<int64_t>(TensorType_INT64, shape);
  }
}

TEST(ResizeNearestBest, IsThePlainLoops) {
  for (int32_t channels : {1, 2, 3, 4, 5, 8, 16, 24, 64}) {
    for (int mode = 0; mode < 3; ++mode) {
      for (const auto& [height, width] : {std::pair(6, 10), std::pair(7, 3), std::pair(1, 1)}) {
        reference::ResizeGeometry g;
        g.batches = 2;
        g.in_h = 3;
        g.in_w = 5;
        g.channels = channels;
        g.out_h = height;
        g.out_w = width;
        g.align_corners = mode == 1;
        g.half_pixel_centers = mode == 2;
        schema::ResizeNearestNeighborOptionsT options;
        options.align_corners = g.align_corners;
        options.half_pixel_centers = g.half_pixel_centers;
        const Shape shape = {2, 3, 5, channels};
        const std::vector<int8_t> values = Noise<int8_t>(shape, 7, false);
        OpRunner runner(schema::BuiltinOperator_RESIZE_NEAREST_NEIGHBOR, Options(options));
        runner.Fed<int8_t>(TensorType_INT8, shape, values)
            .Known<int32_t>(TensorType_INT32, {2}, {height, width})
            .Out(TensorType_INT8);
        ASSERT_OK(runner.Run());
        std::vector<int8_t> expected(size_t{2} * height * width * channels);
        reference::ResizeNearest(g, static_cast<size_t>(channels),
                                 reinterpret_cast<const std::byte*>(values.data()), 0,
                                 size_t{2} * height, reinterpret_cast<std::byte*>(expected.data()));
        ASSERT_EQ(runner.Result<int8_t>(), expected) << channels << ", mode " << mode;
      }
    }
  }
}

}  // namespace
}  // namespace litesmith
