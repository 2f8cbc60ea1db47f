#ifndef LITESMITH_TRAIN_SAMPLES_H_
#define LITESMITH_TRAIN_SAMPLES_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"
#include "data/preprocess.h"
#include "litesmith/context.h"

namespace litesmith {

// A data set as the trainer reads it: any sample, from any thread, as floats. Data sets that cannot
// do that by themselves are held in memory where they take at most a quarter of the budget, else
// read one at a time. Pictures are held as bytes.
class Samples {
 public:
  // `input_sizes`: floats per sample of each model input. With `targets`, target 0 is read too (it
  // always is held in memory). Labels are checked against `classes` when that is positive.
  static absl::StatusOr<std::unique_ptr<Samples>> Open(Dataset* data,
                                                       std::vector<size_t> input_sizes,
                                                       bool targets, int64_t classes,
                                                       const Context& context);

  int64_t size() const { return size_; }
  bool has_labels() const { return !labels_.empty(); }  // checked ones
  int32_t label(int64_t i) const { return labels_[static_cast<size_t>(i)]; }
  std::span<const float> target(int64_t i) const {
    return {targets_.data() + static_cast<size_t>(i) * target_size_, target_size_};
  }
  size_t target_size() const { return target_size_; }
  absl::Status Read(int64_t i, size_t input, std::span<float> out) const;

 private:
  // All samples of one input.
  struct Held {
    size_t count = 0;           // values of a sample
    std::vector<float> floats;  // empty: `pixels` are held
    std::vector<std::byte> pixels;
    std::optional<Normalizer> normalizer;  // makes floats of them
  };

  absl::Status ReadLabels(int64_t classes);
  absl::Status Hold(bool inputs, const Context& context);
  absl::Status HoldTarget(int64_t i, const Sample& sample, const Context& context);
  void StartHolding();
  // False where the values are no pixels after all and take too much as floats.
  static bool HoldInput(int64_t i, int64_t size, std::span<const float> values, uint64_t most,
                        Held* held);

  Dataset* data_ = nullptr;
  int64_t size_ = 0;
  std::vector<size_t> input_sizes_;
  std::vector<int32_t> labels_;
  size_t target_size_ = 0;
  std::vector<float> targets_;
  std::vector<Held> held_;  // per input; empty: read from the data set
  mutable std::mutex reading_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_SAMPLES_H_
