// A Raspberry Pi 4 as its /proc and /sys tell of it, laid out in a folder.

#include <filesystem>
#include <fstream>

#include "litesmith/benchmark.h"
#include "tests/testing.h"

namespace litesmith {
namespace {

void Put(const std::string& root, const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
  std::ofstream(root + path, std::ios::binary) << text;
}

TEST(SystemInfo, RaspberryPi) {
  const std::string root = testing::TempDir();
  Put(root, "/proc/device-tree/model", std::string("Raspberry Pi 4 Model B Rev 1.4\0", 31));
  Put(root, "/proc/cpuinfo",
      "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
      "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n");
  Put(root, "/proc/meminfo",
      "MemTotal:        3884376 kB\nMemFree: 1 kB\nMemAvailable:    1942188 kB\n");
  Put(root, "/proc/stat", "cpu  100 0 50 800 10 0 0 0 0 0\n");
  Put(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n");
  Put(root, "/sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
  Put(root, "/sys/class/thermal/thermal_zone0/temp", "48686\n");
  Put(root, "/sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
  const SystemInfo info = ReadSystemInfo(root);
  EXPECT_EQ(info.device, "Raspberry Pi 4 Model B Rev 1.4");
  EXPECT_EQ(info.cpu_model, "Cortex-A72");
  EXPECT_EQ(info.isa, "asimd");
  EXPECT_NEAR(info.total_memory_gb.value(), 3.70, 0.01);
  EXPECT_NEAR(info.available_memory_gb.value(), 1.85, 0.01);
  EXPECT_EQ(info.governor, "ondemand");
  EXPECT_NEAR(info.temperature_c.value(), 48.686, 1e-9);
  EXPECT_EQ(info.throttled, true);
  EXPECT_FALSE(info.cpu_usage_percent.has_value()) << "the counters stand still";
}

TEST(SystemInfo, OnlyPastThrottlingIsNone) {
  const std::string root = testing::TempDir();
  Put(root, "/sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n");
  EXPECT_EQ(ReadSystemInfo(root).throttled, false);
}

TEST(SystemInfo, WhatIsNotThereIsUnknown) {
  const SystemInfo info = ReadSystemInfo(testing::TempDir());
  EXPECT_FALSE(info.device.has_value());
  EXPECT_FALSE(info.cpu_model.has_value());
  EXPECT_FALSE(info.total_memory_gb.has_value());
  EXPECT_FALSE(info.temperature_c.has_value());
  EXPECT_FALSE(info.throttled.has_value());
  EXPECT_TRUE(info.arch.has_value());
}

TEST(BenchmarkReport, AdvisesWhereAPointIsLost) {
  std::vector<BenchmarkRow> rows(3);
  rows[0] = {"float32", 100 * 1024, 0.97, true, {}};
  rows[1] = {"int8", 25 * 1024, 0.955, false, {}};
  rows[2] = {"f16", 50 * 1024, 0.962, false, {}};
  rows[0].latency.avg = 2.0;
  rows[1].latency.avg = 1.0;
  rows[2].latency.avg = 4.0;
  const std::string text = ToText(BenchmarkReport(rows, {}));
  for (const char* part : {"int8 loses 1.50 points", "--num-calibration-samples", "int16x8",
                           "dynamic", "quantization-aware", "2.00x", "0.50x", "25.0"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
  EXPECT_EQ(text.find("f16 loses"), std::string::npos);
}

}  // namespace
}  // namespace litesmith
