#ifndef LITESMITH_OPS_HALF_KERNEL_H_
#define LITESMITH_OPS_HALF_KERNEL_H_

// Operators on FLOAT16: computed in float and rounded once, which is what LiteRT's half type does
// for a single operation.

#include "ops/op.h"

namespace litesmith {

// Whether the first input is FLOAT16.
bool IsHalf(const PrepareArgs& args);

// The kernel that `prepare` makes of the same operands in FLOAT32, with the conversions around it.
// Values of FLOAT16 constants are not known to `prepare`.
absl::StatusOr<Kernel> HalfKernel(const PrepareArgs& args, Prepare prepare);

}  // namespace litesmith

#endif  // LITESMITH_OPS_HALF_KERNEL_H_
