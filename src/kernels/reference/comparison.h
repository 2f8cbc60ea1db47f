#ifndef LITESMITH_KERNELS_REFERENCE_COMPARISON_H_
#define LITESMITH_KERNELS_REFERENCE_COMPARISON_H_

#include <cstdint>

#include "base/fixed_point.h"

namespace litesmith::reference {

// A quantized value in fixed point, 8 fractional bits: how TFLite compares values of different
// scales. Freestanding.
struct CommonScale {
  int32_t offset = 0;  // minus the zero point
  Multiplier scale;

  int32_t operator()(int32_t q) const {
    return MultiplyByQuantizedMultiplier((q + offset) * (1 << 8), scale);
  }
};

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_COMPARISON_H_
