#include "train/augment.h"

#include <algorithm>

#include "base/random.h"

namespace litesmith {
namespace {

// Position `i` of a line of `size` that is mirrored at its ends: ... 2 1 | 0 1 2 ... n-1 | n-2 ...
int32_t Mirrored(int32_t i, int32_t size) {
  if (size == 1) return 0;
  if (i < 0) i = -i;
  return i < size ? i : 2 * (size - 1) - i;
}

}  // namespace

absl::Status CheckAugmentation(const Augmentation& augmentation,
                               const std::vector<Shape>& input_shapes) {
  if (!augmentation.flip && !augmentation.crop) return absl::OkStatus();
  if (input_shapes.size() == 1 && input_shapes[0].size() == 3) return absl::OkStatus();
  return Invalid("--augment needs a model with one input of [height, width, channels]{}",
                 input_shapes.size() == 1
                     ? fmt::format("; this one takes {}", ShapeString(input_shapes[0]))
                     : fmt::format("; this one has {} inputs", input_shapes.size()));
}

void Augmenter::Apply(int64_t sample, const Shape& shape, std::span<const float> in,
                      std::span<float> out) const {
  // Not the keys from which the orders of samples are drawn.
  Random random = Random::ForKey(Random::ForKey(~seed_, static_cast<uint64_t>(epoch_)).Next(),
                                 static_cast<uint64_t>(sample));
  const int32_t height = shape[0], width = shape[1], channels = shape[2];
  const bool flip = augmentation_.flip && random.Below(2) == 1;
  int32_t down = 0, right = 0;
  if (augmentation_.crop) {
    const auto draw = [&](int32_t size) {
      const int32_t most = size / 8;
      return static_cast<int32_t>(random.Below(static_cast<uint64_t>(2 * most + 1))) - most;
    };
    down = draw(height);
    right = draw(width);
  }
  float* to = out.data();
  for (int32_t y = 0; y < height; ++y) {
    const float* row =
        in.data() + static_cast<ptrdiff_t>(Mirrored(y + down, height)) * width * channels;
    for (int32_t x = 0; x < width; ++x) {
      const int32_t from = Mirrored(x + right, width);
      const float* pixel = row + static_cast<ptrdiff_t>(flip ? width - 1 - from : from) * channels;
      to = std::copy_n(pixel, channels, to);
    }
  }
}

}  // namespace litesmith
