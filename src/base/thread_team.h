#ifndef LITESMITH_BASE_THREAD_TEAM_H_
#define LITESMITH_BASE_THREAD_TEAM_H_

#include <cstddef>
#include <functional>
#include <memory>

#include "base/threads.h"

namespace litesmith {

// Makes many short loops cheap: while Run lasts, the workers of a pool wait awake for its loops,
// which begin and end several times as fast. Where all threads are equally fast, the same thread
// has the same share of every loop (the caller the first one), so that it finds in its cache what
// it wrote in the loop before. Used by one thread at a time, as the pool is; the pool outlives it.
class ThreadTeam {
 public:
  explicit ThreadTeam(ThreadPool* pool);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // Calls body() on the caller. Within another Run, or with one thread, that is all.
  void Run(const std::function<void()>& body);

  // Loops of pools that the calling thread has shared with others so far.
  static size_t SharedLoops();

 private:
  friend class ThreadPool;
  struct State;

  ThreadPool* pool_;
  std::unique_ptr<State> state_;
};

}  // namespace litesmith

#endif  // LITESMITH_BASE_THREAD_TEAM_H_
