#include "console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace litesmith::cli {
namespace {

constexpr int kBarWidth = 30;
constexpr std::chrono::milliseconds kQuiet(300);         // work shorter than this shows no bar,
constexpr std::chrono::milliseconds kQuietInPipe(1000);  // or no line
constexpr std::chrono::milliseconds kRedraw(100);
constexpr std::chrono::milliseconds kLineEvery(2000);

bool IsTerminal() {
  const char* term = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
}

std::string Count(const Context::Progress& p) {
  return p.total > 0 ? fmt::format("{} of {}", p.done, p.total) : fmt::format("{}", p.done);
}

}  // namespace

Console::Console() : terminal_(IsTerminal()), start_(Clock::now()), last_(start_) {}

void Console::Show(const Context::Progress& p) {
  const auto now = Clock::now();
  const bool done = p.total > 0 && p.done >= p.total;
  if (now - start_ < (terminal_ ? kQuiet : kQuietInPipe)) return;
  if (!done && now - last_ < (terminal_ ? kRedraw : kLineEvery)) return;
  last_ = now;
  const std::string note = p.note.empty() ? "" : ", " + p.note;
  if (!terminal_) {
    fmt::print(stderr, "{}: {}{}\n", p.what, Count(p), note);
    return;
  }
  if (done) {
    Clear();
    return;
  }
  std::string bar;
  if (p.total > 0) {
    const auto filled =
        static_cast<size_t>(std::clamp<int64_t>(kBarWidth * p.done / p.total, 0, kBarWidth));
    bar = "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] ";
  }
  fmt::print(stderr, "\r\x1b[K{} {}{}{}", p.what, bar, Count(p), note);
  std::fflush(stderr);
  bar_shown_ = true;
}

void Console::Note(const std::string& sentence) {
  if (std::find(notes_.begin(), notes_.end(), sentence) == notes_.end()) notes_.push_back(sentence);
}

void Console::PrintNotes() const {
  for (const std::string& note : notes_) fmt::print(stderr, "litesmith: note: {}\n", note);
}

void Console::Clear() {
  if (!bar_shown_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  bar_shown_ = false;
}

}  // namespace litesmith::cli
