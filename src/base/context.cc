#include "litesmith/context.h"

#include <algorithm>
#include <thread>

namespace litesmith {

absl::Status Context::Check() const {
  if (cancel != nullptr && cancel->load(std::memory_order_relaxed)) {
    return absl::CancelledError("interrupted");
  }
  if (deadline != std::chrono::steady_clock::time_point::max() &&
      std::chrono::steady_clock::now() >= deadline) {
    return absl::DeadlineExceededError("the time allowed for this work is over");
  }
  return absl::OkStatus();
}

int Context::Threads() const {
  if (num_threads > 0) return num_threads;
  return std::max(1u, std::thread::hardware_concurrency());
}

}  // namespace litesmith
