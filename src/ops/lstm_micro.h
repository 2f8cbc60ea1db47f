#ifndef LITESMITH_OPS_LSTM_MICRO_H_
#define LITESMITH_OPS_LSTM_MICRO_H_

// UNIDIRECTIONAL_SEQUENCE_LSTM with tflite-micro's arithmetic.

#include "ops/lstm.h"

namespace litesmith {

// What its kernel lacks, "" where it has all: projection, peephole, layer normalization, a missing
// input gate, another activation than TANH.
const char* MicroLstmObstacle(const LstmForm& form, const LstmSettings& settings);

// The kernel on int8 or int16 activations. REQUIRES: CheckLstmShapes was OK. Errors: types, scales
// and forms that tflite-micro has not.
absl::StatusOr<Kernel> PrepareMicroLstm(const LstmOperands& at, const LstmSettings& settings,
                                        const LstmForm& form, const PrepareArgs& args);

// The exponent of a cell state's scale, which must be a power of two, 2^-15 to 2^-9.
absl::StatusOr<int> CellExponent(const TensorView& cell);

}  // namespace litesmith

#endif  // LITESMITH_OPS_LSTM_MICRO_H_
