#include "quantize/svdf_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quantize/params.h"
#include "quantize/rules.h"

namespace litesmith {
namespace {

constexpr size_t kInput = 0, kFeature = 1, kTime = 2, kBias = 3, kState = 4;

size_t Index(int32_t t) { return static_cast<size_t>(t); }

// How often the largest sum of one unit, with every state at its limit, is an int32's. Only
// memories of more than 128 steps and ranks, or large biases, come near it.
double Overflow(const Tensor& time, const QuantParams& quant, std::span<const float> bias,
                float state_scale, size_t units) {
  constexpr double kState16 = 32767.0, kSum = std::numeric_limits<int32_t>::max();
  const auto weights = time.data.As<float>();
  const size_t per_unit = units == 0 ? 0 : weights.size() / units;
  double most = 0.0;
  for (size_t u = 0; u < units; ++u) {
    double sum = u < bias.size() ? std::abs(static_cast<double>(bias[u])) /
                                       (static_cast<double>(state_scale) * quant.scale[0])
                                 : 0.0;
    for (size_t i = u * per_unit; i < (u + 1) * per_unit; ++i) {
      sum += kState16 * std::abs(static_cast<double>(weights[i])) / quant.scale[0];
    }
    most = std::max(most, sum);
  }
  return most / kSum;
}

// The scales that were learnt, where they were.
QuantParams Learnt(const Ranges& ranges, int32_t t, QuantParams quant) {
  if (!ranges.weight_scales.empty() &&
      ranges.weight_scales[Index(t)].size() == quant.scale.size()) {
    quant.scale = ranges.weight_scales[Index(t)];
  }
  return quant;
}

}  // namespace

bool IsSvdf(const Node& node) { return node.op == schema::BuiltinOperator_SVDF; }

int32_t SvdfState(const Node& node) { return node.input(kState); }

std::string SvdfObstacle(const Subgraph& subgraph, const Node& node, const Ranges& ranges) {
  const auto activation = node.GetOptions<schema::SVDFOptionsT>().fused_activation_function;
  if (activation != schema::ActivationFunctionType_RELU) {
    return "the int8 SVDF has the activation RELU only";
  }
  const int32_t state = SvdfState(node);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const int32_t t = node.inputs[i];
    if (i == kInput || (t < 0 && i == kBias)) continue;
    const bool fits = t >= 0 && IsFloat(subgraph, t) &&
                      subgraph.tensors[Index(t)].sparsity == nullptr &&
                      (i == kState ? subgraph.tensors[Index(t)].is_variable
                                   : subgraph.tensors[Index(t)].is_constant());
    if (!fits)
      return fmt::format("its operand {} is no float {}", i, i == kState ? "state" : "constant");
  }
  if (state < 0 || node.inputs.size() <= kState) return "its state is missing";
  for (const Node& other : subgraph.nodes) {
    const auto reads = std::count(other.inputs.begin(), other.inputs.end(), state);
    if (reads > (&other == &node ? 1 : 0)) return "its state is read by another node too";
  }
  for (const int32_t t : {node.input(kInput), node.output(0), state}) {
    if (IsFloatConstant(subgraph, t)) return "its input is constant";
    if (!IsFloat(subgraph, t) || !ranges.tensors[Index(t)].seen) {
      return "it has no calibrated range, because a node before it cannot be run";
    }
  }
  return "";
}

void PlanSvdf(const Subgraph& subgraph, const Ranges& ranges, const Node& node, Plan* plan) {
  const auto tensor = [&](size_t i) -> const Tensor& {
    return subgraph.tensors[Index(node.inputs[i])];
  };
  const auto set = [&](size_t i, TensorType type, QuantParams quant, const char* why) {
    TensorPlan& planned = plan->tensors[Index(node.inputs[i])];
    planned.type = type;
    planned.quant = std::move(quant);
    planned.why = why;
  };
  const Tensor &feature = tensor(kFeature), &time = tensor(kTime);
  set(kFeature, schema::TensorType_INT8,
      Learnt(ranges, node.inputs[kFeature],
             WeightParams(feature.data.As<float>(), feature.shape, -1)),
      "weights");
  const Ranges::Range& held = ranges.tensors[Index(node.inputs[kState])];
  const QuantParams state = ActivationParams(RecipeKind::kInt16x8, held.min, held.max);
  set(kState, schema::TensorType_INT16, state, "calibrated range");
  QuantParams steps =
      Learnt(ranges, node.inputs[kTime],
             WeightParams(time.data.As<float>(), time.shape, -1, schema::TensorType_INT16));
  std::span<const float> bias;
  if (node.inputs[kBias] >= 0) bias = tensor(kBias).data.As<float>();
  const auto rank = std::max(1, node.GetOptions<schema::SVDFOptionsT>().rank);
  const size_t units = static_cast<size_t>(feature.shape[0] / rank);
  const double overflow = Overflow(time, steps, bias, state.scale[0], units);
  // A little more, for what rounding adds.
  if (overflow > 0.99) steps.scale[0] = static_cast<float>(steps.scale[0] * overflow * 1.02);
  set(kTime, schema::TensorType_INT16, steps, "time weights, 10 bits");
  if (node.inputs[kBias] >= 0) {
    set(kBias, schema::TensorType_INT32, BiasParams(state.scale[0], steps),
        "bias: state scale * time weight scale");
  }
}

}  // namespace litesmith
