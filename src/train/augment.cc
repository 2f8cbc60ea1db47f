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

// One row moved to the left by `right` pixels, mirrored at its ends, and turned round where `flip`
// says so.
void CopyShifted(const float* row, int32_t width, int32_t channels, int32_t right, bool flip,
                 float* to) {
  const auto copy = [&](int32_t x) {
    const int32_t from = Mirrored(x + right, width);
    const float* pixel = row + static_cast<ptrdiff_t>(flip ? width - 1 - from : from) * channels;
    float* here = to + static_cast<ptrdiff_t>(x) * channels;
    // Pixels are too short for a call.
    for (int32_t c = 0; c < channels; ++c) here[c] = pixel[c];
  };
  // Pixels [begin, end) come from inside the row.
  const int32_t begin = std::clamp(-right, 0, width), end = std::clamp(width - right, begin, width);
  for (int32_t x = 0; x < begin; ++x) copy(x);
  if (flip) {
    for (int32_t x = begin; x < end; ++x) copy(x);
  } else {
    std::copy_n(row + static_cast<ptrdiff_t>(begin + right) * channels,
                static_cast<ptrdiff_t>(end - begin) * channels,
                to + static_cast<ptrdiff_t>(begin) * channels);
  }
  for (int32_t x = end; x < width; ++x) copy(x);
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
  const auto row_size = static_cast<size_t>(width) * static_cast<size_t>(channels);
  for (int32_t y = 0; y < height; ++y, to += row_size) {
    const float* row = in.data() + static_cast<size_t>(Mirrored(y + down, height)) * row_size;
    CopyShifted(row, width, channels, right, flip, to);
  }
}

}  // namespace litesmith
