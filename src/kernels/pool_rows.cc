#include "kernels/pool_rows.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/reference/pool.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool_rows.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using reference::ConvGeometry;
using reference::WindowPart;

// The window of one output position.
struct Window {
  size_t row_stride, column_stride, rows, columns;
};

// Whole vectors of the channels from `c` on; returns the first one left over.
template <typename Tag, typename Step>
HWY_INLINE size_t Channels(Tag d, size_t c, size_t channels, const Step& step) {
  for (; c + hn::Lanes(d) <= channels; c += hn::Lanes(d)) step(d, c);
  return c;
}

// The channels in ever shorter vectors of T.
template <typename T, typename Step>
HWY_INLINE void AllChannels(size_t channels, const Step& step) {
  size_t c = Channels(hn::ScalableTag<T>(), 0, channels, step);
#if HWY_TARGET != HWY_SCALAR
  c = Channels(hn::CappedTag<T, 16>(), c, channels, step);
  c = Channels(hn::CappedTag<T, 8>(), c, channels, step);
  c = Channels(hn::CappedTag<T, 4>(), c, channels, step);
#endif
  Channels(hn::CappedTag<T, 1>(), c, channels, step);
}

// Calls body(window, where it starts in the input, where the output goes).
template <typename Body>
HWY_INLINE void ForEachWindow(const ConvGeometry& g, size_t begin, size_t end, const Body& body) {
  const size_t channels = g.in_c;
  Window w;
  w.row_stride = size_t(g.in_w) * channels;
  w.column_stride = channels;
  for (size_t row = begin; row < end; ++row) {
    const size_t image = row / g.out_h;
    const WindowPart ys(int64_t(row % g.out_h) * g.stride_h - g.pad_h, g.filter_h, g.in_h);
    for (int32_t x = 0; x < g.out_w; ++x) {
      const WindowPart xs(int64_t{x} * g.stride_w - g.pad_w, g.filter_w, g.in_w);
      w.rows = static_cast<size_t>(std::max<int64_t>(0, ys.end - ys.begin));
      w.columns = static_cast<size_t>(std::max<int64_t>(0, xs.end - xs.begin));
      body(w, (image * g.in_h + size_t(ys.begin)) * w.row_stride + size_t(xs.begin) * channels,
           (row * g.out_w + size_t(x)) * channels);
    }
  }
}

template <typename T>
struct MaxStep {
  Window w;
  const T* from;
  T* to;
  T low, high;

  template <typename Tag>
  HWY_ATTR HWY_INLINE void operator()(Tag d, size_t c) const {
    auto most = hn::Set(d, low);
    for (size_t y = 0; y < w.rows; ++y) {
      for (size_t x = 0; x < w.columns; ++x) {
        most = hn::Max(most, hn::LoadU(d, from + y * w.row_stride + x * w.column_stride + c));
      }
    }
    hn::StoreU(hn::Min(most, hn::Set(d, high)), d, to + c);
  }
};

#if HWY_TARGET != HWY_SCALAR

// Windows of 2 columns every 2 columns, of channels that together are one Lane: the rows of a
// window first, all columns in whole vectors, then its columns (MNIST: 1.0 -> 0.3 us).
constexpr size_t kPairRow = 4096;

template <typename Lane, typename T>
void MaxPairs(const ConvGeometry& g, const T* input, T low, T high, T* output, size_t begin,
              size_t end) {
  const hn::ScalableTag<Lane> d;
  const hn::Repartition<T, decltype(d)> dt;
  const size_t lanes = hn::Lanes(d), row = size_t(g.in_w) * g.in_c;
  const size_t out_row = size_t(g.out_w) * g.in_c;
  // A vector of the output reads two beyond the last column.
  HWY_ALIGN T most[(kPairRow + 2 * HWY_MAX_BYTES) / sizeof(T)];
  HWY_ALIGN T last[HWY_MAX_BYTES / sizeof(T)];
  for (size_t r = begin; r < end; ++r) {
    const size_t image = r / g.out_h;
    const WindowPart ys(int64_t(r % g.out_h) * g.stride_h - g.pad_h, g.filter_h, g.in_h);
    const Window w{row, 0, static_cast<size_t>(std::max<int64_t>(0, ys.end - ys.begin)), 1};
    const T* from = input + (image * g.in_h + size_t(ys.begin)) * row;
    AllChannels<T>(2 * out_row, MaxStep<T>{w, from, most, low, high});
    T* to = output + r * out_row;
    for (size_t i = 0; i < size_t(g.out_w); i += lanes) {
      const auto* pairs = reinterpret_cast<const Lane*>(most) + 2 * i;
      const auto a = hn::LoadU(d, pairs), b = hn::LoadU(d, pairs + lanes);
      const auto v = hn::Max(hn::BitCast(dt, hn::ConcatEven(d, b, a)),
                             hn::BitCast(dt, hn::ConcatOdd(d, b, a)));
      if (i + lanes <= size_t(g.out_w)) {
        hn::StoreU(v, dt, to + i * g.in_c);
      } else {
        hn::Store(v, dt, last);
        std::memcpy(to + i * g.in_c, last, (size_t(g.out_w) - i) * sizeof(Lane));
      }
    }
  }
}

// The same where the channels of a column are 16 bytes (MNIST, 16x8: 0.9 -> 0.2 us).
template <typename T>
void MaxVectors(const ConvGeometry& g, const T* input, T low, T high, T* output, size_t begin,
                size_t end) {
  const hn::CappedTag<T, 16 / sizeof(T)> d;
  const auto least = hn::Set(d, low), greatest = hn::Set(d, high);
  const size_t channels = hn::Lanes(d), row = size_t(g.in_w) * channels;
  T* to = output + begin * g.out_w * channels;
  for (size_t r = begin; r < end; ++r) {
    const size_t image = r / g.out_h;
    const WindowPart ys(int64_t(r % g.out_h) * g.stride_h - g.pad_h, g.filter_h, g.in_h);
    const T* from = input + (image * g.in_h + size_t(ys.begin)) * row;
    for (int32_t x = 0; x < g.out_w; ++x, from += 2 * channels, to += channels) {
      auto most = least;
      const T* p = from;
      for (int64_t y = ys.begin; y < ys.end; ++y, p += row) {
        most = hn::Max(most, hn::Max(hn::LoadU(d, p), hn::LoadU(d, p + channels)));
      }
      hn::StoreU(hn::Min(most, greatest), d, to);
    }
  }
}

// Whether it has served.
template <typename T>
bool RunMaxPairs(const ConvGeometry& g, const T* input, T low, T high, T* output, size_t begin,
                 size_t end) {
  if (g.filter_w != 2 || g.stride_w != 2 || g.pad_w != 0 || 2 * g.out_w > g.in_w) return false;
  const size_t bytes = size_t(g.in_c) * sizeof(T);
  if (bytes == 16) {
    MaxVectors(g, input, low, high, output, begin, end);
    return true;
  }
  if (2 * bytes * size_t(g.out_w) > kPairRow) return false;
  if (bytes == 8) {
    MaxPairs<uint64_t>(g, input, low, high, output, begin, end);
  } else if (bytes == 4) {
    MaxPairs<uint32_t>(g, input, low, high, output, begin, end);
  }
  return bytes == 4 || bytes == 8;
}

#endif  // HWY_SCALAR

template <typename T>
HWY_INLINE void MaxLoop(const ConvGeometry& g, const T* input, int32_t low, int32_t high, T* output,
                        size_t begin, size_t end) {
  const size_t channels = g.in_c;
#if HWY_TARGET != HWY_SCALAR
  if (RunMaxPairs(g, input, static_cast<T>(low), static_cast<T>(high), output, begin, end)) return;
#endif
  ForEachWindow(g, begin, end, [&](const Window& w, size_t from, size_t to) HWY_ATTR {
    AllChannels<T>(channels, MaxStep<T>{w, input + from, output + to, static_cast<T>(low),
                                        static_cast<T>(high)});
  });
}

struct FloatAverageStep {
  Window w;
  const float* from;
  float* to;
  float low, high;

  template <typename Tag>
  HWY_ATTR HWY_INLINE void operator()(Tag d, size_t c) const {
    auto sum = hn::Zero(d);
    for (size_t y = 0; y < w.rows; ++y) {
      for (size_t x = 0; x < w.columns; ++x) {
        sum = hn::Add(sum, hn::LoadU(d, from + y * w.row_stride + x * w.column_stride + c));
      }
    }
    auto v = Divide(d, sum, hn::Set(d, static_cast<float>(w.rows * w.columns)));
    const auto least = hn::Set(d, low), most = hn::Set(d, high);
    v = hn::IfThenElse(hn::Lt(v, least), least, v);
    v = hn::IfThenElse(hn::Lt(most, v), most, v);
    hn::StoreU(v, d, to + c);
  }
};

// Sums in int32; the quotient of two integers below 2^24 in float, cut to an integer, is exact.
template <typename T>
struct IntegerAverageStep {
  Window w;
  const T* from;
  T* to;
  int32_t low, high;

  template <typename Tag>
  HWY_ATTR HWY_INLINE void operator()(Tag d, size_t c) const {
    const hn::Rebind<T, Tag> d_in;
    const hn::Rebind<float, Tag> df;
    const auto count = static_cast<int32_t>(w.rows * w.columns);
    auto sum = hn::Zero(d);
    for (size_t y = 0; y < w.rows; ++y) {
      for (size_t x = 0; x < w.columns; ++x) {
        const T* at = from + y * w.row_stride + x * w.column_stride + c;
        sum = hn::Add(sum, hn::PromoteTo(d, hn::LoadU(d_in, at)));
      }
    }
    const auto half = hn::Set(d, count / 2);
    const auto up = hn::Add(sum, half), down = hn::Sub(sum, half);
    const auto biased =
        std::is_unsigned_v<T> ? up : hn::IfThenElse(hn::Gt(sum, hn::Zero(d)), up, down);
    const auto quotient =
        Divide(df, hn::ConvertTo(df, biased), hn::Set(df, static_cast<float>(count)));
    auto v = hn::ConvertTo(d, quotient);
    v = hn::Min(hn::Max(v, hn::Set(d, low)), hn::Set(d, high));
    hn::StoreU(hn::DemoteTo(d_in, v), d_in, to + c);
  }
};

void FloatAverage(const ConvGeometry& g, const float* input, float low, float high, float* output,
                  size_t begin, size_t end) {
  const size_t channels = g.in_c;
  ForEachWindow(g, begin, end, [&](const Window& w, size_t from, size_t to) HWY_ATTR {
    AllChannels<float>(channels, FloatAverageStep{w, input + from, output + to, low, high});
  });
}

template <typename T>
HWY_INLINE void AverageLoop(const ConvGeometry& g, const T* input, int32_t low, int32_t high,
                            T* output, size_t begin, size_t end) {
  const size_t channels = g.in_c;
  ForEachWindow(g, begin, end, [&](const Window& w, size_t from, size_t to) HWY_ATTR {
    AllChannels<int32_t>(channels, IntegerAverageStep<T>{w, input + from, output + to, low, high});
  });
}

#define LITESMITH_POOL(Name, T)                                                                   \
  void Max##Name(const ConvGeometry& g, const T* input, int32_t low, int32_t high, T* output,     \
                 size_t begin, size_t end) {                                                      \
    MaxLoop<T>(g, input, low, high, output, begin, end);                                          \
  }                                                                                               \
  void Average##Name(const ConvGeometry& g, const T* input, int32_t low, int32_t high, T* output, \
                     size_t begin, size_t end) {                                                  \
    AverageLoop<T>(g, input, low, high, output, begin, end);                                      \
  }
LITESMITH_POOL(Int8, int8_t)
LITESMITH_POOL(Uint8, uint8_t)
LITESMITH_POOL(Int16, int16_t)
#undef LITESMITH_POOL

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {
HWY_EXPORT(FloatAverage);
}  // namespace

bool AveragePoolFits(const reference::ConvGeometry& g, size_t element_bytes) {
  const int64_t largest = element_bytes == 1 ? 256 : 32769;  // with the half that rounds
  return int64_t{g.filter_h} * g.filter_w < (int64_t{1} << 24) / largest;
}

template <>
void AveragePool(const reference::ConvGeometry& g, const float* input, float low, float high,
                 float* output, size_t begin, size_t end) {
  HWY_DYNAMIC_DISPATCH(FloatAverage)(g, input, low, high, output, begin, end);
}

#define LITESMITH_POOL(Name, T)                                                                    \
  namespace {                                                                                      \
  HWY_EXPORT(Max##Name);                                                                           \
  HWY_EXPORT(Average##Name);                                                                       \
  }                                                                                                \
  template <>                                                                                      \
  void MaxPoolInteger(const reference::ConvGeometry& g, const T* input, int32_t low, int32_t high, \
                      T* output, size_t begin, size_t end) {                                       \
    HWY_DYNAMIC_DISPATCH(Max##Name)(g, input, low, high, output, begin, end);                      \
  }                                                                                                \
  template <>                                                                                      \
  void AveragePool(const reference::ConvGeometry& g, const T* input, int32_t low, int32_t high,    \
                   T* output, size_t begin, size_t end) {                                          \
    HWY_DYNAMIC_DISPATCH(Average##Name)(g, input, low, high, output, begin, end);                  \
  }
LITESMITH_POOL(Int8, int8_t)
LITESMITH_POOL(Uint8, uint8_t)
LITESMITH_POOL(Int16, int16_t)
#undef LITESMITH_POOL

int64_t PoolRowTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
