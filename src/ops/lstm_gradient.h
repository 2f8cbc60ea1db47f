#ifndef LITESMITH_OPS_LSTM_GRADIENT_H_
#define LITESMITH_OPS_LSTM_GRADIENT_H_

#include "ops/lstm.h"

namespace litesmith {

// One direction's rows of the gradient of the result, `width` apart.
struct LstmResultGradient {
  const float* first = nullptr;
  size_t width = 0;
};

// Back-propagation through time (Werbos 1990) of a float LSTM of any form whose states start as
// zeros. Adds to all gradients: StartGradients comes before.
absl::Status AddLstmGradient(const LstmOperands& at, const LstmSettings& settings,
                             const LstmForm& form, const LstmResultGradient& result,
                             const GradArgs& args);

}  // namespace litesmith

#endif  // LITESMITH_OPS_LSTM_GRADIENT_H_
