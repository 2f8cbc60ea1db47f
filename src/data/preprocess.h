#ifndef LITESMITH_DATA_PREPROCESS_H_
#define LITESMITH_DATA_PREPROCESS_H_

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "data/dataset.h"

namespace litesmith {

// x' = (x - mean) / std in float32, as numpy computes it on float32 arrays, per channel of the last
// axis. Immutable after making; may be shared by threads.
class Normalizer {
 public:
  // For 8-bit pixels: what options leave unset is 0 and 255.
  static absl::StatusOr<Normalizer> ForPixels(const Preprocessing& options, int64_t channels);
  // For other numbers: what options leave unset is 0 and 1; both unset: values are taken as they
  // are.
  static absl::StatusOr<Normalizer> ForNumbers(const Preprocessing& options, int64_t channels);

  // `in` and `out` are of one size, a multiple of the channels.
  void Apply(std::span<const std::byte> pixels, std::span<float> out) const;
  void ApplyInPlace(std::span<float> values) const;
  // The pixels that Apply makes exactly these values of; false where there are none. REQUIRES: made
  // by ForPixels or not the identity, sizes as above.
  bool Revert(std::span<const float> values, std::span<std::byte> pixels) const;

  bool is_identity() const { return used_.mean.empty() && used_.std.empty(); }
  // What is done, with the defaults filled in; empty vectors for the identity.
  const Preprocessing& used() const { return used_; }

 private:
  static absl::StatusOr<Normalizer> Make(const Preprocessing& options, int64_t channels, float std);
  Preprocessing used_;
  std::vector<std::array<float, 256>> table_;  // per channel; one where all are alike
};

// The shape in which a stored sample goes into an input of shape `wanted` (-1: any size): the same,
// or with a leading 1 more or less. `channel_axis`: also where only a last axis of 1 is missing
// (grey pictures). An error names both shapes.
absl::StatusOr<std::vector<int64_t>> FitShape(const std::vector<int64_t>& stored,
                                              const std::vector<int64_t>& wanted,
                                              bool channel_axis);

// Any plain number as float32 (float64 and wide integers rounded to nearest). `in` need not be
// aligned.
absl::Status ToFloat32(ElementType type, std::span<const std::byte> in, std::span<float> out);

// Integers (and booleans) as another integer type; an error names the first value that does not
// fit. Real numbers are refused.
absl::Status ToIntegers(ElementType from, std::span<const std::byte> in, ElementType to,
                        std::span<std::byte> out);

// Element `i` of an integer array as int64. REQUIRES: IsInteger(type), i in range.
bool IsInteger(ElementType type);
int64_t IntegerAt(ElementType type, std::span<const std::byte> elements, size_t i);

}  // namespace litesmith

#endif  // LITESMITH_DATA_PREPROCESS_H_
