#include "train/unfold.h"

#include <algorithm>
#include <cmath>

#include "kernels/gradient/batch_norm_f32.h"
#include "ops/batch_normalize.h"

namespace litesmith {
namespace {

// The norm of a filter's weights at the start: that of He et al. 2015 (arXiv:1502.01852). Behind a
// normalisation the function does not depend on it; the size of Adam's steps relative to the
// weights does.
constexpr double kFilterNorm = 1.4142135623730951;

class Unfolder {
 public:
  Unfolder(const std::function<bool(int32_t)>& trained, Graph* graph)
      : trained_(trained), original_(graph->main()) {
    readers_.assign(original_.tensors.size(), 0);
    for (const Node& node : original_.nodes) {
      for (int32_t t : node.inputs) {
        if (t >= 0) ++readers_[static_cast<size_t>(t)];
      }
    }
    for (int32_t t : original_.outputs) ++readers_[static_cast<size_t>(t)];
    AddBiases();
    out_.graph = *graph;
  }

  UnfoldedGraph Run() {
    Subgraph& main = out_.graph.main();
    std::vector<Node> nodes;
    nodes.swap(main.nodes);
    for (Node& node : nodes) {
      if (!Fits(node)) {
        main.nodes.push_back(std::move(node));
        continue;
      }
      AddNormalisation(std::move(node));
    }
    return std::move(out_);
  }

 private:
  bool IsConv(const Node& node) const {
    return node.op == schema::BuiltinOperator_CONV_2D ||
           node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D;
  }
  bool FitsTensor(int32_t t) const {
    return static_cast<size_t>(t) >= readers_.size() ||  // a bias of AddBiases
           (readers_[static_cast<size_t>(t)] == 1 && trained_(t));
  }
  bool FitsWeights(const Node& node) const {
    return IsConv(node) && node.input(1) >= 0 && node.outputs.size() == 1 &&
           FitsTensor(node.input(1)) &&
           original_.tensors[static_cast<size_t>(node.input(1))].shape.size() == 4;
  }
  bool Fits(const Node& node) const {
    return FitsWeights(node) && node.input(2) >= 0 && FitsTensor(node.input(2));
  }

  void AddBiases() {
    for (Node& node : original_.nodes) {
      if (!FitsWeights(node) || node.input(2) >= 0) continue;
      const Tensor& weights = original_.tensors[static_cast<size_t>(node.input(1))];
      const bool depthwise = node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D;
      Tensor bias;
      bias.name = weights.name + "/bias";
      bias.shape = {weights.shape[depthwise ? 3 : 0]};
      bias.data = Blob::Of(std::vector<float>(static_cast<size_t>(bias.shape[0]), 0.0f));
      node.inputs.resize(3, -1);
      node.inputs[2] = original_.AddTensor(std::move(bias));
    }
  }

  int32_t AddFloats(const std::string& name, int32_t count, bool constant) {
    Tensor tensor;
    tensor.name = name;
    tensor.shape = {count};
    if (constant) {
      tensor.data = Blob::Of(std::vector<float>(static_cast<size_t>(count), 1.0f));
    }
    return out_.graph.main().AddTensor(std::move(tensor));
  }

  // The activation goes behind the normalisation, whose result takes the convolution's name.
  void AddNormalisation(Node node) {
    Subgraph& main = out_.graph.main();
    UnfoldedConv conv;
    conv.weights = node.inputs[1];
    conv.bias = node.inputs[2];
    conv.depthwise = node.op == schema::BuiltinOperator_DEPTHWISE_CONV_2D;
    const Tensor result = main.tensors[static_cast<size_t>(node.outputs[0])];
    const int32_t channels = main.tensors[static_cast<size_t>(conv.bias)].shape[0];
    conv.channels = channels;
    const auto release = [](auto options, Node* n) {
      const auto activation = options.fused_activation_function;
      options.fused_activation_function = schema::ActivationFunctionType_NONE;
      n->options = Options(options);
      return activation;
    };
    const schema::ActivationFunctionType activation =
        conv.depthwise ? release(node.GetOptions<schema::DepthwiseConv2DOptionsT>(), &node)
                       : release(node.GetOptions<schema::Conv2DOptionsT>(), &node);
    Tensor raw = result;
    raw.name += "/before_norm";
    Node norm;
    norm.op = schema::BuiltinOperator_CUSTOM;
    norm.custom_code = kBatchNormalizeCode;
    norm.name = node.name;
    norm.outputs = {node.outputs[0]};
    node.outputs[0] = main.AddTensor(std::move(raw));
    conv.gamma = AddFloats(result.name + "/gamma", channels, true);
    conv.beta = AddFloats(result.name + "/beta", channels, true);
    conv.mean = AddFloats(result.name + "/mean", channels, false);
    conv.variance = AddFloats(result.name + "/variance", channels, false);
    Tensor settings;
    settings.name = result.name + "/settings";
    settings.type = schema::TensorType_INT32;
    settings.shape = {kBatchNormalizeSettings};
    std::vector<int32_t> values(kBatchNormalizeSettings);
    values[kBatchNormalizeActivation] = activation;
    values[kBatchNormalizeMeasures] = 1;
    settings.data = Blob::Of(values);
    conv.settings = main.AddTensor(std::move(settings));
    norm.inputs = {node.outputs[0], conv.gamma, conv.beta, conv.settings};
    norm.outputs.insert(norm.outputs.end(), {conv.mean, conv.variance});
    main.nodes.push_back(std::move(node));
    main.nodes.push_back(std::move(norm));
    out_.convs.push_back(conv);
  }

  const std::function<bool(int32_t)>& trained_;
  Subgraph& original_;
  std::vector<int> readers_;
  UnfoldedGraph out_;
};

std::vector<float> Floats(const Tensor& tensor) {
  const auto values = tensor.data.As<float>();
  return {values.begin(), values.end()};
}

size_t OffsetOf(const Parameters& parameters, int32_t tensor) {
  for (const Parameter& p : parameters.items) {
    if (p.tensor == tensor) return p.offset;
  }
  return 0;
}

}  // namespace

std::vector<int32_t> UnfoldedGraph::StatisticTensors() const {
  std::vector<int32_t> out;
  for (const UnfoldedConv& conv : convs) {
    out.push_back(conv.mean);
    out.push_back(conv.variance);
  }
  return out;
}

absl::StatusOr<UnfoldedGraph> UnfoldBatchNorm(const std::function<bool(int32_t)>& trained,
                                              Graph* graph) {
  return Unfolder(trained, graph).Run();
}

void StartNormalising(const std::vector<ChannelStats>& stats, UnfoldedGraph* unfolded) {
  std::vector<Tensor>& tensors = unfolded->graph.main().tensors;
  for (size_t i = 0; i < unfolded->convs.size(); ++i) {
    const UnfoldedConv& conv = unfolded->convs[i];
    const auto at = [&](int32_t t) -> Tensor& { return tensors[static_cast<size_t>(t)]; };
    std::vector<float> weights = Floats(at(conv.weights));
    const auto count = static_cast<int64_t>(weights.size());
    const auto channels = static_cast<size_t>(conv.channels);
    std::vector<double> squares(channels, 0.0);
    for (int64_t k = 0; k < count; ++k) {
      squares[conv.channel_of(k, count)] +=
          double{weights[static_cast<size_t>(k)]} * weights[static_cast<size_t>(k)];
    }
    std::vector<double> factor(channels, 1.0);
    std::vector<float> gamma(channels), beta(channels);
    for (size_t c = 0; c < channels; ++c) {
      if (squares[c] > 0.0) factor[c] = kFilterNorm / std::sqrt(squares[c]);
      // gamma / sqrt(factor^2 variance + epsilon) * factor = 1.
      gamma[c] = static_cast<float>(
          std::sqrt(stats[i].variance[c] + gradient::kBatchNormEpsilon / (factor[c] * factor[c])));
      beta[c] = static_cast<float>(stats[i].mean[c]);
    }
    for (int64_t k = 0; k < count; ++k) {
      float& w = weights[static_cast<size_t>(k)];
      w = static_cast<float>(w * factor[conv.channel_of(k, count)]);
    }
    at(conv.weights).data = Blob::Of(weights);
    at(conv.bias).data = Blob::Of(std::vector<float>(channels, 0.0f));
    at(conv.gamma).data = Blob::Of(gamma);
    at(conv.beta).data = Blob::Of(beta);
    const auto old = at(conv.settings).data.As<int32_t>();
    std::vector<int32_t> settings(old.begin(), old.end());
    settings[kBatchNormalizeMeasures] = 0;
    at(conv.settings).data = Blob::Of(settings);
  }
}

void FoldParameters(const UnfoldedGraph& unfolded, const std::vector<ChannelStats>& stats,
                    const Parameters& from, std::span<const float> values, const Parameters& to,
                    std::span<float> folded) {
  for (const Parameter& p : to.items) {
    for (const Parameter& q : from.items) {
      if (q.tensor != p.tensor) continue;
      std::copy_n(values.begin() + static_cast<ptrdiff_t>(q.offset), p.count,
                  folded.begin() + static_cast<ptrdiff_t>(p.offset));
    }
  }
  for (size_t i = 0; i < unfolded.convs.size(); ++i) {
    const UnfoldedConv& conv = unfolded.convs[i];
    const float* gamma = values.data() + OffsetOf(from, conv.gamma);
    const float* beta = values.data() + OffsetOf(from, conv.beta);
    float* weights = folded.data() + OffsetOf(to, conv.weights);
    float* bias = folded.data() + OffsetOf(to, conv.bias);
    std::vector<double> factor(static_cast<size_t>(conv.channels));
    for (size_t c = 0; c < factor.size(); ++c) {
      factor[c] = gamma[c] / std::sqrt(stats[i].variance[c] + gradient::kBatchNormEpsilon);
      bias[c] = static_cast<float>(beta[c] - stats[i].mean[c] * factor[c]);
    }
    const int64_t count =
        NumElements(unfolded.graph.main().tensors[static_cast<size_t>(conv.weights)].shape);
    for (int64_t k = 0; k < count; ++k) {
      weights[k] = static_cast<float>(weights[k] * factor[conv.channel_of(k, count)]);
    }
  }
}

}  // namespace litesmith
