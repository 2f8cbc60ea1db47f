#include "base/threads.h"

#include <pthreadpool.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/thread_team.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace litesmith {
namespace {

using Clock = std::chrono::steady_clock;
using Body = std::function<void(size_t, size_t)>;
// How long a worker waits awake for the next loop.
constexpr std::chrono::microseconds kBurst(200);
// Chunks a thread has of a long loop, so that a slow core does not hold up the others.
constexpr size_t kChunks = 4;
// ... where each of them is at least so many grains long.
constexpr size_t kGrains = 8;

struct Loop {
  const Body* body;
  size_t count, chunks;

  void Run(size_t chunk) const { (*body)(chunk * count / chunks, (chunk + 1) * count / chunks); }
};

void RunChunk(void* context, size_t index) { static_cast<const Loop*>(context)->Run(index); }

// Chunks of a loop: a multiple of the threads, or fewer than these.
size_t ChunksOf(size_t count, size_t grain, size_t threads) {
  const size_t most = count / std::max<size_t>(grain, 1);
  if (most <= threads) return std::max<size_t>(most, 1);
  return threads * std::clamp<size_t>(most / (threads * kGrains), 1, kChunks);
}

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

size_t UsableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return static_cast<size_t>(CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace

// The threads during Run: one item of one loop of the pool each, the caller's being the body.
//
// A loop is published by one word, its number and its chunks. Each thread has a seat, which says
// how many of its chunks of which loop are taken; it takes them itself, so that a loop's start
// costs no more than one cache line's way, and others take what it leaves lying. Who took a chunk
// may look at `loop`: the caller changes it only when all chunks are done.
struct ThreadTeam::State {
  struct alignas(64) Seat {
    std::atomic<uint64_t> taken{0};  // loop's number << 32 | its chunks taken
  };

  explicit State(size_t num_threads) : threads(num_threads), seats(num_threads) {}

  static uint32_t ChunksOf(uint64_t word) { return static_cast<uint32_t>(word); }
  static uint32_t NumberOf(uint64_t word) { return static_cast<uint32_t>(word >> 32); }

  const size_t threads;
  std::vector<Seat> seats;
  const std::function<void()>* body = nullptr;
  Clock::duration patience{0};
  size_t expected = 0;  // the caller's: `done` after the loop

  // Number << 32 | chunks; no chunks: the end.
  alignas(64) std::atomic<uint64_t> state{0};
  uint64_t first_state = 0;
  Loop loop{nullptr, 0, 0};
  alignas(64) std::atomic<size_t> done{0};  // chunks, by workers, ever
  alignas(64) std::atomic<uint32_t> sleepers{0};
  std::atomic<uint32_t> alarm{0};

  // One chunk from the seat; false: none is left there. The caller (`newest`) knows of no newer
  // loop, and so gets the chunks of a seat that was idle until its number went round.
  bool Take(uint64_t word, size_t seat, bool newest, size_t* chunk) {
    const uint32_t chunks = ChunksOf(word), number = NumberOf(word);
    const size_t each = std::max<size_t>(1, chunks / threads);
    if (seat >= chunks) return false;
    std::atomic<uint64_t>& taken = seats[seat].taken;
    uint64_t seen = taken.load(std::memory_order_relaxed);
    for (;;) {
      // A newer loop's: this one is over.
      if (!newest && static_cast<int32_t>(NumberOf(seen) - number) > 0) return false;
      const uint32_t count = NumberOf(seen) == number ? static_cast<uint32_t>(seen) : 0;
      if (count >= each) return false;
      *chunk = seat * each + count;
      if (taken.compare_exchange_weak(seen, uint64_t{number} << 32 | (count + 1),
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
  }

  size_t TakeAll(uint64_t word, size_t seat, size_t thread) {
    size_t count = 0;
    for (size_t chunk; Take(word, seat, thread == 0, &chunk); ++count) loop.Run(chunk);
    return count;
  }
  // What the others have left.
  size_t TakeOthers(uint64_t word, size_t thread) {
    size_t count = 0;
    for (size_t i = 1; i < threads; ++i) count += TakeAll(word, (thread + i) % threads, thread);
    return count;
  }

  void Wake() {
    if (sleepers.load() == 0) return;
    alarm.fetch_add(1);
    alarm.notify_all();
  }

  // Until the state is another than `seen`.
  uint64_t Await(uint64_t seen) {
    constexpr int kPauses = 64;
    Clock::time_point start{};
    for (int pauses = 1;; ++pauses) {
      const uint64_t word = state.load(std::memory_order_acquire);
      if (word != seen) return word;
      Pause();
      if (pauses % kPauses != 0) continue;
      const Clock::time_point now = Clock::now();
      if (pauses == kPauses) start = now;
      if (now - start < patience) continue;
      const uint32_t before = alarm.load();
      sleepers.fetch_add(1);
      if (state.load() == seen) alarm.wait(before);
      sleepers.fetch_sub(1);
      pauses = 0;
    }
  }

  // What a body refers to lies on the caller's stack from the body on, one pointer after the other;
  // so that the worker waits for the caller's cache once and not for every one of them.
  void FetchFrame() const {
    constexpr size_t kLines = 8;
    const auto* frame = reinterpret_cast<const char*>(loop.body);
    for (size_t i = 0; i < kLines; ++i) __builtin_prefetch(frame + 64 * i);
  }

  // A worker, until the body returns.
  void Help(size_t thread) {
    for (uint64_t word = first_state;;) {
      word = Await(word);
      if (ChunksOf(word) == 0) return;
      FetchFrame();
      size_t count = TakeAll(word, thread, thread);
      if (ChunksOf(word) > threads) count += TakeOthers(word, thread);
      if (count != 0) done.fetch_add(count, std::memory_order_release);
    }
  }

  void Share(const Loop& next) {
    loop = next;
    const uint64_t word =
        (uint64_t{NumberOf(state.load(std::memory_order_relaxed))} + 1) << 32 | next.chunks;
    state.store(word, std::memory_order_release);
    if (sleepers.load(std::memory_order_relaxed) != 0) Wake();
    size_t mine = TakeAll(word, 0, 0);
    // Either we see who went to sleep meanwhile, or he saw the loop.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    Wake();
    if (next.chunks > threads) mine += TakeOthers(word, 0);
    // A look at another's seat makes him wait for it, so at first we wait for him.
    constexpr int kPauses = 64, kPatientPauses = 4096;
    for (int pauses = 1; done.load(std::memory_order_acquire) != expected + next.chunks - mine;
         ++pauses) {
      if (pauses % kPauses == 0) mine += TakeOthers(word, 0);
      if (pauses < kPatientPauses) {
        Pause();
      } else {
        sched_yield();  // he may have lost his core to us
      }
    }
    expected += next.chunks - mine;
  }

  void Member(size_t thread) {
    if (thread != 0) return Help(thread);
    (*body)();
    const uint64_t word = state.load(std::memory_order_relaxed);
    state.store((uint64_t{NumberOf(word)} + 1) << 32);
    Wake();
  }
};

namespace {

// Of the calling thread.
thread_local size_t shared_loops = 0;
thread_local Clock::time_point last_end;
struct Current {
  const ThreadPool* pool = nullptr;  // whose workers are together
  void (*share)(void* state, const Loop& loop) = nullptr;
  void* state = nullptr;
};
thread_local Current current;

}  // namespace

ThreadPool::ThreadPool(int num_threads) : num_threads_(std::max(1, num_threads)) {
  if (num_threads_ > 1) pool_ = pthreadpool_create(static_cast<size_t>(num_threads_));
  // Where the system gives no threads, the caller does all the work.
  if (pool_ == nullptr) num_threads_ = 1;
}

ThreadPool::~ThreadPool() {
  if (pool_ != nullptr) pthreadpool_destroy(pool_);
}

void ThreadPool::ParallelFor(size_t count, size_t grain, const Body& body) {
  if (count == 0) return;
  const size_t chunks =
      num_threads_ == 1 ? 1 : ChunksOf(count, grain, static_cast<size_t>(num_threads_));
  if (chunks == 1) {
    body(0, count);
    return;
  }
  ++shared_loops;
  Loop loop{&body, count, chunks};
  if (current.pool == this) return current.share(current.state, loop);
  // Workers that wait in a busy loop for the next region take the cores from those that still work
  // where other programs keep the machine busy, so they go to sleep; but waking them takes longer
  // than a small layer, so they stay up where one region follows the other at once.
  const bool burst = Clock::now() - last_end < kBurst;
  pthreadpool_parallelize_1d(pool_, RunChunk, &loop, chunks,
                             burst ? 0 : PTHREADPOOL_FLAG_YIELD_WORKERS);
  last_end = Clock::now();
}

ThreadTeam::ThreadTeam(ThreadPool* pool) : pool_(pool) {
  if (pool != nullptr && pool->num_threads() > 1) {
    state_ = std::make_unique<State>(static_cast<size_t>(pool->num_threads()));
  }
}

ThreadTeam::~ThreadTeam() = default;

size_t ThreadTeam::SharedLoops() { return shared_loops; }

void ThreadTeam::Run(const std::function<void()>& body) {
  if (state_ == nullptr || current.pool != nullptr) return body();
  State& s = *state_;
  s.body = &body;
  // More threads than cores: who waits is in the way of who works.
  s.patience = UsableCpus() < s.threads ? Clock::duration(0) : Clock::duration(kBurst);
  s.first_state = s.state.load(std::memory_order_relaxed);
  const auto member = [&](size_t begin, size_t) {
    if (begin != 0) return s.Member(begin);
    current = {pool_,
               [](void* state, const Loop& loop) { static_cast<State*>(state)->Share(loop); }, &s};
    s.Member(0);
    current = {};
  };
  pool_->ParallelFor(s.threads, 1, std::cref(member));
}

}  // namespace litesmith
