#include "train/samples.h"

#include <algorithm>
#include <cmath>

namespace litesmith {

absl::StatusOr<std::unique_ptr<Samples>> Samples::Open(Dataset* data,
                                                       std::vector<size_t> input_sizes,
                                                       bool targets, int64_t classes,
                                                       const Context& context) {
  auto samples = std::make_unique<Samples>();
  samples->data_ = data;
  samples->size_ = data->size();
  samples->input_sizes_ = std::move(input_sizes);
  if (samples->size_ <= 0) {
    return Invalid("{} has no samples to train on", data->Describe());
  }
  if (classes > 0) LS_RETURN_IF_ERROR(samples->ReadLabels(classes));
  const bool hold = !data->reads_concurrently();
  if (targets || hold) LS_RETURN_IF_ERROR(samples->Hold(hold, context));
  return samples;
}

absl::Status Samples::ReadLabels(int64_t classes) {
  if (!data_->has_labels()) return Invalid("{} has no labels to train on", data_->Describe());
  const auto named = static_cast<int64_t>(data_->class_names().size());
  if (named > classes) {
    return Invalid("{} has {} classes, the model has {} outputs", data_->Describe(), named,
                   classes);
  }
  labels_.resize(static_cast<size_t>(size_));
  for (int64_t i = 0; i < size_; ++i) {
    const int64_t label = data_->label(i);
    if (label < 0 || label >= classes) {
      return Invalid(
          "sample {} of {} has the label {}, the model has {} outputs (labels count from 0)", i,
          data_->Describe(), label, classes);
    }
    labels_[static_cast<size_t>(i)] = static_cast<int32_t>(label);
  }
  return absl::OkStatus();
}

// Pixels where the data set says how it makes floats of them.
void Samples::StartHolding() {
  const Preprocessing used = data_->preprocessing();
  const size_t channels = std::max<size_t>({used.mean.size(), used.std.size(), 1});
  for (size_t count : input_sizes_) {
    Held& held = held_.emplace_back();
    held.count = count;
    if ((used.mean.empty() && used.std.empty()) || count % channels != 0) continue;
    auto normalizer = Normalizer::ForPixels(used, static_cast<int64_t>(channels));
    if (normalizer.ok()) held.normalizer = *std::move(normalizer);
  }
}

bool Samples::HoldInput(int64_t i, int64_t size, std::span<const float> values, uint64_t most,
                        Held* held) {
  const auto begin = static_cast<size_t>(i) * held->count;
  const auto all = static_cast<uint64_t>(size) * held->count;
  if (i == 0 && held->normalizer.has_value() && all <= most) held->pixels.resize(all);
  if (!held->pixels.empty()) {
    const std::span<std::byte> pixels(held->pixels);
    if (held->normalizer->Revert(values, pixels.subspan(begin, values.size()))) return true;
  }
  if (held->floats.empty()) {
    if (all * sizeof(float) > most) return false;
    held->floats.resize(all);
    if (i > 0) {
      held->normalizer->Apply(std::span(held->pixels).first(begin),
                              std::span(held->floats).first(begin));
    }
    std::vector<std::byte>().swap(held->pixels);
  }
  std::copy(values.begin(), values.end(), held->floats.begin() + static_cast<ptrdiff_t>(begin));
  return true;
}

absl::Status Samples::HoldTarget(int64_t i, const Sample& sample, const Context& context) {
  if (sample.targets.empty() || sample.targets[0].type != ElementType::kFloat32) {
    return Invalid("sample {} of {} has no float32 target", i, data_->Describe());
  }
  const std::span<const float> target = sample.targets[0].data<float>();
  if (i == 0) {
    target_size_ = target.size();
    const uint64_t bytes = static_cast<uint64_t>(size_) * target_size_ * sizeof(float);
    if (bytes > context.memory_budget / 4) {
      return Invalid("the targets of {} need {} MB, more than a quarter of the memory allowed",
                     data_->Describe(), bytes >> 20);
    }
    targets_.resize(static_cast<size_t>(size_) * target_size_);
  }
  if (target.size() != target_size_) {
    return Invalid("the targets of {} differ in size: {} values in sample {}", data_->Describe(),
                   target.size(), i);
  }
  for (float value : target) {
    if (!std::isfinite(value)) {
      return Invalid("sample {} of {} has a target that is not a finite number", i,
                     data_->Describe());
    }
  }
  std::copy(target.begin(), target.end(), targets_.data() + static_cast<size_t>(i) * target_size_);
  return absl::OkStatus();
}

absl::Status Samples::Hold(bool inputs, const Context& context) {
  if (inputs) StartHolding();
  const uint64_t most = context.memory_budget / 4 / std::max<size_t>(held_.size(), 1);
  // Where even pixels are too many nothing needs to be read now.
  const bool targets = data_->has_targets();
  const auto too_many = [&](const Held& h) {
    const uint64_t each = h.normalizer.has_value() ? 1 : sizeof(float);
    return static_cast<uint64_t>(size_) * h.count * each > most;
  };
  if (std::any_of(held_.begin(), held_.end(), too_many)) held_.clear();
  // What is held for certain is read once, in order.
  const bool certain = std::all_of(held_.begin(), held_.end(), [&](const Held& h) {
    return static_cast<uint64_t>(size_) * h.count * sizeof(float) <= most;
  });
  if (!held_.empty() && certain) data_->ForgetUnpacked();
  Sample sample;
  const int64_t step = std::max<int64_t>(1, size_ / 100);
  for (int64_t i = 0; i < size_ && (targets || !held_.empty()); ++i) {
    LS_RETURN_IF_ERROR(context.Check());
    if (i % step == 0) context.Report("reading", i, size_);
    LS_RETURN_IF_ERROR(data_->Read(i, &sample));
    bool fits = true;
    for (size_t k = 0; k < held_.size(); ++k) {
      const std::span<const float> values =
          k < sample.inputs.size() && sample.inputs[k].type == ElementType::kFloat32
              ? sample.inputs[k].data<float>()
              : std::span<const float>();
      if (values.size() != input_sizes_[k]) {
        return Invalid("sample {} of {} has {} values for input {}, the model takes {}", i,
                       data_->Describe(), values.size(), k, input_sizes_[k]);
      }
      fits = fits && HoldInput(i, size_, values, most, &held_[k]);
    }
    if (!fits) held_.clear();
    if (targets) LS_RETURN_IF_ERROR(HoldTarget(i, sample, context));
  }
  if (!held_.empty()) data_->ForgetUnpacked();
  return absl::OkStatus();
}

absl::Status Samples::Read(int64_t i, size_t input, std::span<float> out) const {
  if (!held_.empty()) {
    const Held& held = held_[input];
    const auto begin = static_cast<size_t>(i) * out.size();
    if (held.floats.empty()) {
      held.normalizer->Apply(std::span(held.pixels).subspan(begin, out.size()), out);
    } else {
      std::copy_n(held.floats.data() + begin, out.size(), out.begin());
    }
    return absl::OkStatus();
  }
  if (data_->reads_concurrently()) return data_->ReadInto(i, input, out);
  const std::lock_guard<std::mutex> lock(reading_);
  return data_->ReadInto(i, input, out);
}

}  // namespace litesmith
