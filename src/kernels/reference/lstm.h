#ifndef LITESMITH_KERNELS_REFERENCE_LSTM_H_
#define LITESMITH_KERNELS_REFERENCE_LSTM_H_

// A step of UNIDIRECTIONAL_SEQUENCE_LSTM and BIDIRECTIONAL_SEQUENCE_LSTM on float activations, with
// float or int8 weights (hybrid: inputs, states and what is projected are quantized row by row).
// Freestanding; states are updated in place.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/reference/recurrent.h"

namespace litesmith::reference {

// The gates in the order of the operator's operands.
enum LstmGateIndex : size_t { kInputGate, kForgetGate, kCellGate, kOutputGate, kLstmGates };

struct LstmSizes {
  size_t inputs = 0, aux_inputs = 0, cells = 0, outputs = 0;
};

// One scale; 1 for float weights.
template <typename W>
struct LstmMatrix {
  const W* values = nullptr;  // null: none
  float scale = 1.0f;
};

template <typename W>
struct LstmGate {
  LstmMatrix<W> input, aux, recurrent;
  const float* diagonal = nullptr;  // instead of `recurrent`
  const float* peephole = nullptr;
  GateFinish finish;
};

template <typename W>
struct Lstm {
  LstmSizes sizes;
  LstmGate<W> gates[kLstmGates];
  bool has_input_gate = true;  // else the input gate is 1 - forget gate
  LstmMatrix<W> projection;
  const float* projection_bias = nullptr;
  CellActivation activation = CellActivation::kTanh;
  float cell_clip = 0.0f, projection_clip = 0.0f;
  bool asymmetric = false;
};

struct LstmScratch {
  float* sums[kLstmGates] = {};   // as many: the gates before normalization; null: not wanted
  float* gates[kLstmGates] = {};  // rows * cells each
  float* hidden = nullptr;        // rows * cells
  QuantizedRows x, aux, state, projected;  // hybrid only
};

inline void Accumulate(const float* x, const QuantizedRows&, const LstmMatrix<float>& m,
                       size_t rows, size_t columns, size_t units, float* out) {
  MultiplyAccumulate(x, m.values, rows, columns, units, out);
}
inline void Accumulate(const float*, const QuantizedRows& x, const LstmMatrix<int8_t>& m,
                       size_t rows, size_t columns, size_t units, float* out) {
  MultiplyAccumulate(x, m.values, m.scale, rows, columns, units, out);
}

template <typename W>
void RunLstmGate(const Lstm<W>& m, const LstmScratch& s, size_t which, size_t rows, const float* x,
                 const float* aux, const float* state, const float* cell) {
  const LstmGate<W>& g = m.gates[which];
  const LstmSizes& n = m.sizes;
  float* gate = s.gates[which];
  for (size_t r = 0; r < rows; ++r) {
    if (g.finish.layer_norm != nullptr) {
      std::fill_n(gate + r * n.cells, n.cells, 0.0f);
    } else {
      std::copy_n(g.finish.bias, n.cells, gate + r * n.cells);
    }
  }
  Accumulate(x, s.x, g.input, rows, n.inputs, n.cells, gate);
  if (aux != nullptr) Accumulate(aux, s.aux, g.aux, rows, n.aux_inputs, n.cells, gate);
  if (g.diagonal != nullptr) {
    for (size_t i = 0; i < rows * n.cells; ++i) gate[i] += g.diagonal[i % n.cells] * state[i];
  } else {
    Accumulate(state, s.state, g.recurrent, rows, n.outputs, n.cells, gate);
  }
  if (g.peephole != nullptr) {
    for (size_t i = 0; i < rows * n.cells; ++i) gate[i] += g.peephole[i % n.cells] * cell[i];
  }
  if (s.sums[which] != nullptr) std::copy_n(gate, rows * n.cells, s.sums[which]);
  FinishGate(g.finish, rows, n.cells, gate);
}

template <typename W>
void ProjectLstm(const Lstm<W>& m, const LstmScratch& s, size_t rows, float* state) {
  const LstmSizes& n = m.sizes;
  for (size_t r = 0; r < rows; ++r) {
    float* to = state + r * n.outputs;
    if (m.projection_bias != nullptr) {
      std::copy_n(m.projection_bias, n.outputs, to);
    } else {
      std::fill_n(to, n.outputs, 0.0f);
    }
  }
  if constexpr (std::is_same_v<W, int8_t>) {
    s.projected.Quantize(s.hidden, rows, n.cells, m.asymmetric);
  }
  Accumulate(s.hidden, s.projected, m.projection, rows, n.cells, n.outputs, state);
  Clip(m.projection_clip, rows * n.outputs, state);
}

// `aux` may be null. Row r of the result goes to out + r * out_stride.
template <typename W>
void StepLstm(const Lstm<W>& m, const LstmScratch& s, size_t rows, const float* x, const float* aux,
              float* state, float* cell, float* out, size_t out_stride) {
  const LstmSizes& n = m.sizes;
  if constexpr (std::is_same_v<W, int8_t>) {
    s.x.Quantize(x, rows, n.inputs, m.asymmetric);
    if (aux != nullptr) s.aux.Quantize(aux, rows, n.aux_inputs, m.asymmetric);
    s.state.Quantize(state, rows, n.outputs, m.asymmetric);
  }
  if (m.has_input_gate) RunLstmGate(m, s, kInputGate, rows, x, aux, state, cell);
  RunLstmGate(m, s, kForgetGate, rows, x, aux, state, cell);
  RunLstmGate(m, s, kCellGate, rows, x, aux, state, cell);
  UpdateCell(rows * n.cells, m.has_input_gate ? s.gates[kInputGate] : nullptr, s.gates[kForgetGate],
             s.gates[kCellGate], m.cell_clip, cell);
  RunLstmGate(m, s, kOutputGate, rows, x, aux, state, cell);
  for (size_t i = 0; i < rows * n.cells; ++i) {
    s.hidden[i] = s.gates[kOutputGate][i] * Activate(m.activation, cell[i]);
  }
  if (m.projection.values != nullptr) {
    ProjectLstm(m, s, rows, state);
  } else {
    std::copy_n(s.hidden, rows * n.outputs, state);
  }
  for (size_t r = 0; r < rows; ++r) {
    std::copy_n(state + r * n.outputs, n.outputs, out + r * out_stride);
  }
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_LSTM_H_
