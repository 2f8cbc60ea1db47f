// `litesmith deploy` through the program; what it writes is compiled as C and as C++ and compared.

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "tests/cli/process.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

int System(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class DeployCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    model_ = SharedDir() + "/golden/mnist/mnist_model_quant_int8.tflite";
    dir_ = TempDir();
  }
  std::string model_, dir_;
};

TEST_F(DeployCommand, TheArrayIsTheFileInBothLanguages) {
  const std::string board = dir_ + "/new/board";
  const RunResult result =
      RunProgram({"deploy", model_, "-o", board, "--format", "c-array", "--symbol", "g_digits"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ListFolder(board), (std::vector<std::string>{"model.cc", "model.h"}));
  std::ofstream(dir_ + "/main.c") << R"(#include <stdint.h>
#include <stdio.h>
#include "model.h"
int main(void) {
  if (((uintptr_t)g_digits & 15u) != 0) return 3;
  return fwrite(g_digits, 1, g_digits_len, stdout) == g_digits_len ? 0 : 4;
}
)";
  const std::string flags = " -Wall -Wextra -Werror -pedantic -I " + board + " ";
  if (System("cc --version > /dev/null 2>&1") != 0) {
    GTEST_SKIP() << "skipped: no C compiler here; the array was not compiled";
  }
  for (const char* compiler : {"cc -std=c11 -x c", "c++ -std=c++11 -x c++"}) {
    const std::string program = dir_ + "/program";
    ASSERT_EQ(System(compiler + flags + dir_ + "/main.c " + board + "/model.cc -o " + program), 0)
        << compiler;
    ASSERT_EQ(System(program + " > " + dir_ + "/out.tflite"), 0) << compiler;
    EXPECT_EQ(ReadText(dir_ + "/out.tflite"), ReadText(model_)) << compiler;
  }
}

TEST_F(DeployCommand, Refusals) {
  ExpectError(RunProgram({"deploy", model_, "-o", dir_ + "/a", "--symbol", "2model"}), 1,
              {"--symbol", "2model"});
  EXPECT_TRUE(ListFolder(dir_).empty());
  std::ofstream(dir_ + "/something") << "x";
  ExpectError(RunProgram({"deploy", model_, "-o", dir_}), 1, {"not empty"});
  ExpectError(RunProgram({"deploy", model_, "-o", dir_ + "/something"}), 1, {"is a file"});
  ExpectError(RunProgram({"deploy", model_, "-o", dir_ + "/b", "--format", "punched-cards"}), 2,
              {"--format"});
  ExpectError(RunProgram({"deploy", dir_ + "/something", "-o", dir_ + "/b"}), 1,
              {"no known format"});
}

TEST_F(DeployCommand, AProjectForTfliteMicro) {
  const std::string board = dir_ + "/board";
  std::ofstream(dir_ + "/labels.txt") << "0\n1\n2\n3\n4\n5\n6\n7\n8\nnine\n";
  const RunResult result = RunProgram({"deploy", model_, "-o", board, "--format", "tflm",
                                       "--symbol", "g_digits", "--labels", dir_ + "/labels.txt"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ListFolder(board), (std::vector<std::string>{"CMakeLists.txt", "README.md", "esp-idf",
                                                         "examples", "library.properties", "src"}));
  const std::string values = ReadText(board + "/src/model_values.cc");
  EXPECT_NE(values.find("\"nine\","), std::string::npos);
  EXPECT_NE(values.find("namespace digits_inference"), std::string::npos);
  const std::string array = ReadText(board + "/src/model_data.cc");
  EXPECT_NE(array.find("const unsigned int g_digits_len"), std::string::npos);
}

TEST_F(DeployCommand, ProjectRefusals) {
  const std::string floats = SharedDir() + "/models/bench/mnist_float32.tflite";
  ExpectError(RunProgram({"deploy", floats, "-o", dir_ + "/b", "--format", "tflm"}), 1,
              {"CONV_2D", "--allow-float"});
  std::ofstream(dir_ + "/labels.txt") << "one\ntwo\n";
  ExpectError(RunProgram({"deploy", model_, "-o", dir_ + "/b", "--format", "tflm", "--labels",
                          dir_ + "/labels.txt"}),
              1, {"2 names", "10 values"});
  const std::string dynamic = SharedDir() + "/models/bench/mnist_dynamic.tflite";
  ExpectError(RunProgram({"deploy", dynamic, "-o", dir_ + "/b", "--format", "tflm"}), 1,
              {"tflite-micro cannot run", "f32/s8"});
  EXPECT_EQ(ListFolder(dir_), (std::vector<std::string>{"labels.txt"}));
  ASSERT_EQ(RunProgram({"deploy", floats, "-o", dir_ + "/b", "--format", "tflm", "--allow-float"})
                .exit_code,
            0);
}

// With $TFLM_DIR (and $TFLM_THIRD_PARTY, $TFLM_LIBRARY; see the project's CMakeLists.txt).
TEST_F(DeployCommand, RunsOnARealTree) {
  const char* tree = std::getenv("TFLM_DIR");
  if (tree == nullptr) {
    GTEST_SKIP() << "skipped: TFLM_DIR is not set; the project was compiled against stubs only";
  }
  const auto option = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : fmt::format(" -D{}={}", name, value);
  };
  const std::string build = dir_ + "/build";
  for (const char* net : {"mnist", "resnet8", "ds_cnn", "vww"}) {
    const std::string model = SharedDir() + "/models/bench/" + net + "_int8.tflite";
    const std::string board = dir_ + "/" + net;
    ASSERT_EQ(RunProgram({"deploy", model, "-o", board, "--format", "tflm"}).exit_code, 0) << net;
    ASSERT_EQ(System("rm -rf " + build + " && cmake -S " + board + " -B " + build +
                     " -DTFLM_DIR=" + tree + option("TFLM_THIRD_PARTY") + option("TFLM_LIBRARY") +
                     " > /dev/null && cmake --build " + build + " > /dev/null"),
              0)
        << net;
    ASSERT_EQ(System(build + "/model_host > " + dir_ + "/host.txt"), 0) << net;
    const std::string printed = ReadText(dir_ + "/host.txt");
    EXPECT_NE(printed.find("best: "), std::string::npos) << printed;
  }
}

}  // namespace
}  // namespace litesmith::testing
