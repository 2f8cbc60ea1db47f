#ifndef LITESMITH_OPS_BATCH_NORMALIZE_H_
#define LITESMITH_OPS_BATCH_NORMALIZE_H_

#include <cstddef>
#include <cstdint>

namespace litesmith {

// An operator of training graphs alone; files never hold it. Inputs: x [..., channels], gamma and
// beta [channels], settings (INT32). Outputs: y, and the batch's mean and variance per channel,
// which have no gradient.
inline constexpr char kBatchNormalizeCode[] = "LitesmithBatchNormalize";

enum BatchNormalizeSetting : size_t {
  kBatchNormalizeActivation,  // ActivationFunctionType, fused
  kBatchNormalizeMeasures,    // 1: y = activation(x), only the statistics are wanted
  kBatchNormalizeSettings,    // how many there are
};

}  // namespace litesmith

#endif  // LITESMITH_OPS_BATCH_NORMALIZE_H_
