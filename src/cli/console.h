#ifndef LITESMITH_CLI_CONSOLE_H_
#define LITESMITH_CLI_CONSOLE_H_

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "litesmith/context.h"

namespace litesmith::cli {

// What the user sees of long work, on standard error: a bar on a terminal, plain lines in a pipe
// (and those only once the work takes longer than a second).
class Console {
 public:
  Console();

  void Show(const Context::Progress& progress);
  // Keeps a sentence for PrintNotes: a command that fails says one thing only, why.
  void Note(const std::string& sentence);
  void PrintNotes() const;
  // Removes an unfinished bar.
  void Clear();

 private:
  using Clock = std::chrono::steady_clock;

  bool terminal_;
  bool bar_shown_ = false;
  Clock::time_point start_, last_;
  std::vector<std::string> notes_;
};

// How --help shows flags: without CLI11's notation for types, ranges and defaults, and in lines that
// fit a terminal of 100 columns.
std::shared_ptr<CLI::Formatter> HelpFormat();

}  // namespace litesmith::cli

#endif  // LITESMITH_CLI_CONSOLE_H_
