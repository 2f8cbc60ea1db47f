#ifndef LITESMITH_OPS_LSTM_GRADIENT_H_
#define LITESMITH_OPS_LSTM_GRADIENT_H_

#include "ops/lstm.h"

namespace litesmith {

// Back-propagation through time (Werbos 1990) of a plain float LSTM whose states start as zeros:
// no coupled gates, peephole, projection, layer normalization or clipping.
absl::Status LstmGradient(const LstmOperands& at, const LstmSettings& settings,
                          const LstmForm& form, const GradArgs& args);

}  // namespace litesmith

#endif  // LITESMITH_OPS_LSTM_GRADIENT_H_
