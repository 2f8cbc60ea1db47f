#include "quantize/lstm_plan.h"

#include <algorithm>
#include <cmath>

#include "ops/lstm.h"
#include "quantize/params.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

constexpr size_t kIntermediates = 5, kHidden = 4;

size_t Index(int32_t t) { return static_cast<size_t>(t); }

// The power of two that covers the range in int16, within what the kernel takes.
QuantParams CellParams(const Ranges::Range& range) {
  const double most =
      std::max(std::abs(static_cast<double>(range.min)), std::abs(static_cast<double>(range.max)));
  const double exponent = most > 0.0 ? std::ceil(std::log2(most)) : 0.0;
  return QuantParams::PerTensor(
      static_cast<float>(std::ldexp(1.0, static_cast<int>(std::clamp(exponent, 0.0, 6.0)) - 15)),
      0);
}

class Planner {
 public:
  Planner(const Subgraph& subgraph, const Ranges& ranges, const Node& node, Plan* plan)
      : subgraph_(subgraph),
        ranges_(ranges),
        node_(node),
        plan_(*plan),
        at_(SequenceLstmOperands(node)) {}

  void Run() {
    if (plan_.recipe.kind == RecipeKind::kInt16x8) return RunInt16();
    const bool normalizes = at_.layer_norm.has_value() && Has(*at_.layer_norm + 1);
    const QuantParams input = Of(node_.inputs[at_.input]).quant;
    const QuantParams output = Of(node_.outputs[0]).quant;
    for (size_t g = 0; g < reference::kLstmGates; ++g) {
      Weights(at_.weights + g);
      Weights(at_.recurrent + g);
      if (const auto peephole = PeepholeOf(at_, g)) Coefficients(*peephole);
      if (normalizes) Coefficients(*at_.layer_norm + g);
      if (!Has(at_.bias + g)) continue;
      // After layer normalization a bias counts in 1024ths of its coefficients.
      Set(node_.inputs[at_.bias + g], schema::TensorType_INT32,
          normalizes ? BiasParams(0x1.0p-10f, Of(node_.inputs[*at_.layer_norm + g]).quant)
                     : BiasParams(input.scale[0], Of(node_.inputs[at_.weights + g]).quant),
          "bias");
      if (normalizes) {
        const int32_t sums = node_.intermediates[g];
        Set(sums, schema::TensorType_INT16, Range(RecipeKind::kInt16x8, sums), "calibrated range");
      }
    }
    const bool projects = Has(at_.projection);
    const int32_t hidden = node_.intermediates[kHidden];
    Set(hidden, schema::TensorType_INT8, projects ? Range(RecipeKind::kInt8, hidden) : output,
        projects ? "calibrated range" : "same as the output");
    if (projects) {
      Weights(at_.projection);
      if (Has(at_.projection_bias)) {
        Set(node_.inputs[at_.projection_bias], schema::TensorType_INT32,
            BiasParams(Of(hidden).quant.scale[0], Of(node_.inputs[at_.projection]).quant), "bias");
      }
    }
    Set(node_.inputs[at_.output_state], schema::TensorType_INT8, output, "same as the output");
    PlanCell();
  }

 private:
  // As tflite-micro's kernel wants it: no intermediates, biases of 64 bits.
  void RunInt16() {
    const QuantParams input = Of(node_.inputs[at_.input]).quant;
    for (size_t g = 0; g < reference::kLstmGates; ++g) {
      Weights(at_.weights + g);
      Weights(at_.recurrent + g);
      Set(node_.inputs[at_.bias + g], schema::TensorType_INT64,
          BiasParams(input.scale[0], Of(node_.inputs[at_.weights + g]).quant), "bias");
    }
    Set(node_.inputs[at_.output_state], schema::TensorType_INT16, Of(node_.outputs[0]).quant,
        "same as the output");
    PlanCell();
  }
  void PlanCell() {
    const int32_t cell = node_.inputs[at_.cell_state];
    Set(cell, schema::TensorType_INT16, CellParams(ranges_.tensors[Index(cell)]),
        "calibrated range, to a power of two");
  }

  bool Has(size_t i) const { return node_.input(i) >= 0; }
  TensorPlan& Of(int32_t t) { return plan_.tensors[Index(t)]; }
  const Tensor& TensorOf(int32_t t) const { return subgraph_.tensors[Index(t)]; }

  void Set(int32_t t, TensorType type, QuantParams quant, const char* why) {
    TensorPlan& planned = Of(t);
    planned.type = type;
    planned.quant = std::move(quant);
    planned.why = why;
  }
  void Weights(size_t i) {
    if (!Has(i)) return;
    const Tensor& weights = TensorOf(node_.inputs[i]);
    Set(node_.inputs[i], schema::TensorType_INT8,
        WeightParams(weights.data.As<float>(), weights.shape, -1), "weights");
  }
  void Coefficients(size_t i) {
    if (!Has(i)) return;
    Set(node_.inputs[i], schema::TensorType_INT16,
        ConstantParams(RecipeKind::kInt16x8, TensorOf(node_.inputs[i]).data.As<float>()),
        "its values");
  }
  QuantParams Range(RecipeKind kind, int32_t t) const {
    const Ranges::Range& range = ranges_.tensors[Index(t)];
    return ActivationParams(kind, range.min, range.max);
  }

  const Subgraph& subgraph_;
  const Ranges& ranges_;
  const Node& node_;
  Plan& plan_;
  LstmOperands at_;
};

}  // namespace

bool IsSequenceLstm(const Node& node) {
  return node.op == schema::BuiltinOperator_UNIDIRECTIONAL_SEQUENCE_LSTM;
}

void AddLstmIntermediates(Graph* graph) {
  Subgraph& subgraph = graph->main();
  for (Node& node : subgraph.nodes) {
    if (!IsSequenceLstm(node) || !node.intermediates.empty() || node.output(0) < 0) continue;
    const std::string name = subgraph.tensors[Index(node.outputs[0])].name;
    for (size_t i = 0; i < kIntermediates; ++i) {
      Tensor tensor;
      tensor.name = fmt::format("{}_intermediate_{}", name, i);
      tensor.shape = {0};
      node.intermediates.push_back(subgraph.AddTensor(std::move(tensor)));
    }
  }
}

absl::Status ObserveLstmNode(const Executor& executor, const Node& node, const TensorLook& look,
                             LstmMemory* memory) {
  const Subgraph& subgraph = executor.graph().main();
  static const QuantParams kNone;
  std::vector<TensorView> inputs;
  for (int32_t t : node.inputs) {
    TensorView& view = inputs.emplace_back();
    view.quant = &kNone;
    if (t < 0) continue;
    view.present = true;
    view.type = subgraph.tensors[Index(t)].type;
    view.shape = executor.tensor_shape(t);
    view.data = executor.tensor(t).data();
    // Hybrid weights: their node stays as it is.
    if (view.type != schema::TensorType_FLOAT32) return absl::OkStatus();
  }
  const LstmOperands at = SequenceLstmOperands(node);
  return ObserveLstm(
      at, SequenceLstmSettings(node), inputs,
      [&](LstmValue value, std::span<const float> values) {
        const auto i = static_cast<size_t>(value);
        if (value == LstmValue::kCell) {
          look(node.inputs[at.cell_state], values);
        } else if (i < node.intermediates.size() && node.intermediates[i] >= 0) {
          look(node.intermediates[i], values);
        }
      },
      memory);
}

namespace {

// Only tflite-micro has a kernel on int16 activations, and litesmith after it.
std::string Int16Obstacle(const LstmOperands& at, const Node& node, Target target) {
  if (target == Target::kLitert) {
    return "LiteRT has no 16x8 kernel for it; --target tflm and litesmith have one";
  }
  const auto has = [&](size_t i) { return node.input(i) >= 0; };
  if (!has(at.weights)) return "the 16x8 LSTM needs an input gate";
  for (size_t g = 0; g < reference::kLstmGates; ++g) {
    if (const auto p = PeepholeOf(at, g); p.has_value() && has(*p)) {
      return "the 16x8 LSTM has no peephole";
    }
    if (at.layer_norm.has_value() && has(*at.layer_norm + g)) {
      return "the 16x8 LSTM has no layer normalization";
    }
    if (!has(at.bias + g)) return "the 16x8 LSTM needs all biases";
  }
  return has(at.projection) ? "the 16x8 LSTM has no projection" : "";
}

}  // namespace

std::string LstmObstacle(const Subgraph& subgraph, const Node& node, const Ranges& ranges,
                         RecipeKind kind, Target target) {
  const LstmOperands at = SequenceLstmOperands(node);
  const LstmSettings settings = SequenceLstmSettings(node);
  if (settings.activation != schema::ActivationFunctionType_TANH) {
    return "the integer LSTM has the activation TANH only";
  }
  if (kind == RecipeKind::kInt16x8) {
    const std::string obstacle = Int16Obstacle(at, node, target);
    if (!obstacle.empty()) return obstacle;
  } else {
    if (node.intermediates.size() != kIntermediates) return "it has no intermediate tensors";
    for (int32_t t : node.intermediates) {
      if (t < 0) return "an intermediate tensor is missing";
    }
  }
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int32_t t = node.inputs[i];
    if (t < 0 || i == at.input) continue;
    const Tensor& tensor = subgraph.tensors[Index(t)];
    const bool state = i == at.output_state || i == at.cell_state;
    if (tensor.type != schema::TensorType_FLOAT32 || tensor.sparsity != nullptr ||
        (state ? !tensor.is_variable : !tensor.is_constant())) {
      return fmt::format("its operand {} '{}' is no float {}", i, Printable(tensor.label()),
                         state ? "state" : "constant");
    }
  }
  const Tensor& recurrent =
      subgraph.tensors[Index(node.inputs[at.recurrent + reference::kOutputGate])];
  if (recurrent.shape.size() != 2) return "its recurrent weights are diagonal";
  const auto output_peephole = PeepholeOf(at, reference::kOutputGate);
  if (node.input(*output_peephole) >= 0 && recurrent.shape[1] != recurrent.shape[0]) {
    return "the int8 kernel with peephole and projection reads too few coefficients";
  }
  std::vector<int32_t> ranged = {node.inputs[at.input], node.outputs[0],
                                 node.inputs[at.cell_state]};
  if (kind != RecipeKind::kInt16x8) ranged.push_back(node.intermediates[kHidden]);
  for (int32_t t : ranged) {
    if (IsFloatConstant(subgraph, t)) return "its input is constant";
    const bool known = t >= 0 && ranges.tensors[Index(t)].seen;
    if (!known) return "it has no calibrated range, because a node before it cannot be run";
  }
  return "";
}

void PlanLstm(const Subgraph& subgraph, const Ranges& ranges, const Node& node, Plan* plan) {
  Planner(subgraph, ranges, node, plan).Run();
}

}  // namespace litesmith
