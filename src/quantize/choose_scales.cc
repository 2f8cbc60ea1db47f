// Which tensors share a scale, and whose it is.

#include <algorithm>
#include <cmath>
#include <utility>

#include "ops/op.h"
#include "quantize/params.h"
#include "quantize/rules.h"
#include "quantize/static_plan.h"

namespace litesmith {
namespace {

class Chooser {
 public:
  Chooser(const Subgraph& subgraph, const Ranges& ranges, RecipeKind kind,
          const std::vector<bool>& integer)
      : subgraph_(subgraph),
        ranges_(ranges),
        kind_(kind),
        integer_(integer),
        uses_(FindUses(subgraph)),
        out_(subgraph.tensors.size()) {}

  std::vector<ScaleChoice> Run() {
    SetFixedOutputs();
    if (kind_ == RecipeKind::kInt8) {
      DropRedundantRanges();
      for (size_t t = 0; t < out_.size(); ++t) {
        if (own_range_[t]) SetFromRange(static_cast<int32_t>(t));
      }
      Propagate();
    } else {
      Forward();
    }
    for (size_t t = 0; t < out_.size(); ++t) SetFromRange(static_cast<int32_t>(t));
    return std::move(out_);
  }

 private:
  const Node& node(int32_t n) const { return subgraph_.nodes[static_cast<size_t>(n)]; }
  bool SameScale(int32_t n) const {
    return n >= 0 && integer_[static_cast<size_t>(n)] && SharesScale(FindOp(node(n))->quant);
  }
  bool Fixed(int32_t n) const {
    return n >= 0 && integer_[static_cast<size_t>(n)] && FixesScale(FindOp(node(n))->quant);
  }
  bool Known(int32_t t) const { return !out_[static_cast<size_t>(t)].quant.empty(); }
  bool HasRange(int32_t t) const {
    return IsActivation(subgraph_, t) && ranges_.tensors[static_cast<size_t>(t)].seen;
  }
  std::string Label(int32_t t) const {
    return Printable(subgraph_.tensors[static_cast<size_t>(t)].label());
  }

  // Float operands that take part in the sharing: constants too, indices not.
  std::vector<int32_t> Operands(int32_t n) const {
    std::vector<int32_t> out;
    const QuantRule& rule = FindOp(node(n))->quant;
    for (size_t i = 0; i < node(n).inputs.size(); ++i) {
      const int32_t t = node(n).inputs[i];
      if (IsFloat(subgraph_, t) && rule.input(i).role == Role::kActivation) out.push_back(t);
    }
    return out;
  }
  std::vector<int32_t> Results(int32_t n) const {
    std::vector<int32_t> out;
    for (int32_t t : node(n).outputs) {
      if (IsActivation(subgraph_, t)) out.push_back(t);
    }
    return out;
  }

  void Set(int32_t t, const QuantParams& quant, std::string why) {
    if (Known(t)) return;
    out_[static_cast<size_t>(t)] = {quant, std::move(why)};
  }
  void SetFromRange(int32_t t) {
    if (!HasRange(t) || Known(t)) return;
    const Ranges::Range& range = ranges_.tensors[static_cast<size_t>(t)];
    QuantParams quant = ActivationParams(kind_, range.min, range.max);
    const float least = LeastScale(uses_.producer[static_cast<size_t>(t)]);
    const bool wider = quant.scale[0] < least;
    if (wider) quant.scale[0] = least;
    Set(t, quant, wider ? "the finest that its operands allow" : "calibrated range");
  }

  // A difference of nearly equal values is no finer than its operands, whose scales TFLite's
  // kernels for it divide by the result's: LiteRT ends the program where the quotient is beyond
  // 2^19 (in int8; squared, 2^12) or 2^14 (16x8). With room for operands that get a wider scale
  // from others.
  float LeastScale(int32_t n) const {
    if (n < 0 || !integer_[static_cast<size_t>(n)]) return 0.0f;
    const schema::BuiltinOperator op = node(n).op;
    if (kind_ == RecipeKind::kInt16x8 && HasWeights(op)) return LeastProductScale(node(n));
    const bool squared = op == schema::BuiltinOperator_SQUARED_DIFFERENCE;
    if (op != schema::BuiltinOperator_ADD && op != schema::BuiltinOperator_SUB && !squared) {
      return 0.0f;
    }
    float most = 0.0f;
    for (int32_t t : node(n).inputs) {
      if (t < 0 || !HasRange(t)) continue;
      const Ranges::Range& range = ranges_.tensors[static_cast<size_t>(t)];
      most = std::max(most, ActivationParams(kind_, range.min, range.max).scale[0]);
    }
    if (squared) return most * most * 0x1.0p-9f;
    return most * (kind_ == RecipeKind::kInt8 ? 0x1.0p-16f : 0x1.0p-11f);
  }

  static bool HasWeights(schema::BuiltinOperator op) {
    return op == schema::BuiltinOperator_CONV_2D ||
           op == schema::BuiltinOperator_DEPTHWISE_CONV_2D ||
           op == schema::BuiltinOperator_TRANSPOSE_CONV ||
           op == schema::BuiltinOperator_FULLY_CONNECTED;
  }

  // Sums of 64 bits are scaled by less than 128 (MultiplyByQuantizedMultiplier of TFLite), which a
  // result that is always about zero would ask for.
  float LeastProductScale(const Node& product) const {
    const int32_t weights = product.input(1);
    if (weights < 0) return 0.0f;
    const Tensor& tensor = subgraph_.tensors[static_cast<size_t>(weights)];
    if (!tensor.is_constant() || tensor.type != schema::TensorType_FLOAT32) return 0.0f;
    float most = 0.0f;
    for (const float w : tensor.data.As<float>()) most = std::max(most, std::abs(w));
    float least = 0.0f;
    for (const int32_t t : product.inputs) {
      if (t < 0 || !HasRange(t)) continue;  // without a bias
      const Ranges::Range& range = ranges_.tensors[static_cast<size_t>(t)];
      least = std::max(least, ActivationParams(kind_, range.min, range.max).scale[0] *
                                  (most / 127.0f) * 0x1.0p-6f);
    }
    return least;
  }

  void SetFixedOutputs() {
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      if (!Fixed(static_cast<int32_t>(n))) continue;
      const QuantRule& rule = FindOp(subgraph_.nodes[n])->quant;
      if (rule.output != OutputRule::kFixed) {
        SetFromTable(subgraph_.nodes[n].input(static_cast<size_t>(rule.same_as)),
                     Results(static_cast<int32_t>(n)));
        continue;
      }
      const FixedQuant& fixed = kind_ == RecipeKind::kInt8 ? rule.int8_fixed : rule.int16_fixed;
      if (!(fixed.scale > 0.0f)) continue;
      for (int32_t t : Results(static_cast<int32_t>(n))) {
        Set(t, QuantParams::PerTensor(fixed.scale, fixed.zero_point),
            "fixed by " + OperatorName(subgraph_.nodes[n]));
      }
    }
  }

  // REQUIRES: a constant; what cannot be quantized is not among the integer nodes.
  void SetFromTable(int32_t table, const std::vector<int32_t>& results) {
    const auto values = subgraph_.tensors[static_cast<size_t>(table)].data.As<float>();
    const QuantParams quant = ConstantParams(kind_, values);
    for (int32_t t : results) Set(t, quant, fmt::format("same as '{}'", Label(table)));
  }

  // As TFLite's 8-bit quantizer: a node with one operand hands its scale on; one with several takes
  // the range of its result, and so do the tensors before it, as far back as scales must be the
  // same.
  void DropRedundantRanges() {
    own_range_.resize(out_.size());
    std::vector<int32_t> pending;
    for (size_t t = 0; t < out_.size(); ++t) {
      const auto index = static_cast<int32_t>(t);
      if (!HasRange(index)) continue;
      own_range_[t] = !Fixed(uses_.producer[t]);
      pending.push_back(index);
    }
    std::vector<bool> done(out_.size(), false);
    while (!pending.empty()) {
      const int32_t t = pending.back();
      pending.pop_back();
      if (done[static_cast<size_t>(t)]) continue;
      done[static_cast<size_t>(t)] = true;
      for (int32_t n : uses_.consumers[static_cast<size_t>(t)]) {
        if (!SameScale(n) || Operands(n).size() != 1 || Operands(n)[0] != t) continue;
        for (int32_t result : Results(n)) {
          own_range_[static_cast<size_t>(result)] = false;
          pending.push_back(result);
        }
      }
    }
    for (size_t t = 0; t < out_.size(); ++t) {
      if (own_range_[t]) pending.push_back(static_cast<int32_t>(t));
    }
    done.assign(out_.size(), false);
    while (!pending.empty()) {
      const int32_t t = pending.back();
      pending.pop_back();
      const int32_t n = uses_.producer[static_cast<size_t>(t)];
      if (done[static_cast<size_t>(t)] || !SameScale(n)) continue;
      done[static_cast<size_t>(t)] = true;
      for (int32_t operand : Operands(n)) {
        own_range_[static_cast<size_t>(operand)] = false;
        pending.push_back(operand);
      }
    }
  }

  // The scale of a node whose operands and results share one; -1 while none of them has one.
  int32_t SharedBy(int32_t n) const {
    const std::vector<int32_t> operands = Operands(n), results = Results(n);
    auto own = [&](int32_t t) { return own_range_[static_cast<size_t>(t)]; };
    if (operands.size() == 1 && own(operands[0])) return operands[0];
    if (results.size() == 1 && own(results[0])) return results[0];
    for (const std::vector<int32_t>* list : {&operands, &results}) {
      for (int32_t t : *list) {
        if (own(t)) return t;
      }
    }
    if (operands.size() == 1 && Known(operands[0])) return operands[0];
    if (results.size() == 1 && Known(results[0])) return results[0];
    for (const std::vector<int32_t>* list : {&operands, &results}) {
      for (int32_t t : *list) {
        if (Known(t)) return t;
      }
    }
    return -1;
  }

  void Propagate() {
    std::vector<int32_t> pending;
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) pending.push_back(static_cast<int32_t>(n));
    std::vector<bool> done(subgraph_.nodes.size(), false);
    while (!pending.empty()) {
      const int32_t n = pending.back();
      pending.pop_back();
      if (done[static_cast<size_t>(n)] || !SameScale(n)) continue;
      const int32_t from = SharedBy(n);
      if (from < 0) continue;
      done[static_cast<size_t>(n)] = true;
      for (const std::vector<int32_t>& list : {Operands(n), Results(n)}) {
        for (int32_t t : list) {
          if (Known(t)) continue;
          Set(t, out_[static_cast<size_t>(from)].quant, fmt::format("same as '{}'", Label(from)));
          if (uses_.producer[static_cast<size_t>(t)] >= 0) {
            pending.push_back(uses_.producer[static_cast<size_t>(t)]);
          }
          for (int32_t user : uses_.consumers[static_cast<size_t>(t)]) pending.push_back(user);
        }
      }
    }
  }

  // As TFLite's 16x8 quantizer: results take the scale of the operand they share it with, node by
  // node; nodes with several operands take the range of their result, and the operands are
  // requantized.
  void Forward() {
    for (int32_t t : subgraph_.inputs) SetFromRange(t);
    for (size_t n = 0; n < subgraph_.nodes.size(); ++n) {
      const auto index = static_cast<int32_t>(n);
      if (integer_[n]) {
        const QuantRule& rule = FindOp(subgraph_.nodes[n])->quant;
        const int32_t from = subgraph_.nodes[n].input(static_cast<size_t>(rule.same_as));
        if (rule.output == OutputRule::kSameAsInput && IsFloat(subgraph_, from)) {
          if (IsFloatConstant(subgraph_, from)) {
            const auto values = subgraph_.tensors[static_cast<size_t>(from)].data.As<float>();
            Set(from, ConstantParams(kind_, values), "its values");
          } else {
            SetFromRange(from);
          }
          for (int32_t t : Results(index)) {
            if (Known(from))
              Set(t, out_[static_cast<size_t>(from)].quant,
                  fmt::format("same as '{}'", Label(from)));
          }
        }
      }
      if (integer_[n]) SetReciprocalRoot(subgraph_.nodes[n]);
      for (int32_t t : Results(index)) SetFromRange(t);
    }
  }

  // Of an operand that is quantized, no root is further out than the one of its least integer; a
  // sample close to zero must not take the steps from all others.
  void SetReciprocalRoot(const Node& node) {
    if (node.op != schema::BuiltinOperator_RSQRT) return;
    const int32_t x = node.input(0), y = node.output(0);
    if (!IsActivation(subgraph_, x) || !Known(x) || !HasRange(y) || Known(y)) return;
    const Ranges::Range& range = ranges_.tensors[static_cast<size_t>(y)];
    const float most = 1.0f / std::sqrt(out_[static_cast<size_t>(x)].quant.scale[0]);
    if (range.max <= most) return;
    Set(y, ActivationParams(kind_, range.min, most), "the least integer's root");
  }

  const Subgraph& subgraph_;
  const Ranges& ranges_;
  RecipeKind kind_;
  const std::vector<bool>& integer_;
  Uses uses_;
  std::vector<ScaleChoice> out_;
  std::vector<bool>
      own_range_;  // int8: keeps the scale of its own range, whatever its neighbours have
};

}  // namespace

std::vector<ScaleChoice> ChooseScales(const Subgraph& subgraph, const Ranges& ranges,
                                      RecipeKind kind, const std::vector<bool>& integer) {
  return Chooser(subgraph, ranges, kind, integer).Run();
}

}  // namespace litesmith
