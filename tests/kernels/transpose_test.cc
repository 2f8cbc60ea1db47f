#include "kernels/transpose.h"

#include <vector>

#include "tests/kernels/targets.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

TEST(TransposeKernel, TurnsEveryShape) {
  testing::ForEachTarget(TransposeTargets(), [&](const char*) {
    for (size_t element : {1, 2, 4, 8}) {
      for (size_t rows : {1, 3, 8, 16, 17, 33}) {
        for (size_t columns : {1, 2, 15, 16, 31, 48}) {
          // Gaps of one element between the rows on both sides.
          const size_t from_row = (columns + 1) * element, to_row = (rows + 1) * element;
          std::vector<uint8_t> from(rows * from_row), to(columns * to_row, 9);
          for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<uint8_t>(i * 151 + i / 7);
          std::vector<uint8_t> expected(to);
          for (size_t r = 0; r < rows; ++r) {
            for (size_t c = 0; c < columns; ++c) {
              for (size_t b = 0; b < element; ++b) {
                expected[c * to_row + r * element + b] = from[r * from_row + c * element + b];
              }
            }
          }
          TransposeMatrix m;
          m.from = reinterpret_cast<const std::byte*>(from.data());
          m.from_row = static_cast<ptrdiff_t>(from_row);
          m.to = reinterpret_cast<std::byte*>(to.data());
          m.to_row = static_cast<ptrdiff_t>(to_row);
          m.rows = rows;
          m.columns = columns;
          Transpose(m, element);
          ASSERT_EQ(to, expected) << element << ": " << rows << " x " << columns;
        }
      }
    }
  });
}

}  // namespace
}  // namespace litesmith
