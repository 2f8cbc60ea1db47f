#ifndef LITESMITH_BOARD_H_
#define LITESMITH_BOARD_H_

#include <optional>
#include <string>
#include <vector>

#include "litesmith/report.h"

namespace litesmith {

// What a board's speed depends on and changes while it works; what cannot be known is absent.
struct BoardState {
  std::optional<std::string> governor;                       // of the first core's frequency
  std::optional<double> frequency_mhz;                       // of the first core
  std::optional<double> temperature_c;                       // the processor's
  std::optional<bool> throttled;                             // slowed down now
  std::optional<std::vector<std::string>> throttling;        // a Raspberry Pi's reasons now
  std::optional<std::vector<std::string>> throttling_since;  // and at any time since it started
};

// From /sys, and `vcgencmd get_throttled` where a Raspberry Pi's kernel does not tell. `root`
// stands before every path that is read ("" in real use; with another root no command runs).
BoardState ReadBoardState(const std::string& root = "");

// "board": {"before", "after"} to the report's data; a note where the two say that the times
// between them were a board's under stress. Nothing where neither knows anything.
void AddBoardStates(const BoardState& before, const BoardState& after, Report* report);

}  // namespace litesmith

#endif  // LITESMITH_BOARD_H_
