#include "base/threads.h"

#include <pthreadpool.h>

#include <algorithm>
#include <chrono>

namespace litesmith {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::microseconds kBurst(200);

struct Loop {
  const std::function<void(size_t, size_t)>* body;
  size_t count;
  size_t chunk;
};

void RunChunk(void* context, size_t index) {
  const auto& loop = *static_cast<const Loop*>(context);
  const size_t begin = index * loop.chunk;
  (*loop.body)(begin, std::min(begin + loop.chunk, loop.count));
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) : num_threads_(std::max(1, num_threads)) {
  if (num_threads_ > 1) pool_ = pthreadpool_create(static_cast<size_t>(num_threads_));
  // Where the system gives no threads, the caller does all the work.
  if (pool_ == nullptr) num_threads_ = 1;
}

ThreadPool::~ThreadPool() {
  if (pool_ != nullptr) pthreadpool_destroy(pool_);
}

void ThreadPool::ParallelFor(size_t count, size_t grain,
                             const std::function<void(size_t, size_t)>& body) {
  if (count == 0) return;
  grain = std::max<size_t>(grain, 1);
  const size_t threads = static_cast<size_t>(num_threads_);
  if (threads == 1 || count <= grain) {
    body(0, count);
    return;
  }
  // A few chunks a thread, so that a slow core does not hold up the others.
  const size_t chunk = std::max(grain, (count + threads * 4 - 1) / (threads * 4));
  Loop loop{&body, count, chunk};
  // Workers that wait in a busy loop for the next region take the cores from those that still work
  // where other programs keep the machine busy, so they go to sleep; but waking them takes longer
  // than a small layer, so they stay up where one region follows the other at once.
  thread_local Clock::time_point last_end;
  const bool burst = Clock::now() - last_end < kBurst;
  pthreadpool_parallelize_1d(pool_, RunChunk, &loop, (count + chunk - 1) / chunk,
                             burst ? 0 : PTHREADPOOL_FLAG_YIELD_WORKERS);
  last_end = Clock::now();
}

}  // namespace litesmith
