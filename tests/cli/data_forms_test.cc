// The forms of data through the program: pictures, .npz, and the bar on a terminal.

#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "data/npy.h"
#include "tests/cli/process.h"
#include "tests/data_files.h"
#include "tests/testing.h"

namespace litesmith::testing {
namespace {

class DataForms : public ::testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_SHARED();
    dir_ = TempDir();
    model_ = SharedDir() + "/golden/mnist/mnist_model_float32.tflite";
    digits_ = WriteDigits(4, dir_);
    const auto read = ReadNpy(digits_, {});
    ASSERT_OK(read);
    images_ = *read;
  }
  std::string File(const std::string& name) const { return dir_ + "/" + name; }

  // Test digit i as a grey picture.
  std::vector<std::byte> Png(int i) const {
    std::vector<std::byte> pixels(784);
    for (size_t p = 0; p < 784; ++p) {
      const float value = images_.data<float>()[static_cast<size_t>(i) * 784 + p];
      pixels[p] = static_cast<std::byte>(value * 255.0f + 0.5f);
    }
    return PngBytes(28, 28, 1, pixels);
  }

  std::string dir_, model_, digits_;
  Array images_;
};

TEST_F(DataForms, APictureIsWhatItsArrayIs) {
  WriteFile(File("seven.png"), Png(0));
  std::ofstream(File("labels.txt"))
      << "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
  for (const char* name : {"float32", "quant_int8", "quant_uint8_io"}) {
    const RunResult result = RunProgram(
        {"run", SharedDir() + "/golden/mnist/mnist_model_" + name + ".tflite", "--input",
         File("seven.png"), "--labels", File("labels.txt"), "--top", "2", "--split", "test"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const size_t first = result.out.find("seven");
    EXPECT_NE(first, std::string::npos) << result.out;
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 4) << result.out;
  }
  // The same bits as from the array.
  RunProgram({"run", model_, "--input", File("seven.png"), "--output-dir", File("picture")});
  Array one = Array::Zeros(ElementType::kFloat32, {1, 28, 28, 1});
  std::copy_n(images_.bytes.begin(), one.bytes.size(), one.bytes.begin());
  ASSERT_OK(WriteNpy(File("one.npy"), one));
  RunProgram({"run", model_, "--input", File("one.npy"), "--output-dir", File("array")});
  EXPECT_EQ(ReadText(File("picture/out0.npy")), ReadText(File("array/out0.npy")));
}

TEST_F(DataForms, WrongLabelsFileForAPicture) {
  WriteFile(File("seven.png"), Png(0));
  std::ofstream(File("few.txt")) << "a\nb\n";
  ExpectError(
      RunProgram({"run", model_, "--input", File("seven.png"), "--labels", File("few.txt")}), 1,
      {File("few.txt"), "2 names", "10 outputs"});
}

// Test digits 0 and 1 are a seven and a two; all ten classes have a folder.
TEST_F(DataForms, PictureFolderAndArchive) {
  std::vector<std::pair<std::string, std::vector<std::byte>>> entries;
  for (int c = 0; c < 10; ++c) {
    const int picture = c == 7 ? 0 : 1;
    const std::string name = "test/" + std::to_string(c) + "/x.png";
    std::filesystem::create_directories(File("set/test/" + std::to_string(c)));
    WriteFile(File("set/" + name), Png(picture));
    entries.emplace_back(name, Png(picture));
  }
  WriteFile(File("set.tar"), TarBytes(entries));
  WriteFile(File("set.tar.gz"), Gzip(TarBytes(entries)));
  for (const char* name : {"set", "set.tar", "set.tar.gz"}) {
    const RunResult result = RunProgram({"evaluate", model_, "--data", File(name), "--json", "-"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const nlohmann::json entry = ParseJson(result.out)["models"][0];
    EXPECT_EQ(entry["correct"], 2) << name;
    EXPECT_EQ(entry["total"], 10) << name;
  }
}

TEST_F(DataForms, NpzForRunAndEvaluate) {
  WriteNpz(File("x.npz"), {{"in0", images_}});
  RunProgram({"run", model_, "--input", File("x.npz"), "--output-dir", File("npz")});
  RunProgram({"run", model_, "--input", digits_, "--output-dir", File("npy")});
  ASSERT_EQ(ReadText(File("npz/out0.npy")), ReadText(File("npy/out0.npy")));
  ASSERT_OK_AND_ASSIGN(const Array outputs, ReadNpy(File("npy/out0.npy"), {}));
  WriteNpz(File("targets.npz"), {{"in0", images_}, {"targets", outputs}});
  for (const char* metric : {"mse", "mae"}) {
    const RunResult result = RunProgram(
        {"evaluate", model_, "--data", File("targets.npz"), "--metric", metric, "--json", "-"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const nlohmann::json entry = ParseJson(result.out)["models"][0];
    EXPECT_LT(entry[metric].get<double>(), 1e-6);
    EXPECT_EQ(entry["total"], 4);
  }
  WriteNpz(
      File("labels.npz"),
      {{"in0", images_}, {"labels", ArrayOf<int64_t>(ElementType::kInt64, {4}, {7, 2, 1, 0})}});
  const RunResult result =
      RunProgram({"evaluate", model_, "--data", File("labels.npz"), "--json", "-"});
  EXPECT_EQ(ParseJson(result.out)["models"][0]["correct"], 4);
  WriteNpz(File("odd.npz"), {{"other", images_}});
  ExpectError(RunProgram({"run", model_, "--input", File("odd.npz")}), 1, {"odd.npz", "other"});
}

TEST_F(DataForms, JsonNeverReplacesTheData) {
  WriteNpz(File("d.npz"), {{"in0", images_},
                           {"labels", ArrayOf<int64_t>(ElementType::kInt64, {4}, {7, 2, 1, 0})}});
  const std::string before = ReadText(File("d.npz"));
  for (const char* command : {"evaluate", "benchmark"}) {
    ExpectError(RunProgram({command, model_, "--data", File("d.npz"), "--json", File("d.npz")}), 1,
                {File("d.npz"), "input"});
  }
  EXPECT_EQ(ReadText(File("d.npz")), before);
}

TEST_F(DataForms, ATerminalShowsABar) {
  std::string program = Program(), data = SharedDir() + "/data/mnist";
  // The slowest of the files, on one thread, so that there is something to show.
  std::string model = SharedDir() + "/golden/mnist/mnist_model_quant_16x8.tflite";
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::setenv("TERM", "xterm", 1);
    ::execl(program.c_str(), program.c_str(), "evaluate", model.c_str(), "--data", data.c_str(),
            "--kernels", "reference", "--num-threads", "1", nullptr);
    ::_exit(127);
  }
  std::string shown;
  char buffer[4096];
  for (ssize_t n; (n = ::read(terminal, buffer, sizeof(buffer))) > 0;) {
    shown.append(buffer, static_cast<size_t>(n));
  }
  ::close(terminal);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << shown;
  EXPECT_NE(shown.find("evaluating ["), std::string::npos) << shown;
  EXPECT_NE(shown.find("\x1b[K"), std::string::npos);
  EXPECT_NE(shown.find("97.75 %"), std::string::npos) << shown;
}

}  // namespace
}  // namespace litesmith::testing
