#ifndef LITESMITH_KERNELS_GEMM_SHARES_H_
#define LITESMITH_KERNELS_GEMM_SHARES_H_

#include <algorithm>
#include <cstddef>
#include <functional>

#include "base/threads.h"

namespace litesmith {

// How the threads share a matrix product of m rows and n columns. Where there are many rows each
// has some of them, the same ones in every layer of a network, so that it reads what it wrote
// itself; where there are few, tiles are counted out column by column, and the shares are equal
// within one.
class GemmShares {
 public:
  // `tile_columns`: shares begin at multiples of it. `least`: multiply-adds below which a second
  // thread costs more than it brings.
  GemmShares(size_t m, size_t n, size_t depth, size_t tile_rows, size_t tile_columns, size_t least)
      : m_(m), n_(n), tile_rows_(tile_rows), tile_columns_(tile_columns), least_(least) {
    work_ = m * n * depth;
  }

  // area(m_begin, m_end, n_begin, n_end) until all is done.
  template <typename Area>
  void Run(ThreadPool* threads, const Area& area) const {
    if (threads == nullptr || threads->num_threads() == 1 || work_ < least_) {
      return area(0, m_, 0, n_);
    }
    const size_t row_tiles = (m_ + tile_rows_ - 1) / tile_rows_;
    if (row_tiles >= kManyTiles * static_cast<size_t>(threads->num_threads())) {
      // Half tiles: a rest costs less than the other thread's wait for a whole one.
      const size_t step = std::max<size_t>(1, tile_rows_ / 2), units = (m_ + step - 1) / step;
      const auto body = [&](size_t begin, size_t end) {
        area(begin * step, std::min(end * step, m_), 0, n_);
      };
      return threads->ParallelFor(units, Grain(units), std::cref(body));
    }
    const size_t tiles = row_tiles * ((n_ + tile_columns_ - 1) / tile_columns_);
    const auto body = [&](size_t begin, size_t end) { Tiles(begin, end, row_tiles, area); };
    threads->ParallelFor(tiles, Grain(tiles), std::cref(body));
  }

 private:
  // Row tiles of a thread that are too many for a rest to count.
  static constexpr size_t kManyTiles = 6;

  // A thread has half of `least_` or more to do.
  size_t Grain(size_t units) const {
    const double share = static_cast<double>(least_) / 2.0 / static_cast<double>(work_);
    return std::max<size_t>(1, static_cast<size_t>(share * static_cast<double>(units)));
  }

  template <typename Area>
  void Tiles(size_t begin, size_t end, size_t row_tiles, const Area& area) const {
    while (begin < end) {
      const size_t column = begin / row_tiles * tile_columns_, row = begin % row_tiles;
      size_t columns = 1, rows = std::min(row_tiles - row, end - begin);
      if (rows == row_tiles) columns = (end - begin) / row_tiles;
      area(row * tile_rows_, std::min((row + rows) * tile_rows_, m_), column,
           std::min(column + columns * tile_columns_, n_));
      begin += columns * rows;
    }
  }

  size_t m_, n_, tile_rows_, tile_columns_, least_, work_;
};

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_GEMM_SHARES_H_
