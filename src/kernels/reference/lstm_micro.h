#ifndef LITESMITH_KERNELS_REFERENCE_LSTM_MICRO_H_
#define LITESMITH_KERNELS_REFERENCE_LSTM_MICRO_H_

// A step of UNIDIRECTIONAL_SEQUENCE_LSTM in integers as tflite-micro computes it: int8 weights,
// int8 or int16 activations, int16 cell state and gates. Each product is saturated by itself,
// LOGISTIC and TANH come from the interpolated table. Freestanding.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "base/fixed_point.h"
#include "kernels/reference/lstm_int8.h"
#include "kernels/reference/sigmoid_int16.h"

namespace litesmith::reference {

// Activation int8_t goes with biases of 32 bits, int16_t with 64.
template <typename Activation>
using MicroBias = std::conditional_t<std::is_same_v<Activation, int8_t>, int32_t, int64_t>;

template <typename Activation>
struct MicroLstmGate {
  const int8_t* input_weights = nullptr;
  const int8_t* recurrent_weights = nullptr;
  const MicroBias<Activation>* bias = nullptr;
  Multiplier input_scale, recurrent_scale;
};

template <typename Activation>
struct MicroLstm {
  LstmInt8Sizes sizes;  // as many outputs as cells
  MicroLstmGate<Activation> input, forget, cell, output;
  int32_t input_zero = 0, output_zero = 0;
  Multiplier keep_scale, add_scale, hidden_scale;
  SigmoidScale cell_tanh;
  int32_t cell_clip = 0;  // 0: none
};

// Saturated products of rows of x with rows of weights. `bias` may be null.
template <typename Activation>
void MultiplyMicro(const Activation* x, int32_t zero, const int8_t* weights,
                   const MicroBias<Activation>* bias, Multiplier scale, size_t rows, size_t columns,
                   size_t units, bool add, int16_t* out) {
  using Sum = MicroBias<Activation>;
  using Unsigned = std::make_unsigned_t<Sum>;
  for (size_t r = 0; r < rows; ++r) {
    for (size_t u = 0; u < units; ++u) {
      auto sum = static_cast<Unsigned>(bias == nullptr ? 0 : bias[u]);
      for (size_t c = 0; c < columns; ++c) {
        const int32_t product = (x[r * columns + c] - zero) * weights[u * columns + c];
        sum += static_cast<Unsigned>(static_cast<Sum>(product));
      }
      const int32_t scaled =
          SaturateInt16(MultiplyByQuantizedMultiplier(static_cast<Sum>(sum), scale));
      int16_t& to = out[r * units + u];
      to = add ? SaturateInt16(int32_t{to} + scaled) : static_cast<int16_t>(scaled);
    }
  }
}

template <typename Activation>
void RunMicroGate(const MicroLstm<Activation>& m, const MicroLstmGate<Activation>& g,
                  const Activation* x, const Activation* state, bool tanh, int16_t* gate) {
  constexpr SigmoidScale kOneTo4096 = {3, 0};  // gates count in 2^-12
  const LstmInt8Sizes& s = m.sizes;
  MultiplyMicro(x, m.input_zero, g.input_weights, g.bias, g.input_scale, s.batches, s.inputs,
                s.cells, false, gate);
  MultiplyMicro<Activation>(state, m.output_zero, g.recurrent_weights, nullptr, g.recurrent_scale,
                            s.batches, s.outputs, s.cells, true, gate);
  for (size_t i = 0; i < s.batches * s.cells; ++i) {
    gate[i] = tanh ? TanhInt16(gate[i], kOneTo4096) : LogisticInt16(gate[i], kOneTo4096);
  }
}

// One step. `scratch` holds 4 * batches * cells numbers.
template <typename Activation>
void StepMicroLstm(const MicroLstm<Activation>& m, const Activation* x, Activation* state,
                   int16_t* cell, Activation* out, int16_t* scratch) {
  const LstmInt8Sizes& s = m.sizes;
  const size_t count = s.batches * s.cells;
  int16_t *input = scratch, *forget = scratch + count, *candidate = scratch + 2 * count,
          *output = scratch + 3 * count;
  RunMicroGate(m, m.forget, x, state, false, forget);
  RunMicroGate(m, m.input, x, state, false, input);
  RunMicroGate(m, m.cell, x, state, true, candidate);
  for (size_t i = 0; i < count; ++i) {
    const int32_t kept =
        SaturateInt16(MultiplyByQuantizedMultiplier(forget[i] * int32_t{cell[i]}, m.keep_scale));
    const int32_t added =
        SaturateInt16(MultiplyByQuantizedMultiplier(input[i] * int32_t{candidate[i]}, m.add_scale));
    int32_t sum = SaturateInt16(kept + added);
    if (m.cell_clip > 0) sum = std::clamp(sum, -m.cell_clip, m.cell_clip);
    cell[i] = static_cast<int16_t>(sum);
  }
  RunMicroGate(m, m.output, x, state, false, output);
  for (size_t i = 0; i < count; ++i) {
    const int32_t product = TanhInt16(cell[i], m.cell_tanh) * int32_t{output[i]};
    const int32_t scaled =
        WrappingAdd(MultiplyByQuantizedMultiplier(product, m.hidden_scale), m.output_zero);
    state[i] = static_cast<Activation>(std::clamp<int32_t>(
        scaled, std::numeric_limits<Activation>::min(), std::numeric_limits<Activation>::max()));
  }
  std::copy_n(state, count, out);
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_LSTM_MICRO_H_
