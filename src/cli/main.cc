#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "command.h"
#include "console.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kInterrupted = 130;

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set from a signal handler");

// The second Ctrl-C ends the program at once (SA_RESETHAND).
void CatchInterrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted.store(true); };
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

std::string OneLine(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// '-' and '_' are the same in the names of flags. "--json -" becomes one word, because `inspect
// --json` takes no file.
std::vector<std::string> Normalise(int argc, char** argv) {
  std::vector<std::string> out;
  bool flags = true;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--") flags = false;
    if (flags && word.rfind("--", 0) == 0) {
      const size_t end = std::min(word.find('='), word.size());
      std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
      if (word == "--json" && i + 1 < argc && std::strcmp(argv[i + 1], "-") == 0) {
        word += "=-";
        ++i;
      }
    }
    out.push_back(std::move(word));
  }
  return out;
}

int Report(const absl::Status& status) {
  const bool cancelled = absl::IsCancelled(status);
  const std::string what(status.message().data(), status.message().size());
  fmt::print(stderr, "litesmith: {}\n",
             cancelled ? "interrupted; nothing unfinished was written" : OneLine(what));
  return cancelled ? kInterrupted : kFailed;
}

int Work(const litesmith::cli::Action& action, int num_threads) {
  litesmith::cli::Console console;
  CatchInterrupt();
  litesmith::Context context;
  context.cancel = &interrupted;
  context.num_threads = num_threads;
  context.progress = [&](const litesmith::Context::Progress& p) { console.Show(p); };
  context.warn = [&](const std::string& sentence) { console.Note(sentence); };
  absl::Status status;
  try {
    status = action(context);
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError("out of memory; close other programs or use less data");
  }
  console.Clear();
  if (!status.ok()) return Report(status);
  console.PrintNotes();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    return Report(absl::UnavailableError(
        fmt::format("standard output: cannot write: {}", std::strerror(errno))));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Trained networks to small, fast, correct .tflite files: convert, quantize, run, evaluate, "
      "benchmark. No Python.");
  app.name("litesmith");
  app.set_version_flag("--version", fmt::format("litesmith {}", litesmith::Version()));
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  litesmith demo\n"
      "  litesmith convert model.keras -o model.tflite\n"
      "\n'litesmith COMMAND --help' shows a command's flags and examples. '-' and '_' are the same "
      "in "
      "flag names.");
  litesmith::cli::CommonFlags common;
  litesmith::cli::Action action;
  litesmith::cli::AddConvert(&app, &common, &action);
  litesmith::cli::AddQuantize(&app, &common, &action);
  litesmith::cli::AddRun(&app, &common, &action);
  litesmith::cli::AddEvaluate(&app, &common, &action);
  litesmith::cli::AddBenchmark(&app, &common, &action);
  litesmith::cli::AddInspect(&app, &common, &action);
  litesmith::cli::AddOperators(&app, &common, &action);
  litesmith::cli::AddDemo(&app, &common, &action);
  litesmith::cli::AddData(&app, &common, &action);
  std::vector<std::string> words = Normalise(argc, argv);
  if (!words.empty() && words[0].rfind('-', 0) != 0 &&
      app.get_subcommands([&](CLI::App* sub) { return sub->check_name(words[0]); }).empty()) {
    fmt::print(stderr, "litesmith: there is no command '{}'; see 'litesmith --help'\n",
               OneLine(words[0]));
    return kUsage;
  }
  std::reverse(words.begin(), words.end());
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    std::string help = "litesmith";
    for (const CLI::App* sub = &app; !sub->get_subcommands().empty();) {
      sub = sub->get_subcommands().front();
      help += " " + sub->get_name();
    }
    fmt::print(stderr, "litesmith: {}; see '{} --help'\n", OneLine(error.what()), help);
    return kUsage;
  }
  return action ? Work(action, common.num_threads) : kUsage;
}
