#ifndef LITESMITH_TRAIN_CREW_H_
#define LITESMITH_TRAIN_CREW_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace litesmith {

// Threads that help the caller with a loop if they come in time. A training runs thousands of short
// loops; where other programs keep the cores busy, waiting in each for a thread that the system has
// not woken yet would cost more than the loop. Here the caller does what nobody has begun, and
// waits only for items that a helper is at. Waking a thread takes longer than what is done between
// two loops: helpers look out for the next one for a moment, yielding to whoever wants the core,
// before they sleep.
class Crew {
 public:
  // The caller and num_threads - 1 helpers, fewer where the system gives no threads.
  explicit Crew(int num_threads);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Calls body(i) once for every i below `count` and waits. Which thread takes which is not
  // determined: a body must not let its results depend on it. One caller at a time.
  void ForEach(size_t count, const std::function<void(size_t)>& body);

 private:
  struct Loop;
  static size_t Work(Loop* loop);  // items done
  void Help();

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::shared_ptr<Loop> loop_;       // null: none is open
  std::atomic<uint64_t> number_{0};  // of loops begun
  std::atomic<bool> stop_{false};
  int asleep_ = 0;
  std::vector<std::thread> helpers_;
};

}  // namespace litesmith

#endif  // LITESMITH_TRAIN_CREW_H_
