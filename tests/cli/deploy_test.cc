// `litesmith deploy` through the program; what it writes is compiled as C and as C++ and compared.

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

}  // namespace
}  // namespace litesmith::testing
