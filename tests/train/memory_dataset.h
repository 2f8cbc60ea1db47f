#ifndef LITESMITH_TESTS_TRAIN_MEMORY_DATASET_H_
#define LITESMITH_TESTS_TRAIN_MEMORY_DATASET_H_

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/dataset.h"

namespace litesmith::testing {

inline Array FloatArray(const std::vector<float>& values, std::vector<int64_t> shape) {
  Array array = Array::Zeros(ElementType::kFloat32, std::move(shape));
  std::memcpy(array.bytes.data(), values.data(), values.size() * sizeof(float));
  return array;
}

// Samples of one float input, made in a test.
class MemoryDataset : public Dataset {
 public:
  std::vector<std::vector<float>> inputs, targets;
  std::vector<int64_t> labels;
  std::vector<int64_t> shape;
  std::vector<std::string> classes;
  bool labelled = true;
  bool concurrent = true;
  Preprocessing used;

  int64_t size() const override { return static_cast<int64_t>(inputs.size()); }
  bool has_labels() const override { return labelled; }
  bool has_targets() const override { return !targets.empty(); }
  const std::vector<std::string>& class_names() const override { return classes; }
  int64_t label(int64_t i) const override { return labels[static_cast<size_t>(i)]; }
  absl::Status Read(int64_t i, Sample* sample) override {
    const auto at = static_cast<size_t>(i);
    sample->inputs = {FloatArray(inputs[at], shape)};
    if (labelled) sample->label = labels[at];
    sample->targets.clear();
    if (!targets.empty()) {
      sample->targets = {FloatArray(targets[at], {static_cast<int64_t>(targets[at].size())})};
    }
    return absl::OkStatus();
  }
  bool reads_concurrently() const override { return concurrent; }
  std::vector<int64_t> sample_shape(size_t) const override { return shape; }
  Preprocessing preprocessing() const override { return used; }
  bool is_array() const override { return true; }
  std::string Describe() const override { return "test data"; }
};

// 12x12 pictures with a bright blob whose place tells the class, and noise.
inline MemoryDataset BlobPictures(int count, int classes, uint64_t seed) {
  MemoryDataset data;
  data.shape = {12, 12, 1};
  for (int i = 0; i < count; ++i) {
    Random random = Random::ForKey(seed, static_cast<uint64_t>(i));
    const int label = i % classes;
    const double cx = 2.5 + 7.0 * label / (classes - 1.0) + random.Normal() * 0.7;
    const double cy = 6.0 + random.Normal() * 1.5;
    std::vector<float> picture;
    for (int y = 0; y < 12; ++y) {
      for (int x = 0; x < 12; ++x) {
        const double distance = (x - cx) * (x - cx) + (y - cy) * (y - cy);
        picture.push_back(static_cast<float>(std::exp(-distance / 4.0) + 0.1 * random.Normal()));
      }
    }
    data.inputs.push_back(std::move(picture));
    data.labels.push_back(label);
  }
  return data;
}

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_TRAIN_MEMORY_DATASET_H_
