// The machine as Linux describes it in /proc and /sys.

#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <sstream>
#include <thread>

#include "base/status.h"
#include "evaluate/linux_files.h"
#include "litesmith/benchmark.h"
#include "litesmith/board.h"

namespace litesmith {
namespace {

constexpr std::chrono::milliseconds kUsageInterval(100);

// The value behind the first "key : value" line of a /proc file.
std::optional<std::string> Field(const std::string& text, std::string_view key) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    std::string name = line.substr(0, colon);
    name.erase(name.find_last_not_of(" \t") + 1);
    if (name != key) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return std::nullopt;
}

// Arm's cores name themselves by number only (Arm's "MIDR_EL1" part numbers).
std::optional<std::string> ArmCore(const std::string& cpuinfo) {
  const auto part = Field(cpuinfo, "CPU part");
  if (!part) return std::nullopt;
  struct Core {
    const char* part;
    const char* name;
  };
  static constexpr Core kCores[] = {{"0xd03", "Cortex-A53"},  {"0xd04", "Cortex-A35"},
                                    {"0xd05", "Cortex-A55"},  {"0xd07", "Cortex-A57"},
                                    {"0xd08", "Cortex-A72"},  {"0xd0b", "Cortex-A76"},
                                    {"0xd0c", "Neoverse N1"}, {"0xd41", "Cortex-A78"},
                                    {"0xd40", "Neoverse V1"}, {"0xd49", "Neoverse N2"}};
  for (const Core& core : kCores) {
    if (*part == core.part) return core.name;
  }
  return "Arm part " + *part;
}

// The widest vector instructions among the CPU's flags.
std::optional<std::string> Isa(const std::string& cpuinfo) {
  auto flags = Field(cpuinfo, "flags");
  if (!flags) flags = Field(cpuinfo, "Features");
  if (!flags) return std::nullopt;
  const std::string padded = " " + *flags + " ";
  std::string out;
  for (const char* flag : {"sse4_1", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni",
                           "neon", "asimd", "asimdhp", "asimddp", "i8mm", "sve"}) {
    if (padded.find(std::string(" ") + flag + " ") == std::string::npos) continue;
    if (!out.empty()) out += " ";
    out += flag;
  }
  if (out.empty()) return std::nullopt;
  return out;
}

struct CpuTime {
  double busy = 0, total = 0;
};

std::optional<CpuTime> ReadCpuTime(const std::string& root) {
  const auto text = ReadLinuxText(root + "/proc/stat");
  if (!text || text->rfind("cpu ", 0) != 0) return std::nullopt;
  std::istringstream line(text->substr(4, text->find('\n')));
  CpuTime out;
  double value = 0;
  // user nice system idle iowait irq softirq steal; guest time is within user time.
  for (int i = 0; i < 8 && line >> value; ++i) {
    out.total += value;
    if (i != 3 && i != 4) out.busy += value;
  }
  return out;
}

std::optional<double> CpuUsage(const std::string& root) {
  const auto before = ReadCpuTime(root);
  if (!before) return std::nullopt;
  std::this_thread::sleep_for(kUsageInterval);
  const auto after = ReadCpuTime(root);
  if (!after || after->total <= before->total) return std::nullopt;
  return 100.0 * (after->busy - before->busy) / (after->total - before->total);
}

std::optional<double> Gigabytes(const std::string& meminfo, std::string_view key) {
  const auto kilobytes = ToNumber(Field(meminfo, key));
  if (!kilobytes) return std::nullopt;
  return std::round(*kilobytes / 1048576.0 * 100.0) / 100.0;
}

}  // namespace

SystemInfo ReadSystemInfo(const std::string& root) {
  SystemInfo out;
  out.device = ReadLinuxText(root + "/proc/device-tree/model");
  if (!out.device) out.device = ReadLinuxText(root + "/sys/class/dmi/id/product_name");
  if (!out.device) out.device = ReadLinuxText(root + "/proc/sys/kernel/hostname");
  utsname names;
  if (::uname(&names) == 0) out.arch = names.machine;
  if (const auto cpuinfo = ReadLinuxText(root + "/proc/cpuinfo")) {
    out.cpu_model = Field(*cpuinfo, "model name");
    if (!out.cpu_model) out.cpu_model = ArmCore(*cpuinfo);
    out.isa = Isa(*cpuinfo);
  }
  const unsigned cores = std::thread::hardware_concurrency();
  if (cores > 0) out.cores = static_cast<int64_t>(cores);
  if (const auto meminfo = ReadLinuxText(root + "/proc/meminfo")) {
    out.total_memory_gb = Gigabytes(*meminfo, "MemTotal");
    out.available_memory_gb = Gigabytes(*meminfo, "MemAvailable");
  }
  if (const auto usage = CpuUsage(root)) out.cpu_usage_percent = std::round(*usage * 10.0) / 10.0;
  const BoardState board = ReadBoardState(root);
  out.governor = board.governor;
  out.temperature_c = board.temperature_c;
  out.throttled = board.throttled;
  return out;
}

}  // namespace litesmith
