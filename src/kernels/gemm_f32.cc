#include "kernels/gemm_f32.h"

#include <algorithm>
#include <functional>

#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Tile sizes by registers: 32 of them with AVX-512 and NEON, 16 else. Two vectors of columns (four
// on NEON, whose vectors are short) by as many rows as leave room for B and the broadcast element
// of A.
#if HWY_TARGET == HWY_AVX3
constexpr size_t kRows = 8, kVectors = 2;
#elif HWY_TARGET == HWY_NEON
constexpr size_t kRows = 5, kVectors = 4;
#elif HWY_TARGET == HWY_SCALAR
constexpr size_t kRows = 4, kVectors = 2;
#else
constexpr size_t kRows = 6, kVectors = 2;
#endif

// Rows of a tile of one vector, because kRows sums hardly cover the latency of their additions.
constexpr size_t kTallRows = 2 * kRows;

// B rows per block: two panels of one block fit the first-level cache.
constexpr size_t kDepthBlock = 256;

// Tiles one below the other that one call computes: with little depth, a call for each would cost
// as much as its products.
struct Tile {
  const float* rows[kRows];  // of the first tile
  ptrdiff_t delta;           // floats from row i to row i + kRows; for more than kRows
  size_t tiles;
  ptrdiff_t advance;  // floats of A from a tile's rows to those of the next
  const float* columns[kVectors];
  const float* ahead;  // the packed columns to fetch into the cache meanwhile, a panel a tile
  size_t ahead_tiles, panel_stride;  // how many tiles do so, and the way to the next panel
  size_t k_stride;
  const ptrdiff_t* taps;
  size_t num_taps, run;
  ptrdiff_t k_step, k_offset;
  float* c;
  size_t c_stride;
  const float* bias;  // of the tile's first column, or null
  bool load;          // start from what is in C
  bool clamp;
  float low, high;
  size_t last;  // columns of the last vector, 1..Lanes
};

// `count` floats at p and zeros: never reads beyond them.
template <bool kPartial>
HWY_INLINE V LoadColumns(D d, const float* p, size_t count) {
  if constexpr (!kPartial) return hn::LoadU(d, p);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, count), d, p);
#else
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)] = {};
  for (size_t i = 0; i < count; ++i) lanes[i] = p[i];
  return hn::Load(d, lanes);
#endif
}

HWY_INLINE void StoreColumns(D d, V v, float* p, size_t count) {
  if (count == hn::Lanes(d)) {
    hn::StoreU(v, d, p);
    return;
  }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  hn::BlendedStore(v, hn::FirstN(d, count), d, p);
#else
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, lanes);
  for (size_t i = 0; i < count; ++i) p[i] = lanes[i];
#endif
}

HWY_INLINE V LoadUpTo(D d, const float* p, size_t count) {
  return count == hn::Lanes(d) ? hn::LoadU(d, p) : LoadColumns<true>(d, p, count);
}

// NaN stays NaN: of two operands one of which is no number, x86 takes the second.
HWY_INLINE V Clamp(V x, V low, V high) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  return hn::Min(high, hn::Max(low, x));
#else
  const V above = hn::IfThenElse(hn::Lt(x, low), low, x);
  return hn::IfThenElse(hn::Gt(above, high), high, above);
#endif
}

// How B lies: packed beside packed elements of A (strides are constants, which leaves registers to
// the rows of A), or with any strides, its last vector full or not to be read beyond `last`
// columns.
enum class Form { kPacked, kStrided, kPartial };

// `t` again, and the compiler must not know: what only the start and the end of a tile need is then
// read there, and the loop between them has the registers.
HWY_INLINE const Tile& Anew(const Tile& t) {
  const Tile* same = &t;
  asm volatile("" : "+r"(same) : : "memory");
  return *same;
}

template <size_t kM, size_t kN>
HWY_INLINE void StartTile(const Tile& t, const float* c, V (&acc)[kM][kN]) {
  const D d;
  const size_t lanes = hn::Lanes(d), last = t.last, stride = t.c_stride;
  if (t.load) {
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m, c += stride) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kN; ++v) {
        acc[m][v] = LoadUpTo(d, c + v * lanes, v + 1 == kN ? last : lanes);
      }
    }
    return;
  }
#pragma GCC unroll 16
  for (size_t v = 0; v < kN; ++v) {
    const size_t count = v + 1 == kN ? last : lanes;
    const V start = t.bias != nullptr ? LoadUpTo(d, t.bias + v * lanes, count) : hn::Zero(d);
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m) acc[m][v] = start;
  }
}

template <size_t kM, size_t kN>
HWY_INLINE void FinishTile(const Tile& t, V (&acc)[kM][kN], float* c) {
  const D d;
  const size_t lanes = hn::Lanes(d), last = t.last, stride = t.c_stride;
  if (t.clamp) {
    const V low = hn::Set(d, t.low), high = hn::Set(d, t.high);
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kN; ++v) acc[m][v] = Clamp(acc[m][v], low, high);
    }
  }
  if (last == lanes) {
#pragma GCC unroll 16
    for (size_t m = 0; m < kM; ++m, c += stride) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kN; ++v) hn::StoreU(acc[m][v], d, c + v * lanes);
    }
    return;
  }
#pragma GCC unroll 16
  for (size_t m = 0; m < kM; ++m, c += stride) {
#pragma GCC unroll 16
    for (size_t v = 0; v + 1 < kN; ++v) hn::StoreU(acc[m][v], d, c + v * lanes);
    StoreColumns(d, acc[m][kN - 1], c + (kN - 1) * lanes, last);
  }
}

template <size_t kM, size_t kN, Form kForm>
void RunTile(const Tile& tile) {
  constexpr bool kPartial = kForm == Form::kPartial;
  const D d;
  float* c = tile.c;
  ptrdiff_t offset = tile.k_offset;
  for (size_t i = 0; i < tile.tiles; ++i) {
    const Tile& t = Anew(tile);
    V acc[kM][kN];
    StartTile(t, c, acc);
    const ptrdiff_t k_step = kForm == Form::kPacked ? 1 : t.k_step;
    const size_t k_stride = kForm == Form::kPacked ? kGemmPanel : t.k_stride;
    constexpr size_t kHeld = kM < kRows ? kM : kRows;  // all would not fit the registers
    const float* rows[kHeld];
#pragma GCC unroll 16
    for (size_t m = 0; m < kHeld; ++m) rows[m] = t.rows[m];
    [[maybe_unused]] const ptrdiff_t delta = t.delta;
    const float* columns[kN];
#pragma GCC unroll 16
    for (size_t v = 0; v < kN; ++v) columns[v] = t.columns[v];
    [[maybe_unused]] const float* ahead =
        i < t.ahead_tiles ? t.ahead + i * t.panel_stride : columns[0];
    size_t at_b = 0;
    for (size_t tap = 0; tap < t.num_taps; ++tap) {
      ptrdiff_t at = (t.taps != nullptr ? t.taps[tap] : 0) + offset;
      for (size_t r = 0; r < t.run; ++r) {
        if constexpr (kForm == Form::kPacked && kN > 1) __builtin_prefetch(ahead + at_b, 0, 2);
        V b[kN];
#pragma GCC unroll 16
        for (size_t v = 0; v < kN; ++v) {
          b[v] = kPartial && v + 1 == kN ? LoadColumns<kPartial>(d, columns[v] + at_b, t.last)
                                         : hn::LoadU(d, columns[v] + at_b);
        }
#pragma GCC unroll 16
        for (size_t m = 0; m < kM; ++m) {
          const V a = hn::Set(d, m < kHeld ? rows[m][at] : rows[m - kHeld][at + delta]);
#pragma GCC unroll 16
          for (size_t v = 0; v < kN; ++v) acc[m][v] = hn::MulAdd(a, b[v], acc[m][v]);
        }
        at += k_step;
        at_b += k_stride;
      }
    }
    const Tile& end = Anew(tile);
    FinishTile(end, acc, c);
    c += kM * end.c_stride;
    offset += end.advance;
  }
}

using TileFunction = void (*)(const Tile&);

struct TileTable {
  TileFunction run[kRows][kVectors][3];
  TileFunction tall[kTallRows];  // one vector of packed columns
};

template <size_t kM, size_t kN>
void FillRow(TileTable* table) {
  table->run[kM - 1][kN - 1][0] = RunTile<kM, kN, Form::kPacked>;
  table->run[kM - 1][kN - 1][1] = RunTile<kM, kN, Form::kStrided>;
  table->run[kM - 1][kN - 1][2] = RunTile<kM, kN, Form::kPartial>;
  if constexpr (kN > 1) FillRow<kM, kN - 1>(table);
}
template <size_t kM>
void Fill(TileTable* table) {
  if constexpr (kM <= kRows) FillRow<kM, kVectors>(table);
  table->tall[kM - 1] = RunTile<kM, 1, Form::kPacked>;
  if constexpr (kM > 1) Fill<kM - 1>(table);
}

const TileTable& Tiles() {
  static const TileTable table = [] {
    TileTable t;
    Fill<kTallRows>(&t);
    return t;
  }();
  return table;
}

// Steps through A's row starts.
struct RowCursor {
  const GemmLeft* a;
  size_t x, y;
  const float* image;

  RowCursor(const GemmLeft& left, size_t m) : a(&left) {
    x = m % left.width;
    const size_t rest = m / left.width;
    y = rest % left.height;
    image = left.data + static_cast<ptrdiff_t>(rest / left.height) * left.image_stride;
  }
  // How many of the next rows are a->step apart.
  size_t Straight() const { return a->width - x; }
  // The next row; goes `count` rows on. REQUIRES: count <= Straight().
  const float* Skip(size_t count) {
    const float* row = Row();
    x += count;
    Wrap();
    return row;
  }
  const float* Next() {
    const float* row = Row();
    ++x;
    Wrap();
    return row;
  }

 private:
  const float* Row() const {
    return image + static_cast<ptrdiff_t>(y) * a->row_stride + static_cast<ptrdiff_t>(x) * a->step;
  }
  void Wrap() {
    if (x < a->width) return;
    x = 0;
    if (++y == a->height) {
      y = 0;
      image += a->image_stride;
    }
  }
};

struct Block {
  const GemmLeft* a;
  const GemmRight* b;
  const GemmResult* c;
  size_t m_begin, m_end, n_begin, n_end;
  size_t n;  // all columns of C
};

// A tile of few rows waits for each sum's last addition, so the last two share theirs.
size_t RowsOfTile(size_t left, size_t most) {
  if (left <= most) return left;
  return left < most + most / 2 ? (left + 1) / 2 : most;
}

// How many of `left` rows go into tiles of as many as the first.
size_t RowsOfTiles(size_t left, size_t most) {
  const size_t whole = left / most, rest = left % most;
  if (left < most + most / 2) return RowsOfTile(left, most);
  return (rest > 0 && rest < most / 2 ? whole - 1 : whole) * most;
}

// A single row times packed columns: kN vectors of them, kChains sums each (of every kChains-th k),
// because one sum alone waits for every addition.
constexpr size_t kVectorSums = 8;
template <size_t kN>
void RunVector(const float* a, size_t depth, const GemmRight& b, const GemmResult& c, size_t n,
               size_t last) {
  constexpr size_t kChains = kVectorSums / kN;
  const D d;
  const size_t lanes = hn::Lanes(d);
  V acc[kChains][kN];
  const float* columns[kN];
#pragma GCC unroll 8
  for (size_t v = 0; v < kN; ++v) {
    const size_t column = n + v * lanes;
    const size_t count = v + 1 == kN ? last : lanes;
    columns[v] = b.data + column / kGemmPanel * b.panel_stride + column % kGemmPanel;
    acc[0][v] = c.bias != nullptr ? LoadUpTo(d, c.bias + column, count) : hn::Zero(d);
#pragma GCC unroll 8
    for (size_t i = 1; i < kChains; ++i) acc[i][v] = hn::Zero(d);
  }
  size_t k = 0;
  for (; k + kChains <= depth; k += kChains) {
#pragma GCC unroll 8
    for (size_t i = 0; i < kChains; ++i) {
      const V x = hn::Set(d, a[k + i]);
#pragma GCC unroll 8
      for (size_t v = 0; v < kN; ++v) {
        acc[i][v] = hn::MulAdd(x, hn::LoadU(d, columns[v] + (k + i) * kGemmPanel), acc[i][v]);
      }
    }
  }
  for (; k < depth; ++k) {
    const V x = hn::Set(d, a[k]);
#pragma GCC unroll 8
    for (size_t v = 0; v < kN; ++v) {
      acc[0][v] = hn::MulAdd(x, hn::LoadU(d, columns[v] + k * kGemmPanel), acc[0][v]);
    }
  }
  const V low = hn::Set(d, c.low), high = hn::Set(d, c.high);
#pragma GCC unroll 8
  for (size_t v = 0; v < kN; ++v) {
#pragma GCC unroll 8
    for (size_t i = 1; i < kChains; ++i) acc[0][v] = hn::Add(acc[0][v], acc[i][v]);
    StoreColumns(d, Clamp(acc[0][v], low, high), c.data + n + v * lanes,
                 v + 1 == kN ? last : lanes);
  }
}

template <size_t kN>
void RunVectorOf(size_t vectors, const float* a, size_t depth, const GemmRight& b,
                 const GemmResult& c, size_t n, size_t last) {
  if (vectors == kN) return RunVector<kN>(a, depth, b, c, n, last);
  if constexpr (kN > 1) RunVectorOf<kN - 1>(vectors, a, depth, b, c, n, last);
}

// The next tiles to `t`, as many as one call can take of the `left` rows; returns the rows of each.
// More than kRows (where `tall` allows it) must be steps apart.
size_t FindRows(RowCursor* cursor, size_t left, bool tall, Tile* t) {
  const ptrdiff_t step = cursor->a->step;
  const size_t straight = std::min(cursor->Straight(), left);
  const size_t most = tall && straight > kRows ? kTallRows : kRows;
  const size_t rows = RowsOfTile(most > kRows ? straight : left, most);
  t->delta = static_cast<ptrdiff_t>(kRows) * step;
  t->advance = static_cast<ptrdiff_t>(rows) * step;
  t->tiles = 1;
  if (straight < rows) {
    for (size_t i = 0; i < rows; ++i) t->rows[i] = cursor->Next();
    return rows;
  }
  const size_t all = RowsOfTiles(straight, most);
  t->tiles = std::max<size_t>(1, all / rows);
  const float* row = cursor->Skip(t->tiles * rows);
  for (size_t i = 0; i < std::min(rows, kRows); ++i)
    t->rows[i] = row + static_cast<ptrdiff_t>(i) * step;
  return rows;
}

// One block of C for one range of k: `taps` of them from first_tap, elements [r_begin, r_begin +
// run) of each.
void RunDepth(const Block& block, size_t first_tap, size_t taps, size_t r_begin, size_t run,
              bool first, bool last) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const TileTable& tiles = Tiles();
  const GemmRight& b = *block.b;
  const size_t k_begin = first_tap * block.a->run + r_begin;
  Tile t;
  t.k_stride = b.k_stride;
  t.panel_stride = b.panel_stride;
  t.taps = block.a->taps == nullptr ? nullptr : block.a->taps + first_tap;
  t.num_taps = taps;
  t.run = run;
  t.k_step = block.a->k_step;
  t.k_offset = static_cast<ptrdiff_t>(r_begin) * block.a->k_step;
  t.c_stride = block.c->stride;
  t.load = !first || block.c->accumulate;
  t.low = block.c->low;
  t.high = block.c->high;
  t.clamp = last && (t.low > -std::numeric_limits<float>::infinity() ||
                     t.high < std::numeric_limits<float>::infinity());
  constexpr size_t kLeastPanels = 1;
  const size_t panels = std::max(kLeastPanels, kVectors * lanes / kGemmPanel);  // of a tile
  for (size_t n = block.n_begin; n < block.n_end; n += kVectors * lanes) {
    const size_t columns = std::min(kVectors * lanes, block.n_end - n);
    const size_t vectors = (columns + lanes - 1) / lanes;
    t.last = columns - (vectors - 1) * lanes;
    const bool dense = b.packed && block.a->k_step == 1;
    const bool partial = t.last < lanes && !b.packed;
    const Form form = dense ? Form::kPacked : partial ? Form::kPartial : Form::kStrided;
    for (size_t v = 0; v < vectors; ++v) {
      const size_t column = n + v * lanes;
      t.columns[v] = b.data + column / kGemmPanel * b.panel_stride + column % kGemmPanel +
                     k_begin * b.k_stride;
    }
    t.bias = block.c->bias == nullptr ? nullptr : block.c->bias + n;
    RowCursor cursor(*block.a, block.m_begin);
    const bool tall = form == Form::kPacked && vectors == 1;
    size_t tile = 0;
    for (size_t m = block.m_begin; m < block.m_end;) {
      const size_t rows = FindRows(&cursor, block.m_end - m, tall, &t);
      // The first tiles fetch a panel each of those that come next, because weights seldom are in
      // the nearer caches; never beyond the last (addresses without memory cost more than a miss).
      const size_t panel = (n + kVectors * lanes) / kGemmPanel + tile;
      const size_t end = std::min((block.n + kGemmPanel - 1) / kGemmPanel, panel - tile + panels);
      t.ahead_tiles = panel < end ? end - panel : 0;
      if (t.ahead_tiles > 0) t.ahead = b.data + panel * b.panel_stride + k_begin * b.k_stride;
      t.c = block.c->data + m * block.c->stride + n;
      (tall ? tiles.tall[rows - 1]
            : tiles.run[rows - 1][vectors - 1][static_cast<size_t>(form)])(t);
      m += t.tiles * rows;
      tile += t.tiles;
    }
  }
}

void RunBlock(const GemmLeft& a, const GemmRight& b, const GemmResult& c, size_t m_begin,
              size_t m_end, size_t n_begin, size_t n_end, size_t n) {
  const bool plain = a.taps == nullptr && a.k_step == 1 && b.packed && !c.accumulate;
  if (m_begin == 0 && m_end == 1 && plain) {
    const size_t lanes = hn::Lanes(D());
    for (size_t at = n_begin; at < n_end; at += kVectorSums * lanes) {
      const size_t columns = std::min(kVectorSums * lanes, n_end - at);
      const size_t vectors = (columns + lanes - 1) / lanes;
      RunVectorOf<kVectorSums>(vectors, a.data, a.depth(), b, c, at,
                               columns - (vectors - 1) * lanes);
    }
    return;
  }
  const Block block{&a, &b, &c, m_begin, m_end, n_begin, n_end, n};
  if (a.depth() == 0 || a.run > kDepthBlock) {
    for (size_t tap = 0; tap < a.num_taps; ++tap) {
      size_t r = 0;
      do {
        const size_t run = std::min(kDepthBlock, a.run - r);
        RunDepth(block, tap, 1, r, run, tap == 0 && r == 0,
                 tap + 1 == a.num_taps && r + run == a.run);
        r += run;
      } while (r < a.run);
    }
    return;
  }
  const size_t step = std::max<size_t>(1, kDepthBlock / a.run);
  for (size_t tap = 0; tap < a.num_taps; tap += step) {
    const size_t taps = std::min(step, a.num_taps - tap);
    RunDepth(block, tap, taps, 0, a.run, tap == 0, tap + taps == a.num_taps);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(RunBlock);

// Blocks of C are the units of parallel work; multiples of every tile's rows and of the panel.
constexpr size_t kBlockRows = 120;
constexpr size_t kBlockColumns = 128;
// Multiply-adds below which a second thread costs more than it brings (some microseconds).
constexpr size_t kSerialWork = 1 << 18;

}  // namespace

void PackRowMajor(const float* b, size_t k, size_t n, size_t stride, float* packed) {
  for (size_t begin = 0; begin < n; begin += kGemmPanel) {
    const size_t columns = std::min(kGemmPanel, n - begin);
    for (size_t row = 0; row < k; ++row) {
      const float* from = b + row * stride + begin;
      std::fill(std::copy(from, from + columns, packed), packed + kGemmPanel, 0.0f);
      packed += kGemmPanel;
    }
  }
}

void PackTransposed(const float* b, size_t k, size_t n, size_t stride, float* packed) {
  for (size_t begin = 0; begin < n; begin += kGemmPanel) {
    const size_t columns = std::min(kGemmPanel, n - begin);
    if (columns < kGemmPanel) std::fill(packed, packed + kGemmPanel * k, 0.0f);
    for (size_t row = 0; row < k; ++row) {
      for (size_t i = 0; i < columns; ++i) packed[i] = b[(begin + i) * stride + row];
      packed += kGemmPanel;
    }
  }
}

void GemmF32(size_t m, size_t n, const GemmLeft& a, const GemmRight& b, const GemmResult& c,
             ThreadPool* threads) {
  if (m == 0 || n == 0) return;
  const size_t row_blocks = (m + kBlockRows - 1) / kBlockRows;
  const size_t column_blocks = (n + kBlockColumns - 1) / kBlockColumns;
  const auto run = HWY_DYNAMIC_DISPATCH(RunBlock);
  const auto body = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const size_t row = i % row_blocks * kBlockRows;
      const size_t column = i / row_blocks * kBlockColumns;
      run(a, b, c, row, std::min(row + kBlockRows, m), column, std::min(column + kBlockColumns, n),
          n);
    }
  };
  const bool serial = m * n * a.depth() < kSerialWork;
  ParallelFor(serial ? nullptr : threads, row_blocks * column_blocks, 1, std::cref(body));
}

int64_t GemmTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
