#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "data/dataset.h"

namespace litesmith {
namespace {

// `count` of `pools` in turns, each pool in an order of its own; a pool that runs out leaves its
// turns to the others.
std::vector<int64_t> DrawInTurns(std::vector<std::vector<int64_t>> pools, size_t count) {
  std::vector<int64_t> out;
  for (size_t round = 0; out.size() < count; ++round) {
    for (const std::vector<int64_t>& pool : pools) {
      if (round < pool.size() && out.size() < count) out.push_back(pool[round]);
    }
  }
  return out;
}

}  // namespace

std::vector<int64_t> CalibrationIndices(const Dataset& dataset, int64_t count, uint64_t seed,
                                        const Context& context) {
  const int64_t size = dataset.size();
  std::vector<int64_t> all(static_cast<size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  if (size <= count) {
    if (size < count) {
      context.Warn(fmt::format("only {} calibration samples instead of {}: all are used ({})", size,
                               count, dataset.Describe()));
    }
    return all;
  }
  if (dataset.is_array()) {
    all.resize(static_cast<size_t>(std::max<int64_t>(count, 0)));
    return all;
  }
  std::map<int64_t, std::vector<int64_t>> classes;
  for (int64_t i : all) classes[dataset.has_labels() ? dataset.label(i) : 0].push_back(i);
  std::vector<std::vector<int64_t>> pools;
  for (auto& [label, members] : classes) {
    Random::ForKey(seed, static_cast<uint64_t>(label)).Shuffle(std::span(members));
    pools.push_back(std::move(members));
  }
  std::vector<int64_t> out = DrawInTurns(std::move(pools), static_cast<size_t>(count));
  // Increasing order is the efficient one for archives, and the ranges do not depend on it.
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace litesmith
