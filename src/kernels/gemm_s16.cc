#include "kernels/gemm_s16.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_s16.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/requantize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Tile sizes by registers; AVX-512 takes two panels at a time.
#if HWY_TARGET == HWY_AVX3
constexpr size_t kRows = 8, kPanels = 2;
#elif HWY_TARGET == HWY_AVX2
constexpr size_t kRows = 5, kPanels = 1;
#else
constexpr size_t kRows = 2, kPanels = 1;
#endif

constexpr size_t kMaxColumns = kPanels * kGemmS16Panel;

// Products that 32-bit sums hold whatever their values: 2^15 * 255 * 256 < 2^31.
constexpr size_t kWidePairs = 128;

struct Tile {
  const int16_t* rows[kRows];
  const int16_t* columns[kPanels];  // packed panels at the first pair
  const ptrdiff_t* taps;            // null: one tap at 0
  size_t num_taps, pairs;           // pairs of each tap
  ptrdiff_t offset;                 // of the first pair in each tap
  int32_t* sums;                    // kMaxColumns per row
};

#if HWY_TARGET == HWY_SCALAR

// Plain code: Highway's one-lane vectors have no pairs.
template <size_t kM, size_t kN>
void RunTile(const Tile& t) {
  for (size_t m = 0; m < kM; ++m) {
    for (size_t panel = 0; panel < kN; ++panel) {
      uint32_t sums[kGemmS16Panel] = {};
      const int16_t* b = t.columns[panel];
      for (size_t tap = 0; tap < t.num_taps; ++tap) {
        const int16_t* a = t.rows[m] + (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
        for (size_t p = 0; p < t.pairs; ++p, a += 2, b += 2 * kGemmS16Panel) {
          for (size_t n = 0; n < kGemmS16Panel; ++n) {
            sums[n] += static_cast<uint32_t>(a[0] * b[2 * n]);
            sums[n] += static_cast<uint32_t>(a[1] * b[2 * n + 1]);
          }
        }
      }
      std::memcpy(t.sums + m * kMaxColumns + panel * kGemmS16Panel, sums, sizeof(sums));
    }
  }
}

#else

using D16 = hn::Repartition<int16_t, D32>;

template <size_t kM, size_t kN>
HWY_INLINE void RunTile(const Tile& t) {
  const D32 d32;
  const D16 d16;
  constexpr size_t kPerPanel = kGemmS16Panel / hn::MaxLanes(D32());
  constexpr size_t kVectors = kN * kPerPanel;
  const size_t lanes = hn::Lanes(d32);
  V32 sum0[kM][kVectors], sum1[kM][kVectors];
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) sum0[m][v] = sum1[m][v] = hn::Zero(d32);
  }
  const int16_t* rows[kM];
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) rows[m] = t.rows[m];
  size_t at_b = 0;
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    for (size_t p = 0; p < t.pairs; ++p) {
      hn::Vec<D16> b[kVectors];
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) {
        b[v] = hn::LoadU(d16, t.columns[v / kPerPanel] + at_b + v % kPerPanel * lanes * 2);
      }
#pragma GCC unroll 16
      for (size_t m = 0; m < kM; ++m) {
        int32_t pair;
        std::memcpy(&pair, rows[m] + at, sizeof(pair));
        const auto a = hn::BitCast(d16, hn::Set(d32, pair));
#pragma GCC unroll 16
        for (size_t v = 0; v < kVectors; ++v) {
          sum0[m][v] = hn::ReorderWidenMulAccumulate(d32, a, b[v], sum0[m][v], sum1[m][v]);
        }
      }
      at += 2;
      at_b += 2 * kGemmS16Panel;
    }
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      hn::StoreU(hn::RearrangeToOddPlusEven(sum0[m][v], sum1[m][v]), d32,
                 t.sums + m * kMaxColumns + v * lanes);
    }
  }
}

#endif  // HWY_SCALAR

template <size_t kN>
void RunTileOfRows(const Tile& t, size_t rows) {
#if HWY_TARGET == HWY_AVX3
  switch (rows) {
    case 8:
      return RunTile<8, kN>(t);
    case 7:
      return RunTile<7, kN>(t);
    case 6:
      return RunTile<6, kN>(t);
    default:
      break;
  }
#endif
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  switch (rows) {
    case 5:
      return RunTile<5, kN>(t);
    case 4:
      return RunTile<4, kN>(t);
    case 3:
      return RunTile<3, kN>(t);
    default:
      break;
  }
#endif
  return rows == 2 ? RunTile<2, kN>(t) : RunTile<1, kN>(t);
}

void RunTileOf(const Tile& t, size_t rows, size_t panels) {
  if constexpr (kPanels == 2) {
    if (panels == 2) return RunTileOfRows<2>(t, rows);
  }
  RunTileOfRows<1>(t, rows);
}

// Steps through A's row starts.
struct RowCursor {
  const GemmS16Left* a;
  size_t x, y;
  const int16_t* image;

  RowCursor(const GemmS16Left& left, size_t m) : a(&left) {
    x = m % left.width;
    const size_t rest = m / left.width;
    y = rest % left.height;
    image = left.data + static_cast<ptrdiff_t>(rest / left.height) * left.image_stride;
  }
  const int16_t* Next() {
    const int16_t* row =
        image + static_cast<ptrdiff_t>(y) * a->row_stride + static_cast<ptrdiff_t>(x) * a->step;
    if (++x == a->width) {
      x = 0;
      if (++y == a->height) {
        y = 0;
        image += a->image_stride;
      }
    }
    return row;
  }
};

struct Block {
  const GemmS16Left* a;
  const int16_t* packed;
  const S16Result* out;
  size_t m_begin, m_end, n_begin, n_end;
};

// 64-bit sums: the depth in slices whose 32-bit sums cannot overflow.
void SumWide(const Tile& whole, size_t rows, size_t panels, int64_t* wide) {
  std::fill_n(wide, rows * kMaxColumns, int64_t{0});
  for (size_t tap = 0; tap < whole.num_taps; ++tap) {
    for (size_t p = 0; p < whole.pairs; p += kWidePairs) {
      Tile slice = whole;
      slice.taps = whole.taps == nullptr ? nullptr : whole.taps + tap;
      slice.num_taps = 1;
      slice.pairs = std::min(kWidePairs, whole.pairs - p);
      slice.offset = static_cast<ptrdiff_t>(2 * p);
      for (size_t i = 0; i < panels; ++i) {
        slice.columns[i] = whole.columns[i] + (tap * whole.pairs + p) * 2 * kGemmS16Panel;
      }
      RunTileOf(slice, rows, panels);
      for (size_t m = 0; m < rows; ++m) {
        for (size_t n = 0; n < panels * kGemmS16Panel; ++n) {
          wide[m * kMaxColumns + n] += whole.sums[m * kMaxColumns + n];
        }
      }
    }
  }
}

void RunBlock(const GemmS16Left& a, const int16_t* packed, const S16Result& out, size_t m_begin,
              size_t m_end, size_t n_begin, size_t n_end) {
  HWY_ALIGN int32_t sums[kRows * kMaxColumns];
  int64_t wide[kRows * kMaxColumns];
  Tile t;
  t.taps = a.taps;
  t.num_taps = a.num_taps;
  t.pairs = (a.run + 1) / 2;
  t.offset = 0;
  t.sums = sums;
  const size_t panel_size = t.num_taps * t.pairs * 2 * kGemmS16Panel;
  for (size_t n = n_begin; n < n_end; n += kMaxColumns) {
    const size_t columns = std::min(kMaxColumns, n_end - n);
    const size_t panels = (columns + kGemmS16Panel - 1) / kGemmS16Panel;
    for (size_t i = 0; i < panels; ++i) {
      t.columns[i] = packed + (n / kGemmS16Panel + i) * panel_size;
    }
    RowCursor cursor(a, m_begin);
    for (size_t m = m_begin; m < m_end; m += kRows) {
      const size_t rows = std::min(kRows, m_end - m);
      for (size_t i = 0; i < rows; ++i) t.rows[i] = cursor.Next();
      if (out.wide_rows != nullptr) {
        SumWide(t, rows, panels, wide);
        for (size_t i = 0; i < rows; ++i) {
          out.wide_rows(out.context, out.first_row + m + i, out.first_column + n,
                        wide + i * kMaxColumns, columns);
        }
        continue;
      }
      RunTileOf(t, rows, panels);
      for (size_t i = 0; i < rows; ++i) {
        if (out.fixed_point != nullptr) {
          StoreFixedPoint(*out.fixed_point, out.first_row + m + i, out.first_column + n,
                          sums + i * kMaxColumns, columns);
        } else {
          out.rows(out.context, out.first_row + m + i, out.first_column + n, sums + i * kMaxColumns,
                   columns);
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(RunBlock);

// Blocks of the result are the units of parallel work; columns in multiples of two panels.
constexpr size_t kBlockRows = 80;
constexpr size_t kBlockColumns = 128;
// Multiply-adds below which a second thread costs more than it brings (some microseconds).
constexpr size_t kSerialWork = 1 << 19;

}  // namespace

size_t PackedS16(size_t num_taps, size_t run, size_t n) {
  return PaddedColumns(n) * num_taps * ((run + 1) / 2 * 2);
}

template <typename W>
void PackS16(const W* weights, size_t num_taps, size_t run, size_t n, int32_t offset,
             int16_t* packed) {
  const size_t depth = num_taps * run;
  for (size_t begin = 0; begin < n; begin += kGemmS16Panel) {
    for (size_t tap = 0; tap < num_taps; ++tap) {
      for (size_t r = 0; r < run; r += 2) {
        for (size_t i = 0; i < kGemmS16Panel; ++i) {
          for (size_t half = 0; half < 2; ++half) {
            const bool inside = begin + i < n && r + half < run;
            *packed++ = inside ? static_cast<int16_t>(
                                     weights[(begin + i) * depth + tap * run + r + half] + offset)
                               : int16_t{0};
          }
        }
      }
    }
  }
}
template void PackS16(const int8_t*, size_t, size_t, size_t, int32_t, int16_t*);
template void PackS16(const uint8_t*, size_t, size_t, size_t, int32_t, int16_t*);

void GemmS16(size_t m, size_t n, const GemmS16Left& a, const int16_t* packed, const S16Result& out,
             ThreadPool* threads) {
  if (m == 0 || n == 0) return;
  const size_t row_blocks = (m + kBlockRows - 1) / kBlockRows;
  const size_t column_blocks = (n + kBlockColumns - 1) / kBlockColumns;
  const auto run = HWY_DYNAMIC_DISPATCH(RunBlock);
  const auto body = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const size_t row = i % row_blocks * kBlockRows;
      const size_t column = i / row_blocks * kBlockColumns;
      run(a, packed, out, row, std::min(row + kBlockRows, m), column,
          std::min(column + kBlockColumns, n));
    }
  };
  const bool serial = m * n * a.num_taps * a.run < kSerialWork;
  ParallelFor(serial ? nullptr : threads, row_blocks * column_blocks, 1, std::cref(body));
}

int64_t GemmS16Targets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
