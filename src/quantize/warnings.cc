#include "quantize/warnings.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "ops/op.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

// Ranges of one scale that differ more lose all but a few steps of the narrow one.
constexpr float kMixed = 50.0f;
// A run of calibration samples that reaches so many times further than all others.
constexpr float kOutlier = 4.0f;
// Padding further out than the values themselves.
constexpr float kWidePad = 2.0f;
constexpr size_t kListed = 8;  // warnings of one kind

class Collector {
 public:
  void Add(std::string line) {
    if (++count_ <= kListed) out_.push_back(std::move(line));
  }
  // One kind is complete.
  void End(const char* what, std::vector<std::string>* all) {
    if (count_ > kListed) out_.push_back(fmt::format("{} more {}", count_ - kListed, what));
    all->insert(all->end(), out_.begin(), out_.end());
    out_.clear();
    count_ = 0;
  }

 private:
  std::vector<std::string> out_;
  size_t count_ = 0;
};

float Magnitude(float low, float high) { return std::max(std::abs(low), std::abs(high)); }

std::string Name(const Subgraph& subgraph, int32_t t) {
  return Printable(subgraph.tensors[static_cast<size_t>(t)].label());
}

bool HasWeights(const QuantRule& rule, size_t i) { return rule.input(i).role == Role::kWeight; }

// Channels of the weights whose every value is zero.
template <typename T>
int64_t ZeroChannels(const Tensor& weights, int axis) {
  const auto values = weights.data.As<T>();
  int64_t inner = 1;
  for (size_t d = static_cast<size_t>(axis) + 1; d < weights.shape.size(); ++d) {
    inner *= weights.shape[d];
  }
  const int64_t channels = weights.shape[static_cast<size_t>(axis)];
  if (inner <= 0 || channels <= 0) return 0;
  std::vector<bool> used(static_cast<size_t>(channels), false);
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t c = static_cast<int64_t>(i) / inner % channels;
    if (values[i] != T{}) used[static_cast<size_t>(c)] = true;
  }
  return std::count(used.begin(), used.end(), false);
}

void DeadChannels(const Subgraph& subgraph, Collector* collector) {
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    const OpRecord* op = FindOp(node);
    for (size_t i = 0; op != nullptr && i < node.inputs.size(); ++i) {
      const int axis = op->quant.input(i).axis;
      if (!HasWeights(op->quant, i) || node.inputs[i] < 0 || axis < 0) continue;
      const Tensor& weights = subgraph.tensors[static_cast<size_t>(node.inputs[i])];
      if (!weights.is_constant() || weights.sparsity != nullptr ||
          axis >= static_cast<int>(weights.shape.size())) {
        continue;
      }
      const int64_t dead =
          weights.type == schema::TensorType_FLOAT32 ? ZeroChannels<float>(weights, axis)
          : weights.type == schema::TensorType_INT8  ? ZeroChannels<int8_t>(weights, axis)
                                                     : 0;
      if (dead == 0) continue;
      collector->Add(
          fmt::format("{} of {} channels of {} have no weights but zero: they cost time "
                      "and do nothing; cut them from the model before training ends",
                      dead, weights.shape[static_cast<size_t>(axis)], NodeLabel(subgraph, n)));
    }
  }
}

struct Planned {
  const Subgraph& subgraph;
  const Ranges& ranges;
  const Plan& plan;

  bool integer(size_t n) const { return plan.nodes[n].mode == NodeMode::kInteger; }
  const Ranges::Range& range(int32_t t) const { return ranges.tensors[static_cast<size_t>(t)]; }
  bool seen(int32_t t) const { return t >= 0 && range(t).seen; }
  float magnitude(int32_t t) const { return Magnitude(range(t).min, range(t).max); }
};

void MixedRanges(const Planned& p, Collector* collector) {
  for (size_t n = 0; n < p.subgraph.nodes.size(); ++n) {
    const Node& node = p.subgraph.nodes[n];
    if (node.op != schema::BuiltinOperator_CONCATENATION || !p.integer(n)) continue;
    int32_t narrow = -1, wide = -1;
    for (int32_t t : node.inputs) {
      if (!p.seen(t) || p.magnitude(t) == 0.0f) continue;
      if (narrow < 0 || p.magnitude(t) < p.magnitude(narrow)) narrow = t;
      if (wide < 0 || p.magnitude(t) > p.magnitude(wide)) wide = t;
    }
    if (narrow < 0 || p.magnitude(wide) < kMixed * p.magnitude(narrow)) continue;
    const float ratio = p.magnitude(wide) / p.magnitude(narrow);
    collector->Add(fmt::format(
        "{} gives '{}' in [{:.4g}, {:.4g}] and '{}' in [{:.4g}, {:.4g}] one scale: the narrow one "
        "keeps about {:.0f} of 256 steps; keep the node in float (--keep-float), or use int16x8",
        NodeLabel(p.subgraph, n), Name(p.subgraph, wide), p.range(wide).min, p.range(wide).max,
        Name(p.subgraph, narrow), p.range(narrow).min, p.range(narrow).max,
        std::max(1.0f, 256.0f / ratio)));
  }
}

void WideOutputs(const Planned& p, Collector* collector) {
  for (int32_t t : p.subgraph.outputs) {
    const QuantParams& quant = p.plan.tensors[static_cast<size_t>(t)].quant;
    if (!p.seen(t) || quant.empty() || !(quant.scale[0] > 1.0f)) continue;
    collector->Add(
        fmt::format("output '{}' ranges over [{:.4g}, {:.4g}]: a step of int8 is {:.3g}; keep its "
                    "last layers in "
                    "float (--keep-float), use int16x8, or scale the output in training",
                    Name(p.subgraph, t), p.range(t).min, p.range(t).max, quant.scale[0]));
  }
}

void ConstantTensors(const Planned& p, Collector* collector) {
  for (size_t n = 0; n < p.subgraph.nodes.size(); ++n) {
    if (!p.integer(n)) continue;
    for (int32_t t : p.subgraph.nodes[n].outputs) {
      if (!IsActivation(p.subgraph, t) || !p.seen(t) || p.range(t).min != p.range(t).max) continue;
      collector->Add(
          fmt::format("'{}' is {:.4g} in every calibration sample: its range says nothing; give "
                      "samples that exercise it, or remove {}",
                      Name(p.subgraph, t), p.range(t).min, NodeLabel(p.subgraph, n)));
    }
  }
}

void Outliers(const Planned& p, Collector* collector) {
  for (size_t t = 0; t < p.subgraph.tensors.size(); ++t) {
    const Ranges::Range& range = p.ranges.tensors[t];
    const bool planned = !p.plan.tensors[t].quant.empty();
    if (!planned || !range.seen || !(range.second > 0.0f)) continue;
    if (range.most < kOutlier * range.second) continue;
    collector->Add(
        fmt::format("'{}' reaches {:.4g} in one run of calibration samples and {:.4g} at most in "
                    "all others: an "
                    "outlier sets its scale; remove the sample, or use int16x8",
                    Name(p.subgraph, static_cast<int32_t>(t)), range.most, range.second));
  }
}

// The value that a node pads with, where that is a constant.
const float* PadValue(const Subgraph& subgraph, const Node& node) {
  if (node.op != schema::BuiltinOperator_PADV2 || !IsFloatConstant(subgraph, node.input(2))) {
    return nullptr;
  }
  const auto values = subgraph.tensors[static_cast<size_t>(node.inputs[2])].data.As<float>();
  return values.size() == 1 ? values.data() : nullptr;
}

void WidePads(const Planned& p, Collector* collector) {
  for (size_t n = 0; n < p.subgraph.nodes.size(); ++n) {
    const Node& node = p.subgraph.nodes[n];
    const float* value = PadValue(p.subgraph, node);
    if (value == nullptr || !p.integer(n) || !p.seen(node.inputs[0])) continue;
    const float inside = p.magnitude(node.inputs[0]);
    if (std::abs(*value) <= kWidePad * inside) continue;
    collector->Add(
        fmt::format("{} pads with {:.4g} what lies in [{:.4g}, {:.4g}]: the padding sets "
                    "the scale; pad with a value in that range",
                    NodeLabel(p.subgraph, n), *value, p.range(node.inputs[0]).min,
                    p.range(node.inputs[0]).max));
  }
}

}  // namespace

std::vector<std::string> PlanWarnings(const Graph& graph, const Ranges& ranges, const Plan& plan) {
  const Planned p{graph.main(), ranges, plan};
  std::vector<std::string> out;
  Collector collector;
  if (plan.recipe.kind == RecipeKind::kInt8) {
    MixedRanges(p, &collector);
    collector.End("nodes give ranges that differ one scale", &out);
    WideOutputs(p, &collector);
    collector.End("outputs have a range that int8 cannot hold", &out);
    WidePads(p, &collector);
    collector.End("nodes pad beyond the range", &out);
  }
  ConstantTensors(p, &collector);
  collector.End("tensors are constant", &out);
  Outliers(p, &collector);
  collector.End("tensors have outliers", &out);
  DeadChannels(p.subgraph, &collector);
  collector.End("layers have channels without weights", &out);
  return out;
}

namespace {

const QuantParams* Int8Params(const Subgraph& subgraph, int32_t t) {
  if (t < 0) return nullptr;
  const Tensor& tensor = subgraph.tensors[static_cast<size_t>(t)];
  const bool narrow =
      tensor.type == schema::TensorType_INT8 || tensor.type == schema::TensorType_UINT8;
  return narrow && !tensor.is_constant() && tensor.quant.scale.size() == 1 ? &tensor.quant
                                                                           : nullptr;
}

// Operands that were requantized to a much coarser scale.
void MixedScales(const Subgraph& subgraph, Collector* collector) {
  const Uses uses = FindUses(subgraph);
  for (size_t n = 0; n < subgraph.nodes.size(); ++n) {
    const Node& node = subgraph.nodes[n];
    if (node.op != schema::BuiltinOperator_CONCATENATION) continue;
    for (int32_t t : node.inputs) {
      const int32_t maker = t < 0 ? -1 : uses.producer[static_cast<size_t>(t)];
      if (maker < 0) continue;
      const Node& before = subgraph.nodes[static_cast<size_t>(maker)];
      if (before.op != schema::BuiltinOperator_QUANTIZE) continue;
      const QuantParams *from = Int8Params(subgraph, before.input(0)),
                        *to = Int8Params(subgraph, t);
      if (from == nullptr || to == nullptr || to->scale[0] < kMixed * from->scale[0]) continue;
      collector->Add(fmt::format(
          "{} requantizes '{}' to a scale {:.0f} times as coarse: it keeps about {:.0f} of 256 "
          "steps; "
          "keep the node in float, or use int16x8",
          NodeLabel(subgraph, n), Name(subgraph, before.inputs[0]), to->scale[0] / from->scale[0],
          std::max(1.0f, 256.0f * from->scale[0] / to->scale[0])));
    }
  }
}

}  // namespace

std::vector<std::string> FileWarnings(const Graph& graph) {
  std::vector<std::string> out;
  Collector collector;
  const Subgraph& subgraph = graph.main();
  MixedScales(subgraph, &collector);
  collector.End("operands lose most of their steps", &out);
  for (int32_t t : subgraph.outputs) {
    const QuantParams* quant = Int8Params(subgraph, t);
    if (quant == nullptr || !(quant->scale[0] > 1.0f)) continue;
    collector.Add(
        fmt::format("output '{}' has steps of {:.3g}: int8 does not hold its range; keep its "
                    "last layers in float, use int16x8, or scale the output in training",
                    Name(subgraph, t), quant->scale[0]));
  }
  collector.End("outputs have a range that int8 cannot hold", &out);
  for (const Node& node : subgraph.nodes) {
    // TFLite gives a tensor that never left zero a scale of about 1e-8.
    for (int32_t t : node.outputs) {
      const QuantParams* quant = Int8Params(subgraph, t);
      if (quant == nullptr || quant->scale[0] > 1e-8f) continue;
      collector.Add(
          fmt::format("'{}' was zero in every calibration sample: whatever it holds later is "
                      "cut off; calibrate with samples that exercise it",
                      Name(subgraph, t)));
    }
  }
  collector.End("tensors are constant", &out);
  DeadChannels(subgraph, &collector);
  collector.End("layers have channels without weights", &out);
  return out;
}

}  // namespace litesmith
