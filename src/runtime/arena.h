#ifndef LITESMITH_RUNTIME_ARENA_H_
#define LITESMITH_RUNTIME_ARENA_H_

#include <cstddef>
#include <vector>

namespace litesmith {

// A block of memory that is needed from step `first` to step `last`, both included.
struct ArenaBlock {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
  size_t offset = 0;  // the answer
};

// Every offset of an executor is a multiple of this: a cache line, and the widest vector.
inline constexpr size_t kArenaAlignment = 64;

// Which of two blocks of one size is placed first.
enum class ArenaTies { kEarlierFirst, kLaterFirst };

// Sets the offsets (multiples of `alignment`) so that blocks needed at the same time do not
// overlap, largest first, each in the lowest gap that fits (Pisarchyk and Lee 2020,
// arXiv:2001.03288, "greedy by size"). Returns the arena's size; the largest size_t, without offsets,
// where it passes that. tflite-micro plans alike, with kLaterFirst.
size_t PlanArena(std::vector<ArenaBlock>* blocks, size_t alignment = kArenaAlignment,
                 ArenaTies ties = ArenaTies::kEarlierFirst);

}  // namespace litesmith

#endif  // LITESMITH_RUNTIME_ARENA_H_
