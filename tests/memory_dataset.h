#ifndef LITESMITH_TESTS_MEMORY_DATASET_H_
#define LITESMITH_TESTS_MEMORY_DATASET_H_

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"

namespace litesmith::testing {

// Samples in memory, read in their order.
class MemoryDataset final : public Dataset {
 public:
  MemoryDataset() = default;
  // One array per input, samples on the first axis.
  explicit MemoryDataset(const std::vector<Array>& stacked) {
    const int64_t count = stacked.empty() ? 0 : stacked[0].shape[0];
    for (int64_t s = 0; s < count; ++s) {
      Sample sample;
      for (const Array& all : stacked) {
        Array one;
        one.type = all.type;
        one.shape.assign(all.shape.begin() + 1, all.shape.end());
        const size_t bytes = all.bytes.size() / static_cast<size_t>(count);
        const auto from =
            all.bytes.begin() + static_cast<std::ptrdiff_t>(bytes * static_cast<size_t>(s));
        one.bytes.assign(from, from + static_cast<std::ptrdiff_t>(bytes));
        sample.inputs.push_back(std::move(one));
      }
      samples_.push_back(std::move(sample));
    }
  }

  // One sample of one float input.
  void Add(std::vector<int64_t> shape, const std::vector<float>& values) {
    Array array = Array::Zeros(ElementType::kFloat32, std::move(shape));
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    Sample sample;
    sample.inputs.push_back(std::move(array));
    samples_.push_back(std::move(sample));
  }
  std::vector<Sample>& samples() { return samples_; }

  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }
  bool has_labels() const override { return false; }
  bool has_targets() const override { return false; }
  const std::vector<std::string>& class_names() const override { return no_names_; }
  int64_t label(int64_t) const override { return 0; }
  absl::Status Read(int64_t i, Sample* sample) override {
    *sample = samples_[static_cast<size_t>(i)];
    return absl::OkStatus();
  }
  std::vector<int64_t> sample_shape(size_t input) const override {
    return samples_.empty() ? std::vector<int64_t>{} : samples_[0].inputs[input].shape;
  }
  Preprocessing preprocessing() const override { return {}; }
  bool is_array() const override { return true; }
  std::string Describe() const override { return "memory"; }

 private:
  std::vector<Sample> samples_;
  std::vector<std::string> no_names_;
};

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_MEMORY_DATASET_H_
