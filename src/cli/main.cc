#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
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

// `inspect --json` takes no file of its own, as it may stand before the model; what ends in .json
// after it is one all the same, when there is a model beside it.
bool IsJsonFile(int argc, char** argv, int i) {
  const std::string_view word = argv[i];
  if (word == "-") return true;
  if (!word.ends_with(".json") || std::strcmp(argv[1], "inspect") != 0) return false;
  const auto plain = [](const char* w) { return w[0] != '-'; };
  return std::count_if(argv + 2, argv + argc, plain) > 1;
}

// '-' and '_' are the same in the names of flags. "--json -" becomes one word (see IsJsonFile).
std::vector<std::string> Normalise(int argc, char** argv) {
  std::vector<std::string> out;
  bool flags = true;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--") flags = false;
    if (flags && word.rfind("--", 0) == 0) {
      const size_t end = std::min(word.find('='), word.size());
      std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
      if (word == "--json" && i + 1 < argc && IsJsonFile(argc, argv, i + 1)) {
        word += std::string("=") + argv[++i];
      }
    }
    out.push_back(std::move(word));
  }
  return out;
}

int Report(const absl::Status& status) {
  const bool cancelled = absl::IsCancelled(status);
  const bool late = absl::IsDeadlineExceeded(status);
  const std::string what(status.message().data(), status.message().size());
  fmt::print(stderr, "litesmith: {}\n",
             cancelled ? "interrupted; nothing unfinished was written"
             : late    ? "the time limit is over; nothing unfinished was written (--time-limit)"
                       : OneLine(what));
  return cancelled ? kInterrupted : kFailed;
}

// 32-bit programs: half of the address space that a process has.
constexpr uint64_t kMostMemory = sizeof(void*) == 8 ? UINT64_MAX : uint64_t{3} << 29;

uint64_t HalfOfMemory() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || size <= 0) return litesmith::Context().memory_budget;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) / 2;
}

// Work looks at its context between nodes and records. Should it be in the middle of something long
// (a convolution of 10^12 products) when it is told to stop, this ends the program all the same.
class Watchdog {
 public:
  explicit Watchdog(const litesmith::Context& context)
      : context_(context), thread_([this] { Watch(); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

 private:
  void Watch() {
    constexpr auto kLook = std::chrono::milliseconds(100);
    constexpr int kPatience = 15;  // looks between the order to stop and the end
    std::unique_lock lock(mutex_);
    absl::Status status;
    for (int late = 0; late < kPatience; late += !status.ok()) {
      wake_.wait_for(lock, kLook, [this] { return done_; });
      if (done_) return;
      status = context_.Check();
    }
    if (::isatty(STDERR_FILENO) != 0) fmt::print(stderr, "\n");  // a bar may be there
    std::quick_exit(Report(status));
  }

  const litesmith::Context& context_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::thread thread_;
};

int Work(const litesmith::cli::Action& action, const litesmith::cli::CommonFlags& common) {
  litesmith::cli::Console console;
  CatchInterrupt();
  litesmith::Context context;
  context.cancel = &interrupted;
  context.num_threads = common.num_threads;
  context.memory_budget =
      std::min<uint64_t>(common.max_memory != 0 ? common.max_memory : HalfOfMemory(), kMostMemory);
  if (common.time_limit > 0.0) {
    context.deadline = std::chrono::steady_clock::now() +
                       std::chrono::milliseconds(static_cast<int64_t>(common.time_limit * 1e3));
  }
  context.progress = [&](const litesmith::Context::Progress& p) { console.Show(p); };
  context.warn = [&](const std::string& sentence) { console.Note(sentence); };
  absl::Status status;
  try {
    const Watchdog watchdog(context);
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
      "Trained networks to small, fast, correct .tflite files: convert, quantize, train, run, "
      "evaluate, benchmark, advise. No Python.");
  app.name("litesmith");
  app.formatter(litesmith::cli::HelpFormat());
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
  litesmith::cli::AddTrain(&app, &common, &action);
  litesmith::cli::AddRun(&app, &common, &action);
  litesmith::cli::AddEvaluate(&app, &common, &action);
  litesmith::cli::AddBenchmark(&app, &common, &action);
  litesmith::cli::AddAdvise(&app, &common, &action);
  litesmith::cli::AddInspect(&app, &common, &action);
  litesmith::cli::AddCompare(&app, &common, &action);
  litesmith::cli::AddDeploy(&app, &common, &action);
  litesmith::cli::AddSummary(&app, &common, &action);
  litesmith::cli::AddOperators(&app, &common, &action);
  litesmith::cli::AddDemo(&app, &common, &action);
  litesmith::cli::AddData(&app, &common, &action);
  for (CLI::App* sub : app.get_subcommands({})) litesmith::cli::AddLimits(sub, &common);
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
  return action ? Work(action, common) : kUsage;
}
