#include "train/crew.h"

#include <atomic>
#include <chrono>
#include <system_error>

namespace litesmith {
namespace {

// Calls done() until it is true, at most for `most`; returns what it was last.
template <typename Done>
bool LookOut(std::chrono::microseconds most, const Done& done) {
  constexpr int kLooks = 32;  // between yields
  const auto end = std::chrono::steady_clock::now() + most;
  do {
    for (int i = 0; i < kLooks; ++i) {
      if (done()) return true;
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

// What lies between two loops of a training, several times over.
constexpr std::chrono::microseconds kBetweenLoops(400);

}  // namespace

struct Crew::Loop {
  const std::function<void(size_t)>* body;  // the caller's: alive while items are left
  size_t count;
  std::atomic<size_t> next{0};
  std::atomic<size_t> finished{0};
};

Crew::Crew(int num_threads) {
  for (int i = 1; i < num_threads; ++i) {
    // The one place where the standard library throws for want of threads.
    try {
      helpers_.emplace_back([this] { Help(); });
    } catch (const std::system_error&) {
      break;
    }
  }
}

Crew::~Crew() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

size_t Crew::Work(Loop* loop) {
  size_t done = 0;
  for (;;) {
    const size_t i = loop->next.fetch_add(1);
    if (i >= loop->count) return done;
    (*loop->body)(i);
    ++done;
  }
}

void Crew::ForEach(size_t count, const std::function<void(size_t)>& body) {
  if (count <= 1 || helpers_.empty()) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  const auto loop = std::make_shared<Loop>();
  loop->body = &body;
  loop->count = count;
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    loop_ = loop;
    number_.fetch_add(1);
    wake = asleep_ > 0;
  }
  if (wake) wake_.notify_all();
  loop->finished.fetch_add(Work(loop.get()));
  const auto finished = [&] { return loop->finished.load() == count; };
  const bool soon = LookOut(kBetweenLoops, finished);
  std::unique_lock<std::mutex> lock(mutex_);
  if (!soon) done_.wait(lock, finished);
  loop_.reset();
}

void Crew::Help() {
  uint64_t seen = 0;
  const auto called = [&] { return stop_.load() || number_.load() != seen; };
  for (;;) {
    LookOut(kBetweenLoops, called);
    std::shared_ptr<Loop> loop;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      ++asleep_;
      wake_.wait(lock, called);
      --asleep_;
      if (stop_.load()) return;
      seen = number_.load();
      loop = loop_;
    }
    if (loop == nullptr) continue;  // over already
    const size_t mine = Work(loop.get());
    if (mine > 0 && loop->finished.fetch_add(mine) + mine == loop->count) {
      // Not between the caller's look at the count and its sleep.
      const std::lock_guard<std::mutex> lock(mutex_);
      done_.notify_one();
    }
  }
}

}  // namespace litesmith
