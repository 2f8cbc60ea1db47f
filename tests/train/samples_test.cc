// What the trainer reads is what the data set has, however it is held.

#include "train/samples.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "data/preprocess.h"
#include "tests/testing.h"
#include "tests/train/memory_dataset.h"

namespace litesmith {
namespace {

using testing::MemoryDataset;

constexpr size_t kCount = 5 * 4 * 3;

// Pictures of bytes, made floats of with these.
MemoryDataset Pictures(const Preprocessing& preprocessing, int samples) {
  MemoryDataset data;
  data.shape = {5, 4, 3};
  data.used = preprocessing;
  data.concurrent = false;
  const Normalizer normalizer = Normalizer::ForPixels(preprocessing, 3).value();
  Random random(4);
  for (int i = 0; i < samples; ++i) {
    std::vector<std::byte> pixels(kCount);
    for (std::byte& p : pixels) p = static_cast<std::byte>(random.Below(256));
    data.inputs.emplace_back(kCount);
    normalizer.Apply(pixels, data.inputs.back());
    data.labels.push_back(i % 2);
  }
  return data;
}

void ExpectSame(MemoryDataset* data, uint64_t budget) {
  Context context;
  context.memory_budget = budget;
  ASSERT_OK_AND_ASSIGN(const auto samples, Samples::Open(data, {kCount}, false, 2, context));
  std::vector<float> out(kCount);
  for (int64_t i = data->size(); i-- > 0;) {
    ASSERT_OK(samples->Read(i, 0, out));
    ASSERT_EQ(out, data->inputs[static_cast<size_t>(i)]) << i;
    EXPECT_EQ(samples->label(i), i % 2);
  }
}

const Preprocessing kKinds[] = {{{0.0f}, {255.0f}},
                                {{0.0f}, {1.0f}},
                                {{127.5f}, {127.5f}},
                                {{123.68f, 116.78f, 103.94f}, {58.4f, 57.1f, 57.4f}},
                                {}};

TEST(Samples, PicturesHeldAsBytes) {
  for (const Preprocessing& kind : kKinds) {
    MemoryDataset data = Pictures(kind, 9);
    ExpectSame(&data, 1 << 20);
    // Only the bytes fit a quarter of this, then not even they.
    ExpectSame(&data, 4 * 9 * kCount);
    ExpectSame(&data, 9 * kCount);
  }
}

TEST(Samples, ValuesThatAreNoPixelsAreKept) {
  for (const float value : {0.1234f, -1.0f, 300.0f}) {
    for (const size_t at : {size_t{0}, size_t{5}, size_t{8}}) {
      MemoryDataset data = Pictures(kKinds[1], 9);
      data.inputs[at][7] = value;
      for (const uint64_t budget : {uint64_t{1} << 20, uint64_t{4} * 9 * kCount}) {
        ExpectSame(&data, budget);
      }
    }
  }
}

TEST(Samples, ManyNormalisationsCanBeReverted) {
  Random random(6);
  for (int i = 0; i < 200; ++i) {
    const Preprocessing kind = {{static_cast<float>(random.Uniform(-300.0, 300.0))},
                                {static_cast<float>(random.Uniform(0.1, 300.0))}};
    MemoryDataset data = Pictures(kind, 2);
    const Normalizer normalizer = Normalizer::ForPixels(kind, 1).value();
    std::vector<std::byte> pixels(kCount);
    EXPECT_TRUE(normalizer.Revert(data.inputs[1], pixels));
    std::vector<float> again(kCount);
    normalizer.Apply(pixels, again);
    EXPECT_EQ(again, data.inputs[1]);
  }
}

}  // namespace
}  // namespace litesmith
