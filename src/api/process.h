#ifndef LITESMITH_API_PROCESS_H_
#define LITESMITH_API_PROCESS_H_

// What a benchmark asks of the operating system about its own process (Linux; elsewhere zeros and
// an error).

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"

namespace litesmith {

int64_t ResidentBytes();
int64_t PeakResidentBytes();

// Keeps the calling thread, and threads that it starts, on the given CPUs; the destructor gives the
// thread its CPUs back.
class CpuAffinity {
 public:
  // `cpus` empty: nothing changes. Errors: a CPU that this process may not use.
  static absl::StatusOr<std::unique_ptr<CpuAffinity>> Set(const std::vector<int>& cpus);
  ~CpuAffinity();
  CpuAffinity(const CpuAffinity&) = delete;
  CpuAffinity& operator=(const CpuAffinity&) = delete;

 private:
  CpuAffinity() = default;
  std::vector<int> before_;
};

}  // namespace litesmith

#endif  // LITESMITH_API_PROCESS_H_
