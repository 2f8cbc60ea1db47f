#ifndef LITESMITH_BASE_RANDOM_H_
#define LITESMITH_BASE_RANDOM_H_

#include <cmath>
#include <cstdint>
#include <numbers>
#include <span>
#include <utility>

namespace litesmith {

// A small generator with the same numbers on every machine (SplitMix64, Steele et al. 2014, "Fast
// Splittable Pseudorandom Number Generators"). Not for cryptography.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // In [0, bound), each equally likely. REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value = Next();
    while (value >= limit) value = Next();
    return value % bound;
  }

  // In [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }

  // Mean 0, standard deviation 1 (Box and Muller 1958).
  double Normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * Uniform());
  }

  // A generator for part `key` of the same work: independent of how many numbers were drawn before.
  static Random ForKey(uint64_t seed, uint64_t key) {
    Random mix(seed ^ (0xd1b54a32d192ed03u * (key + 1)));
    return Random(mix.Next());
  }

  template <typename T>
  void Shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  uint64_t state_;
};

}  // namespace litesmith

#endif  // LITESMITH_BASE_RANDOM_H_
