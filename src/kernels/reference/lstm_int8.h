#ifndef LITESMITH_KERNELS_REFERENCE_LSTM_INT8_H_
#define LITESMITH_KERNELS_REFERENCE_LSTM_INT8_H_

// A step of UNIDIRECTIONAL_SEQUENCE_LSTM in integers: int8 activations and weights, int16 cell
// state and gates (LiteRT's "8x8_16"). Freestanding.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/fixed_point.h"
#include "kernels/reference/fixed_math.h"
#include "kernels/reference/stage.h"

namespace litesmith::reference {

struct LstmInt8Sizes {
  size_t batches = 0, inputs = 0, cells = 0, outputs = 0;
};

struct LstmInt8Gate {
  const int8_t* input_weights = nullptr;  // null: no such gate
  const int8_t* recurrent_weights = nullptr;
  const int16_t* peephole = nullptr;    // may be null
  const int16_t* layer_norm = nullptr;  // may be null; needs layer_norm_bias
  const int32_t* layer_norm_bias = nullptr;
  // Bias minus the zero point times the weights' sums.
  const int32_t* input_bias = nullptr;
  const int32_t* recurrent_bias = nullptr;
  Multiplier input_scale, recurrent_scale, peephole_scale, layer_norm_scale;
  int32_t variance_guard = 1;
};

struct LstmInt8 {
  LstmInt8Sizes sizes;
  LstmInt8Gate input, forget, cell, output;
  const int8_t* projection = nullptr;  // may be null
  const int32_t* projection_bias = nullptr;
  Multiplier projection_scale, hidden_scale;
  int32_t hidden_zero = 0, output_zero = 0;
  int cell_exponent = 0;  // the cell state's scale is 2^cell_exponent, in [-15, -9]
  int32_t cell_clip = 0, projection_clip = 0;  // 0: none
};

inline int16_t SaturateInt16(int32_t x) {
  return static_cast<int16_t>(std::clamp(x, -32768, 32767));
}

// out += requantized products, saturated. Out is int16_t or int8_t.
template <typename Out>
void AccumulateInt8(const int8_t* x, const int32_t* bias, const int8_t* weights, Multiplier scale,
                    size_t rows, size_t columns, size_t units, int32_t zero, Out* out) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t u = 0; u < units; ++u) {
      auto sum = static_cast<uint32_t>(bias[u]);
      for (size_t c = 0; c < columns; ++c) {
        sum += static_cast<uint32_t>(x[r * columns + c] * weights[u * columns + c]);
      }
      Out& to = out[r * units + u];
      const int32_t scaled = MultiplyByQuantizedMultiplier(static_cast<int32_t>(sum), scale);
      to = static_cast<Out>(std::clamp<int32_t>(WrappingAdd(WrappingAdd(scaled, zero), to),
                                                std::numeric_limits<Out>::min(),
                                                std::numeric_limits<Out>::max()));
    }
  }
}

// Mean and deviation in 10-bit fixed point, coefficients, bias; in place.
inline void LayerNormInt16(const LstmInt8Gate& g, size_t rows, size_t cells, int16_t* gate) {
  constexpr int64_t kTwo20 = 1 << 20;
  const auto count = static_cast<int64_t>(cells);
  for (size_t r = 0; r < rows; ++r) {
    int16_t* row = gate + r * cells;
    int64_t sum = 0, squares = 0;
    for (size_t c = 0; c < cells; ++c) {
      sum += row[c];
      squares += int32_t{row[c]} * row[c];
    }
    const auto mean = static_cast<int32_t>(sum * 1024 / count);
    const int64_t variance = squares * (kTwo20 / count) - int64_t{mean} * mean;
    auto guarded = static_cast<int32_t>(variance / kTwo20);
    if (guarded < 1) guarded = g.variance_guard;
    const Multiplier inverse = InverseSquareRoot(guarded);
    for (size_t c = 0; c < cells; ++c) {
      const int32_t normal = MultiplyByQuantizedMultiplier(1024 * row[c] - mean, inverse);
      const auto weighted = static_cast<int32_t>(static_cast<uint32_t>(normal) *
                                                 static_cast<uint32_t>(int32_t{g.layer_norm[c]}));
      const int64_t biased = int64_t{WrappingAdd(weighted, g.layer_norm_bias[c])};
      const auto rounded = static_cast<int32_t>((biased > 0 ? biased + 512 : biased - 512) / 1024);
      row[c] = SaturateInt16(MultiplyByQuantizedMultiplier(rounded, g.layer_norm_scale.multiplier,
                                                           g.layer_norm_scale.shift + 12));
    }
  }
}

// tanh of a number with `bits` integer bits, 0 to 6.
inline int16_t TanhOfBits(int bits, int16_t x) {
  switch (bits) {
    case 0:
      return FixedTanh<0>(x);
    case 1:
      return FixedTanh<1>(x);
    case 2:
      return FixedTanh<2>(x);
    case 3:
      return FixedTanh<3>(x);
    case 4:
      return FixedTanh<4>(x);
    case 5:
      return FixedTanh<5>(x);
    default:
      return FixedTanh<6>(x);
  }
}

inline void RunGateInt8(const LstmInt8Sizes& s, const LstmInt8Gate& g, const int8_t* x,
                        const int8_t* state, const int16_t* cell, bool tanh, int16_t* gate) {
  const size_t count = s.batches * s.cells;
  std::fill_n(gate, count, int16_t{0});
  AccumulateInt8(x, g.input_bias, g.input_weights, g.input_scale, s.batches, s.inputs, s.cells, 0,
                 gate);
  AccumulateInt8(state, g.recurrent_bias, g.recurrent_weights, g.recurrent_scale, s.batches,
                 s.outputs, s.cells, 0, gate);
  if (g.peephole != nullptr) {
    // LiteRT steps by outputs, not by cells, through coefficients and state.
    for (size_t b = 0; b < s.batches; ++b) {
      for (size_t c = 0; c < s.outputs; ++c) {
        const size_t i = b * s.outputs + c;
        const int32_t product =
            MultiplyByQuantizedMultiplier(g.peephole[c] * int32_t{cell[i]}, g.peephole_scale);
        gate[i] = SaturateInt16(WrappingAdd(product, gate[i]));
      }
    }
  }
  if (g.layer_norm != nullptr) LayerNormInt16(g, s.batches, s.cells, gate);
  for (size_t i = 0; i < count; ++i) {
    gate[i] = tanh ? FixedTanh<3>(gate[i]) : FixedLogistic<3>(gate[i]);
  }
}

// One step. `scratch` holds 4 * batches * cells numbers, `hidden` batches * cells.
inline void StepLstmInt8(const LstmInt8& m, const int8_t* x, int8_t* state, int16_t* cell,
                         int8_t* out, int16_t* scratch, int8_t* hidden) {
  const LstmInt8Sizes& s = m.sizes;
  const size_t count = s.batches * s.cells;
  int16_t *input = scratch, *forget = scratch + count, *candidate = scratch + 2 * count,
          *output = scratch + 3 * count;
  const bool has_input = m.input.input_weights != nullptr;
  if (has_input) RunGateInt8(s, m.input, x, state, cell, false, input);
  RunGateInt8(s, m.forget, x, state, cell, false, forget);
  RunGateInt8(s, m.cell, x, state, cell, true, candidate);
  for (size_t i = 0; i < count; ++i) {
    const auto kept =
        static_cast<int16_t>(RoundingDivideByPowerOfTwo(int32_t{forget[i]} * cell[i], 15));
    const int32_t gate = has_input ? input[i] : 32767 - forget[i];
    const auto added =
        static_cast<int16_t>(RoundingDivideByPowerOfTwo(gate * candidate[i], 30 + m.cell_exponent));
    int32_t sum = SaturateInt16(int32_t{kept} + added);
    if (m.cell_clip > 0) sum = std::clamp(sum, -m.cell_clip, m.cell_clip);
    cell[i] = static_cast<int16_t>(sum);
  }
  RunGateInt8(s, m.output, x, state, cell, false, output);
  const bool projects = m.projection != nullptr;
  int8_t* to = projects ? hidden : state;
  const int32_t zero = projects ? -m.hidden_zero : m.hidden_zero;
  for (size_t i = 0; i < count; ++i) {
    const int32_t product = output[i] * int32_t{TanhOfBits(15 + m.cell_exponent, cell[i])};
    const int32_t scaled =
        WrappingAdd(MultiplyByQuantizedMultiplier(product, m.hidden_scale), zero);
    to[i] = static_cast<int8_t>(std::clamp(scaled, -128, 127));
  }
  if (projects) {
    std::fill_n(state, s.batches * s.outputs, int8_t{0});
    AccumulateInt8(hidden, m.projection_bias, m.projection, m.projection_scale, s.batches, s.cells,
                   s.outputs, m.output_zero, state);
    if (m.projection_clip > 0) {
      for (size_t i = 0; i < s.batches * s.outputs; ++i) {
        state[i] = static_cast<int8_t>(
            std::clamp<int32_t>(state[i], -m.projection_clip, m.projection_clip));
      }
    }
  }
  std::copy_n(state, s.batches * s.outputs, out);
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_LSTM_INT8_H_
