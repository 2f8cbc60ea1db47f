#ifndef LITESMITH_CONTEXT_H_
#define LITESMITH_CONTEXT_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "absl/status/status.h"

namespace litesmith {

// What long work is told from outside: when to stop, how much memory it may take, on how many threads
// it runs and where it reports progress. Every parser, executor and trainer takes one by const reference
// and only reads it, so one Context may serve several threads; `cancel` may be set from any thread or
// from a signal handler. The object `cancel` points to must outlive every call that was given the Context.
struct Context {
  // Work stops with CANCELLED soon after this becomes true. Null: never.
  const std::atomic<bool>* cancel = nullptr;

  // Work stops with DEADLINE_EXCEEDED soon after this moment.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();

  // Upper bound, in bytes, of any single allocation that a size in an untrusted file asks for, and of
  // the sum that one parser holds.
  uint64_t memory_budget = uint64_t{8} << 30;

  // Threads to compute on; 0 means one per core.
  int num_threads = 0;

  // One step of long work: `done` of `total` units (total 0: unknown) of the activity `what`
  // ("calibrating"). `note` is a short free text such as "loss 0.21". Called from the thread that does
  // the work, at most a few hundred times; must not throw.
  struct Progress {
    const char* what = "";
    int64_t done = 0;
    int64_t total = 0;
    std::string note;
  };
  std::function<void(const Progress&)> progress;

  // Sentences the user should see although the work goes on ("only 12 samples: all are used").
  std::function<void(const std::string&)> warn;

  // OK, or CANCELLED / DEADLINE_EXCEEDED. Cheap enough for every batch, node or record.
  absl::Status Check() const;

  // num_threads with 0 resolved to the number of cores.
  int Threads() const;

  void Report(const char* what, int64_t done, int64_t total, std::string note = {}) const {
    if (progress) progress(Progress{what, done, total, std::move(note)});
  }
  void Warn(const std::string& sentence) const {
    if (warn) warn(sentence);
  }
};

}  // namespace litesmith

#endif  // LITESMITH_CONTEXT_H_
