#include "runtime/arena.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>

namespace litesmith {
namespace {

size_t RoundUp(size_t bytes, size_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

bool LiveTogether(const ArenaBlock& a, const ArenaBlock& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

size_t PlanArena(std::vector<ArenaBlock>* blocks, size_t alignment, ArenaTies ties) {
  std::vector<size_t> order(blocks->size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (ties == ArenaTies::kLaterFirst) std::reverse(order.begin(), order.end());
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return (*blocks)[a].bytes > (*blocks)[b].bytes; });
  uint64_t total = 0;                     // sums of sizes may pass a 32-bit size_t
  std::vector<const ArenaBlock*> placed;  // by offset
  for (size_t i : order) {
    ArenaBlock& block = (*blocks)[i];
    if (block.bytes == 0) continue;
    const uint64_t wanted = RoundUp(block.bytes, alignment);
    uint64_t offset = 0;
    for (const ArenaBlock* other : placed) {
      if (!LiveTogether(block, *other)) continue;
      if (other->offset >= offset + wanted) break;
      offset = std::max(offset, uint64_t{other->offset} + RoundUp(other->bytes, alignment));
    }
    total = std::max(total, offset + wanted);
    if (total > PTRDIFF_MAX) return std::numeric_limits<size_t>::max();
    block.offset = static_cast<size_t>(offset);
    auto at = std::upper_bound(
        placed.begin(), placed.end(), &block,
        [](const ArenaBlock* a, const ArenaBlock* b) { return a->offset < b->offset; });
    placed.insert(at, &block);
  }
  return static_cast<size_t>(total);
}

}  // namespace litesmith
