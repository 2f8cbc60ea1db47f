// A Raspberry Pi's /sys before and after a benchmark, laid out in folders.

#include "litesmith/board.h"

#include <filesystem>
#include <fstream>

#include "tests/testing.h"

namespace litesmith {
namespace {

constexpr const char* kFrequency = "/sys/devices/system/cpu/cpu0/cpufreq/";
constexpr const char* kThrottled = "/sys/devices/platform/soc/soc:firmware/get_throttled";

void Put(const std::string& root, const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
  std::ofstream(root + path, std::ios::binary) << text;
}

BoardState StateOf(const std::string& kilohertz, const std::string& millidegrees,
                   const std::string& mask) {
  const std::string root = testing::TempDir();
  Put(root, std::string(kFrequency) + "scaling_governor", "ondemand\n");
  Put(root, std::string(kFrequency) + "scaling_cur_freq", kilohertz + "\n");
  Put(root, "/sys/class/thermal/thermal_zone0/type", "gpu-thermal\n");
  Put(root, "/sys/class/thermal/thermal_zone0/temp", "11000\n");
  Put(root, "/sys/class/thermal/thermal_zone1/type", "cpu-thermal\n");
  Put(root, "/sys/class/thermal/thermal_zone1/temp", millidegrees + "\n");
  Put(root, kThrottled, mask + "\n");
  return ReadBoardState(root);
}

std::string TextOf(const BoardState& before, const BoardState& after) {
  Report report;
  AddBoardStates(before, after, &report);
  return ToText(report);
}

TEST(Board, IsReadFromItsFiles) {
  const BoardState state = StateOf("1500000", "48686", "50005");
  EXPECT_EQ(state.governor, "ondemand");
  EXPECT_EQ(state.frequency_mhz, 1500.0);
  EXPECT_NEAR(state.temperature_c.value(), 48.686, 1e-9);
  EXPECT_EQ(state.throttled, true);
  EXPECT_THAT(state.throttling.value(), ::testing::ElementsAre("under-voltage", "throttled"));
  EXPECT_EQ(state.throttling_since, state.throttling);
  const BoardState past = StateOf("1500000", "48686", "80000");
  EXPECT_EQ(past.throttled, false);
  EXPECT_TRUE(past.throttling->empty());
  EXPECT_THAT(past.throttling_since.value(), ::testing::ElementsAre("soft temperature limit"));
}

TEST(Board, BothStatesAreReported) {
  Report report;
  AddBoardStates(StateOf("600000", "48686", "0"), StateOf("1500000", "71200", "0"), &report);
  const std::string json = ToJson(report);
  for (const char* part : {"\"before\"", "\"after\"", "600.0", "1500.0", "48.686", "71.2",
                           "\"throttled\": false", "\"throttling\": []"}) {
    EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
  }
  const std::string text = ToText(report);
  EXPECT_NE(text.find("governor ondemand, 600 to 1500 MHz, 49 to 71 °C, not throttled"),
            std::string::npos)
      << text;
}

TEST(Board, WhatSlowedItDownInBetweenIsSaid) {
  // Over before the end, but for the first time since the start.
  const std::string text =
      TextOf(StateOf("1500000", "60000", "10000"), StateOf("1500000", "80000", "70000"));
  EXPECT_NE(text.find("SLOWED DOWN (frequency capped, throttled)"), std::string::npos) << text;
  const std::string now =
      TextOf(StateOf("1500000", "60000", "80008"), StateOf("1500000", "60000", "80008"));
  EXPECT_NE(now.find("SLOWED DOWN (soft temperature limit)"), std::string::npos) << now;
  EXPECT_NE(now.find(" 1500 MHz, 60 °C"), std::string::npos) << now;
}

TEST(Board, UnknownIsNotReported) {
  const BoardState none = ReadBoardState(testing::TempDir());
  EXPECT_FALSE(none.governor || none.frequency_mhz || none.temperature_c || none.throttled);
  Report report;
  AddBoardStates(none, none, &report);
  EXPECT_TRUE(report.notes.empty());
  EXPECT_EQ(ToJson(report).find("board"), std::string::npos);
}

}  // namespace
}  // namespace litesmith
