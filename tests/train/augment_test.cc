// Mirrored and shifted pictures against every picture that there may be.

#include "train/augment.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace litesmith {
namespace {

int Mirrored(int i, int size) {
  if (size == 1) return 0;
  const int period = 2 * (size - 1);
  const int at = ((i % period) + period) % period;
  return at < size ? at : period - at;
}

std::vector<float> Changed(const std::vector<float>& in, const Shape& shape, bool flip, int down,
                           int right) {
  std::vector<float> out;
  for (int y = 0; y < shape[0]; ++y) {
    for (int x = 0; x < shape[1]; ++x) {
      const int column = Mirrored(x + right, shape[1]);
      const int from = flip ? shape[1] - 1 - column : column;
      for (int c = 0; c < shape[2]; ++c) {
        out.push_back(in[static_cast<size_t>(
            (Mirrored(y + down, shape[0]) * shape[1] + from) * shape[2] + c)]);
      }
    }
  }
  return out;
}

// How a picture was changed: flip, rows down, columns right.
using Change = std::vector<int>;

// All changes that occur in `samples` pictures.
std::set<Change> Seen(const Augmentation& augmentation, const Shape& shape, int samples) {
  std::vector<float> in(static_cast<size_t>(shape[0] * shape[1] * shape[2]));
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  std::map<std::vector<float>, Change> changes;
  const int down_most = shape[0] / 8, right_most = shape[1] / 8;
  for (int flip = 0; flip < 2; ++flip) {
    for (int down = -down_most; down <= down_most; ++down) {
      for (int right = -right_most; right <= right_most; ++right) {
        changes[Changed(in, shape, flip == 1, down, right)] = {flip, down, right};
      }
    }
  }
  const Augmenter augmenter(augmentation, 7, 1);
  std::set<Change> seen;
  for (int sample = 0; sample < samples; ++sample) {
    std::vector<float> out(in.size(), -1.0f);
    augmenter.Apply(sample, shape, in, out);
    const auto found = changes.find(out);
    if (found == changes.end()) {
      ADD_FAILURE() << "sample " << sample << " is no change of the picture";
      continue;
    }
    seen.insert(found->second);
  }
  return seen;
}

TEST(Augment, EveryPictureIsMirroredAndShifted) {
  for (const Shape& shape : {Shape{16, 17, 3}, Shape{9, 24, 1}, Shape{8, 8, 5}}) {
    const std::set<Change> seen = Seen({true, true}, shape, 400);
    const int all = 2 * (2 * (shape[0] / 8) + 1) * (2 * (shape[1] / 8) + 1);
    EXPECT_EQ(seen.size(), static_cast<size_t>(all)) << "every change occurs";
  }
}

TEST(Augment, OneOfBoth) {
  for (const Change& change : Seen({true, false}, {16, 16, 3}, 20)) {
    EXPECT_TRUE(change[1] == 0 && change[2] == 0);
  }
  for (const Change& change : Seen({false, true}, {16, 16, 3}, 20)) EXPECT_EQ(change[0], 0);
}

// Too small to be shifted.
TEST(Augment, OnePixel) { EXPECT_EQ(Seen({true, true}, {1, 1, 2}, 8).size(), 1u); }

}  // namespace
}  // namespace litesmith
