#include "train/crew.h"

#include <atomic>
#include <system_error>

namespace litesmith {

struct Crew::Loop {
  const std::function<void(size_t)>* body;  // the caller's: alive while items are left
  size_t count;
  std::atomic<size_t> next{0};
  size_t finished = 0;  // under the crew's mutex
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
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    loop_ = loop;
    ++number_;
  }
  wake_.notify_all();
  const size_t mine = Work(loop.get());
  std::unique_lock<std::mutex> lock(mutex_);
  loop->finished += mine;
  done_.wait(lock, [&] { return loop->finished == count; });
  loop_.reset();
}

void Crew::Help() {
  uint64_t seen = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || (loop_ != nullptr && number_ != seen); });
    if (stop_) return;
    seen = number_;
    const std::shared_ptr<Loop> loop = loop_;
    lock.unlock();
    const size_t mine = Work(loop.get());
    lock.lock();
    loop->finished += mine;
    if (mine > 0 && loop->finished == loop->count) done_.notify_one();
  }
}

}  // namespace litesmith
