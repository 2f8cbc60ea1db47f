#include "tests/cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "data/dataset.h"
#include "data/npy.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

// In the child: only calls that are safe between fork and exec.
[[noreturn]] void Exec(char** argv, const RunOptions& options, int out, int err) {
  if (!options.stdout_to.empty()) out = ::open(options.stdout_to.c_str(), O_WRONLY);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  if (options.file_size_limit) {
    const rlimit limit{*options.file_size_limit, *options.file_size_limit};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
  }
  for (const std::string& variable : options.environment) {
    ::putenv(const_cast<char*>(variable.c_str()));
  }
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) ::_exit(126);
  ::execv(argv[0], argv);
  ::_exit(127);
}

}  // namespace

RunResult RunProgram(const std::vector<std::string>& arguments, const RunOptions& options) {
  RunResult result;
  std::string program = options.program.empty() ? Program() : options.program;
  std::vector<std::string> words = arguments;
  std::vector<char*> argv{program.data()};
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  int out[2], err[2];
  if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return result;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) Exec(argv.data(), options, out[1], err[1]);
  ::close(out[1]);
  ::close(err[1]);
  pollfd sources[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  std::string* const sinks[2] = {&result.out, &result.err};
  bool interrupted = options.interrupt_after.empty(), killed = options.kill_after.empty();
  while (sources[0].fd >= 0 || sources[1].fd >= 0) {
    if (::poll(sources, 2, -1) < 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (sources[i].fd < 0 || (sources[i].revents & (POLLIN | POLLHUP)) == 0) continue;
      char buffer[4096];
      const ssize_t n = ::read(sources[i].fd, buffer, sizeof(buffer));
      if (n > 0) {
        sinks[i]->append(buffer, static_cast<size_t>(n));
      } else {
        sources[i].fd = -1;
      }
    }
    if (!interrupted && result.out.find(options.interrupt_after) != std::string::npos) {
      ::kill(child, SIGINT);
      interrupted = true;
    }
    if (!killed && result.out.find(options.kill_after) != std::string::npos) {
      ::kill(child, SIGKILL);
      killed = true;
    }
  }
  ::close(out[0]);
  ::close(err[0]);
  int status = 0;
  rusage usage{};
  ::wait4(child, &status, 0, &usage);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.peak_kilobytes = static_cast<uint64_t>(usage.ru_maxrss);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

void ExpectError(const RunResult& result, int exit_code, const std::vector<std::string>& parts) {
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(result.err.starts_with("litesmith: ")) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_TRUE(result.err.ends_with("\n")) << result.err;
  for (const std::string& part : parts) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << " is not in: " << result.err;
  }
}

nlohmann::json ParseJson(const std::string& text) {
  nlohmann::json out = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(out.is_discarded()) << text;
  return out.is_discarded() ? nlohmann::json() : out;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

nlohmann::json ReadJson(const std::string& path) { return ParseJson(ReadText(path)); }

std::vector<std::string> ListFolder(const std::string& path) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    out.push_back(entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string WriteDigits(int64_t count, const std::string& folder) {
  InputSpec spec;
  spec.shape = {28, 28, 1};
  auto data = OpenDataset(SharedDir() + "/data/mnist", {}, DataUse::kEvaluation, {spec}, {});
  EXPECT_OK(data);
  Array images = Array::Zeros(ElementType::kFloat32, {count, 28, 28, 1});
  for (int64_t i = 0; i < count; ++i) {
    EXPECT_OK((*data)->ReadInto(
        i, 0, images.mutable_data<float>().subspan(static_cast<size_t>(i) * 784, 784)));
  }
  const std::string path = folder + "/digits.npy";
  EXPECT_OK(WriteNpy(path, images));
  return path;
}

}  // namespace litesmith::testing
