#ifndef LITESMITH_OPS_LSTM_H_
#define LITESMITH_OPS_LSTM_H_

// What UNIDIRECTIONAL_SEQUENCE_LSTM and the two directions of BIDIRECTIONAL_SEQUENCE_LSTM share:
// where the operands of an LSTM stand, their checks, and the kernel on float activations.

#include <optional>
#include <span>
#include <vector>

#include "kernels/reference/lstm.h"
#include "ops/op.h"
#include "ops/recurrent.h"

namespace litesmith {

// Positions among the node's inputs. The weights, biases and coefficients of the gates follow one
// another in the order input, forget, cell, output; the peephole has no cell gate.
struct LstmOperands {
  size_t input = 0;
  size_t weights = 1, recurrent = 5, peephole = 9, bias = 12;
  size_t projection = 16, projection_bias = 17;
  size_t output_state = 18, cell_state = 19;
  std::optional<size_t> layer_norm;        // UNIDIRECTIONAL with 24 inputs
  std::optional<size_t> aux, aux_weights;  // BIDIRECTIONAL
};

// The peephole's position of a gate; none for the cell gate.
std::optional<size_t> PeepholeOf(const LstmOperands& at, size_t gate);

struct LstmSettings {
  schema::ActivationFunctionType activation = schema::ActivationFunctionType_TANH;
  float cell_clip = 0.0f, projection_clip = 0.0f;
  bool time_major = false, asymmetric = false;
  bool backwards = false;
};

// Sizes and which parts there are.
struct LstmForm {
  reference::LstmSizes sizes;
  size_t batches = 0, steps = 0;
  bool cifg = false, peephole = false, projection = false, projection_bias = false,
       layer_norm = false;
  bool diagonal = false, aux = false;
};

// Reads the form off the shapes. Checks what indexing needs: the ranks of input and output gate's
// weights.
absl::StatusOr<LstmForm> LstmFormOf(const LstmOperands& at, const LstmSettings& settings,
                                    std::span<const TensorView> inputs);

// Every operand is there or not, and has the shape, that the form demands; states are variables.
absl::Status CheckLstmShapes(const LstmOperands& at, const LstmForm& form, const PrepareArgs& args);

// One direction over a whole sequence, float activations. `out` is the first element of the first
// row's result, whose rows are `out_width` apart.
struct LstmRun {
  const RunArgs* args = nullptr;
  float* out = nullptr;
  size_t out_width = 0;
  std::byte* scratch = nullptr;
};
using LstmSequence = std::function<void(const LstmRun&)>;

struct PreparedLstm {
  LstmSequence run;
  size_t scratch_bytes = 0;
};

// Checks the types, too. Null `run` where the types have no such kernel.
absl::StatusOr<PreparedLstm> PrepareFloatLstm(const LstmOperands& at, const LstmSettings& settings,
                                              const LstmForm& form, const PrepareArgs& args);

// What an integer LSTM has scales of its own for: the sums of the gates before layer normalization,
// the hidden values before a projection (the node's intermediates 0 to 4), and the cell state.
enum class LstmValue : size_t { kInput, kForget, kCandidate, kOutput, kHidden, kCell };
using LstmObserver = std::function<void(LstmValue, std::span<const float>)>;

// The states of a float LSTM between two runs; empty: zero.
struct LstmMemory {
  std::vector<float> output, cell;
};

// Runs a float LSTM from the states in `memory`, which it leaves there, and shows these values
// after every step. REQUIRES: `data` of all inputs but the states; shapes as CheckLstmShapes wants
// them.
absl::Status ObserveLstm(const LstmOperands& at, const LstmSettings& settings,
                         std::span<const TensorView> inputs, const LstmObserver& observe,
                         LstmMemory* memory);

// Operands and settings of UNIDIRECTIONAL_SEQUENCE_LSTM.
LstmOperands SequenceLstmOperands(const Node& node);
LstmSettings SequenceLstmSettings(const Node& node);

}  // namespace litesmith

#endif  // LITESMITH_OPS_LSTM_H_
