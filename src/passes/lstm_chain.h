#ifndef LITESMITH_PASSES_LSTM_CHAIN_H_
#define LITESMITH_PASSES_LSTM_CHAIN_H_

// LSTM layers that were written out step by step: where they are in a graph.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "ir/graph.h"
#include "passes/rewrite.h"

namespace litesmith {

constexpr size_t kLstmGates = 4;

// Where the gates stand among the four parts of the sums.
enum LstmGate { kInputGate, kForgetGate, kCellGate, kOutputGate };

// One step: c = f * c_before + i * tanh(..), h = o * tanh(c), all four from one SPLIT.
struct LstmStep {
  int32_t sums = -1;                                    // what is split
  std::array<int, kLstmGates> part = {-1, -1, -1, -1};  // by LstmGate
  int32_t c_before = -1, h_before = -1;                 // -1: zero
  int32_t c = -1, h = -1;
  int32_t maker = -1;                    // the node of h
  int32_t x = -1;                        // the input, or its product with the weights
  int32_t weights = -1, recurrent = -1;  // -1: x is the product
  std::vector<float> bias;               // the sum of all, as long as there is any
};

// A run of steps, and where their inputs come from.
struct LstmChain {
  std::vector<LstmStep> steps;
  int32_t unpack = -1;     // the node that takes the sequence apart
  bool backwards = false;  // its parts are used from the last to the first
  int32_t source = -1;     // the sequence
  size_t time_axis = 1;
  int32_t weights = -1, recurrent = -1;
  std::array<int, kLstmGates> part = {-1, -1, -1, -1};
  std::vector<float> bias;
};

// Finds chains in one subgraph. Reads only; the subgraph and `rewriter`, which is of the same
// graph, must outlive it and stay as they are.
class LstmFinder {
 public:
  LstmFinder(const Subgraph& subgraph, const Rewriter& rewriter);

  // All chains of two steps and more.
  std::vector<LstmChain> Run();

  // The nodes that read `t`, once for each time that they do.
  const std::vector<int32_t>& readers(int32_t t) const { return readers_[Index(t)]; }

 private:
  static size_t Index(int32_t t) { return static_cast<size_t>(t); }
  const Node& node(int32_t n) const { return subgraph_.nodes[Index(n)]; }
  const Tensor& tensor(int32_t t) const { return subgraph_.tensors[Index(t)]; }
  // The node that makes `t`, when it is a plain one of this kind.
  const Node* Maker(int32_t t, schema::BuiltinOperator op) const;
  // The one reader of `t`, when it is a plain one of this kind.
  const Node* Reader(int32_t t, schema::BuiltinOperator op) const;
  static int32_t Other(const Node& node, int32_t t) {
    return node.input(0) == t ? node.input(1) : node.input(0);
  }
  std::optional<LstmStep> StepOf(const Node& split) const;
  static int PartOf(const std::array<int32_t, kLstmGates>& gates, int32_t t);
  // The gates by what they are multiplied with.
  bool TakeCell(const std::array<int32_t, kLstmGates>& gates, int32_t candidate,
                LstmStep* step) const;
  bool AddBias(int32_t t, LstmStep* step) const;
  // Takes the sums apart: W x, R h and biases, in any order.
  bool TakeSums(LstmStep* step) const;
  bool TakeProduct(int32_t t, LstmStep* step) const;
  bool IsMatrix(int32_t t, int32_t rows) const;
  bool SameConstant(int32_t a, int32_t b) const;
  // Whether all steps are the same layer's, and their inputs the parts of one sequence.
  bool IsLayer(LstmChain* chain) const;
  bool TakeSequence(LstmChain* chain) const;
  // The product with the weights may have been made for all steps at once.
  bool TakeProjection(LstmChain* chain) const;

  const Subgraph& subgraph_;
  const Rewriter& rewriter_;
  std::vector<std::vector<int32_t>> readers_;
  std::map<int32_t, size_t> steps_by_h_;
};

}  // namespace litesmith

#endif  // LITESMITH_PASSES_LSTM_CHAIN_H_
