#include "base/file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/testing.h"

namespace litesmith {
namespace {

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

size_t Entries(const std::string& dir) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir), {}));
}

TEST(FileTest, WritesAndReplaces) {
  const std::string dir = testing::TempDir();
  const std::string path = dir + "/a";
  ASSERT_OK(WriteFileAtomically(path, "first"));
  ASSERT_OK(WriteFileAtomically(path, "second"));
  EXPECT_EQ(Slurp(path), "second");
  EXPECT_EQ(Entries(dir), 1u);
  ASSERT_OK_AND_ASSIGN(auto file, FileBytes::Open(path));
  EXPECT_EQ(file->bytes().size(), 6u);
}

TEST(FileTest, KeepsTheModeOfTheReplacedFile) {
  const std::string path = testing::TempDir() + "/a";
  ASSERT_OK(WriteFileAtomically(path, "x"));
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  ASSERT_OK(WriteFileAtomically(path, "y"));
  struct stat st;
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0640u);
}

TEST(FileTest, ErrorsNameThePathAndTheFault) {
  const std::string dir = testing::TempDir();
  ASSERT_OK(WriteFileAtomically(dir + "/full", "x"));
  EXPECT_THAT(
      std::string(Message(FileBytes::Open(dir + "/none").status())),
      ::testing::AllOf(::testing::HasSubstr(dir + "/none"), ::testing::HasSubstr("no such file")));
  std::ofstream(dir + "/empty").close();
  EXPECT_THAT(std::string(Message(FileBytes::Open(dir + "/empty").status())),
              ::testing::HasSubstr("empty"));
  EXPECT_THAT(std::string(Message(FileBytes::Open(dir).status())), ::testing::HasSubstr("folder"));
  EXPECT_FALSE(WriteFileAtomically(dir + "/missing/file", "x").ok());
  EXPECT_FALSE(WriteFileAtomically(dir, "x").ok());
  EXPECT_FALSE(MakeDirectories(dir + "/full").ok());
}

TEST(FileTest, ADeviceIsNotReplaced) {
  const std::string link = testing::TempDir() + "/link";
  ASSERT_EQ(::symlink("/dev/null", link.c_str()), 0);
  EXPECT_THAT(std::string(Message(WriteFileAtomically(link, "x"))), ::testing::HasSubstr("device"));
  struct stat st;
  ASSERT_EQ(::stat("/dev/null", &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
}

// A child that may write 4 KB fails in the middle: the old content stays and nothing is left
// behind.
TEST(FileTest, AFailedWriteLeavesTheOldFile) {
  if (testing::ThreadCounts({2}) != std::vector<int>{2})
    GTEST_SKIP() << "skipped: no child processes";
  const std::string dir = testing::TempDir();
  const std::string path = dir + "/a";
  ASSERT_OK(WriteFileAtomically(path, "old"));
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string big(1 << 20, 'x');
    ::_exit(WriteFileAtomically(path, big).ok() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(Slurp(path), "old");
  EXPECT_EQ(Entries(dir), 1u);
}

}  // namespace
}  // namespace litesmith
