#include "data/synthetic.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "tests/testing.h"

namespace litesmith {
namespace {

struct Digits {
  std::vector<std::byte> pixels, labels;
};

Digits Draw(DigitSplit split, size_t count, uint64_t seed, int threads) {
  Digits d{std::vector<std::byte>(count * 784), std::vector<std::byte>(count)};
  Context context;
  context.num_threads = threads;
  EXPECT_OK(MakeSyntheticDigits(split, seed, d.pixels, d.labels, context));
  return d;
}

TEST(Synthetic, SameBytesForEveryNumberOfThreadsAndOnEveryMachine) {
  const Digits one = Draw(DigitSplit::kTrain, 1000, 7, 1),
               four = Draw(DigitSplit::kTrain, 1000, 7, 4);
  EXPECT_EQ(one.pixels, four.pixels);
  EXPECT_EQ(one.labels, four.labels);
  // Recorded on x86-64; computed with exactly rounded operations only.
  const auto crc = [](const std::vector<std::byte>& b) {
    return ::crc32(0, reinterpret_cast<const Bytef*>(b.data()), static_cast<uInt>(b.size()));
  };
  EXPECT_EQ(crc(one.pixels), 3940169299u);
  EXPECT_EQ(crc(one.labels), 380370512u);
  // A shorter set is the start of a longer one.
  const Digits fewer = Draw(DigitSplit::kTrain, 10, 7, 1);
  EXPECT_TRUE(std::equal(fewer.pixels.begin(), fewer.pixels.end(), one.pixels.begin()));
}

TEST(Synthetic, SeedsAndSplitsDiffer) {
  const Digits a = Draw(DigitSplit::kTrain, 100, 7, 1);
  EXPECT_NE(a.pixels, Draw(DigitSplit::kTest, 100, 7, 1).pixels);
  EXPECT_NE(a.pixels, Draw(DigitSplit::kTrain, 100, 8, 1).pixels);
}

TEST(Synthetic, DigitsAreBalancedAndInk) {
  const Digits d = Draw(DigitSplit::kTrain, 5000, 0, 2);
  std::array<int, 10> counts = {};
  for (size_t i = 0; i < 5000; ++i) {
    ++counts[std::to_integer<size_t>(d.labels[i])];
    int bright = 0;
    for (size_t k = 0; k < 784; ++k) bright += std::to_integer<int>(d.pixels[i * 784 + k]) > 100;
    EXPECT_GT(bright, 8) << i;
    EXPECT_LT(bright, 400) << i;
  }
  for (int n : counts) EXPECT_NEAR(n, 500, 100);
}

// Softmax regression by gradient descent on a part: the digits are learnable, but not by a linear
// classifier.
TEST(Synthetic, LinearClassifierStaysBelow93Percent) {
  constexpr size_t kTrain = 12000, kTest = 2000;
  const Digits train = Draw(DigitSplit::kTrain, kTrain, 0, 2),
               test = Draw(DigitSplit::kTest, kTest, 0, 2);
  std::vector<float> w(785 * 10, 0.0f);
  const auto scores = [&](const Digits& d, size_t i, std::array<float, 10>* out) {
    for (size_t c = 0; c < 10; ++c) (*out)[c] = w[784 * 10 + c];
    for (size_t k = 0; k < 784; ++k) {
      const float x = static_cast<float>(std::to_integer<int>(d.pixels[i * 784 + k])) / 255.0f;
      for (size_t c = 0; x > 0 && c < 10; ++c) (*out)[c] += x * w[k * 10 + c];
    }
  };
  std::array<float, 10> p;
  for (int epoch = 0; epoch < 12; ++epoch) {
    const float rate = 0.02f / static_cast<float>(1 + epoch);
    for (size_t i = 0; i < kTrain; ++i) {
      scores(train, i, &p);
      const float most = *std::max_element(p.begin(), p.end());
      float sum = 0;
      for (float& v : p) sum += v = std::exp(v - most);
      for (size_t c = 0; c < 10; ++c) {
        p[c] = rate * (p[c] / sum - (std::to_integer<size_t>(train.labels[i]) == c ? 1.0f : 0.0f));
        w[784 * 10 + c] -= p[c];
      }
      for (size_t k = 0; k < 784; ++k) {
        const float x =
            static_cast<float>(std::to_integer<int>(train.pixels[i * 784 + k])) / 255.0f;
        for (size_t c = 0; x > 0 && c < 10; ++c) w[k * 10 + c] -= x * p[c];
      }
    }
  }
  int right = 0;
  for (size_t i = 0; i < kTest; ++i) {
    scores(test, i, &p);
    right += static_cast<size_t>(std::max_element(p.begin(), p.end()) - p.begin()) ==
             std::to_integer<size_t>(test.labels[i]);
  }
  const double accuracy = static_cast<double>(right) / kTest;
  std::printf("softmax regression: %.2f %%\n", accuracy * 100);
  EXPECT_LT(accuracy, 0.93);
  EXPECT_GT(accuracy, 0.80);
}

TEST(Synthetic, IdxFilesReadBack) {
  const std::string dir = testing::TempDir() + "/digits";
  ASSERT_OK(WriteSyntheticIdx(dir, 50, 20, 3, Context()));
  ASSERT_OK_AND_ASSIGN(
      auto file, OpenDataset(dir, {}, DataUse::kEvaluation, {{"x", "", {28, 28, 1}}}, Context()));
  ASSERT_OK_AND_ASSIGN(auto memory, SyntheticDigits(DigitSplit::kTest, 20, 3, Context()));
  ASSERT_EQ(file->size(), 20);
  Sample a, b;
  for (int64_t i = 0; i < 20; ++i) {
    ASSERT_OK(file->Read(i, &a));
    ASSERT_OK(memory->Read(i, &b));
    EXPECT_EQ(a.inputs[0].bytes, b.inputs[0].bytes);
    EXPECT_EQ(a.inputs[0].shape, b.inputs[0].shape);
    EXPECT_EQ(a.label, b.label);
  }
  EXPECT_FALSE(SyntheticDigits(DigitSplit::kTest, 0, 3, Context()).ok());
  Context small;
  small.memory_budget = 1000;
  EXPECT_FALSE(SyntheticDigits(DigitSplit::kTest, 10, 3, small).ok());
}

}  // namespace
}  // namespace litesmith
