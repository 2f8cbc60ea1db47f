#ifndef LITESMITH_CLI_COMMAND_H_
#define LITESMITH_CLI_COMMAND_H_

// What the sub-commands share: how they are declared, and the flags that mean the same everywhere.

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "litesmith/litesmith.h"

namespace litesmith::cli {

// The work of the chosen sub-command, set while the command line is parsed.
using Action = std::function<absl::Status(const Context&)>;

// What every sub-command keeps between parsing and running.
struct CommonFlags {
  int num_threads = 0;
  uint64_t max_memory = 0;  // bytes; 0: half of the machine's
  double time_limit = 0.0;  // seconds; 0: none
};

// Each declares its sub-command; *chosen becomes its work when the user names it.
void AddConvert(CLI::App* app, CommonFlags* common, Action* chosen);
void AddQuantize(CLI::App* app, CommonFlags* common, Action* chosen);
void AddRun(CLI::App* app, CommonFlags* common, Action* chosen);
void AddEvaluate(CLI::App* app, CommonFlags* common, Action* chosen);
void AddBenchmark(CLI::App* app, CommonFlags* common, Action* chosen);
void AddAdvise(CLI::App* app, CommonFlags* common, Action* chosen);
void AddInspect(CLI::App* app, CommonFlags* common, Action* chosen);
void AddCompare(CLI::App* app, CommonFlags* common, Action* chosen);
void AddDeploy(CLI::App* app, CommonFlags* common, Action* chosen);
void AddSummary(CLI::App* app, CommonFlags* common, Action* chosen);
void AddOperators(CLI::App* app, CommonFlags* common, Action* chosen);
void AddTrain(CLI::App* app, CommonFlags* common, Action* chosen);
void AddDemo(CLI::App* app, CommonFlags* common, Action* chosen);
void AddData(CLI::App* app, CommonFlags* common, Action* chosen);

// A sub-command with the flags `F` (shared with the action); `action(flags, context)` is its work.
template <typename F>
std::shared_ptr<F> Declare(CLI::App* sub, Action* chosen,
                           absl::Status (*action)(const F&, const Context&)) {
  auto flags = std::make_shared<F>();
  sub->final_callback([flags, chosen, action] {
    *chosen = [flags, action](const Context& context) { return action(*flags, context); };
  });
  return flags;
}

// --max-memory and --time-limit, on this sub-command and those below it.
void AddLimits(CLI::App* sub, CommonFlags* common);
// --num-threads N.
void AddThreads(CLI::App* sub, CommonFlags* common);
// --weights, --signature, --unroll-lstm.
void AddLoadFlags(CLI::App* sub, LoadOptions* options);
// --split, --mean, --std, --labels.
void AddPreprocessing(CLI::App* sub, DataSource* source);
// --kernels and, where `arithmetic` is given, --arithmetic.
void AddKernels(CLI::App* sub, KernelMode* kernels, Arithmetic* arithmetic);
// --runtime litesmith|litert, --litert-library and --litert-kernels; `what` is what the first does.
struct RuntimeFlags {
  bool litert = false;
  LitertOptions options;

  std::optional<LitertOptions> Chosen() const {
    return litert ? std::optional(options) : std::nullopt;
  }
};
void AddRuntime(CLI::App* sub, const std::string& what, RuntimeFlags* flags);
// --json FILE.
void AddJson(CLI::App* sub, std::string* path);

// Before long work: fails where --json could not be written.
absl::Status CheckJson(const std::string& path, const std::vector<std::string>& inputs);
// The report to the user: as text, and as JSON where asked for, with a line that names the file;
// "-" prints the JSON instead of the text.
absl::Status Deliver(const Report& report, const std::string& json);

}  // namespace litesmith::cli

#endif  // LITESMITH_CLI_COMMAND_H_
