// The training graph of a plan.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "kernels/gradient/fake_quant_f32.h"
#include "ops/fake_quantize.h"
#include "ops/gradient.h"
#include "ops/op.h"
#include "passes/rewrite.h"
#include "quantize/forms.h"
#include "quantize/params.h"
#include "quantize/rules.h"
#include "train/qat.h"

namespace litesmith {
namespace {

// Limits of the integers of an activation or weight.
struct Limits {
  int32_t low, high;
};
Limits LimitsOf(TensorType type, bool weight) {
  if (weight) return {-WeightLimit(type), WeightLimit(type)};
  if (type == schema::TensorType_INT16) return {-32768, 32767};
  return {-128, 127};
}

double SquaredError(const gradient::FakeQuant& quant, std::span<const float> values,
                    std::vector<float>* stored) {
  stored->resize(values.size());
  gradient::FakeQuantize(quant, values.data(), values.size(), stored->data());
  double error = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double d = double{values[i]} - (*stored)[i];
    error += d * d;
  }
  return error;
}

// The scale at or below `largest` that stores the values with the least squared error: where there
// are few integers it pays to clip.
float BestScale(std::span<const float> values, float largest, float limit) {
  constexpr int kSteps = 64;
  std::vector<float> stored;
  float best = largest;
  double least = std::numeric_limits<double>::infinity();
  for (int step = kSteps; step > kSteps / 4; --step) {
    const float scale = largest * static_cast<float>(step) / kSteps;
    const double error = SquaredError({scale, 1.0f / scale, -limit, limit}, values, &stored);
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

// Every result is one of the operands' values, or zero: stored in their scale it needs no rounding.
bool KeepsValues(const OpRecord& op) {
  return op.gradient == PassGradient || op.gradient == FixedMoveGradient ||
         op.gradient == IndexedMoveGradient || op.op == schema::BuiltinOperator_MAX_POOL_2D;
}

// One per scale in `quant`, each starting from that of the plan.
std::vector<float> BestScales(const Tensor& tensor, const QuantParams& quant, float limit) {
  const auto values = tensor.data.As<float>();
  std::vector<std::vector<float>> channels(quant.scale.size());
  size_t inner = 1;
  for (size_t d = static_cast<size_t>(quant.axis) + 1; d < tensor.shape.size(); ++d) {
    inner *= static_cast<size_t>(tensor.shape[d]);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    channels[quant.per_channel() ? i / inner % channels.size() : 0].push_back(values[i]);
  }
  std::vector<float> out;
  for (size_t c = 0; c < channels.size(); ++c) {
    out.push_back(BestScale(channels[c], quant.scale[c], limit));
  }
  return out;
}

class Builder {
 public:
  Builder(const Graph& graph, const Plan& plan, QatRanges ranges)
      : original_(graph.main()),
        plan_(plan),
        ranges_(ranges),
        uses_(FindUses(original_)),
        out_{graph, {}, {}},
        subgraph_(out_.graph.main()),
        versions_(original_.tensors.size()),
        weight_scales_(original_.tensors.size(), -1) {}

  absl::StatusOr<FakeQuantGraph> Run() {
    FindGroups();
    subgraph_.nodes.clear();
    for (int32_t t : original_.inputs) SetInput(t);
    for (size_t n = 0; n < original_.nodes.size(); ++n) LS_RETURN_IF_ERROR(EmitNode(n));
    SetOutputs();
    return std::move(out_);
  }

 private:
  // A form in which a tensor of the original graph exists in the training graph. Integers stand as
  // floats there, so what reads floats takes the first as it is.
  struct Version {
    Form form;
    int32_t index = -1;
  };
  // Tensors of the training graph: a group's scale as planned, and as it is used.
  struct GroupTensors {
    int32_t scale = -1, scales = -1;
  };

  const Tensor& original(int32_t t) const { return original_.tensors[static_cast<size_t>(t)]; }
  const QuantParams& planned(int32_t t) const {
    return plan_.tensors[static_cast<size_t>(t)].quant;
  }
  std::vector<Version>& versions(int32_t t) { return versions_[static_cast<size_t>(t)]; }
  bool Integer(int32_t n) const {
    return n >= 0 && plan_.nodes[static_cast<size_t>(n)].mode == NodeMode::kInteger;
  }
  static bool Same(const QuantParams& a, const QuantParams& b) {
    return a.scale == b.scale && a.zero_point == b.zero_point;
  }

  // Float operands and results that are activations to the node.
  std::vector<int32_t> Activations(const Node& node) const {
    const QuantRule& rule = FindOp(node)->quant;
    std::vector<int32_t> out;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const bool activation = rule.input(i).role == Role::kActivation;
      if (activation && IsFloat(original_, node.inputs[i])) out.push_back(node.inputs[i]);
    }
    for (int32_t t : node.outputs) {
      if (IsActivation(original_, t)) out.push_back(t);
    }
    return out;
  }

  bool FixedByOperator(int32_t t) const {
    const int32_t n = uses_.producer[static_cast<size_t>(t)];
    return Integer(n) && FixesScale(FindOp(original_.nodes[static_cast<size_t>(n)])->quant);
  }

  // Tensors that a rule gives one scale, and that have one, are one group.
  void FindGroups() {
    std::vector<int32_t> root(original_.tensors.size());
    std::iota(root.begin(), root.end(), 0);
    const auto find = [&](int32_t t) {
      while (root[static_cast<size_t>(t)] != t) t = root[static_cast<size_t>(t)];
      return t;
    };
    for (size_t n = 0; n < original_.nodes.size(); ++n) {
      if (!Integer(static_cast<int32_t>(n))) continue;
      if (!SharesScale(FindOp(original_.nodes[n])->quant)) continue;
      const std::vector<int32_t> tied = Activations(original_.nodes[n]);
      for (int32_t t : tied) {
        if (!Same(planned(t), planned(tied.back()))) continue;
        const int32_t a = find(t), b = find(tied.back());
        root[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
      }
    }
    group_of_.assign(root.size(), -1);
    for (int32_t t = 0; t < static_cast<int32_t>(root.size()); ++t) {
      if (!IsFloat(original_, t) || planned(t).scale.size() != 1) continue;
      int32_t& group = group_of_[static_cast<size_t>(find(t))];
      if (group < 0) {
        group = static_cast<int32_t>(out_.groups.size());
        out_.groups.push_back({planned(t), {}, false, -1});
      }
      const int32_t mine = group_of_[static_cast<size_t>(t)] = group;
      FakeQuantGroup& entry = out_.groups[static_cast<size_t>(mine)];
      entry.tensors.push_back(t);
      const auto& inputs = original_.inputs;
      const bool input = std::find(inputs.begin(), inputs.end(), t) != inputs.end();
      entry.fixed = entry.fixed || original(t).is_constant() || input || FixedByOperator(t);
    }
    group_tensors_.resize(out_.groups.size());
  }

  int32_t AddTensor(const std::string& name, Shape shape, TensorType type, Blob data) {
    Tensor tensor;
    tensor.name = name;
    tensor.type = type;
    tensor.shape = std::move(shape);
    tensor.data = std::move(data);
    return subgraph_.AddTensor(std::move(tensor));
  }
  int32_t AddFloats(const std::string& name, const std::vector<float>& values) {
    return AddTensor(name, {static_cast<int32_t>(values.size())}, schema::TensorType_FLOAT32,
                     Blob::Of(values));
  }

  // What a FakeQuantize makes.
  struct Emitted {
    int32_t stored = -1, scales = -1;
  };

  // Emits the operator on tensor `from` of the training graph, which is a version of t; `scale` and
  // `learnt` are tensors there too.
  Emitted Emit(int32_t t, int32_t from, FakeQuantMode mode, int axis, const Limits& limits,
               int64_t zero, int32_t scale, int32_t learnt) {
    const std::string name = original(t).label();
    const int32_t producer = uses_.producer[static_cast<size_t>(t)];
    Node node;
    node.op = schema::BuiltinOperator_CUSTOM;
    node.custom_code = kFakeQuantizeCode;
    // Freezing a layer by its name freezes this too.
    node.name = node_name_.empty() ? name : node_name_;
    std::vector<int32_t> settings(kFakeQuantSettings);
    settings[kFakeQuantMode] = static_cast<int32_t>(mode);
    settings[kFakeQuantAxis] = axis;
    settings[kFakeQuantLow] = limits.low;
    settings[kFakeQuantHigh] = limits.high;
    settings[kFakeQuantZero] = static_cast<int32_t>(zero);
    settings[kFakeQuantAverage] = from == t && Integer(producer) &&
                                  original_.nodes[static_cast<size_t>(producer)].op ==
                                      schema::BuiltinOperator_AVERAGE_POOL_2D;
    node.inputs = {from, scale,
                   AddTensor(name + "/settings", {kFakeQuantSettings}, schema::TensorType_INT32,
                             Blob::Of(settings))};
    if (learnt >= 0) node.inputs.push_back(learnt);
    Emitted out;
    out.stored = AddTensor(name + "/stored", original(t).shape, schema::TensorType_FLOAT32, {});
    subgraph_.tensors[static_cast<size_t>(out.stored)].shape_signature =
        original(t).shape_signature;
    const Shape scales = subgraph_.tensors[static_cast<size_t>(scale)].shape;
    out.scales = AddTensor(name + "/scales", scales, schema::TensorType_FLOAT32, {});
    node.outputs = {out.stored, out.scales};
    subgraph_.nodes.push_back(std::move(node));
    return out;
  }

  int32_t StoreActivation(int32_t t, int32_t from, const Form& form, int32_t owner) {
    const int32_t made = EmitActivation(t, from, form, owner);
    out_.places.push_back({made, t, owner, form.type});
    return made;
  }

  // Version `from` of t in these integers, whose scale is that of the group of tensor `owner`.
  int32_t EmitActivation(int32_t t, int32_t from, const Form& form, int32_t owner) {
    const Limits limits = LimitsOf(form.type, false);
    const int64_t zero = form.quant.zero_point[0];
    const int32_t g = group_of_[static_cast<size_t>(owner)];
    const std::string name = original(owner).label();
    if (g < 0) {
      const int32_t scale = AddFloats(name + "/scale", form.quant.scale);
      return Emit(t, from, FakeQuantMode::kFixed, -1, limits, zero, scale, -1).stored;
    }
    FakeQuantGroup& group = out_.groups[static_cast<size_t>(g)];
    const bool learnt = ranges_ == QatRanges::kLearnt;
    if (!group.fixed && group.learnt < 0) {
      // Of all that share the scale, not of the tensor alone.
      const Ranges::Range range = RangeOf(plan_.recipe.kind, form.quant.scale[0], zero);
      group.learnt =
          learnt ? AddFloats(name + "/log_factor", {0.0f})
                 : AddFloats(name + "/range",
                             {form.quant.scale[0], static_cast<float>(zero), range.min, range.max});
    }
    GroupTensors& tensors = group_tensors_[static_cast<size_t>(g)];
    if (tensors.scale < 0) tensors.scale = AddFloats(name + "/scale", form.quant.scale);
    const FakeQuantMode mode = group.fixed ? FakeQuantMode::kFixed
                               : learnt    ? FakeQuantMode::kLearnt
                                           : FakeQuantMode::kAveraged;
    const Emitted out = Emit(t, from, mode, -1, limits, zero, tensors.scale, group.learnt);
    if (tensors.scales < 0) tensors.scales = out.scales;
    return out.stored;
  }

  int32_t StoreWeights(int32_t t, const Form& form) {
    const Limits limits = LimitsOf(form.type, true);
    const int axis = form.quant.per_channel() ? form.quant.axis : -1;
    const std::string name = original(t).label();
    FakeQuantWeight weight{t, -1, form.quant.scale};
    const bool learnt = ranges_ == QatRanges::kLearnt;
    if (learnt) {
      weight.scales = BestScales(original(t), form.quant, static_cast<float>(limits.high));
      weight.learnt =
          AddFloats(name + "/log_factor", std::vector<float>(weight.scales.size(), 0.0f));
    }
    const int32_t scale = AddFloats(name + "/scale", weight.scales);
    const Emitted out = Emit(t, t, learnt ? FakeQuantMode::kLearnt : FakeQuantMode::kValues, axis,
                             limits, 0, scale, weight.learnt);
    out_.weights.push_back(std::move(weight));
    weight_scales_[static_cast<size_t>(t)] = out.scales;
    return out.stored;
  }

  // An int32 bias, in units of the scales that its node's operands have at the moment.
  int32_t StoreBias(const Node& node, int32_t t, const Form& form) {
    const QuantRule& rule = FindOp(node)->quant;
    int32_t input = -1, weights = -1;
    for (size_t i = node.inputs.size(); i-- > 0;) {
      if (!IsFloat(original_, node.inputs[i])) continue;
      if (rule.input(i).role == Role::kActivation) input = node.inputs[i];
      if (rule.input(i).role == Role::kWeight) weights = node.inputs[i];
    }
    const int32_t group = input < 0 ? -1 : group_of_[static_cast<size_t>(input)];
    const int32_t input_scale = group < 0 ? -1 : group_tensors_[static_cast<size_t>(group)].scales;
    const int32_t weight_scale = weights < 0 ? -1 : weight_scales_[static_cast<size_t>(weights)];
    if (input_scale < 0 || weight_scale < 0) return t;
    constexpr int32_t kHalf = 1 << 30;  // an int32 bias stays below
    return Emit(t, t, FakeQuantMode::kProduct, form.quant.per_channel() ? 0 : -1, {-kHalf, kHalf},
                0, weight_scale, input_scale)
        .stored;
  }

  // A constant operand that is an activation is not trained: it becomes what it is stored as.
  int32_t StoreConstant(int32_t t, const Form& form) {
    const Limits limits = LimitsOf(form.type, false);
    const auto zero = static_cast<float>(form.quant.zero_point[0]);
    const float scale = form.quant.scale[0];
    const auto values = original(t).data.As<float>();
    std::vector<float> stored(values.size());
    gradient::FakeQuantize({scale, 1.0f / scale, static_cast<float>(limits.low) - zero,
                            static_cast<float>(limits.high) - zero},
                           values.data(), values.size(), stored.data());
    return AddTensor(original(t).label() + "/stored", original(t).shape, schema::TensorType_FLOAT32,
                     Blob::Of(stored));
  }

  // The index of tensor t in this form, which is made when it is not there.
  int32_t Get(int32_t t, const OperandForm& wanted, int32_t owner) {
    if (versions(t).empty()) versions(t).push_back({Form{}, t});
    const Form& form = wanted.form;
    if (form.is_float()) return versions(t).front().index;
    for (const Version& version : versions(t)) {
      if (version.form == form) return version.index;
    }
    const int32_t index = wanted.is_weight ? StoreWeights(t, form)
                          : original(t).is_constant()
                              ? StoreConstant(t, form)
                              : StoreActivation(t, versions(t).front().index, form, owner);
    versions(t).push_back({form, index});
    return index;
  }

  void SetInput(int32_t t) {
    const bool integer = plan_.input_type != ElementType::kFloat32;
    if (!integer || !IsActivation(original_, t) || planned(t).empty()) return;
    const Form form{ActivationType(plan_.recipe.kind), planned(t)};
    versions(t) = {{form, StoreActivation(t, t, form, t)}};
  }

  absl::Status EmitNode(size_t n) {
    Node node = original_.nodes[n];
    const OpRecord* op = FindOp(node);
    node_name_ = node.name;
    // Whether the results can be nothing but integers of the operands' form.
    std::optional<Form> kept;
    bool keeps = op != nullptr && KeepsValues(*op);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const std::optional<OperandForm> wanted = WantedOperand(original_, plan_, n, i);
      if (!wanted.has_value()) continue;
      const int32_t t = node.inputs[i];
      if (!wanted->form.is_float() && wanted->form.quant.empty()) return NoScale(t);
      if (StoredBehindPool(t)) {
        node_name_ = original_.nodes[static_cast<size_t>(ProducerOf(t))].name;
        continue;
      }
      if (op != nullptr && op->quant.input(i).role == Role::kBias) {
        // An int64 bias is as fine as a float.
        const bool coarse = wanted->form.type == schema::TensorType_INT32;
        if (coarse) node.inputs[i] = StoreBias(original_.nodes[n], t, wanted->form);
        continue;
      }
      const bool own = Same(wanted->form.quant, planned(t));
      node.inputs[i] = Get(t, *wanted, own ? t : node.output(0));
      if (op == nullptr || op->quant.input(i).role != Role::kActivation) continue;
      keeps = keeps && (!kept.has_value() || *kept == wanted->form);
      kept = wanted->form;
    }
    const std::vector<int32_t> results = node.outputs;
    if (ClampsAsStored(n)) SetFusedActivation(&node, schema::ActivationFunctionType_NONE);
    subgraph_.nodes.push_back(std::move(node));
    for (int32_t t : results) {
      if (!IsActivation(original_, t) || original(t).is_variable) continue;
      const Form form = ResultForm(original_, plan_, n, t);
      if (!form.is_float() && form.quant.empty()) return NoScale(t);
      versions(t) = {{form, t}};
      const bool stored = form.is_float() || (keeps && kept.has_value() && *kept == form);
      if (stored) continue;
      if (StoredBehindPool(t)) {
        versions(t) = {{Form{}, t}};
      } else if (OnlyLeaves(t)) {
        out_.places.push_back({t, t, t, form.type});
      } else {
        versions(t) = {{form, StoreActivation(t, t, form, t)}};
      }
    }
    return absl::OkStatus();
  }

  int32_t ProducerOf(int32_t t) const { return uses_.producer[static_cast<size_t>(t)]; }

  // Whether t becomes integers after the maximum pooling that alone reads it: the same integers, as
  // storing keeps the order of values, and fewer to store. Averaged ranges are those of t itself.
  bool StoredBehindPool(int32_t t) const {
    const int32_t n = ProducerOf(t);
    const std::vector<int32_t>& readers = uses_.consumers[static_cast<size_t>(t)];
    if (ranges_ != QatRanges::kLearnt || !Integer(n) || readers.size() != 1) return false;
    if (FixedByOperator(t) || !Integer(readers[0])) return false;
    const auto m = static_cast<size_t>(readers[0]);
    const Node& pool = original_.nodes[m];
    if (pool.op != schema::BuiltinOperator_MAX_POOL_2D ||
        FusedActivation(pool) != schema::ActivationFunctionType_NONE || IsOutput(t)) {
      return false;
    }
    const Form form = ResultForm(original_, plan_, static_cast<size_t>(n), t);
    const std::optional<OperandForm> wanted = WantedOperand(original_, plan_, m, 0);
    return wanted.has_value() && wanted->form == form && !form.is_float() && !form.quant.empty() &&
           ResultForm(original_, plan_, m, pool.outputs[0]) == form;
  }
  bool IsOutput(int32_t t) const {
    const auto& outputs = original_.outputs;
    return std::find(outputs.begin(), outputs.end(), t) != outputs.end();
  }

  // Whether storing the node's result cuts at 0 just as its fused rectifier does, which then need
  // not be computed, nor its gradient. (Where a value is 0 the gradient passes.)
  bool ClampsAsStored(size_t n) const {
    const Node& node = original_.nodes[n];
    if (ranges_ != QatRanges::kLearnt || !Integer(static_cast<int32_t>(n)) ||
        node.outputs.size() != 1 || FusedActivation(node) != schema::ActivationFunctionType_RELU) {
      return false;
    }
    const int32_t t = node.outputs[0];
    if (!IsActivation(original_, t) || original(t).is_variable || OnlyLeaves(t)) return false;
    if (KeepsValues(*FindOp(node))) return false;
    const Form form = ResultForm(original_, plan_, n, t);
    return !form.is_float() && !form.quant.empty() &&
           form.quant.zero_point[0] == LimitsOf(form.type, false).low;
  }

  bool OnlyLeaves(int32_t t) const {
    return FixedByOperator(t) && uses_.consumers[static_cast<size_t>(t)].empty();
  }

  absl::Status NoScale(int32_t t) const {
    return Internal("the plan has no scale for '{}'", Printable(original(t).label()));
  }

  void SetOutputs() {
    const auto replace = [&](int32_t t) {
      const bool known = t >= 0 && IsActivation(original_, t) && !versions(t).empty();
      return known ? versions(t).front().index : t;
    };
    for (int32_t& t : subgraph_.outputs) t = replace(t);
    for (Signature& signature : out_.graph.signatures) {
      if (signature.subgraph != 0) continue;
      for (SignatureEntry& entry : signature.outputs) entry.tensor = replace(entry.tensor);
    }
  }

  const Subgraph& original_;
  const Plan& plan_;
  QatRanges ranges_;
  Uses uses_;
  FakeQuantGraph out_;
  Subgraph& subgraph_;
  std::vector<std::vector<Version>> versions_;  // per original tensor; the first is its producer's
  std::vector<int32_t> group_of_;               // per original tensor
  std::vector<GroupTensors> group_tensors_;     // per group
  std::vector<int32_t> weight_scales_;          // per original tensor: the scales as they are used
  std::string node_name_;                       // of the node that is being emitted
};

}  // namespace

Ranges::Range RangeOf(RecipeKind kind, float scale, int64_t zero) {
  const double s = scale;
  if (kind == RecipeKind::kInt16x8) {
    return {static_cast<float>(-32767.0 * s), static_cast<float>(32767.0 * s), true};
  }
  return {static_cast<float>(s * (-128.0 - static_cast<double>(zero))),
          static_cast<float>(s * (127.0 - static_cast<double>(zero))), true};
}

absl::StatusOr<FakeQuantGraph> MakeFakeQuantGraph(const Graph& graph, const Plan& plan,
                                                  QatRanges ranges) {
  if (plan.tensors.size() != graph.main().tensors.size() ||
      plan.nodes.size() != graph.main().nodes.size()) {
    return Invalid("the plan was made for another graph");
  }
  return Builder(graph, plan, ranges).Run();
}

}  // namespace litesmith
