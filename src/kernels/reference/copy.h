#ifndef LITESMITH_KERNELS_REFERENCE_COPY_H_
#define LITESMITH_KERNELS_REFERENCE_COPY_H_

// The one kernel of all operators that only move data: a box of elements is copied from one strided
// place to another. Types do not matter, only the size of an element. Freestanding.

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace litesmith::reference {

inline constexpr int kMaxCopyLoops = 12;

// Loop 0 is the innermost. Strides and offsets are in bytes and may be negative or 0. `run` bytes
// lie densely on both sides.
struct CopyPlan {
  int loops = 0;
  int64_t size[kMaxCopyLoops] = {};
  int64_t from_stride[kMaxCopyLoops] = {};
  int64_t to_stride[kMaxCopyLoops] = {};
  int64_t from_offset = 0;
  int64_t to_offset = 0;
  int64_t run = 0;
  int64_t count = 0;  // runs in all
};

// Adds a loop outside of those already there, fused where both sides walk in step. False when there
// is no room. Start with an empty plan with `run` set to the element's size and `count` to 1.
inline bool AddLoop(CopyPlan* plan, int64_t size, int64_t from_stride, int64_t to_stride) {
  plan->count *= size;
  if (size == 1) return true;
  if (plan->loops == 0) {
    if (from_stride == plan->run && to_stride == plan->run) {
      plan->run *= size;
      plan->count = plan->count == 0 ? 0 : 1;
      return true;
    }
  } else {
    const int last = plan->loops - 1;
    if (from_stride == plan->from_stride[last] * plan->size[last] &&
        to_stride == plan->to_stride[last] * plan->size[last]) {
      plan->size[last] *= size;
      return true;
    }
  }
  if (plan->loops == kMaxCopyLoops) return false;
  plan->size[plan->loops] = size;
  plan->from_stride[plan->loops] = from_stride;
  plan->to_stride[plan->loops] = to_stride;
  ++plan->loops;
  return true;
}

namespace internal {

template <typename Word>
void CopyRow(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride,
             int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    Word word;
    std::memcpy(&word, from, sizeof(Word));
    std::memcpy(to, &word, sizeof(Word));
    from += from_stride;
    to += to_stride;
  }
}

inline void CopyRow(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride,
                    int64_t count, int64_t run) {
  switch (run) {
    case 1:
      return CopyRow<uint8_t>(from, from_stride, to, to_stride, count);
    case 2:
      return CopyRow<uint16_t>(from, from_stride, to, to_stride, count);
    case 4:
      return CopyRow<uint32_t>(from, from_stride, to, to_stride, count);
    case 8:
      return CopyRow<uint64_t>(from, from_stride, to, to_stride, count);
    default:
      break;
  }
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to, from, static_cast<size_t>(run));
    from += from_stride;
    to += to_stride;
  }
}

}  // namespace internal

// REQUIRES: the box lies within both buffers.
inline void Copy(const CopyPlan& plan, const std::byte* from, std::byte* to) {
  if (plan.count == 0 || plan.run == 0) return;
  from += plan.from_offset;
  to += plan.to_offset;
  if (plan.loops == 0) {
    std::memcpy(to, from, static_cast<size_t>(plan.run));
    return;
  }
  int64_t index[kMaxCopyLoops] = {};
  const int64_t rows = plan.count / plan.size[0];
  for (int64_t row = 0; row < rows; ++row) {
    internal::CopyRow(from, plan.from_stride[0], to, plan.to_stride[0], plan.size[0], plan.run);
    for (int d = 1; d < plan.loops; ++d) {
      from += plan.from_stride[d];
      to += plan.to_stride[d];
      if (++index[d] < plan.size[d]) break;
      from -= plan.from_stride[d] * plan.size[d];
      to -= plan.to_stride[d] * plan.size[d];
      index[d] = 0;
    }
  }
}

// `count` elements of `size` bytes, each set to the bytes at `value`.
inline void Fill(const std::byte* value, int64_t size, int64_t count, std::byte* to) {
  if (count == 0) return;
  bool same = true;
  for (int64_t i = 1; i < size; ++i) same = same && value[i] == value[0];
  if (same) {
    std::memset(to, static_cast<int>(value[0]), static_cast<size_t>(size * count));
    return;
  }
  internal::CopyRow(value, 0, to, size, count, size);
}

}  // namespace litesmith::reference

#endif  // LITESMITH_KERNELS_REFERENCE_COPY_H_
