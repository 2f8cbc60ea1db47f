#include "litesmith/board.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>

#include "base/status.h"
#include "evaluate/linux_files.h"

namespace litesmith {
namespace {

// The processor's sensor where one is called so, else the first.
std::optional<double> Temperature(const std::string& root) {
  std::optional<double> first;
  for (int zone = 0; zone < 32; ++zone) {
    const std::string base = fmt::format("{}/sys/class/thermal/thermal_zone{}/", root, zone);
    const auto milli = ToNumber(ReadLinuxText(base + "temp"));
    if (!milli) continue;
    const std::string type = ReadLinuxText(base + "type").value_or("");
    if (type.find("cpu") != std::string::npos || type == "x86_pkg_temp") return *milli / 1000.0;
    if (!first) first = *milli / 1000.0;
  }
  return first;
}

// The bit mask that a Raspberry Pi's firmware keeps.
std::optional<unsigned> ThrottleMask(const std::string& root) {
  const auto mask =
      ToNumber(ReadLinuxText(root + "/sys/devices/platform/soc/soc:firmware/get_throttled"), 16);
  if (mask) return static_cast<unsigned>(*mask);
  const std::string board = ReadLinuxText(root + "/proc/device-tree/model").value_or("");
  if (!root.empty() || board.rfind("Raspberry Pi", 0) != 0) return std::nullopt;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      ::popen("vcgencmd get_throttled 2>/dev/null", "r"), ::pclose);
  char text[64] = {};
  unsigned value = 0;
  if (pipe && std::fgets(text, sizeof(text), pipe.get()) != nullptr &&
      std::sscanf(text, "throttled=0x%x", &value) == 1) {
    return value;
  }
  return std::nullopt;
}

// Bits 0 to 3 say what holds now, 16 to 19 the same of any time since the start.
std::vector<std::string> Reasons(unsigned bits) {
  static constexpr const char* kNames[] = {"under-voltage", "frequency capped", "throttled",
                                           "soft temperature limit"};
  std::vector<std::string> out;
  for (unsigned i = 0; i < 4; ++i) {
    if ((bits >> i & 1u) != 0) out.push_back(kNames[i]);
  }
  return out;
}

Value ListValue(const std::optional<std::vector<std::string>>& texts) {
  if (!texts) return Value();
  Value out = Value::List{};
  for (const std::string& text : *texts) out.Add(Value(text));
  return out;
}

Value StateValue(const BoardState& state) {
  Value out;
  out.Set("governor", state.governor)
      .Set("frequency_mhz", state.frequency_mhz)
      .Set("temperature_c", state.temperature_c)
      .Set("throttled", state.throttled)
      .Set("throttling", ListValue(state.throttling))
      .Set("throttling_since_start", ListValue(state.throttling_since));
  return out;
}

bool IsKnown(const BoardState& s) {
  return s.governor || s.frequency_mhz || s.temperature_c || s.throttled;
}

// "1500 MHz", or "600 to 1500 MHz" where the two differ.
std::string Change(const std::optional<double>& before, const std::optional<double>& after,
                   const char* unit) {
  const std::string from = before ? fmt::format("{:.0f}", *before) : "?";
  const std::string to = after ? fmt::format("{:.0f}", *after) : "?";
  return from == to ? fmt::format("{} {}", to, unit) : fmt::format("{} to {} {}", from, to, unit);
}

// What was slowed down before, after, or for the first time in between.
std::vector<std::string> Stress(const BoardState& before, const BoardState& after) {
  std::vector<std::string> out = before.throttling.value_or(std::vector<std::string>());
  const auto add = [&](const std::vector<std::string>& reasons) {
    for (const std::string& reason : reasons) {
      if (std::find(out.begin(), out.end(), reason) == out.end()) out.push_back(reason);
    }
  };
  if (after.throttling) add(*after.throttling);
  if (before.throttling_since && after.throttling_since) {
    std::vector<std::string> first;
    for (const std::string& reason : *after.throttling_since) {
      const auto& known = *before.throttling_since;
      if (std::find(known.begin(), known.end(), reason) == known.end()) first.push_back(reason);
    }
    add(first);
  }
  return out;
}

}  // namespace

std::optional<std::string> ReadLinuxText(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  std::string out = text.str();
  while (!out.empty() && (out.back() == '\0' || out.back() == '\n')) out.pop_back();
  if (out.empty()) return std::nullopt;
  return out;
}

std::optional<double> ToNumber(const std::optional<std::string>& text, int base) {
  if (!text) return std::nullopt;
  char* end = nullptr;
  const double value = base == 10 ? std::strtod(text->c_str(), &end)
                                  : static_cast<double>(std::strtoul(text->c_str(), &end, base));
  if (end == text->c_str()) return std::nullopt;
  return value;
}

BoardState ReadBoardState(const std::string& root) {
  BoardState out;
  const std::string frequency = root + "/sys/devices/system/cpu/cpu0/cpufreq/";
  out.governor = ReadLinuxText(frequency + "scaling_governor");
  const auto kilohertz = ToNumber(ReadLinuxText(frequency + "scaling_cur_freq"));
  if (kilohertz) out.frequency_mhz = *kilohertz / 1000.0;
  out.temperature_c = Temperature(root);
  if (const auto mask = ThrottleMask(root)) {
    out.throttled = (*mask & 0xfu) != 0;
    out.throttling = Reasons(*mask);
    out.throttling_since = Reasons(*mask >> 16);
  }
  return out;
}

void AddBoardStates(const BoardState& before, const BoardState& after, Report* report) {
  if (!IsKnown(before) && !IsKnown(after)) return;
  report->data.Set("board",
                   Value().Set("before", StateValue(before)).Set("after", StateValue(after)));
  std::vector<std::string> parts;
  if (after.governor) parts.push_back("governor " + *after.governor);
  if (before.frequency_mhz || after.frequency_mhz) {
    parts.push_back(Change(before.frequency_mhz, after.frequency_mhz, "MHz"));
  }
  if (before.temperature_c || after.temperature_c) {
    parts.push_back(Change(before.temperature_c, after.temperature_c, "°C"));
  }
  const std::vector<std::string> stress = Stress(before, after);
  if (!stress.empty()) {
    parts.push_back(
        fmt::format("SLOWED DOWN ({}): these times are too long", fmt::join(stress, ", ")));
  } else if (after.throttled) {
    parts.push_back("not throttled");
  }
  report->notes.push_back(Printable(fmt::format("board: {}", fmt::join(parts, ", "))));
}

}  // namespace litesmith
