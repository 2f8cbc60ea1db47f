#include "train/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace litesmith {

absl::StatusOr<LossPlan> PlanLoss(const Graph& graph, LossKind kind) {
  const Subgraph& subgraph = graph.main();
  if (subgraph.outputs.empty()) return Invalid("the model has no output");
  LossPlan plan;
  plan.target = subgraph.outputs[0];
  const Uses uses = FindUses(subgraph);
  const int32_t producer = uses.producer[static_cast<size_t>(plan.target)];
  const Node* closing = producer < 0 ? nullptr : &subgraph.nodes[static_cast<size_t>(producer)];
  const bool softmax = closing != nullptr && closing->op == schema::BuiltinOperator_SOFTMAX;
  const bool logistic = closing != nullptr && closing->op == schema::BuiltinOperator_LOGISTIC;
  if (kind == LossKind::kAuto) {
    kind = softmax    ? LossKind::kCrossEntropy
           : logistic ? LossKind::kBinaryCrossEntropy
                      : LossKind::kMeanSquaredError;
  }
  plan.kind = kind;
  if (kind == LossKind::kMeanSquaredError) return plan;
  if (kind == LossKind::kCrossEntropy && !softmax) {
    return Invalid(
        "output '{}' is not a SOFTMAX, which cross-entropy needs: end the model with one, or "
        "train by mean squared error",
        Printable(OutputName(graph, 0)));
  }
  if (kind == LossKind::kBinaryCrossEntropy && !logistic) {
    return Invalid("output '{}' is not a LOGISTIC (sigmoid), which binary cross-entropy needs",
                   Printable(OutputName(graph, 0)));
  }
  plan.target = closing->inputs[0];
  if (softmax) plan.beta = closing->GetOptions<schema::SoftmaxOptionsT>().beta;
  return plan;
}

void CrossEntropy(std::span<const float> z, size_t width, float beta,
                  std::span<const int32_t> labels, float weight, std::span<float> gradient,
                  LossSum* sum) {
  for (size_t row = 0; row < labels.size(); ++row) {
    const float* in = z.data() + row * width;
    const auto label = static_cast<size_t>(labels[row]);
    const float* most = std::max_element(in, in + width);
    float total = 0.0f;
    for (size_t c = 0; c < width; ++c) total += std::exp((in[c] - *most) * beta);
    sum->loss += std::log(total) - (in[label] - *most) * beta;
    if (most == in + label) ++sum->correct;
    if (gradient.empty()) continue;
    float* to = gradient.data() + row * width;
    for (size_t c = 0; c < width; ++c) {
      const float p = std::exp((in[c] - *most) * beta) / total;
      to[c] = (p - (c == label ? 1.0f : 0.0f)) * beta * weight;
    }
  }
}

namespace {

// softmax(z * factor) into p; returns where z is largest.
size_t Softmax(std::span<const float> z, float factor, std::span<float> p) {
  const auto most = std::max_element(z.begin(), z.end());
  float total = 0.0f;
  for (size_t c = 0; c < z.size(); ++c) total += p[c] = std::exp((z[c] - *most) * factor);
  for (float& value : p) value /= total;
  return static_cast<size_t>(most - z.begin());
}

}  // namespace

void DistilledCrossEntropy(const Distillation& distillation, std::span<const float> z, size_t width,
                           float beta, std::span<const float> teacher,
                           std::span<const int32_t> labels, float weight, std::span<float> gradient,
                           LossSum* sum) {
  const float t = distillation.temperature;
  const float share = labels.empty() ? 1.0f : distillation.weight;
  // Probabilities below this are taken for it: their logarithms are noise.
  constexpr float kLeast = 1e-8f;
  std::vector<float> logs(width), soft(width), mine(width), plain(width);
  for (size_t row = 0; row * width < z.size(); ++row) {
    const std::span<const float> in = z.subspan(row * width, width);
    for (size_t c = 0; c < width; ++c) {
      logs[c] = std::log(std::max(teacher[row * width + c], kLeast));
    }
    const size_t best = Softmax(logs, 1.0f / t, soft);
    const size_t answer = Softmax(in, beta / t, mine);
    const size_t right = labels.empty() ? best : static_cast<size_t>(labels[row]);
    if (answer == right) ++sum->correct;
    double divergence = 0.0;
    for (size_t c = 0; c < width; ++c) {
      divergence += soft[c] * (std::log(std::max(soft[c], kLeast)) -
                               std::log(std::max(mine[c], std::numeric_limits<float>::min())));
    }
    sum->loss += share * t * t * divergence;
    Softmax(in, beta, plain);
    if (!labels.empty()) {
      sum->loss -=
          (1.0f - share) * std::log(std::max(plain[right], std::numeric_limits<float>::min()));
    }
    if (gradient.empty()) continue;
    float* to = gradient.data() + row * width;
    for (size_t c = 0; c < width; ++c) {
      float g = share * t * (mine[c] - soft[c]);
      if (!labels.empty()) g += (1.0f - share) * (plain[c] - (c == right ? 1.0f : 0.0f));
      to[c] = g * beta * weight;
    }
  }
}

void BinaryCrossEntropy(std::span<const float> z, size_t width, std::span<const float> targets,
                        float weight, std::span<float> gradient, LossSum* sum) {
  const float share = 1.0f / static_cast<float>(width);
  for (size_t row = 0; row * width < z.size(); ++row) {
    double loss = 0.0;
    bool right = true;
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      // log(1 + e^z) - y z, without overflow.
      loss += std::max(z[i], 0.0f) - z[i] * targets[i] + std::log1p(std::exp(-std::abs(z[i])));
      right = right && (z[i] > 0.0f) == (targets[i] > 0.5f);
      if (!gradient.empty()) {
        const float p = 1.0f / (1.0f + std::exp(-z[i]));
        gradient[i] = (p - targets[i]) * share * weight;
      }
    }
    sum->loss += loss / static_cast<double>(width);
    if (right) ++sum->correct;
  }
}

void SquaredError(std::span<const float> z, size_t width, std::span<const float> targets,
                  float weight, std::span<float> gradient, LossSum* sum) {
  const float share = 2.0f / static_cast<float>(width) * weight;
  double loss = 0.0;
  for (size_t i = 0; i < z.size(); ++i) {
    const float difference = z[i] - targets[i];
    loss += static_cast<double>(difference) * difference;
    if (!gradient.empty()) gradient[i] = difference * share;
  }
  sum->loss += loss / static_cast<double>(width);
}

}  // namespace litesmith
