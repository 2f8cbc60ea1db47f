#include "kernels/transpose.h"

#include <algorithm>
#include <cstring>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/transpose.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows [r, r_end) of columns [c, c_end), one element after the other.
template <typename T>
void Elements(const TransposeMatrix& m, size_t r, size_t r_end, size_t c, size_t c_end) {
  for (size_t column = c; column < c_end; ++column) {
    const std::byte* from = m.from + static_cast<ptrdiff_t>(r) * m.from_row +
                            static_cast<ptrdiff_t>(column * sizeof(T));
    std::byte* to = m.to + static_cast<ptrdiff_t>(column) * m.to_row;
    for (size_t row = r; row < r_end; ++row, from += m.from_row) {
      std::memcpy(to + row * sizeof(T), from, sizeof(T));
    }
  }
}

#if HWY_TARGET != HWY_SCALAR

// kN x kN elements: interleaving the first half of the rows with the second log2(kN) times turns
// them.
template <typename T>
void Square(const TransposeMatrix& m, size_t r, size_t c) {
  constexpr size_t kN = 16 / sizeof(T);
  const hn::Simd<T, kN, 0> d;
  using V = hn::Vec<hn::Simd<T, kN, 0>>;
  V rows[kN], next[kN];
  const std::byte* from =
      m.from + static_cast<ptrdiff_t>(r) * m.from_row + static_cast<ptrdiff_t>(c * sizeof(T));
#pragma GCC unroll 16
  for (size_t i = 0; i < kN; ++i) {
    rows[i] =
        hn::LoadU(d, reinterpret_cast<const T*>(from + static_cast<ptrdiff_t>(i) * m.from_row));
  }
#pragma GCC unroll 4
  for (size_t step = 1; step < kN; step *= 2) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kN / 2; ++i) {
      next[2 * i] = hn::InterleaveLower(d, rows[i], rows[i + kN / 2]);
      next[2 * i + 1] = hn::InterleaveUpper(d, rows[i], rows[i + kN / 2]);
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < kN; ++i) rows[i] = next[i];
  }
  std::byte* to =
      m.to + static_cast<ptrdiff_t>(c) * m.to_row + static_cast<ptrdiff_t>(r * sizeof(T));
#pragma GCC unroll 16
  for (size_t i = 0; i < kN; ++i) {
    hn::StoreU(rows[i], d, reinterpret_cast<T*>(to + static_cast<ptrdiff_t>(i) * m.to_row));
  }
}

#endif  // HWY_TARGET != HWY_SCALAR

template <typename T>
void Matrix(const TransposeMatrix& m) {
  size_t row = 0;
#if HWY_TARGET != HWY_SCALAR
  constexpr size_t kN = 16 / sizeof(T);
  const size_t columns = m.columns / kN * kN;
  for (; row + kN <= m.rows; row += kN) {
    for (size_t column = 0; column < columns; column += kN) Square<T>(m, row, column);
    Elements<T>(m, row, row + kN, columns, m.columns);
  }
#endif
  Elements<T>(m, row, m.rows, 0, m.columns);
}

void Turn1(const TransposeMatrix& m) { Matrix<uint8_t>(m); }
void Turn2(const TransposeMatrix& m) { Matrix<uint16_t>(m); }
void Turn4(const TransposeMatrix& m) { Matrix<uint32_t>(m); }
void Turn8(const TransposeMatrix& m) { Matrix<uint64_t>(m); }

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(Turn1);
HWY_EXPORT(Turn2);
HWY_EXPORT(Turn4);
HWY_EXPORT(Turn8);

}  // namespace

void Transpose(const TransposeMatrix& matrix, size_t element) {
  switch (element) {
    case 1:
      return HWY_DYNAMIC_DISPATCH(Turn1)(matrix);
    case 2:
      return HWY_DYNAMIC_DISPATCH(Turn2)(matrix);
    case 4:
      return HWY_DYNAMIC_DISPATCH(Turn4)(matrix);
    default:
      return HWY_DYNAMIC_DISPATCH(Turn8)(matrix);
  }
}

int64_t TransposeTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
