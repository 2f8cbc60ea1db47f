#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "kernels/gradient/optimizer_f32.h"

namespace litesmith {
namespace {

// Parameters per unit of work, and per partial sum of squares: the same for every number of
// threads.
constexpr size_t kBlock = 4096;

}  // namespace

double Schedule::Factor(int64_t step, int64_t total) const {
  const double at = total > 0 ? static_cast<double>(step) / static_cast<double>(total) : 0.0;
  if (at < warmup)
    return (at * static_cast<double>(total) + 1.0) / (warmup * static_cast<double>(total) + 1.0);
  if (kind == ScheduleKind::kCosine) {
    const double done = warmup < 1.0 ? (at - warmup) / (1.0 - warmup) : 1.0;
    return final_factor + (1.0 - final_factor) * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  }
  double factor = 1.0;
  if (kind == ScheduleKind::kStep) {
    for (double where : step_at) factor *= at >= where ? step_factor : 1.0;
  }
  return factor;
}

absl::Status CheckOptimizer(const OptimizerOptions& options) {
  const auto share = [](float x) { return x >= 0.0f && x < 1.0f; };
  if (!(options.learning_rate > 0.0f) || !std::isfinite(options.learning_rate)) {
    return Invalid("the learning rate is {}, it must be a positive number", options.learning_rate);
  }
  if (!share(options.beta1) || !share(options.beta2) || !share(options.momentum)) {
    return Invalid("beta1, beta2 and momentum ({}, {}, {}) must lie in [0, 1)", options.beta1,
                   options.beta2, options.momentum);
  }
  if (!(options.epsilon > 0.0f) || !std::isfinite(options.epsilon)) {
    return Invalid("epsilon is {}, it must be a positive number", options.epsilon);
  }
  if (!(options.weight_decay >= 0.0f) || !std::isfinite(options.weight_decay)) {
    return Invalid("the weight decay is {}, it must be 0 or more", options.weight_decay);
  }
  if (!(options.clip_norm >= 0.0f)) {
    return Invalid("the gradient's largest norm is {}, it must be 0 (any) or more",
                   options.clip_norm);
  }
  return absl::OkStatus();
}

Optimizer::Optimizer(const OptimizerOptions& options, size_t count)
    : options_(options),
      count_(count),
      state_(options.kind == OptimizerKind::kSgd ? count : 2 * count, 0.0f) {
  sum_.assign(count, 0.0f);
  block_squares_.assign((count + kBlock - 1) / kBlock, 0.0);
}

void Optimizer::Restore(int64_t steps, std::span<const float> state) {
  steps_ = steps;
  std::copy(state.begin(), state.end(), state_.begin());
}

void Optimizer::Step(std::span<const float* const> gradients, double factor,
                     std::span<float> parameters, ThreadPool* threads) {
  ++steps_;
  const bool sgd = options_.kind == OptimizerKind::kSgd;
  const bool coupled = options_.kind != OptimizerKind::kAdamW;
  const auto rate = static_cast<float>(options_.learning_rate * factor);
  const auto t = static_cast<double>(steps_);
  gradient::AdamStep adam;
  adam.rate = static_cast<float>(rate * std::sqrt(1.0 - std::pow(double{options_.beta2}, t)) /
                                 (1.0 - std::pow(double{options_.beta1}, t)));
  adam.one_minus_beta1 = 1.0f - options_.beta1;
  adam.one_minus_beta2 = 1.0f - options_.beta2;
  adam.epsilon = options_.epsilon;
  adam.shrink = coupled ? 1.0f : 1.0f - rate * options_.weight_decay;
  adam.decay = coupled ? options_.weight_decay : 0.0f;
  gradient::SgdStep plain{rate, options_.momentum, options_.weight_decay, 1.0f, options_.nesterov};

  const auto sum = [&](size_t begin, size_t end) {
    gradient::SumParts(gradients.data(), gradients.size(), begin, end, sum_.data());
  };
  const auto update = [&](size_t begin, size_t end) {
    float* w = parameters.data() + begin;
    const float* g = sum_.data() + begin;
    if (sgd) {
      gradient::Sgd(plain, g, end - begin, w, state_.data() + begin);
    } else {
      gradient::Adam(adam, g, end - begin, w, state_.data() + begin,
                     state_.data() + count_ + begin);
    }
  };
  const auto blocks = [&](const std::function<void(size_t, size_t, size_t)>& body) {
    const auto run = [&](size_t begin, size_t end) {
      for (size_t b = begin; b < end; ++b) body(b, b * kBlock, std::min((b + 1) * kBlock, count_));
    };
    // What a thread must find to be worth waking.
    constexpr size_t kLeast = 256;
    ParallelFor(threads, block_squares_.size(), kLeast, std::cref(run));
  };
  if (options_.clip_norm <= 0.0f) {
    const auto both = [&](size_t, size_t begin, size_t end) {
      sum(begin, end);
      update(begin, end);
    };
    blocks(std::cref(both));
    return;
  }
  const auto squares = [&](size_t block, size_t begin, size_t end) {
    sum(begin, end);
    double total = 0.0;
    for (size_t i = begin; i < end; ++i) total += double{sum_[i]} * sum_[i];
    block_squares_[block] = total;
  };
  blocks(std::cref(squares));
  double total = 0.0;
  for (double s : block_squares_) total += s;
  const double norm = std::sqrt(total);
  if (norm > options_.clip_norm) {
    adam.gradient_factor = plain.gradient_factor = static_cast<float>(options_.clip_norm / norm);
  }
  const auto only = [&](size_t, size_t begin, size_t end) { update(begin, end); };
  blocks(std::cref(only));
}

}  // namespace litesmith
