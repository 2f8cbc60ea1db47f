#include "train/prune.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "train/weights.h"

namespace litesmith {
namespace {

// Of the steps, for a sparsity of 1: with its square, as few zeros cost little at once, and what
// remains is better spent on training with the last mask.
constexpr double kRampShare = 0.6;
constexpr int64_t kMostUpdates = 100;
// Tensors with less than this part (1 / n) of all weights stay dense.
constexpr size_t kSmallPart = 100;

// Weights that become zero together.
struct Unit {
  double magnitude = 0.0;
  uint32_t first = 0;  // element
};

double Magnitude(float value) { return std::abs(static_cast<double>(value)); }

size_t CountZeros(std::span<const float> values) {
  return static_cast<size_t>(std::count(values.begin(), values.end(), 0.0f));
}

// The units of one tensor that may go, in the order of their elements. kGroups: one unit per group,
// worth what its smallest elements are that would go. kBlocks: the largest block of each row stays,
// so that no output channel is left without weights.
std::vector<Unit> FindUnits(const PruneSpec& spec, std::span<const float> values, size_t inner) {
  std::vector<Unit> units;
  if (spec.kind == PruneKind::kElements) {
    units.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      units[i] = {Magnitude(values[i]), static_cast<uint32_t>(i)};
    }
    return units;
  }
  const auto width = static_cast<size_t>(spec.kind == PruneKind::kBlocks ? spec.block : spec.group);
  std::vector<double> group;
  const auto smaller = [](const Unit& a, const Unit& b) { return a.magnitude < b.magnitude; };
  for (size_t row = 0; row < values.size(); row += inner) {
    const auto row_begin = static_cast<ptrdiff_t>(units.size());
    for (size_t at = 0; at < inner; at += width) {
      const size_t count = std::min(width, inner - at);
      const auto keep = static_cast<size_t>(spec.kind == PruneKind::kBlocks ? 0 : spec.keep);
      if (count <= keep) continue;
      group.clear();
      for (size_t i = 0; i < count; ++i) group.push_back(Magnitude(values[row + at + i]));
      std::sort(group.begin(), group.end());
      const double sum =
          std::accumulate(group.begin(), group.end() - static_cast<ptrdiff_t>(keep), 0.0);
      units.push_back({sum, static_cast<uint32_t>(row + at)});
    }
    if (spec.kind == PruneKind::kBlocks) {
      units.erase(std::max_element(units.begin() + row_begin, units.end(), smaller));
    }
  }
  return units;
}

void ZeroUnit(const PruneSpec& spec, size_t first, size_t inner, std::span<float> values) {
  if (spec.kind == PruneKind::kElements) {
    values[first] = 0.0f;
    return;
  }
  const size_t left = inner - first % inner;
  if (spec.kind == PruneKind::kBlocks) {
    const size_t count = std::min(static_cast<size_t>(spec.block), left);
    std::fill_n(values.begin() + static_cast<ptrdiff_t>(first), count, 0.0f);
    return;
  }
  const size_t count = std::min(static_cast<size_t>(spec.group), left);
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), first);
  // Of equals the later one goes.
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const double x = Magnitude(values[a]), y = Magnitude(values[b]);
    return x != y ? x > y : a < b;
  });
  for (size_t i = static_cast<size_t>(spec.keep); i < count; ++i) values[order[i]] = 0.0f;
}

// Zeroes the smallest units until about `share` of the values are zero: of units that are all
// the same size, as many as come closest.
void ZeroSmallest(const PruneSpec& spec, double share, size_t inner, std::span<float> values) {
  std::vector<Unit> units = FindUnits(spec, values, inner);
  // In 2:4, all units gone is the sparsity wanted.
  const double of_units = spec.kind == PruneKind::kGroups ? share / spec.sparsity : share;
  const size_t kept = spec.kind == PruneKind::kBlocks ? values.size() / inner : 0;
  const auto wanted =
      std::min(static_cast<int64_t>(units.size()),
               static_cast<int64_t>(std::llround(std::clamp(of_units, 0.0, 1.0) *
                                                 static_cast<double>(units.size() + kept))));
  const auto less = [](const Unit& a, const Unit& b) {
    return a.magnitude != b.magnitude ? a.magnitude < b.magnitude : a.first > b.first;
  };
  if (wanted <= 0) return;
  std::nth_element(units.begin(), units.begin() + (wanted - 1), units.end(), less);
  for (int64_t i = 0; i < wanted; ++i) {
    ZeroUnit(spec, units[static_cast<size_t>(i)].first, inner, values);
  }
}

size_t CountElements(const std::vector<Weights>& weights) {
  size_t sum = 0;
  for (const Weights& w : weights) sum += w.count;
  return sum;
}

struct Targets {
  std::vector<Weights> weights;
  double share = 0.0;  // of each one's elements
};

Targets FindTargets(const Graph& graph, const Parameters& parameters, const PruneSpec& spec) {
  Targets out;
  out.weights = FindWeights(graph, parameters);
  out.share = spec.sparsity;
  const size_t all = CountElements(out.weights);
  std::erase_if(out.weights,
                [&](const Weights& w) { return !WhyNotPruned(graph, spec, w, all).empty(); });
  const size_t pruned = CountElements(out.weights);
  if (spec.kind == PruneKind::kElements && pruned > 0) {
    out.share *= static_cast<double>(all) / static_cast<double>(pruned);
    out.share = std::min(out.share, (1.0 + spec.sparsity) / 2.0);
  }
  return out;
}

// Zeros that are kept from step to step.
class Masks {
 public:
  void Read(const std::vector<Weights>& weights, std::span<const float> values) {
    zeros_.clear();
    for (const Weights& w : weights) {
      for (size_t i = w.offset; i < w.offset + w.count; ++i) {
        if (values[i] == 0.0f) zeros_.push_back(i);
      }
    }
  }
  void Apply(std::span<float> values) const {
    for (size_t i : zeros_) values[i] = 0.0f;
  }

 private:
  std::vector<size_t> zeros_;
};

class Pruning : public TrainHook {
 public:
  explicit Pruning(const PruneSpec& spec) : spec_(spec) {}

  absl::Status Begin(const Start& start, std::span<float> values) override {
    LS_RETURN_IF_ERROR(CheckPrunable(start.graph, spec_));
    Targets targets = FindTargets(start.graph, start.parameters, spec_);
    weights_ = std::move(targets.weights);
    share_ = targets.share;
    if (weights_.empty()) {
      return Invalid("--prune {}: all weights that it could prune are frozen", spec_.ToString());
    }
    const double part = kRampShare * spec_.sparsity * spec_.sparsity;
    const auto ramp = static_cast<int64_t>(part * static_cast<double>(start.total_steps - 1));
    every_ = std::max<int64_t>(1, (ramp + kMostUpdates - 1) / kMostUpdates);
    ramp_ = ramp / every_ * every_;
    masks_.Read(weights_, values);
    return absl::OkStatus();
  }

  absl::Status AfterStep(int64_t step, std::span<float> values, ThreadPool* threads) override {
    masks_.Apply(values);
    if (step > ramp_ || step % every_ != 0) return absl::OkStatus();
    const double share = PruneSchedule(share_, step, ramp_);
    ParallelFor(threads, weights_.size(), 1, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const Weights& w = weights_[i];
        ZeroSmallest(spec_, share, static_cast<size_t>(w.inner), values.subspan(w.offset, w.count));
      }
    });
    masks_.Read(weights_, values);
    return absl::OkStatus();
  }

  bool Settled(int64_t step) const override { return step > ramp_; }
  std::string Describe() const override { return "prune " + spec_.ToString(); }

 private:
  PruneSpec spec_;
  std::vector<Weights> weights_;
  Masks masks_;
  double share_ = 0.0;
  int64_t every_ = 1, ramp_ = 0;
};

class KeepZeros : public TrainHook {
 public:
  absl::Status Begin(const Start& start, std::span<float> values) override {
    std::vector<Weights> weights = FindWeights(start.graph, start.parameters);
    std::erase_if(weights, [&](const Weights& w) {
      return CountZeros(values.subspan(w.offset, w.count)) == w.count;
    });
    masks_.Read(weights, values);
    return absl::OkStatus();
  }
  absl::Status AfterStep(int64_t, std::span<float> values, ThreadPool*) override {
    masks_.Apply(values);
    return absl::OkStatus();
  }
  bool Settled(int64_t) const override { return true; }
  std::string Describe() const override { return "keep zeros"; }

 private:
  Masks masks_;
};

std::optional<double> ParseShare(std::string_view text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int> ParseCount(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

double PruneSchedule(double target, int64_t step, int64_t ramp) {
  if (step >= ramp) return target;
  const double left = 1.0 - static_cast<double>(step) / static_cast<double>(ramp);
  return target * (1.0 - left * left * left);
}

std::string PruneSpec::ToString() const {
  switch (kind) {
    case PruneKind::kElements:
      return fmt::format("{}", sparsity);
    case PruneKind::kGroups:
      return fmt::format("{}:{}", keep, group);
    case PruneKind::kBlocks:
      return fmt::format("1x{}={}", block, sparsity);
    case PruneKind::kChannels:
      return fmt::format("channels={}", sparsity);
  }
  return "";
}

absl::StatusOr<PruneSpec> ParsePrune(std::string_view text) {
  PruneSpec spec;
  std::string_view share = text;
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    const auto keep = ParseCount(text.substr(0, colon)), group = ParseCount(text.substr(colon + 1));
    if (!keep || !group || *keep < 1 || *group <= *keep || *group > 64) {
      return Invalid(
          "--prune {}: N:M keeps N of every M neighbours, with 1 <= N < M <= 64; "
          "mostly 2:4",
          Printable(text));
    }
    spec.kind = PruneKind::kGroups;
    spec.keep = *keep;
    spec.group = *group;
    spec.sparsity = 1.0 - static_cast<double>(*keep) / *group;
    return spec;
  }
  if (const size_t equals = text.find('='); equals != std::string_view::npos) {
    const std::string_view form = text.substr(0, equals);
    share = text.substr(equals + 1);
    if (form == "channels") {
      spec.kind = PruneKind::kChannels;
    } else if (form == "1x4" || form == "1x16") {
      spec.kind = PruneKind::kBlocks;
      spec.block = form == "1x4" ? 4 : 16;
    } else {
      return Invalid("--prune {}: '{}' is none of channels, 1x4 and 1x16", Printable(text),
                     Printable(form));
    }
  }
  const std::optional<double> value = ParseShare(share);
  if (!value) {
    return Invalid(
        "--prune {}: give a share of zeros (0.8), 2:4, 1x4=0.8, 1x16=0.8 or "
        "channels=0.5",
        Printable(text));
  }
  if (!(*value > 0.0 && *value < 1.0)) {
    return Invalid("--prune {}: the share of what goes must lie between 0 and 1", Printable(text));
  }
  spec.sparsity = *value;
  return spec;
}

std::string WhyNotPruned(const Graph& graph, const PruneSpec& spec, const Weights& weights,
                         size_t all) {
  if (weights.depthwise) return "depthwise kernels stay dense";
  if (graph.main().tensors[static_cast<size_t>(weights.tensor)].sparsity != nullptr) {
    return "stored sparse";
  }
  if (weights.count * kSmallPart < all) {
    return "it is small";
  }
  if (spec.kind == PruneKind::kElements) return "";
  if (weights.inner == 0) return "its last dimension is not the input's";
  if (spec.kind == PruneKind::kBlocks && weights.inner % spec.block != 0) {
    return fmt::format("its input dimension of {} is no multiple of {}", weights.inner, spec.block);
  }
  if (spec.kind == PruneKind::kBlocks && weights.inner == spec.block) {
    return fmt::format("each of its output channels is one block of {}", weights.inner);
  }
  if (spec.kind == PruneKind::kGroups && weights.inner <= spec.keep) {
    return fmt::format("its input dimension is {}", weights.inner);
  }
  return "";
}

absl::Status CheckPrunable(const Graph& graph, const PruneSpec& spec) {
  const std::vector<Weights> all = FindWeights(graph);
  std::string why;
  size_t largest = 0;
  for (const Weights& w : all) {
    const std::string reason = WhyNotPruned(graph, spec, w, CountElements(all));
    if (reason.empty()) return absl::OkStatus();
    if (w.count > largest) {
      largest = w.count;
      why = fmt::format("{}: {}", Printable(WeightsLabel(graph, w)), reason);
    }
  }
  if (all.empty()) return Invalid("--prune: the model has no float weights to prune");
  return Invalid("--prune {} fits no weights of the model ({})", spec.ToString(), why);
}

std::unique_ptr<TrainHook> MakePruning(const PruneSpec& spec) {
  return std::make_unique<Pruning>(spec);
}

std::unique_ptr<TrainHook> MakeKeepZeros() { return std::make_unique<KeepZeros>(); }

absl::Status PruneNow(const PruneSpec& spec, Graph* graph) {
  LS_RETURN_IF_ERROR(CheckPrunable(*graph, spec));
  const Parameters parameters = FindParameters(*graph);
  std::vector<float> values = ReadParameters(*graph, parameters);
  const Targets targets = FindTargets(*graph, parameters, spec);
  for (const Weights& w : targets.weights) {
    ZeroSmallest(spec, targets.share, static_cast<size_t>(w.inner),
                 std::span(values).subspan(w.offset, w.count));
  }
  WriteParameters(parameters, values, graph);
  return absl::OkStatus();
}

}  // namespace litesmith
