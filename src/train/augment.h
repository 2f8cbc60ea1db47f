#ifndef LITESMITH_TRAIN_AUGMENT_H_
#define LITESMITH_TRAIN_AUGMENT_H_

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "ir/graph.h"

namespace litesmith {

struct Augmentation {
  bool flip = false;  // left to right, one time in two
  bool crop = false;  // moved by up to an eighth of height and width; the border is mirrored
};

// Augmentation needs one input, a picture: [height, width, channels] without the batch.
absl::Status CheckAugmentation(const Augmentation& augmentation,
                               const std::vector<Shape>& input_shapes);

// One epoch's changes: they depend on the seed, the epoch and the sample's number alone. May be
// used by several threads.
class Augmenter {
 public:
  Augmenter(const Augmentation& augmentation, uint64_t seed, int epoch)
      : augmentation_(augmentation), seed_(seed), epoch_(epoch) {}

  bool changes() const { return augmentation_.flip || augmentation_.crop; }

  // `in` and `out` are pictures of this shape, not the same one.
  void Apply(int64_t sample, const Shape& shape, std::span<const float> in,
             std::span<float> out) const;

 private:
  Augmentation augmentation_;
  uint64_t seed_;
  int epoch_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_AUGMENT_H_
