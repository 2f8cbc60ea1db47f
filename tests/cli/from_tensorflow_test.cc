// Every command in the tables of docs/from-tensorflow.md works as it stands.

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>
#include <sstream>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

struct Row {
  int line;
  std::string text;
  std::vector<std::vector<std::string>> commands;  // the words behind "litesmith"
};

// The commands in the last column of the page's tables.
std::vector<Row> Rows(const std::string& page) {
  std::vector<Row> rows;
  std::istringstream lines(page);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (!line.starts_with("| ") || line.ends_with("| command |")) continue;
    const size_t end = line.rfind('|'), begin = line.rfind('|', end - 1);
    Row row{number, line, {}};
    const std::string column = line.substr(begin, end - begin);
    static const std::regex kCommand("`litesmith ([^`]+)`");
    for (std::sregex_iterator it(column.begin(), column.end(), kCommand), last; it != last; ++it) {
      std::istringstream words((*it)[1].str());
      std::string word;
      row.commands.emplace_back();
      while (words >> word) row.commands.back().push_back(word);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// The folder that the page describes.
std::string Folder() {
  const std::string dir = TempDir(), models = dir + "/demo/mnist_tflite_models/mnist_model_";
  RunOptions there;
  there.directory = dir;
  EXPECT_EQ(
      RunProgram({"data", "synthetic", "--output", "digits", "--count", "300"}, there).exit_code,
      0);
  const RunResult demo = RunProgram(
      {"demo", "--data", "digits", "--output", "demo", "--epochs", "1", "--recipes", "int8"},
      there);
  EXPECT_EQ(demo.exit_code, 0) << demo.err;
  std::filesystem::copy(models + "float32.tflite", dir + "/model.tflite");
  std::filesystem::copy(models + "quant_int8.tflite", dir + "/model_int8.tflite");
  std::filesystem::copy(SourceDir() + "/tests/keras/data/keras2_nested.keras",
                        dir + "/model.keras");
  std::filesystem::copy(SourceDir() + "/tests/saved_model/data/two_signatures",
                        dir + "/saved_model", std::filesystem::copy_options::recursive);
  EXPECT_OK(WriteNpy(dir + "/x.npy", Array::Zeros(ElementType::kFloat32, {1, 28, 28, 1})));
  return dir;
}

TEST(FromTensorFlow, EveryRowRuns) {
  const std::vector<Row> rows = Rows(ReadText(SourceDir() + "/docs/from-tensorflow.md"));
  EXPECT_GT(rows.size(), 50u);
  RunOptions there;
  there.directory = Folder();
  std::map<std::vector<std::string>, int> done;  // rows may share a command
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    EXPECT_FALSE(row.commands.empty()) << "line " << row.line << " has no command";
    for (const auto& command : row.commands) {
      if (!done.emplace(command, row.line).second) continue;
      std::filesystem::remove(there.directory + "/out.tflite");
      const RunResult result = RunProgram(command, there);
      EXPECT_EQ(result.exit_code, 0) << result.err;
      const bool writes = std::find(command.begin(), command.end(), "out.tflite") != command.end();
      EXPECT_EQ(std::filesystem::exists(there.directory + "/out.tflite"), writes);
    }
  }
}

}  // namespace
}  // namespace litesmith::testing
