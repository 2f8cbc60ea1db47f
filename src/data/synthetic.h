#ifndef LITESMITH_DATA_SYNTHETIC_H_
#define LITESMITH_DATA_SYNTHETIC_H_

// Handwritten-looking digits for a machine without data: strokes in several styles a digit, points
// moved at random, bent by an elastic field (Simard et al. 2003, "Best Practices for Convolutional
// Neural Networks"), turned, slanted, scaled, drawn with a pen of varying width, with faint ink,
// noise and stray marks. Picture i depends on seed, split and i alone and is computed with
// additions, multiplications, divisions and square roots only: the same bytes on every machine and
// for every number of threads.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "data/dataset.h"
#include "litesmith/context.h"

namespace litesmith {

inline constexpr int64_t kSyntheticSize = 28;  // height and width
inline constexpr int64_t kSyntheticTrainCount = 60000;
inline constexpr int64_t kSyntheticTestCount = 10000;

enum class DigitSplit { kTrain, kTest };

// Draws pictures 0 .. labels.size() - 1 of a split: grey, 28x28 bytes each in `pixels`, white ink
// on black, and the digits 0..9 in `labels`. REQUIRES: pixels.size() == 784 * labels.size(). Stops
// on context.
absl::Status MakeSyntheticDigits(DigitSplit split, uint64_t seed, std::span<std::byte> pixels,
                                 std::span<std::byte> labels, const Context& context);

// The same as a labelled data set in memory (47 MB for 60,000), values x / 255, for an input of
// 28x28x1.
absl::StatusOr<std::unique_ptr<Dataset>> SyntheticDigits(DigitSplit split, int64_t count,
                                                         uint64_t seed, const Context& context);

// Writes both splits as IDX files with MNIST's names (not gzipped) into `folder`, made where
// missing.
absl::Status WriteSyntheticIdx(const std::string& folder, int64_t train_count, int64_t test_count,
                               uint64_t seed, const Context& context);

}  // namespace litesmith

#endif  // LITESMITH_DATA_SYNTHETIC_H_
