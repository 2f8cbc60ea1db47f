#ifndef LITESMITH_KERNELS_FIXED_LINE_H_
#define LITESMITH_KERNELS_FIXED_LINE_H_

// Fixed-point requantization by one float multiply-add, with the bits of base/fixed_point.h.
//
// MultiplyByQuantizedMultiplier(x, m) never falls as x grows, so it is known by the x at which it
// reaches 1, 2, ... up to what the output's type holds: at most 255 of them. A float line scale * x
// + add, cut to an integer, is the same function where it passes every one of them between the same
// two integers. For a given scale that is an interval for `add`; where it is not empty the line is
// exact, which holds for nearly all multipliers of real models. (The sum must be rounded the way it
// is cut: then the rounding cannot carry it over an integer.) Results of negative numbers are those
// of their magnitudes, negated, but for ties of the high product; such multipliers get no line.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/fixed_point.h"

namespace litesmith {

enum class LineKind : uint8_t {
  kNone,  // the fixed-point arithmetic itself
  kOne,   // cut(x * scale + add)
  kTwo,   // cut(x * scale + (x * rest + add)): the inner sum rounded to nearest
};

// What a line must be right for: MultiplyByQuantizedMultiplier(x, multiplier) where |x - middle| <=
// reach, and results up to `most` in magnitude; what is beyond becomes beyond. `positive`: results
// below 0 may become 0. REQUIRES: multiplier >= 0, shift >= -31, reach >= 0, most <= 255.
struct LineSpec {
  Multiplier multiplier;
  int64_t middle = 0, reach = 0;
  int32_t most = 255;
  bool positive = false;
};

struct FixedLine {
  LineKind kind = LineKind::kNone;
  float scale = 0.0f, rest = 0.0f, add = 0.5f;
};

// kNone too on instruction sets that do not use lines.
FixedLine FitLine(const LineSpec& spec);
bool UsesLines();

// The lines of columns; entries that are added beyond them are constants.
struct FixedLines {
  std::vector<float> scale, rest, add;
  std::vector<LineKind> kind;  // empty: no line at all

  void Add(const FixedLine& line);
};

// The instruction sets of fixed_line.cc, for tests.
int64_t FixedLineTargets();

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_FIXED_LINE_H_
