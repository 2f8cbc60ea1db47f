#ifndef LITESMITH_TESTS_CLI_PROCESS_H_
#define LITESMITH_TESTS_CLI_PROCESS_H_

// Runs the built program as a user would.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace litesmith::testing {

struct RunOptions {
  std::string stdout_to;                    // a file such as /dev/full instead of the pipe
  std::optional<uint64_t> file_size_limit;  // bytes (RLIMIT_FSIZE, SIGXFSZ ignored): a full disk
  std::string interrupt_after;              // SIGINT once standard output holds this text
  std::string kill_after;                   // SIGKILL likewise
  std::vector<std::string> environment;     // NAME=VALUE, added
  std::string directory;                    // the working directory, if another one
  std::string program;                      // with its path, if another one
};

struct RunResult {
  int exit_code = -1;  // 128 + signal for a killed program
  std::string out, err;
  uint64_t peak_kilobytes = 0;
  double seconds = 0.0;
};

RunResult RunProgram(const std::vector<std::string>& arguments, const RunOptions& options = {});

// Fails the test unless the program printed nothing but one line "litesmith: ..." on standard
// error, with each of `parts` in it, and ended with `exit_code`.
void ExpectError(const RunResult& result, int exit_code, const std::vector<std::string>& parts);

// The JSON in a text or file; fails the test and gives null where it is none.
nlohmann::json ParseJson(const std::string& text);
nlohmann::json ReadJson(const std::string& path);
std::string ReadText(const std::string& path);

// Names in a folder, sorted.
std::vector<std::string> ListFolder(const std::string& path);

// The first `count` MNIST test pictures as float32 [count, 28, 28, 1] in 0..1, written as a .npy.
// REQUIRES: the shared folder.
std::string WriteDigits(int64_t count, const std::string& folder);

}  // namespace litesmith::testing

#endif  // LITESMITH_TESTS_CLI_PROCESS_H_
