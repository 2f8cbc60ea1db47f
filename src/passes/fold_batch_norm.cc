#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "passes/passes.h"
#include "passes/rewrite.h"

namespace litesmith {
namespace {

// y = x * scale + offset per channel; vectors of one value hold for all channels.
struct Affine {
  int32_t x = -1;
  std::vector<float> scale = {1.0f};
  std::vector<float> offset = {0.0f};

  float scale_at(int64_t c) const {
    return scale.size() == 1 ? scale[0] : scale[static_cast<size_t>(c)];
  }
  float offset_at(int64_t c) const {
    return offset.size() == 1 ? offset[0] : offset[static_cast<size_t>(c)];
  }
  bool has_offset() const {
    return std::any_of(offset.begin(), offset.end(), [](float v) { return v != 0.0f; });
  }
};

// The weights of a layer that is linear in its input: which input and output channel each belongs
// to.
struct Layer {
  int32_t weights = -1;
  int32_t bias = -1;
  int64_t inputs = 0;
  int64_t outputs = 0;
  int64_t per_output = 0;  // weights that lie together for one output (depthwise: 1, strided)
  int64_t multiplier = 0;  // depthwise: outputs per input, else 0
  bool pads = false;       // zeros around the input take part

  int64_t output_of(int64_t index) const {
    return multiplier > 0 ? index % outputs : index / per_output;
  }
  int64_t input_of(int64_t index) const {
    return multiplier > 0 ? index % outputs / multiplier : index % inputs;
  }
};

template <typename T>
bool PadsInput(const T& options, const Shape& filter) {
  return options.padding != schema::Padding_VALID && (filter[1] != 1 || filter[2] != 1);
}

std::optional<Layer> FindLayer(Rewriter& rewriter, const Node& node) {
  if (node.inputs.size() < 2 || node.inputs.size() > 3 || node.outputs.size() != 1)
    return std::nullopt;
  if (node.input(0) < 0 || node.outputs[0] < 0 || !rewriter.IsFloatConstant(node.input(1))) {
    return std::nullopt;
  }
  Layer layer;
  layer.weights = node.input(1);
  layer.bias = node.input(2);
  const Shape& shape = rewriter.tensor(layer.weights).shape;
  const size_t rank = node.op == schema::BuiltinOperator_FULLY_CONNECTED ? 2 : 4;
  if (shape.size() != rank || NumElements(shape) == 0) return std::nullopt;
  layer.outputs = shape[0];
  layer.per_output = NumElements(shape) / shape[0];
  layer.inputs = shape.back();
  if (node.op == schema::BuiltinOperator_CONV_2D) {
    layer.pads = PadsInput(node.GetOptions<schema::Conv2DOptionsT>(), shape);
  } else if (node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D) {
    const auto& options = node.GetOptions<schema::DepthwiseConv2DOptionsT>();
    layer.pads = PadsInput(options, shape);
    layer.outputs = shape[3];
    layer.multiplier = options.depth_multiplier;
    if (layer.multiplier <= 0 || layer.outputs % layer.multiplier != 0) return std::nullopt;
    layer.inputs = layer.outputs / layer.multiplier;
  } else if (node.op != schema::BuiltinOperator_FULLY_CONNECTED ||
             node.GetOptions<schema::FullyConnectedOptionsT>().weights_format !=
                 schema::FullyConnectedOptionsWeightsFormat_DEFAULT) {
    return std::nullopt;
  }
  if (layer.bias >= 0 && (!rewriter.IsFloatConstant(layer.bias) ||
                          NumElements(rewriter.tensor(layer.bias).shape) != layer.outputs)) {
    return std::nullopt;
  }
  return layer;
}

// Weights and bias are this node's alone.
bool IsPrivate(const Rewriter& rewriter, const Layer& layer) {
  return rewriter.reads(layer.weights) == 1 && (layer.bias < 0 || rewriter.reads(layer.bias) == 1);
}

// The constant's values when it is one value, or one per channel of the last dimension.
std::optional<std::vector<float>> ChannelValues(const Tensor& constant, const Tensor& x) {
  const auto values = constant.data.As<float>();
  const Shape& shape = constant.shape;
  if (shape.size() > x.shape.size()) return std::nullopt;
  const bool last_only =
      values.size() == 1 ||
      (static_cast<size_t>(shape.back()) == values.size() && shape.back() == x.shape.back());
  if (!last_only || values.empty()) return std::nullopt;
  return std::vector<float>(values.begin(), values.end());
}

// The node as a function of its one operand that is not constant.
std::optional<Affine> FindAffine(Rewriter& rewriter, const Node& node) {
  const bool known = node.op == schema::BuiltinOperator_MUL ||
                     node.op == schema::BuiltinOperator_ADD ||
                     node.op == schema::BuiltinOperator_SUB;
  if (!known || node.inputs.size() != 2 || node.outputs.size() != 1 || node.outputs[0] < 0) {
    return std::nullopt;
  }
  const bool first = rewriter.IsFloatConstant(node.inputs[0]);
  const int32_t constant = node.inputs[first ? 0 : 1];
  Affine out;
  out.x = node.inputs[first ? 1 : 0];
  if (out.x < 0 || !rewriter.IsFloatConstant(constant) || rewriter.tensor(out.x).is_constant()) {
    return std::nullopt;
  }
  const Tensor& x = rewriter.tensor(out.x);
  const Tensor& y = rewriter.tensor(node.outputs[0]);
  if (x.type != schema::TensorType_FLOAT32 || !x.has_rank || x.shape.empty() ||
      x.shape != y.shape) {
    return std::nullopt;
  }
  auto values = ChannelValues(rewriter.tensor(constant), x);
  if (!values) return std::nullopt;
  if (node.op == schema::BuiltinOperator_MUL) {
    out.scale = std::move(*values);
    return out;
  }
  if (node.op == schema::BuiltinOperator_SUB) {
    if (first) {
      out.scale = {-1.0f};
    } else {
      for (float& v : *values) v = -v;
    }
  }
  out.offset = std::move(*values);
  return out;
}

std::vector<float> Values(Rewriter& rewriter, int32_t t) {
  const auto values = rewriter.tensor(t).data.As<float>();
  return {values.begin(), values.end()};
}

std::vector<double> BiasValues(Rewriter& rewriter, const Layer& layer) {
  if (layer.bias < 0) return std::vector<double>(static_cast<size_t>(layer.outputs), 0.0);
  const auto values = rewriter.tensor(layer.bias).data.As<float>();
  return {values.begin(), values.end()};
}

void StoreBias(Rewriter& rewriter, int32_t n, const Layer& layer,
               const std::vector<double>& values) {
  const Blob data = Blob::Of(std::vector<float>(values.begin(), values.end()));
  if (layer.bias >= 0) {
    rewriter.tensor(layer.bias).data = data;
    return;
  }
  Tensor bias;
  bias.name = rewriter.tensor(layer.weights).name + "/bias";
  bias.shape = {static_cast<int32_t>(layer.outputs)};
  bias.data = data;
  rewriter.SetInput(n, 2, rewriter.Add(std::move(bias)));
}

// Node n follows a layer: layer(x) * scale + offset.
bool FoldAfter(Rewriter& rewriter, int32_t n) {
  const auto affine = FindAffine(rewriter, rewriter.node(n));
  if (!affine) return false;
  const int32_t before = rewriter.PrivateProducer(affine->x);
  if (before < 0 || FusedActivation(rewriter.node(before)) != schema::ActivationFunctionType_NONE) {
    return false;
  }
  const auto layer = FindLayer(rewriter, rewriter.node(before));
  if (!layer || !IsPrivate(rewriter, *layer)) return false;
  if (rewriter.tensor(affine->x).shape.back() != layer->outputs) return false;
  std::vector<float> weights = Values(rewriter, layer->weights);
  for (size_t i = 0; i < weights.size(); ++i) {
    weights[i] *= affine->scale_at(layer->output_of(static_cast<int64_t>(i)));
  }
  std::vector<double> bias = BiasValues(rewriter, *layer);
  for (size_t c = 0; c < bias.size(); ++c) {
    bias[c] = bias[c] * affine->scale_at(static_cast<int64_t>(c)) +
              affine->offset_at(static_cast<int64_t>(c));
  }
  rewriter.tensor(layer->weights).data = Blob::Of(weights);
  StoreBias(rewriter, before, *layer, bias);
  SetFusedActivation(&rewriter.node(before), *FusedActivation(rewriter.node(n)));
  const int32_t output = rewriter.node(n).outputs[0];
  rewriter.Kill(n);
  rewriter.SetOutput(before, output);
  return true;
}

// Node n is a layer that follows x * scale + offset.
bool FoldBefore(Rewriter& rewriter, int32_t n) {
  const auto layer = FindLayer(rewriter, rewriter.node(n));
  if (!layer || !IsPrivate(rewriter, *layer)) return false;
  const int32_t input = rewriter.node(n).input(0);
  const int32_t before = rewriter.PrivateProducer(input);
  if (before < 0 || FusedActivation(rewriter.node(before)) != schema::ActivationFunctionType_NONE) {
    return false;
  }
  const auto affine = FindAffine(rewriter, rewriter.node(before));
  if (!affine || (affine->has_offset() && layer->pads)) return false;
  const Shape& shape = rewriter.tensor(input).shape;
  const bool pictures = rewriter.node(n).op != schema::BuiltinOperator_FULLY_CONNECTED;
  if (shape.back() != layer->inputs || (pictures && shape.size() != 4)) return false;
  std::vector<float> weights = Values(rewriter, layer->weights);
  std::vector<double> bias = BiasValues(rewriter, *layer);
  for (size_t i = 0; i < weights.size(); ++i) {
    const int64_t channel = layer->input_of(static_cast<int64_t>(i));
    bias[static_cast<size_t>(layer->output_of(static_cast<int64_t>(i)))] +=
        static_cast<double>(weights[i]) * affine->offset_at(channel);
    weights[i] *= affine->scale_at(channel);
  }
  rewriter.tensor(layer->weights).data = Blob::Of(weights);
  if (affine->has_offset()) StoreBias(rewriter, n, *layer, bias);
  rewriter.SetInput(n, 0, affine->x);
  rewriter.KillUnread(input);
  return true;
}

}  // namespace

absl::StatusOr<bool> FoldBatchNorm(Graph* graph) {
  if (!MayRewrite(*graph)) return false;
  bool changed = false;
  for (size_t s = 0; s < graph->subgraphs.size(); ++s) {
    Rewriter rewriter(graph, s);
    const auto nodes = static_cast<int32_t>(rewriter.subgraph().nodes.size());
    for (int32_t n = 0; n < nodes; ++n) {
      if (rewriter.is_dead(n) || FoldAfter(rewriter, n)) continue;
      while (FoldBefore(rewriter, n)) {
      }
    }
    changed = rewriter.Finish() || changed;
  }
  return changed;
}

}  // namespace litesmith
