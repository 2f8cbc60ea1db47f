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

constexpr size_t kColumns = 100, kFlagColumn = 30;

// Lines of up to `width` characters, broken at spaces.
std::string Wrapped(const std::string& text, size_t width) {
  std::string out;
  size_t line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const size_t word = end - at;
    if (line > 0 && line + 1 + word > width) {
      out += '\n';
      line = 0;
    } else if (line > 0) {
      out += ' ';
      ++line;
    }
    out.append(text, at, word);
    line += word;
    at = end + 1;
  }
  return out;
}

class Help : public CLI::Formatter {
 public:
  Help() { column_width(kFlagColumn); }

  // "--no-x{false}" sets x to false: nobody's business.
  std::string make_option_name(const CLI::Option* option, bool positional) const override {
    std::string name = CLI::Formatter::make_option_name(option, positional);
    for (size_t at; (at = name.find('{')) != std::string::npos;) {
      name.erase(at, name.find('}', at) - at + 1);
    }
    return name;
  }

  std::string make_option_opts(const CLI::Option* option) const override {
    std::string text = CLI::Formatter::make_option_opts(option);
    // "N:INT in [1 - 100]": a value out of range is told when it is given.
    if (const size_t at = text.find(":INT"); at != std::string::npos) {
      text.erase(at, text.find(']', at) - at + 1);
    }
    for (const char* noise : {" TEXT", " REQUIRED"}) {
      if (const size_t at = text.find(noise); at != std::string::npos) {
        text.erase(at, std::strlen(noise));
      }
    }
    // A list within one word is no list of words.
    const bool one_word = option->get_delimiter() != '\0' && !option->get_allow_extra_args();
    if (one_word && text.size() >= 4 && text.compare(text.size() - 4, 4, " ...") == 0) {
      text.erase(text.size() - 4);
    }
    return text;
  }

  std::string make_option_desc(const CLI::Option* option) const override {
    const bool required = option->get_required() && !option->get_positional();
    return Wrapped((required ? "Required. " : "") + option->get_description(),
                   kColumns - kFlagColumn);
  }
};

std::string Count(const Context::Progress& p) {
  return p.total > 0 ? fmt::format("{} of {}", p.done, p.total) : fmt::format("{}", p.done);
}

}  // namespace

std::shared_ptr<CLI::Formatter> HelpFormat() { return std::make_shared<Help>(); }

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
