#ifndef LITESMITH_TRAIN_INTEGER_FORWARD_H_
#define LITESMITH_TRAIN_INTEGER_FORWARD_H_

// The forward passes of quantization-aware training: what the training graph fake-quantizes comes
// from the integer model itself, by the kernels that will run it. So training sees every rounding
// of theirs (fixed-point multipliers, tables, averages), whatever the operator, and what is
// exported is what was trained.

#include <memory>

#include "litesmith/context.h"
#include "train/qat.h"
#include "train/tape.h"

namespace litesmith {

// For one training at a time. `model` must outlive the result.
std::unique_ptr<ForwardModel> MakeIntegerForward(const QatModel& model, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_INTEGER_FORWARD_H_
