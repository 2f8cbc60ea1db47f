#ifndef LITESMITH_BASE_THREADS_H_
#define LITESMITH_BASE_THREADS_H_

#include <cstddef>
#include <functional>
#include <memory>

struct pthreadpool;

namespace litesmith {

// A fixed set of worker threads (pthreadpool). With one thread no worker exists and every loop runs on the
// caller, without a lock. A pool may be used by one caller at a time.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  // Calls body(begin, end) for chunks of [0, count) of at least `grain` items, each item once, and waits.
  // Which thread takes which chunk is not determined: a body must not let its results depend on it.
  void ParallelFor(size_t count, size_t grain,
                   const std::function<void(size_t begin, size_t end)>& body);

 private:
  int num_threads_;
  pthreadpool* pool_ = nullptr;
};

// ParallelFor on `pool`, or on the caller when it is null.
inline void ParallelFor(ThreadPool* pool, size_t count, size_t grain,
                        const std::function<void(size_t, size_t)>& body) {
  if (pool != nullptr) {
    pool->ParallelFor(count, grain, body);
  } else if (count > 0) {
    body(0, count);
  }
}

}  // namespace litesmith

#endif  // LITESMITH_BASE_THREADS_H_
