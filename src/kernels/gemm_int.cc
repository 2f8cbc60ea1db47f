#include "kernels/gemm_int.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

#include "kernels/gemm_int_kernels.h"
#include "kernels/gemm_shares.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_int.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#ifndef LITESMITH_KERNELS_INT_TOTALS_
#define LITESMITH_KERNELS_INT_TOTALS_
namespace litesmith {
// Of one column's weights plus offset.
struct IntTotals {
  uint32_t sum = 0;
  int64_t absolute = 0;
  int32_t lowest = 0;
};
}  // namespace litesmith
#endif

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Tile sizes by registers; AVX-512 takes two panels at a time.
#if HWY_TARGET == HWY_AVX3
constexpr size_t kRows = 8, kPanels = 2;
#elif HWY_TARGET == HWY_AVX2
constexpr size_t kRows = 5, kPanels = 1;
#elif HWY_TARGET == HWY_NEON
constexpr size_t kRows = 3, kPanels = 1;
#else
constexpr size_t kRows = 2, kPanels = 1;
#endif

#if HWY_TARGET == HWY_SCALAR

// Plain code: Highway's one-lane vectors have no pairs.
void RunTile(const IntTile& t) {
  for (size_t m = 0; m < t.num_rows; ++m) {
    for (size_t panel = 0; panel < t.num_panels; ++panel) {
      uint32_t sums[kIntPanel];
      std::memcpy(sums, t.init + panel * kIntPanel, sizeof(sums));
      const auto* b = reinterpret_cast<const int16_t*>(t.panels[panel]);
      for (size_t tap = 0; tap < t.num_taps; ++tap) {
        const std::byte* from = t.rows[m] + (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
        for (size_t g = 0; g < t.groups; ++g, from += 4, b += 2 * kIntPanel) {
          int16_t a[2];
          std::memcpy(a, from, sizeof(a));
          for (size_t n = 0; n < kIntPanel; ++n) {
            sums[n] += static_cast<uint32_t>(a[0] * b[2 * n]);
            sums[n] += static_cast<uint32_t>(a[1] * b[2 * n + 1]);
          }
        }
      }
      std::memcpy(t.sums + m * kIntTileColumns + panel * kIntPanel, sums, sizeof(sums));
    }
  }
}

#else

using D32 = hn::CappedTag<int32_t, kIntPanel>;
using V32 = hn::Vec<D32>;
using D16 = hn::Repartition<int16_t, D32>;

template <size_t kM, size_t kN>
void RunRows(const IntTile& t, size_t panel, size_t first) {
  const D32 d32;
  const D16 d16;
  constexpr size_t kPerPanel = kIntPanel / hn::MaxLanes(D32());
  constexpr size_t kVectors = kN * kPerPanel;
  const size_t lanes = hn::Lanes(d32);
  V32 sum0[kM][kVectors], sum1[kM][kVectors];
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) sum0[m][v] = sum1[m][v] = hn::Zero(d32);
  }
  const std::byte* rows[kM];
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) rows[m] = t.rows[first + m];
  const auto* b0 = reinterpret_cast<const int16_t*>(t.panels[panel]);
  const ptrdiff_t next = (t.panels[panel + kN - 1] - t.panels[panel]) / ptrdiff_t{2};
  for (size_t tap = 0; tap < t.num_taps; ++tap) {
    ptrdiff_t at = (t.taps == nullptr ? 0 : t.taps[tap]) + t.offset;
    for (size_t g = 0; g < t.groups; ++g) {
      hn::Vec<D16> b[kVectors];
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) {
        b[v] = hn::LoadU(d16, b0 + (v >= kPerPanel ? next : 0) +
                                  static_cast<ptrdiff_t>(v % kPerPanel * lanes * 2));
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
      at += 4;
      b0 += 2 * kIntPanel;
    }
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const V32 sum = hn::Add(hn::RearrangeToOddPlusEven(sum0[m][v], sum1[m][v]),
                              hn::LoadU(d32, t.init + panel * kIntPanel + v * lanes));
      hn::StoreU(sum, d32, t.sums + (first + m) * kIntTileColumns + panel * kIntPanel + v * lanes);
    }
  }
}

template <size_t kM, size_t kN>
void RunRest(const IntTile& t, size_t panel, size_t first) {
  if (t.num_rows - first == kM) return RunRows<kM, kN>(t, panel, first);
  if constexpr (kM > 1) RunRest<kM - 1, kN>(t, panel, first);
}

template <size_t kN>
void RunPanels(const IntTile& t, size_t panel) {
  size_t m = 0;
  for (; m + kRows <= t.num_rows; m += kRows) RunRows<kRows, kN>(t, panel, m);
  if constexpr (kRows > 1) {
    if (m < t.num_rows) RunRest<kRows - 1, kN>(t, panel, m);
  }
}

void RunTile(const IntTile& t) {
  if constexpr (kPanels == 2) {
    if (t.num_panels == 2) return RunPanels<2>(t, 0);
  }
  for (size_t panel = 0; panel < t.num_panels; ++panel) RunPanels<1>(t, panel);
}

#endif  // HWY_SCALAR

template <typename W>
HWY_INLINE IntTotals Totals(const W* weights, size_t count, int32_t offset) {
  constexpr size_t kSteps = 1 << 11;  // in which no sum of 16 lanes of 15 bits leaves 32
  const hn::ScalableTag<int32_t> d;
  const hn::Rebind<W, decltype(d)> d_in;
  const auto add = hn::Set(d, offset);
  const size_t lanes = hn::Lanes(d);
  IntTotals out;
  size_t k = 0;
  while (k + lanes <= count) {
    auto sum = hn::Zero(d), absolute = hn::Zero(d), lowest = hn::Zero(d);
    for (const size_t end = std::min(count, k + kSteps * lanes); k + lanes <= end; k += lanes) {
      const auto w = hn::Add(hn::PromoteTo(d, hn::LoadU(d_in, weights + k)), add);
      sum = hn::Add(sum, w);
      absolute = hn::Add(absolute, hn::Abs(w));
      lowest = hn::Min(lowest, w);
    }
    out.sum += static_cast<uint32_t>(hn::GetLane(hn::SumOfLanes(d, sum)));
    out.absolute += hn::GetLane(hn::SumOfLanes(d, absolute));
    out.lowest = std::min(out.lowest, hn::GetLane(hn::MinOfLanes(d, lowest)));
  }
  for (; k < count; ++k) {
    const int32_t w = weights[k] + offset;
    out.sum += static_cast<uint32_t>(w);
    out.absolute += std::abs(w);
    out.lowest = std::min(out.lowest, w);
  }
  return out;
}
IntTotals TotalsInt8(const int8_t* weights, size_t count, int32_t offset) {
  return Totals(weights, count, offset);
}
IntTotals TotalsUint8(const uint8_t* weights, size_t count, int32_t offset) {
  return Totals(weights, count, offset);
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(RunTile);
HWY_EXPORT(TotalsInt8);
HWY_EXPORT(TotalsUint8);

// Blocks of the result: the rows are a multiple of every tile's; their sums stay in the first-level
// cache with two panels of weights.
constexpr size_t kBlockRows = 48;
// Where rows are short a block has more of them, because beginning one costs more than the cache
// saves: up to these bytes of them.
constexpr size_t kMostRows = 192;
constexpr size_t kBlockBytes = 16 << 10;
// The same for 16-bit products, whose sums take that memory.
constexpr size_t kShallow = 64;
constexpr size_t kBlockColumns = 128;
// Multiply-adds below which a second thread costs more than it brings (some microseconds).
constexpr size_t kSerialWork = 1 << 20;
// Products of 16-bit numbers with weights within +-255 that 32-bit sums hold whatever their values.
constexpr size_t kExactGroups = 128;

// The starts of A's rows [begin, end). `sparse`: of the blocks of kIntLineRows that `spaced` tells
// (IntTile::spaced) only the first row.
uint32_t FindRows(const IntLeft& a, size_t begin, size_t end, bool sparse, const std::byte** rows) {
  static_assert(kMostRows / kIntLineRows <= 32);
  uint32_t spaced = 0;
  size_t x = begin % a.width, y = begin / a.width % a.height;
  const auto* image = static_cast<const std::byte*>(a.data) +
                      static_cast<ptrdiff_t>(begin / a.width / a.height) * a.image_stride;
  const std::byte* row = image + static_cast<ptrdiff_t>(y) * a.row_stride;
  for (size_t m = begin; m < end;) {
    const size_t stop = std::min(end, m + a.width - x);  // of this row
    const std::byte* at = row + static_cast<ptrdiff_t>(x) * a.step;
    while (m < stop) {
      if ((m - begin) % kIntLineRows == 0 && m + kIntLineRows <= stop) {
        spaced |= 1u << (m - begin) / kIntLineRows;
        if (sparse) {
          rows[m - begin] = at;
          m += kIntLineRows;
          at += static_cast<ptrdiff_t>(kIntLineRows) * a.step;
          continue;
        }
      }
      rows[m++ - begin] = at;
      at += a.step;
    }
    x = 0;
    row += a.row_stride;
    if (++y < a.height) continue;
    y = 0;
    image += a.image_stride;
    row = image;
  }
  return spaced;
}

struct Product {
  const IntWeights& b;
  IntTileFunction tile;
  const int32_t* init;
  bool wide;
  const IntStage& stage;
};

// 64-bit sums: the depth in slices whose 32-bit sums cannot overflow.
void SumWide(const Product& p, const IntTile& whole, int64_t* wide) {
  std::fill_n(wide, whole.num_rows * kIntTileColumns, int64_t{0});
  const size_t together = std::max<size_t>(1, kExactGroups / std::max<size_t>(1, whole.groups));
  for (size_t tap = 0; tap < whole.num_taps; tap += together) {
    for (size_t g = 0; g < whole.groups; g += kExactGroups) {
      IntTile slice = whole;
      slice.taps = whole.taps == nullptr ? nullptr : whole.taps + tap;
      slice.num_taps = std::min(together, whole.num_taps - tap);
      slice.groups = std::min(kExactGroups, whole.groups - g);
      slice.offset = static_cast<ptrdiff_t>(4 * g);
      for (size_t i = 0; i < whole.num_panels; ++i) {
        slice.panels[i] = whole.panels[i] + (tap * whole.groups + g) * 4 * kIntPanel;
      }
      p.tile(slice);
      for (size_t r = 0; r < whole.num_rows; ++r) {
        for (size_t n = 0; n < whole.num_panels * kIntPanel; ++n) {
          wide[r * kIntTileColumns + n] += whole.sums[r * kIntTileColumns + n];
        }
      }
    }
  }
}

// Where sums start whose left operand is less by 128 than the product asks for.
void Centre(const int32_t* sums, const int32_t* init, size_t columns, int32_t* out) {
  for (size_t i = 0; i < columns; ++i) {
    out[i] = static_cast<int32_t>(static_cast<uint32_t>(init[i]) +
                                  128u * static_cast<uint32_t>(sums[i]));
  }
}

// Whether the kernel can make int16 of 16-bit products itself.
bool MakesWides(const Product& p) {
  return !p.b.bytes && !p.wide && p.b.kernel->isa == DotIsa::kAvx512Vnni &&
         p.stage.kind == IntStage::Kind::kWide && p.stage.type == IntStage::Out::kInt16 &&
         p.stage.wide_bias == nullptr;
}

// The kind that serves `panels` of columns.
LineKind KindOf(const LineKind* kinds, size_t panels) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  uint64_t none = 0, any = 0;
  for (size_t i = 0; i < panels * kIntPanel; i += 8) {
    uint64_t eight;
    std::memcpy(&eight, kinds + i, sizeof(eight));
    none |= (eight - kOnes) & ~eight;  // the top bit of every byte that is 0
    any |= eight;
  }
  static_assert(static_cast<int>(LineKind::kOne) == 1 && static_cast<int>(LineKind::kTwo) == 2);
  if ((none & (kOnes << 7)) != 0) return LineKind::kNone;
  return (any & (kOnes << 1)) != 0 ? LineKind::kTwo : LineKind::kOne;
}

// Whether the kernel can requantize the columns from `n` on itself: `lines` then says how.
bool FindLines(const Product& p, size_t n, size_t columns, IntTileLines* lines) {
  const IntStage& s = p.stage;
  if (!p.b.bytes || p.b.kernel->isa != DotIsa::kAvx512Vnni || s.lines == nullptr ||
      s.kind != IntStage::Kind::kFixed || s.type != IntStage::Out::kInt8 || columns % 4 != 0) {
    return false;
  }
  const size_t at = s.first_column + n;
  const LineKind kind = KindOf(s.lines->kind.data() + at, (columns + kIntPanel - 1) / kIntPanel);
  if (kind == LineKind::kNone) return false;
  lines->scale = s.lines->scale.data() + at;
  lines->rest = s.lines->rest.data() + at;
  lines->add = s.lines->add.data() + at;
  lines->two = kind == LineKind::kTwo;
  lines->positive = s.zero_point == -128 && s.low == -128;
  lines->zero_point = static_cast<int16_t>(s.zero_point);
  lines->low = static_cast<int8_t>(s.low);
  lines->high = static_cast<int8_t>(s.high);
  lines->stride = s.stride;
  lines->columns = columns;
  return true;
}

// Where the sums of a panel start, whose left operand is less by `zero`.
void StartPanel(const int32_t* __restrict start, const int32_t* __restrict sums, uint32_t zero,
                int32_t* __restrict init) {
  for (size_t i = 0; i < kIntPanel; ++i) {
    init[i] = static_cast<int32_t>(0 - zero * static_cast<uint32_t>(sums[i]));
  }
  if (start == nullptr) return;
  for (size_t i = 0; i < kIntPanel; ++i) {
    init[i] =
        static_cast<int32_t>(static_cast<uint32_t>(init[i]) + static_cast<uint32_t>(start[i]));
  }
}

// The same for the float stage of rows [m, m + rows), where they share a row scale; `init` and
// `scale` get two panels.
bool FindFloats(const Product& p, size_t m, size_t rows, size_t n, size_t columns, int32_t* init,
                float* scale, IntTileFloats* floats) {
  const IntStage& s = p.stage;
  if (!p.b.bytes || p.b.kernel->isa != DotIsa::kAvx512Vnni || s.kind != IntStage::Kind::kFloat) {
    return false;
  }
  const size_t at = s.first_column + n, image = (s.first_row + m) / s.positions;
  if ((s.first_row + m + rows - 1) / s.positions != image) return false;
  const float row_scale = s.row_scale[image];
  floats->twice = s.column_scale != nullptr && s.columns_first;
  const auto zero = static_cast<uint32_t>(s.row_zero == nullptr ? 0 : s.row_zero[image]);
  for (size_t i = 0; i < columns; i += kIntPanel) {
    StartPanel(p.init == nullptr ? nullptr : p.init + n + i, s.column_sum + at + i, zero, init + i);
  }
  floats->scale = scale;
  if (floats->twice) {
    floats->scale = s.column_scale + at;
  } else {
    const size_t size = (columns + kIntPanel - 1) / kIntPanel * kIntPanel;
    for (size_t i = 0; i < size; ++i) {
      scale[i] = row_scale * (s.column_scale == nullptr ? 1.0f : s.column_scale[at + i]);
    }
  }
  floats->bias = s.bias == nullptr ? nullptr : s.bias + at;
  floats->row_scale = row_scale;
  floats->low = s.float_low;
  floats->high = s.float_high;
  floats->stride = s.stride;
  floats->columns = columns;
  floats->out = static_cast<float*>(s.out) + (s.first_row + m) * s.stride + at;
  return true;
}

// Shifts below those of IntStage::bounded.
bool HasSmallShift(const IntStage& s, size_t at, size_t count) {
  for (size_t n = at; n < at + count; ++n) {
    if (s.right_shift[n] < 17 && s.multiplier[n] != 0) return true;
  }
  return false;
}

// The same as FindLines for int16 by one rounding.
bool FindWides(const Product& p, size_t n, size_t columns, IntTileWides* wides) {
  const IntStage& s = p.stage;
  if (!MakesWides(p) || s.zero_point != 0) return false;
  const size_t at = s.first_column + n;
  if (!s.bounded && HasSmallShift(s, at, columns)) return false;
  wides->multiplier = s.multiplier + at;
  wides->right_shift = s.right_shift + at;
  wides->bounded = s.bounded;
  wides->low = static_cast<int16_t>(s.low);
  wides->high = static_cast<int16_t>(s.high);
  wides->stride = s.stride;
  wides->columns = columns;
  return true;
}

void RunBlock(const Product& p, const IntLeft& a, size_t m_begin, size_t m_end, size_t n_begin,
              size_t n_end) {
  alignas(64) static constexpr int32_t kZeros[kIntTileColumns] = {};
  alignas(64) int32_t sums[kMostRows * kIntTileColumns];
  const std::byte* rows[kMostRows];
  // Only what FindLines, FindFloats or FindWides serves does without the rows of spaced blocks.
  bool sparse = MakesWides(p) || (p.b.bytes && p.b.kernel->isa == DotIsa::kAvx512Vnni);
  const uint32_t spaced = FindRows(a, m_begin, m_end, sparse, rows);
  const size_t num_rows = m_end - m_begin;
  const size_t rows_of_lines = num_rows / kIntLineRows * kIntLineRows;
  IntTile t;
  t.rows = rows;
  t.num_rows = num_rows;
  t.spaced = spaced;
  t.step = a.step;
  t.taps = a.taps;
  t.num_taps = p.b.taps;
  t.groups = p.b.groups;
  t.offset = 0;
  const bool centred = p.b.bytes && p.b.kernel->signed_left;
  t.flip = centred ? a.flip ^ kSignedFlip : a.flip;
  t.no_lowest = p.b.no_lowest;
  t.sums = sums;
  for (size_t n = n_begin; n < n_end; n += kIntTileColumns) {
    const size_t columns = std::min(kIntTileColumns, n_end - n);
    t.num_panels = (columns + kIntPanel - 1) / kIntPanel;
    for (size_t i = 0; i < t.num_panels; ++i) {
      t.panels[i] = p.b.panels.data() + (n / kIntPanel + i) * p.b.panel_bytes();
    }
    t.init = p.init == nullptr ? kZeros : p.init + n;
    alignas(64) int32_t centred_init[kIntTileColumns];
    if (centred) {
      Centre(p.b.sums.data() + n, t.init, t.num_panels * kIntPanel, centred_init);
      t.init = centred_init;
    }
    if (p.wide) {
      int64_t wide[kBlockRows * kIntTileColumns];
      SumWide(p, t, wide);
      RunIntStage(p.stage, m_begin, n, t.num_rows, columns, wide);
      continue;
    }
    IntTileLines lines;
    IntTileFloats floats;
    IntTileWides wides;
    alignas(64) int32_t init[kIntTileColumns];
    alignas(64) float scale[kIntTileColumns];
    size_t done = 0;
    if (rows_of_lines != 0 && FindLines(p, n, columns, &lines)) {
      lines.out = static_cast<int8_t*>(p.stage.out) +
                  (p.stage.first_row + m_begin) * p.stage.stride + p.stage.first_column + n;
      t.num_rows = done = rows_of_lines;
      t.lines = &lines;
      p.tile(t);
      t.lines = nullptr;
    } else if (rows_of_lines != 0 &&
               FindFloats(p, m_begin, rows_of_lines, n, columns, init, scale, &floats)) {
      const int32_t* own = std::exchange(t.init, init);
      t.num_rows = done = rows_of_lines;
      t.floats = &floats;
      p.tile(t);
      t.floats = nullptr;
      t.init = own;
    } else if (rows_of_lines != 0 && FindWides(p, n, columns, &wides)) {
      wides.out = static_cast<int16_t*>(p.stage.out) +
                  (p.stage.first_row + m_begin) * p.stage.stride + p.stage.first_column + n;
      t.num_rows = done = rows_of_lines;
      t.wides = &wides;
      p.tile(t);
      t.wides = nullptr;
    }
    if (done == num_rows) continue;
    if (done == 0 && sparse) {
      FindRows(a, m_begin, m_end, false, rows);
      sparse = false;
    }
    t.rows = rows + done;
    t.num_rows = num_rows - done;
    p.tile(t);
    RunIntStage(p.stage, m_begin + done, n, t.num_rows, columns, sums);
    t.rows = rows;
    t.num_rows = num_rows;
  }
}

size_t RowsOfBlock(const IntLeft& a, const IntWeights& b, bool wide_sums) {
  size_t depth = b.taps * b.groups * 4;
  // What rows of a convolution share is there once.
  if (b.bytes) depth = std::min(depth, b.taps * static_cast<size_t>(std::abs(a.step)));
  if (wide_sums || depth == 0) return kBlockRows;
  if (!b.bytes) return depth <= kShallow ? kMostRows : kBlockRows;
  return std::clamp(kBlockBytes / depth / kBlockRows * kBlockRows, kBlockRows, kMostRows);
}

std::vector<IntKernel> FindKernels() {
  std::vector<IntKernel> out;
#define LITESMITH_INT_KERNEL(isa, bytes, pairs) \
  if (HasDotIsa(DotIsa::isa)) out.push_back({DotIsa::isa, #pairs + 10, bytes, pairs});
#define LITESMITH_INT_BYTES_KERNEL(isa, bytes) \
  if (HasDotIsa(DotIsa::isa)) out.push_back({DotIsa::isa, #bytes + 9, bytes, nullptr, true});
#include "kernels/kernels.def"
#undef LITESMITH_INT_KERNEL
#undef LITESMITH_INT_BYTES_KERNEL
  out.push_back({DotIsa::kNone, "Highway", nullptr, nullptr});
  return out;
}

}  // namespace

std::span<const IntKernel> IntKernels() {
  static const std::vector<IntKernel> kernels = FindKernels();
  return kernels;
}

namespace {

// One column's weights of one tap, in groups a panel apart: training packs them anew in every step.
template <typename T, typename W>
void PackRun(const W* weights, size_t run, int32_t offset, std::byte* to) {
  constexpr size_t kGroup = 4 / sizeof(T);
  size_t r = 0;
  if constexpr (sizeof(T) == 1) {
    // Bytes as they are.
    for (; offset == 0 && r + kGroup <= run; r += kGroup, to += 4 * kIntPanel) {
      std::memcpy(to, weights + r, 4);
    }
  }
  for (; r < run; r += kGroup, to += 4 * kIntPanel) {
    T group[kGroup] = {};
    const size_t count = std::min(kGroup, run - r);
    for (size_t i = 0; i < count; ++i) group[i] = static_cast<T>(weights[r + i] + offset);
    std::memcpy(to, group, 4);
  }
}

template <typename W>
IntTotals TotalsOf(const W* weights, size_t count, int32_t offset) {
  if constexpr (std::is_same_v<W, int8_t>) {
    return HWY_DYNAMIC_DISPATCH(TotalsInt8)(weights, count, offset);
  } else {
    return HWY_DYNAMIC_DISPATCH(TotalsUint8)(weights, count, offset);
  }
}

}  // namespace

template <typename W>
IntWeights IntWeights::Pack(const IntKernel& kernel, bool bytes, const W* weights, size_t columns,
                            size_t taps, size_t run, int32_t offset) {
  IntWeights p;
  p.kernel = &kernel;
  p.bytes = bytes;
  p.columns = columns;
  p.taps = taps;
  p.run = run;
  const size_t per_group = bytes ? 4 : 2;
  p.groups = (run + per_group - 1) / per_group;
  const size_t panels = (columns + kIntPanel - 1) / kIntPanel;
  p.panels.resize(panels * p.panel_bytes());
  p.sums.resize((panels + 1) / 2 * 2 * kIntPanel);
  const size_t depth = taps * run;
  for (size_t n = 0; n < columns; ++n) {
    std::byte* to = p.panels.data() + n / kIntPanel * p.panel_bytes() + n % kIntPanel * 4;
    const IntTotals totals = TotalsOf(weights + n * depth, depth, offset);
    for (size_t tap = 0; tap < taps; ++tap) {
      const W* from = weights + n * depth + tap * run;
      std::byte* groups = to + tap * p.groups * 4 * kIntPanel;
      bytes ? PackRun<uint8_t>(from, run, offset, groups)
            : PackRun<int16_t>(from, run, offset, groups);
    }
    p.sums[n] = static_cast<int32_t>(totals.sum);
    p.absolute.push_back(totals.absolute);
    p.no_lowest = p.no_lowest && totals.lowest > -128;
    p.largest = std::max(p.largest, totals.absolute);
  }
  return p;
}
template IntWeights IntWeights::Pack(const IntKernel&, bool, const int8_t*, size_t, size_t, size_t,
                                     int32_t);
template IntWeights IntWeights::Pack(const IntKernel&, bool, const uint8_t*, size_t, size_t, size_t,
                                     int32_t);

namespace {

// Rows [m_begin, m_end) of columns [n_begin, n_end): block by block, so that the weights of one
// stay in the cache.
void RunArea(const Product& p, const IntLeft& a, size_t m_begin, size_t m_end, size_t n_begin,
             size_t n_end, size_t rows) {
  for (size_t n = n_begin; n < n_end; n += kBlockColumns) {
    for (size_t m = m_begin; m < m_end; m += rows) {
      RunBlock(p, a, m, std::min(m + rows, m_end), n, std::min(n + kBlockColumns, n_end));
    }
  }
}

}  // namespace

void GemmInt(size_t m, const IntLeft& a, const IntWeights& b, const int32_t* init, bool wide_sums,
             const IntStage& stage, ThreadPool* threads) {
  if (m == 0 || b.columns == 0) return;
  IntTileFunction tile = b.bytes ? b.kernel->bytes : b.kernel->pairs;
  if (tile == nullptr) tile = HWY_DYNAMIC_DISPATCH(RunTile);
  const Product product{b, tile, wide_sums ? nullptr : init, wide_sums, stage};
  const bool serial = m * b.columns * b.taps * b.run < kSerialWork;
  size_t rows = RowsOfBlock(a, b, wide_sums);
  // Without a small rest, whose weights would be read once more.
  if (serial && m <= rows + rows / 2 && !wide_sums) rows = std::min(m, kMostRows);
  const GemmShares shares(m, b.columns, b.taps * b.run, kIntLineRows, kIntTileColumns, kSerialWork);
  const auto area = [&](size_t m_begin, size_t m_end, size_t n_begin, size_t n_end) {
    RunArea(product, a, m_begin, m_end, n_begin, n_end, rows);
  };
  shares.Run(threads, area);
}

int64_t GemmIntTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
