#ifndef LITESMITH_KERNELS_ALIGNED_H_
#define LITESMITH_KERNELS_ALIGNED_H_

// Vectors whose data begin on a cache line, as packed weights should: a 64-byte load that crosses
// lines takes twice as long.

#include <cstddef>
#include <new>
#include <vector>

namespace litesmith {

template <typename T>
struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <typename U>
  LineAllocator(const LineAllocator<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  bool operator==(const LineAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, LineAllocator<T>>;

}  // namespace litesmith

#endif  // LITESMITH_KERNELS_ALIGNED_H_
