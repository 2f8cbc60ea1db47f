#include "kernels/gemm_f32.h"

#include <algorithm>

#include "kernels/gemm_shares.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_f32.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernels/gemm_f32_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace litesmith {
namespace HWY_NAMESPACE {

// Steps through A's row starts.
struct RowCursor {
  const GemmLeft* a;
  size_t x, y;
  const float* image;

  RowCursor(const GemmLeft& left, size_t m) : a(&left), x(m), y(0), image(left.data) {
    if (m < left.width) return;
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
// More than kRows (where `tall` allows it) must be steps apart; all, where C has `gaps`.
size_t FindRows(RowCursor* cursor, size_t left, bool tall, bool gaps, Tile* t) {
  const ptrdiff_t step = cursor->a->step;
  const size_t straight = std::min(cursor->Straight(), left);
  if (gaps) left = straight;
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

// All rows of a block for columns [n, n + vectors) of one range of k; everything but the rows and C
// is in `t`.
void RunColumns(const Block& block, size_t n, size_t vectors, bool half, Tile* t) {
  const size_t lanes = hn::Lanes(D());
  const TileTable& tiles = Tiles();
  const bool packed = block.b->packed, dense = packed && block.a->k_step == 1;
  const bool tall = dense && vectors == 1;
  const bool partial = t->last < lanes && !packed;
  const Form form = dense ? Form::kPacked : partial ? Form::kPartial : Form::kStrided;
  const TileFunction* run = half ? tiles.half : tall ? tiles.tall : nullptr;
  // The first tiles fetch a panel each of those that come next, because weights seldom are in the
  // nearer caches; never beyond the last (addresses without memory cost more than a miss).
  constexpr size_t kLeastPanels = 1;
  const size_t own = std::max(kLeastPanels, vectors * lanes / kGemmPanel);
  const size_t next = n / kGemmPanel + own;
  const size_t all = (block.n + kGemmPanel - 1) / kGemmPanel;
  const size_t panels = next < all ? std::min(all - next, own) : 0;
  const float* ahead =
      panels > 0 ? t->columns[0] + (next - n / kGemmPanel) * t->panel_stride : nullptr;
  const bool gaps = block.c->row_stride != 0;
  RowCursor cursor(*block.a, block.m_begin);
  size_t tile = 0;
  for (size_t m = block.m_begin; m < block.m_end;) {
    t->c =
        block.c->data +
        (gaps ? cursor.y * block.c->row_stride + cursor.x * block.c->stride : m * block.c->stride) +
        n;
    const size_t rows = FindRows(&cursor, block.m_end - m, tall, gaps, t);
    t->ahead_tiles = tile < panels ? panels - tile : 0;
    t->ahead = tile < panels ? ahead + tile * t->panel_stride : nullptr;
    (run != nullptr ? run[rows - 1]
                    : tiles.run[rows - 1][vectors - 1][static_cast<size_t>(form)])(*t);
    m += t->tiles * rows;
    tile += t->tiles;
  }
}

// One block of C for one range of k: `taps` of them from first_tap, elements [r_begin, r_begin +
// run) of each.
void RunDepth(const Block& block, size_t first_tap, size_t taps, size_t r_begin, size_t run,
              bool first, bool last) {
  const size_t lanes = hn::Lanes(D());
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
  const bool pairs = b.packed && block.a->k_step == 1 && Tiles().half[0] != nullptr;
  size_t vectors = 0;
  for (size_t n = block.n_begin; n < block.n_end; n += vectors * lanes) {
    const size_t columns = std::min(kVectors * lanes, block.n_end - n);
    vectors = (columns + lanes - 1) / lanes;
    t.last = columns - (vectors - 1) * lanes;
    // Half a vector at the end has tiles of its own, after those of the whole ones.
    const bool rest = pairs && t.last <= lanes / 2;
    const bool half = rest && vectors == 1;
    if (rest && vectors > 1) {
      --vectors;
      t.last = lanes;
    }
    for (size_t v = 0; v < vectors; ++v) {
      const size_t column = n + v * lanes;
      t.columns[v] = b.data + column / kGemmPanel * b.panel_stride + column % kGemmPanel +
                     k_begin * b.k_stride;
    }
    t.bias = block.c->bias == nullptr ? nullptr : block.c->bias + n;
    RunColumns(block, n, vectors, half, &t);
  }
}

void RunBlock(const GemmLeft& a, const GemmRight& b, const GemmResult& c, size_t m_begin,
              size_t m_end, size_t n_begin, size_t n_end, size_t m, size_t n) {
  const bool plain = a.taps == nullptr && a.k_step == 1 && b.packed && !c.accumulate;
  if (m == 1 && plain) {
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

// to[row * kGemmPanel + i] = b[i * stride + row] for i < columns: squares of 4 x 4, then the rest.
void TransposePanel(const float* b, size_t k, size_t columns, size_t stride, float* to) {
  size_t whole_rows = 0, whole_columns = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::FixedTag<float, 4> d;
  whole_rows = k / 4 * 4;
  whole_columns = columns / 4 * 4;
  for (size_t i = 0; i < whole_columns; i += 4) {
    const float *p0 = b + i * stride, *p1 = p0 + stride, *p2 = p1 + stride, *p3 = p2 + stride;
    for (size_t row = 0; row < whole_rows; row += 4) {
      const auto r0 = hn::LoadU(d, p0 + row), r1 = hn::LoadU(d, p1 + row);
      const auto r2 = hn::LoadU(d, p2 + row), r3 = hn::LoadU(d, p3 + row);
      const auto low01 = hn::InterleaveLower(d, r0, r1), low23 = hn::InterleaveLower(d, r2, r3);
      const auto high01 = hn::InterleaveUpper(d, r0, r1), high23 = hn::InterleaveUpper(d, r2, r3);
      float* at = to + row * kGemmPanel + i;
      hn::StoreU(hn::ConcatLowerLower(d, low23, low01), d, at);
      hn::StoreU(hn::ConcatUpperUpper(d, low23, low01), d, at + kGemmPanel);
      hn::StoreU(hn::ConcatLowerLower(d, high23, high01), d, at + 2 * kGemmPanel);
      hn::StoreU(hn::ConcatUpperUpper(d, high23, high01), d, at + 3 * kGemmPanel);
    }
  }
#endif
  for (size_t row = 0; row < k; ++row) {
    const size_t first = row < whole_rows ? whole_columns : 0;
    for (size_t i = first; i < columns; ++i) to[row * kGemmPanel + i] = b[i * stride + row];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace litesmith
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace litesmith {
namespace {

HWY_EXPORT(RunBlock);
HWY_EXPORT(TransposePanel);

// Blocks of C; multiples of every tile's rows and of the panel.
constexpr size_t kBlockRows = 120;
constexpr size_t kBlockColumns = 128;
// The threads' shares: of the largest tiles.
constexpr size_t kTileRows = 8;
constexpr size_t kTileColumns = 32;
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
  for (size_t begin = 0; begin < n; begin += kGemmPanel, packed += kGemmPanel * k) {
    const size_t columns = std::min(kGemmPanel, n - begin);
    if (columns < kGemmPanel) std::fill(packed, packed + kGemmPanel * k, 0.0f);
    HWY_DYNAMIC_DISPATCH(TransposePanel)(b + begin * stride, k, columns, stride, packed);
  }
}

void GemmF32(size_t m, size_t n, const GemmLeft& a, const GemmRight& b, const GemmResult& c,
             ThreadPool* threads) {
  if (m == 0 || n == 0) return;
  const auto run = HWY_DYNAMIC_DISPATCH(RunBlock);
  const auto area = [&](size_t m_begin, size_t m_end, size_t n_begin, size_t n_end) {
    for (size_t column = n_begin; column < n_end; column += kBlockColumns) {
      for (size_t row = m_begin; row < m_end; row += kBlockRows) {
        run(a, b, c, row, std::min(row + kBlockRows, m_end), column,
            std::min(column + kBlockColumns, n_end), m, n);
      }
    }
  };
  // The sums of a single row depend on which columns are computed at once.
  const size_t columns = m == 1 ? kBlockColumns : kTileColumns;
  GemmShares(m, n, a.depth(), kTileRows, columns, kSerialWork).Run(threads, area);
}

int64_t GemmTargets() { return HWY_TARGETS; }

}  // namespace litesmith
#endif  // HWY_ONCE
