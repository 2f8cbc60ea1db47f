#include "api/process.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace litesmith {

int64_t ResidentBytes() {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "r"),
                                                   std::fclose);
  long long total = 0, resident = 0;
  if (!file || std::fscanf(file.get(), "%lld %lld", &total, &resident) != 2) return 0;
  return resident * ::sysconf(_SC_PAGESIZE);
}

int64_t PeakResidentBytes() {
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return int64_t{usage.ru_maxrss} * 1024;
}

absl::StatusOr<std::unique_ptr<CpuAffinity>> CpuAffinity::Set(const std::vector<int>& cpus) {
  std::unique_ptr<CpuAffinity> out(new CpuAffinity());
  if (cpus.empty()) return out;
  cpu_set_t before, wanted;
  CPU_ZERO(&wanted);
  for (int cpu : cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) return Invalid("there is no CPU {}", cpu);
    CPU_SET(cpu, &wanted);
  }
  if (::sched_getaffinity(0, sizeof(before), &before) != 0 ||
      ::sched_setaffinity(0, sizeof(wanted), &wanted) != 0) {
    return Invalid("cannot run on the CPUs {}: {}", fmt::join(cpus, ", "), std::strerror(errno));
  }
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &before)) out->before_.push_back(cpu);
  }
  return out;
}

CpuAffinity::~CpuAffinity() {
  if (before_.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : before_) CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof(set), &set);
}

}  // namespace litesmith
