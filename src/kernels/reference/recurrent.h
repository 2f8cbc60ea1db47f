#ifndef LITESMITH_KERNELS_REFERENCE_RECURRENT_H_
#define LITESMITH_KERNELS_REFERENCE_RECURRENT_H_

// The steps of SVDF, UNIDIRECTIONAL_SEQUENCE_RNN and UNIDIRECTIONAL_SEQUENCE_LSTM in float, with
// float or int8 weights (hybrid: inputs and states are quantized row by row). Freestanding; states
// are updated in place.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/reference/dynamic_range.h"

namespace litesmith::reference {

enum class CellActivation : uint8_t { kNone, kRelu, kReluN1To1, kRelu6, kTanh, kSigmoid };

// LiteRT leaves tanh and the logistic function of the recurrent operators to Eigen. The last bit of
// a state decides how the next step of a hybrid kernel quantizes it, so its approximations are
// evaluated here as Eigen does on x86 without fused operations.

// A rational approximation of degree 9 over 8 (Eigen, ptanh_float).
inline float EigenTanh(float x) {
  constexpr float kNumerator[] = {1.394553628e-8f, 2.102733560e-5f, 3.520756727e-3f,
                                  1.340216100e-1f};
  constexpr float kDenominator[] = {8.015776984e-7f, 3.326951409e-4f, 2.597254514e-2f,
                                    4.673548340e-1f, 1.0f};
  constexpr float kLimit = 7.90738964080810547f;  // from here on the result is 1
  if (std::isnan(x)) return x;
  const float y = std::max(std::min(x, kLimit), -kLimit);
  const float square = y * y;
  float p = kNumerator[0], q = kDenominator[0];
  for (int i = 1; i < 4; ++i) p = p * square + kNumerator[i];
  for (int i = 1; i < 5; ++i) q = q * square + kDenominator[i];
  return (square * y * p + y) / q;
}

// exp(x/2) by a polynomial of degree 5 after subtracting multiples of log(2), squared (Eigen,
// scalar_logistic_op<float>::packetOp).
inline float EigenLogistic(float x) {
  constexpr float kHigh = 16.6355324f, kLow = -104.0f;
  if (std::isnan(x)) return x;
  if (x < kLow) return 0.0f;
  const float half = std::min(x, kHigh) * 0.5f;
  const float m = std::floor(half * 1.44269504088896341f + 0.5f);
  float r = m * -0.693359375f + half;
  r = m * 2.12194440e-4f + r;
  const float square = r * r;
  const float even = square * 4.1898667812347412109375e-2f + 0.49999141693115234375f;
  const float odd = square * 8.33471305668354034423828125e-3f + 0.16666877269744873046875f;
  const float p = square * (r * odd + even) + (r + 1.0f);
  const float root = p * std::bit_cast<float>((static_cast<int32_t>(m) + 127) << 23);
  const float e = root * root;
  return e / (1.0f + e);
}

// The elements of an array that do not fill a vector of four go through exp. `phase` is the array's
// position in memory, in elements, from a multiple of 16 bytes.
inline void EigenLogistic(size_t phase, size_t count, float* x) {
  const size_t head = std::min(count, (4 - phase % 4) % 4);
  const size_t end = head + (count - head) / 4 * 4;
  for (size_t i = 0; i < count; ++i) {
    if (i >= head && i < end) {
      x[i] = EigenLogistic(x[i]);
    } else {
      const float e = std::exp(std::min(x[i], 16.6355324f));
      x[i] = e / (1.0f + e);
    }
  }
}

inline float Activate(CellActivation activation, float x) {
  switch (activation) {
    case CellActivation::kNone:
      return x;
    case CellActivation::kRelu:
      return std::max(0.0f, x);
    case CellActivation::kReluN1To1:
      return std::max(-1.0f, std::min(x, 1.0f));
    case CellActivation::kRelu6:
      return std::max(0.0f, std::min(x, 6.0f));
    case CellActivation::kTanh:
      return EigenTanh(x);
    case CellActivation::kSigmoid:
      return EigenLogistic(x);
  }
  return x;
}

// out[r][u] += sum of x[r][c] * weights[u][c].
inline void MultiplyAccumulate(const float* x, const float* weights, size_t rows, size_t columns,
                               size_t units, float* out) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t u = 0; u < units; ++u) {
      float sum = 0.0f;
      for (size_t c = 0; c < columns; ++c) sum += x[r * columns + c] * weights[u * columns + c];
      out[r * units + u] += sum;
    }
  }
}

// Rows quantized for hybrid products.
struct QuantizedRows {
  int8_t* values = nullptr;
  float* scales = nullptr;
  int32_t* zero_points = nullptr;

  void Quantize(const float* x, size_t rows, size_t columns, bool asymmetric) const {
    for (size_t r = 0; r < rows; ++r) {
      zero_points[r] = 0;
      scales[r] = asymmetric ? QuantizeAsymmetric(x + r * columns, columns, values + r * columns,
                                                  &zero_points[r])
                             : QuantizeSymmetric(x + r * columns, columns, values + r * columns);
    }
  }
};

// The same with int8 weights of one scale.
inline void MultiplyAccumulate(const QuantizedRows& x, const int8_t* weights, float weight_scale,
                               size_t rows, size_t columns, size_t units, float* out) {
  for (size_t r = 0; r < rows; ++r) {
    const float scale = x.scales[r] * weight_scale;
    for (size_t u = 0; u < units; ++u) {
      uint32_t sum = 0;
      for (size_t c = 0; c < columns; ++c) {
        const int32_t value = x.values[r * columns + c] - x.zero_points[r];
        sum += static_cast<uint32_t>(value * weights[u * columns + c]);
      }
      out[r * units + u] += static_cast<float>(static_cast<int32_t>(sum)) * scale;
    }
  }
}

// ---- SVDF
// ------------------------------------------------------------------------------------------------

struct SvdfSizes {
  size_t batches = 0, inputs = 0, filters = 0, memory = 0, rank = 1;
  size_t units() const { return filters / rank; }
};

// Makes room for the newest activation of every filter: [batch][filter][memory], the newest last.
template <typename T>
void ShiftSvdfState(const SvdfSizes& s, T* state) {
  const size_t size = s.batches * s.filters * s.memory;
  if (size > 0) std::copy(state + 1, state + size, state);
}

// Filters over time, summed over the rank, plus bias: sums[batch][unit]. Sum is float or uint32_t.
template <typename Sum, typename State, typename Time, typename Bias>
void SvdfTime(const SvdfSizes& s, const State* state, const Time* weights, const Bias* bias,
              Sum* sums) {
  for (size_t b = 0; b < s.batches; ++b) {
    for (size_t u = 0; u < s.units(); ++u) {
      Sum unit = 0;
      for (size_t r = 0; r < s.rank; ++r) {
        const size_t filter = u * s.rank + r;
        Sum sum = 0;
        for (size_t m = 0; m < s.memory; ++m) {
          sum += static_cast<Sum>(state[(b * s.filters + filter) * s.memory + m] *
                                  weights[filter * s.memory + m]);
        }
        unit += sum;
      }
      if (bias != nullptr) unit += static_cast<Sum>(bias[u]);
      sums[b * s.units() + u] = unit;
    }
  }
}

// ---- RNN
// -------------------------------------------------------------------------------------------------

// After the products: activation, and the state is the output.
inline void FinishRnnStep(CellActivation activation, size_t count, float* out, float* state) {
  for (size_t i = 0; i < count; ++i) out[i] = state[i] = Activate(activation, out[i]);
}

// ---- LSTM
// ------------------------------------------------------------------------------------------------

// One gate after its products and its peephole: layer normalization, activation. Null: not used.
// With layer normalization the bias comes after it, else the products were added to it.
struct GateFinish {
  const float* layer_norm = nullptr;
  const float* bias = nullptr;
  CellActivation activation = CellActivation::kSigmoid;
  size_t phase = 0;  // see EigenLogistic
};
inline void FinishGate(const GateFinish& g, size_t rows, size_t cells, float* gate) {
  for (size_t r = 0; r < rows; ++r) {
    float* row = gate + r * cells;
    if (g.layer_norm != nullptr) {
      float sum = 0.0f;
      for (size_t c = 0; c < cells; ++c) sum += row[c];
      const float mean = sum / static_cast<float>(cells);
      float squares = 0.0f;
      for (size_t c = 0; c < cells; ++c) squares += (row[c] - mean) * (row[c] - mean);
      const float inverse = 1.0f / std::sqrt(squares / static_cast<float>(cells) + 1e-8f);
      for (size_t c = 0; c < cells; ++c) {
        row[c] = (row[c] - mean) * inverse * g.layer_norm[c] + g.bias[c];
      }
    }
  }
  if (g.activation == CellActivation::kSigmoid) return EigenLogistic(g.phase, rows * cells, gate);
  for (size_t i = 0; i < rows * cells; ++i) gate[i] = Activate(g.activation, gate[i]);
}

inline void Clip(float limit, size_t count, float* x) {
  if (!(limit > 0.0f)) return;
  for (size_t i = 0; i < count; ++i) x[i] = std::min(std::max(x[i], -limit), limit);
}

// cell = forget * cell + input * candidate; a null input gate is 1 - forget.
inline void UpdateCell(size_t count, const float* input_gate, const float* forget_gate,
                       const float* candidate, float clip, float* cell) {
  for (size_t i = 0; i < count; ++i) {
    const float input = input_gate == nullptr ? 1.0f - forget_gate[i] : input_gate[i];
    cell[i] = forget_gate[i] * cell[i] + candidate[i] * input;
  }
  Clip(clip, count, cell);
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_RECURRENT_H_
