#ifndef LITESMITH_KERNELS_INT_STAGE_NEON_H_
#define LITESMITH_KERNELS_INT_STAGE_NEON_H_

// IntStage::Kind::kFixed on NEON, 64-bit ARM and 32-bit, whose vectors Highway's stage cannot use:
// NEON has gemmlowp's high product and a rounding shift as instructions.

#include <cstddef>
#include <cstdint>

#include "kernels/int_stage.h"

namespace litesmith {

// As RunIntStage. REQUIRES: stage.kind is kFixed, no wide_bias. ARM only.
void RunFixedStageNeon(const IntStage& stage, size_t m, size_t n, size_t rows, size_t columns,
                       const int32_t* sums);

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_INT_STAGE_NEON_H_
