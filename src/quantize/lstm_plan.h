#ifndef LITESMITH_QUANTIZE_LSTM_PLAN_H_
#define LITESMITH_QUANTIZE_LSTM_PLAN_H_

// UNIDIRECTIONAL_SEQUENCE_LSTM in integers: what its rule cannot say. In int8 it has, besides its
// operands, scales for five intermediate tensors and its states, as TFLite's quantizer gives them
// (operator_property.cc); in 16x8, which only tflite-micro and litesmith run, for its states.

#include <functional>
#include <string>

#include "ops/lstm.h"
#include "quantize/quantize.h"
#include "runtime/executor.h"

namespace litesmith {

bool IsSequenceLstm(const Node& node);

// Gives every LSTM its intermediate tensors, where the file has none.
void AddLstmIntermediates(Graph* graph);

// Right after the executor has run the node: shows what the tensors held, step by step, by the
// index of the tensor. `memory` is the node's from run to run, as the executor keeps its states.
using TensorLook = std::function<void(int32_t tensor, std::span<const float> values)>;
absl::Status ObserveLstmNode(const Executor& executor, const Node& node, const TensorLook& look,
                             LstmMemory* memory);

// Why the node cannot be int8, or 16x8 for the target; empty: it can.
std::string LstmObstacle(const Subgraph& subgraph, const Node& node, const Ranges& ranges,
                         RecipeKind kind, Target target);

// Types and parameters of all its operands. REQUIRES: the plan has those of its input and output.
void PlanLstm(const Subgraph& subgraph, const Ranges& ranges, const Node& node, Plan* plan);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_LSTM_PLAN_H_
