#include "kernels/gradient/elementwise_f32.h"

#include <algorithm>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gradient/elementwise_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/float_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith::gradient {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using litesmith::HWY_NAMESPACE::ForEach;

using D = hn::ScalableTag<float>;

struct ClampStep {
  const float *dy, *y;
  float low, high;
  float* masked;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    const auto v = hn::LoadU(d, y + i);
    const auto inside = hn::And(hn::Gt(v, hn::Set(d, low)), hn::Lt(v, hn::Set(d, high)));
    hn::StoreU(hn::IfThenElseZero(inside, hn::LoadU(d, dy + i)), d, masked + i);
  }
};
void ClampLoop(const float* dy, const float* y, size_t count, float low, float high,
               float* masked) {
  ForEach(count, ClampStep{dy, y, low, high, masked});
}

struct AddStep {
  const float* from;
  float* to;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    hn::StoreU(hn::Add(hn::LoadU(d, to + i), hn::LoadU(d, from + i)), d, to + i);
  }
};
void AddLoop(const float* from, size_t count, float* to) { ForEach(count, AddStep{from, to}); }

struct ScaleStep {
  const float* from;
  float factor;
  bool accumulate;
  float* to;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    auto v = hn::Mul(hn::LoadU(d, from + i), hn::Set(d, factor));
    if (accumulate) v = hn::Add(v, hn::LoadU(d, to + i));
    hn::StoreU(v, d, to + i);
  }
};
void ScaleLoop(const float* from, float factor, size_t count, bool accumulate, float* to) {
  ForEach(count, ScaleStep{from, factor, accumulate, to});
}

struct MultiplyStep {
  const float *a, *b;
  bool accumulate;
  float* to;
  template <typename Tag>
  HWY_ATTR void operator()(Tag d, size_t i) const {
    auto v = hn::Mul(hn::LoadU(d, a + i), hn::LoadU(d, b + i));
    if (accumulate) v = hn::Add(v, hn::LoadU(d, to + i));
    hn::StoreU(v, d, to + i);
  }
};
void MultiplyLoop(const float* a, const float* b, size_t count, bool accumulate, float* to) {
  ForEach(count, MultiplyStep{a, b, accumulate, to});
}

// Fewer columns than lanes, and they divide: whole vectors hold the same columns in the same lanes.
void SumNarrow(const float* x, size_t count, size_t columns, float* sums) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    s0 = hn::Add(s0, hn::LoadU(d, x + i));
    s1 = hn::Add(s1, hn::LoadU(d, x + i + lanes));
    s2 = hn::Add(s2, hn::LoadU(d, x + i + 2 * lanes));
    s3 = hn::Add(s3, hn::LoadU(d, x + i + 3 * lanes));
  }
  HWY_ALIGN float partial[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), d, partial);
  for (size_t lane = 0; lane < lanes; ++lane) sums[lane % columns] += partial[lane];
  for (; i < count; ++i) sums[i % columns] += x[i];
}

void SumColumns(const float* x, size_t rows, size_t columns, float* sums) {
  const D d;
  if (columns <= hn::Lanes(d) && hn::Lanes(d) % columns == 0) {
    SumNarrow(x, rows * columns, columns, sums);
    return;
  }
  for (size_t row = 0; row < rows; ++row) ForEach(columns, AddStep{x + row * columns, sums});
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith::gradient
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith::gradient {
namespace {

HWY_EXPORT(ClampLoop);
HWY_EXPORT(AddLoop);
HWY_EXPORT(ScaleLoop);
HWY_EXPORT(MultiplyLoop);
HWY_EXPORT(SumColumns);

}  // namespace

void ThroughClamp(const float* dy, const float* y, size_t count, float low, float high,
                  float* masked) {
  HWY_DYNAMIC_DISPATCH(ClampLoop)(dy, y, count, low, high, masked);
}

void ColumnSums(const float* x, size_t rows, size_t columns, bool accumulate, float* sums) {
  if (columns == 0) return;
  if (!accumulate) std::fill(sums, sums + columns, 0.0f);
  HWY_DYNAMIC_DISPATCH(SumColumns)(x, rows, columns, sums);
}

void AddOrCopy(const float* from, size_t count, bool accumulate, float* to) {
  if (accumulate) {
    HWY_DYNAMIC_DISPATCH(AddLoop)(from, count, to);
  } else if (from != to) {
    std::copy(from, from + count, to);
  }
}

void ScaleTo(const float* from, float factor, size_t count, bool accumulate, float* to) {
  HWY_DYNAMIC_DISPATCH(ScaleLoop)(from, factor, count, accumulate, to);
}

void MultiplyTo(const float* a, const float* b, size_t count, bool accumulate, float* to) {
  HWY_DYNAMIC_DISPATCH(MultiplyLoop)(a, b, count, accumulate, to);
}

int64_t ElementwiseTargets() { return HWY_TARGETS; }

}  // namespace litesmith::gradient
#endif  // HWY_ONCE
