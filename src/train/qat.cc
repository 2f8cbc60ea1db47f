#include "train/qat.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "ops/fake_quantize.h"
#include "quantize/params.h"
#include "quantize/recipe_file.h"
#include "train/integer_forward.h"

namespace litesmith {
namespace {

// Places in the values of a range, as the operator has them.
enum : size_t { kScale, kZero, kMin, kMax };

// Moves ranges by what each step saw, and freezes them. Nothing to do for learnt ones.
class RangeHook : public TrainHook {
 public:
  RangeHook(const QatOptions& options, std::vector<int32_t> ranges)
      : options_(options), ranges_(std::move(ranges)) {}

  absl::Status Begin(const Start& start, std::span<float> values) override {
    for (int32_t t : ranges_) {
      for (const Parameter& p : start.parameters.items) {
        if (p.tensor == t) places_.push_back(p.offset);
      }
    }
    last_ = static_cast<int64_t>(options_.freeze_at * static_cast<double>(start.total_steps));
    for (size_t place : places_) Keep(values.data() + place);
    return absl::OkStatus();
  }

  absl::Status BeforeStep(int64_t step, std::span<float* const> parts) override {
    for (size_t i = 0; i < places_.size(); ++i) {
      float least = parts[0][places_[i] + kMin], most = parts[0][places_[i] + kMax];
      for (float* part : parts) {
        least = std::min(least, part[places_[i] + kMin]);
        most = std::max(most, part[places_[i] + kMax]);
        std::fill_n(part + places_[i], kAveragedSize, 0.0f);
      }
      if (step < last_ && std::isfinite(least) && std::isfinite(most)) Move(least, most, &kept_[i]);
    }
    return absl::OkStatus();
  }

  absl::Status AfterStep(int64_t, std::span<float> values, ThreadPool*) override {
    for (size_t i = 0; i < places_.size(); ++i) {
      std::copy(kept_[i].begin(), kept_[i].end(), values.data() + places_[i]);
    }
    return absl::OkStatus();
  }

  // The best epoch is one of those at whose end the ranges stand still, where there are some.
  bool Settled(int64_t step) const override { return places_.empty() || step >= last_; }

  std::string Describe() const override {
    return fmt::format("qat, integer forward: {} {} {} {} {} {} {} {}",
                       options_.quantize.recipe.name, RecipeText(EntriesOf(options_.quantize)),
                       static_cast<int>(options_.ranges), options_.momentum, options_.freeze_at,
                       options_.quantize.num_calibration_samples, options_.quantize.seed,
                       options_.quantize.allow_float);
  }

 private:
  using Values = std::array<float, kAveragedSize>;

  void Keep(const float* values) {
    Values& kept = kept_.emplace_back();
    std::copy_n(values, kept.size(), kept.begin());
  }

  void Move(float least, float most, Values* range) const {
    Values& r = *range;
    r[kMin] += (1.0f - options_.momentum) * (least - r[kMin]);
    r[kMax] += (1.0f - options_.momentum) * (most - r[kMax]);
    const QuantParams quant = ActivationParams(options_.quantize.recipe.kind, r[kMin], r[kMax]);
    r[kScale] = quant.scale[0];
    r[kZero] = static_cast<float>(quant.zero_point[0]);
  }

  QatOptions options_;
  std::vector<int32_t> ranges_;  // tensors
  std::vector<size_t> places_;   // their offsets among the parameters, where they are trained
  std::vector<Values> kept_;     // their values, which the optimizer must not move
  int64_t last_ = 0;             // the first step that moves no range
};

std::span<const float> Floats(const Graph& graph, int32_t t) {
  return graph.main().tensors[static_cast<size_t>(t)].data.As<float>();
}

// What a group's integers stand for after the training.
struct Learnt {
  Ranges::Range range;
  float scale = 0.0f;
  int64_t zero = 0;
};
Learnt LearntOf(const FakeQuantGroup& group, const Graph& graph, const QatOptions& options) {
  const std::span<const float> values = Floats(graph, group.learnt);
  Learnt out;
  if (options.ranges == QatRanges::kAveraged) {
    out.range = {values[kMin], values[kMax], true};
    out.scale = values[kScale];
    out.zero = static_cast<int64_t>(values[kZero]);
    return out;
  }
  out.scale = LearntScale(group.quant.scale[0], values[0]);
  out.zero = group.quant.zero_point[0];
  out.range = RangeOf(options.quantize.recipe.kind, out.scale, out.zero);
  return out;
}

bool Close(double a, double b) { return std::abs(a - b) <= 1e-5 * std::abs(b); }

}  // namespace

absl::Status CheckQatRecipe(const Recipe& recipe) {
  if (recipe.needs_calibration()) return absl::OkStatus();
  return Invalid(
      "recipe {} cannot be trained for: its activations are not quantized; choose int8, "
      "int16x8 or static_wi4_ai8",
      recipe.name);
}

absl::StatusOr<std::unique_ptr<QatModel>> QatModel::Create(const Graph& graph, Dataset* data,
                                                           const QatOptions& options,
                                                           const Context& context) {
  LS_RETURN_IF_ERROR(CheckQatRecipe(options.quantize.recipe));
  auto out = std::make_unique<QatModel>();
  out->options_ = options;
  LS_ASSIGN_OR_RETURN(out->prepared_, PrepareForQuantization(graph, options.quantize, context));
  LS_ASSIGN_OR_RETURN(out->ranges_, Calibrate(out->prepared_, data, options.quantize, context));
  LS_ASSIGN_OR_RETURN(out->plan_,
                      MakePlan(out->prepared_, &out->ranges_, options.quantize, context));
  LS_ASSIGN_OR_RETURN(out->training_,
                      MakeFakeQuantGraph(out->prepared_, out->plan_, options.ranges));
  std::vector<int32_t> ranges;
  for (const FakeQuantGroup& group : out->training_.groups) {
    if (options.ranges == QatRanges::kAveraged && group.learnt >= 0) ranges.push_back(group.learnt);
  }
  out->hook_ = std::make_unique<RangeHook>(options, std::move(ranges));
  out->forward_ = MakeIntegerForward(*out, context);
  return out;
}

absl::StatusOr<QatModel::Planned> QatModel::PlanFor(const Graph& trained,
                                                    const Context& context) const {
  Planned out{prepared_, {}};
  Graph& graph = out.graph;
  for (size_t t = 0; t < graph.main().tensors.size(); ++t) {
    Tensor& tensor = graph.main().tensors[t];
    if (tensor.is_constant()) tensor.data = trained.main().tensors[t].data;
  }
  Ranges ranges = ranges_;
  for (const FakeQuantGroup& group : training_.groups) {
    if (group.learnt < 0) continue;
    const Learnt learnt = LearntOf(group, trained, options_);
    for (int32_t t : group.tensors) {
      if (ranges.tensors[static_cast<size_t>(t)].seen) {
        ranges.tensors[static_cast<size_t>(t)] = learnt.range;
      }
    }
  }
  ranges.weight_scales.resize(graph.main().tensors.size());
  for (const FakeQuantWeight& weight : training_.weights) {
    if (weight.learnt < 0) continue;
    const std::span<const float> factors = Floats(trained, weight.learnt);
    std::vector<float>& scales = ranges.weight_scales[static_cast<size_t>(weight.tensor)];
    for (size_t c = 0; c < weight.scales.size(); ++c) {
      scales.push_back(LearntScale(weight.scales[c], factors[c]));
    }
  }
  // What stays float was said when the first plan was made.
  Context quiet = context;
  quiet.warn = nullptr;
  LS_ASSIGN_OR_RETURN(out.plan, MakePlan(graph, &ranges, options_.quantize, quiet));
  for (const FakeQuantGroup& group : training_.groups) {
    if (group.learnt < 0) continue;
    const Learnt learnt = LearntOf(group, trained, options_);
    for (int32_t t : group.tensors) {
      const QuantParams& quant = out.plan.tensors[static_cast<size_t>(t)].quant;
      if (Close(quant.scale[0], learnt.scale) && quant.zero_point[0] == learnt.zero) continue;
      return Internal(
          "'{}' was trained with scale {} and zero point {}, and planned with {} and {}",
          Printable(graph.main().tensors[static_cast<size_t>(t)].label()), learnt.scale,
          learnt.zero, quant.scale[0], quant.zero_point[0]);
    }
  }
  return out;
}

absl::StatusOr<Graph> QatModel::Export(const Context& context) const {
  LS_ASSIGN_OR_RETURN(const Planned planned, PlanFor(training_.graph, context));
  return ApplyPlan(planned.graph, planned.plan);
}

}  // namespace litesmith
