#ifndef LITESMITH_QUANTIZE_LSTM_PLAN_H_
#define LITESMITH_QUANTIZE_LSTM_PLAN_H_

// UNIDIRECTIONAL_SEQUENCE_LSTM in int8: what its rule cannot say. Besides its operands it has
// scales for five intermediate tensors and its states, as TFLite's quantizer gives them
// (operator_property.cc).

#include <functional>
#include <string>

#include "quantize/quantize.h"
#include "runtime/executor.h"

namespace litesmith {

bool IsSequenceLstm(const Node& node);

// Gives every LSTM its intermediate tensors, where the file has none.
void AddLstmIntermediates(Graph* graph);

// Right after the executor has run the node on states of zero: shows what the tensors held, step by
// step, by the index of the tensor.
using TensorLook = std::function<void(int32_t tensor, std::span<const float> values)>;
absl::Status ObserveLstmNode(const Executor& executor, const Node& node, const TensorLook& look);

// Why the node cannot be int8; empty: it can.
std::string LstmObstacle(const Subgraph& subgraph, const Node& node, const Ranges& ranges);

// Types and parameters of all its operands. REQUIRES: the plan has those of its input and output.
void PlanLstm(const Subgraph& subgraph, const Ranges& ranges, const Node& node, Plan* plan);

}  // namespace litesmith

#endif  // LITESMITH_QUANTIZE_LSTM_PLAN_H_
